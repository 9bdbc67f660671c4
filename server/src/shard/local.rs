//! `LocalShard`: the shard of this thread, as the tasks on the thread see it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, FileSlice};
use logmill_engine::journal::JournalConfig;
use logmill_engine::partition::{Isolation, PartitionId};
use logmill_engine::shard::{CommitLimits, OpenPartition, Opened, Opener, PartitionMarks, Shard};
use tokio::sync::{Notify, oneshot};

use super::appends::Appends;
use super::command::{
    Append, AppendResult, Close, Command, CommitOffsets, DeleteRecords, FetchOffsets, FindMarks, FindOffsets,
    FindProducers, FoundOffset, OffsetAnswer, OffsetQuery, Open, Publish, Read, ReadAnswer, ReadPartition,
};
use super::groups::tend_groups;
use super::mailbox::{Lanes, Mailbox};
use super::reply::Replies;
use super::told::Told;
use super::watches::Watches;
use crate::api::fetch_sessions::FetchSessions;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{Coordinators, Now, Query};
use crate::metadata::{Image, LEADER_EPOCH, Order, OrderQueue};
use crate::metrics::{self, Counters, Counts};
use crate::net::connections::Connections;
use crate::net::in_flight::{InFlight, PROCESS_BYTES_MAX};
use crate::net::receive_pool::ReceivePool;
use crate::net::runtime::Runtime;
use crate::pace::Pace;
use crate::random::Random;
use crate::wire::{Few, Text};

/// Stand for what is not known of an offset.
const NO_TIMESTAMP: i64 = -1;
const NO_EPOCH: i32 = -1;

/// What a thread takes from outside: the seams but for the network, which comes with the listeners.
#[derive(Clone)]
pub struct Host {
    /// Tasks and timers.
    pub runtime: Rc<dyn Runtime>,
    /// The wall clock.
    pub clock: Rc<dyn Clock>,
    /// Randomness.
    pub random: Rc<dyn Random>,
    /// Storage.
    pub disk: Arc<dyn Disk>,
}

/// What a shard is built from on its own thread.
#[derive(Debug)]
pub struct ShardParts {
    /// Which shard it is.
    pub index: usize,
    /// To the others.
    pub lanes: Lanes,
    /// From the others.
    pub mailbox: Mailbox,
    /// The partitions that it owns.
    pub partitions: Vec<OpenPartition>,
    /// Its journals, one in each log directory.
    pub journals: Vec<JournalConfig>,
    /// The topics as the start found them.
    pub image: Arc<Image>,
    /// How many of its partitions are opened at once.
    pub(crate) pace: Pace,
}

/// One thread's shard. State is touched in plain calls: no borrow lives across an await.
pub struct LocalShard {
    index: usize,
    broker: Arc<Broker>,
    host: Host,
    lanes: Lanes,
    image: RefCell<Arc<Image>>,
    pub(super) state: RefCell<State>,
    /// What busy connections receive into.
    receive_pool: ReceivePool,
    /// Responses are encoded here and split off.
    encode_buf: RefCell<Vec<u8>>,
    append_replies: Replies<Few<AppendResult>>,
    /// What requests for partitions of this shard have failed at.
    faults: Told,
    /// Producer ids that this shard may give out without asking the controller.
    producer_ids: Cell<Range<i64>>,
    /// Where orders go, on the controller's shard.
    orders: RefCell<Option<OrderQueue>>,
    /// Topics that clients of this shard asked for and the controller is making.
    creating: RefCell<HashSet<Text>>,
    connections: Connections,
    counters: Counters,
    fetch_sessions: RefCell<FetchSessions>,
    in_flight: InFlight,
    is_stopping: Cell<bool>,
    stopping: Notify,
    /// Something is due for a group earlier than it was.
    pub(super) group_alarm: Notify,
}

/// What a shard leaves behind when it has stopped.
#[derive(Debug, Default)]
pub struct Stopped {
    /// How far its partitions have come.
    pub marks: Vec<PartitionMarks>,
    /// Log directories that failed, of which nobody knows what they hold.
    pub offline_dirs: Vec<usize>,
}

pub(super) struct State {
    pub(super) engine: Shard,
    pub(super) appends: Appends,
    watches: Watches,
    pub(super) groups: Coordinators,
    /// Connections that wait for cold data.
    reading_in: HashMap<u32, oneshot::Sender<()>>,
}

/// A shard whose partitions are open. Its journals are as the process before this one left them.
pub(crate) struct OpenShard {
    parts: ShardParts,
    broker: Arc<Broker>,
    host: Host,
    opener: Opener,
    opened: Vec<Opened>,
}

impl OpenShard {
    /// Opens the shard's partitions.
    pub(crate) fn open(parts: ShardParts, broker: Arc<Broker>, host: Host) -> Result<OpenShard, Error> {
        let opener = Opener::new(host.disk.clone(), broker.config.log_dirs.clone());
        let opened = open_all(&opener, &parts.partitions, parts.pace, host.clock.now_ms())?;
        Ok(OpenShard { parts, broker, host, opener, opened })
    }

    /// Begins the journals anew and starts the shard's loops, once all shards are open: a journal may hold what
    /// belongs to partitions of any of them. What it serves comes through its listeners.
    pub(crate) fn begin(self) -> Result<Rc<LocalShard>, Error> {
        let OpenShard { parts, broker, host, opener, opened } = self;
        let log_dirs = broker.config.log_dirs.clone();
        let io = |source| Error::Io { doing: format!("starting shard {}", parts.index), source };
        let mut engine = opener.into_shard(&parts.journals, CommitLimits::default())?;
        opened.into_iter().for_each(|opened| engine.adopt(opened));
        let now = Now { steady_ms: host.clock.steady_ms(), wall_ms: host.clock.now_ms() };
        let mut groups =
            Coordinators::new(broker.config.offset_metadata_len_max, broker.config.groups.clone(), now);
        for partition in &parts.partitions {
            take_in(&mut engine, &mut groups, partition);
        }
        engine.begin()?;
        let completions = host.runtime.completions(engine.io_queue().completion_fd()).map_err(io)?;
        let of_process = broker.config.in_flight_bytes_max.unwrap_or(PROCESS_BYTES_MAX);
        let in_flight_bytes_max = of_process / broker.shards();
        let sessions =
            FetchSessions::new(parts.index, broker.shards(), broker.config.fetch_sessions_max as usize);
        let shard = Rc::new(LocalShard {
            index: parts.index,
            broker,
            host,
            lanes: parts.lanes,
            image: RefCell::new(parts.image),
            state: RefCell::new(State {
                engine,
                appends: Appends::new(log_dirs),
                watches: Watches::default(),
                groups,
                reading_in: HashMap::new(),
            }),
            receive_pool: ReceivePool::default(),
            encode_buf: RefCell::default(),
            append_replies: Replies::default(),
            faults: Told::default(),
            producer_ids: Cell::new(0..0),
            orders: RefCell::new(None),
            creating: RefCell::new(HashSet::new()),
            connections: Connections::default(),
            counters: Counters::new(),
            fetch_sessions: RefCell::new(sessions),
            in_flight: InFlight::new(in_flight_bytes_max),
            is_stopping: Cell::new(false),
            stopping: Notify::new(),
            group_alarm: Notify::new(),
        });
        let runtime = shard.host.runtime.clone();
        runtime.spawn(Box::pin(take_mail(shard.clone(), parts.mailbox)));
        runtime.spawn(Box::pin(take_completions(shard.clone(), completions)));
        // Not before: from here on members can be heard.
        shard.await_members(&parts.partitions);
        runtime.spawn(Box::pin(tend_groups(shard.clone())));
        Ok(shard)
    }
}

impl LocalShard {
    /// Which shard it is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Bytes of segments and their indexes that it has read to open its partitions.
    pub(crate) fn opening_bytes_read(&self) -> u64 {
        self.state.borrow().engine.opening_bytes_read()
    }

    /// What all shards share.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The seams.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The topics as this shard sees them.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// What busy connections receive into.
    pub(crate) fn receive_pool(&self) -> &ReceivePool {
        &self.receive_pool
    }

    /// The buffer that responses are encoded in, empty between two of them.
    pub(crate) fn encode_buf(&self) -> &RefCell<Vec<u8>> {
        &self.encode_buf
    }

    /// Producer ids of this shard's block.
    pub(crate) fn producer_ids(&self) -> &Cell<Range<i64>> {
        &self.producer_ids
    }

    /// Topics that clients of this shard asked for and the controller is making.
    pub(crate) fn creating(&self) -> &RefCell<HashSet<Text>> {
        &self.creating
    }

    /// The connections that this shard serves.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What their readers have named before.
    pub(crate) fn fetch_sessions(&self) -> &RefCell<FetchSessions> {
        &self.fetch_sessions
    }

    /// What this shard counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What all shards have counted.
    pub(crate) async fn counts_of_all(&self) -> Counts {
        let mut counts = self.counts();
        for shard in (0..self.broker.shards()).filter(|shard| *shard != self.index) {
            let (reply, answer) = oneshot::channel();
            self.send(shard, Command::Measure(reply)).await;
            // A shard that is gone takes the process with it.
            if let Ok(others) = answer.await {
                counts.add(&others);
            }
        }
        counts
    }

    fn counts(&self) -> Counts {
        let engine = &self.state.borrow().engine;
        self.counters.counts(metrics::State {
            syncs: engine.syncs(),
            partitions: engine.partitions(),
            connections_open: self.connections.len(),
            log_bytes: engine.log_bytes(),
        })
    }

    /// The memory of their requests and answers.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Takes no more connections and no more requests, and lets nobody wait for what may never come.
    pub(crate) fn drain(&self) {
        self.is_stopping.set(true);
        self.stopping.notify_waiters();
        self.state.borrow_mut().groups.dismiss();
        self.connections.drain();
    }

    /// Waits for [`LocalShard::drain`].
    pub(crate) async fn stopping(&self) {
        let stopping = self.stopping.notified();
        if !self.is_stopping.get() {
            stopping.await;
        }
    }

    /// Waits until a slice is in the page cache, or cannot be brought there.
    pub(crate) async fn read_in(&self, slice: FileSlice) {
        let (done, finished) = oneshot::channel();
        {
            let state = &mut *self.state.borrow_mut();
            let job = state.engine.read_in(slice);
            state.reading_in.insert(job, done);
            self.progress(state);
        }
        // The shard is gone only with whoever waits.
        let _ = finished.await;
    }

    /// Makes this the controller's shard.
    pub(crate) fn take_orders(&self, orders: OrderQueue) {
        *self.orders.borrow_mut() = Some(orders);
    }

    /// The shard that owns a partition.
    pub(crate) fn owner_of(&self, id: PartitionId) -> usize {
        super::owner_of(id, self.broker.shards())
    }

    /// Has a shard apply a command: this one at once, another when its mailbox has room.
    pub(crate) async fn send(&self, to: usize, command: Command) {
        if to == self.index {
            self.apply(command);
        } else {
            self.lanes.send(to, command).await;
        }
    }

    fn apply(&self, command: Command) {
        match command {
            Command::Append(append) => self.append(append),
            Command::Read(read) => self.read(read),
            Command::Watch(watch) => {
                let State { engine, watches, .. } = &mut *self.state.borrow_mut();
                watches.add(watch, |id| engine.readable_end(id).ok());
            }
            Command::FindOffsets(find) => self.find_offsets(find),
            Command::DeleteRecords(delete) => self.delete_records(delete),
            Command::FindProducers(find) => self.find_producers(find),
            Command::CommitOffsets(commit) => self.commit_offsets(commit),
            Command::FetchOffsets(fetch) => self.fetch_offsets(fetch),
            Command::Group(command) => self.group(command),
            Command::Open(open) => self.open(open),
            Command::Close(close) => self.close(close),
            Command::FindProducerIdMax(reply) => {
                answer(reply, self.state.borrow().engine.producer_id_max());
            }
            Command::FindMarks(find) => self.find_marks(find),
            Command::MarksWritten(written) => self.marks_written(&written),
            Command::Publish(Publish { image, reply }) => {
                *self.image.borrow_mut() = image;
                answer(reply, ());
            }
            Command::FailDir(dir) => {
                let mut state = self.state.borrow_mut();
                state.engine.fail_dir(dir);
                self.progress(&mut state);
            }
            Command::Measure(reply) => answer(reply, self.counts()),
            Command::Order(order) => self.order(order),
        }
    }

    /// Channels for what becomes of appends.
    pub(crate) fn append_replies(&self) -> &Replies<Few<AppendResult>> {
        &self.append_replies
    }

    /// Has the log say what storage has failed a request at. Only the partition's own shard does, so it is said
    /// once, whoever asks.
    fn told<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        // Of a directory that is offline the log has a line already, and what is refused is the client's doing.
        if let Err(error @ (Error::Corrupt(_) | Error::Io { .. })) = &result {
            let fault = error.to_string();
            if self.faults.is_news(&fault, self.host.clock.now_ms()) {
                tracing::error!("a request failed: {fault}");
            }
        }
        result
    }

    fn append(&self, Append { partitions, reply }: Append) {
        let now_ms = self.host.clock.now_ms();
        let mut state = self.state.borrow_mut();
        let append = |(id, bytes)| self.told(state.engine.append(id, bytes, now_ms));
        let results = partitions.into_iter().map(append).collect();
        state.appends.enroll(results, reply);
        state.engine.submit();
        self.progress(&mut state);
    }

    /// Has logs synced whose records have waited for long enough.
    pub(crate) fn flush_late(&self) {
        let state = &mut *self.state.borrow_mut();
        state.engine.flush_late(self.host.clock.now_ms());
        state.engine.submit();
        self.progress(state);
    }

    /// Takes up finished syncs, and starts the next waves.
    fn reap(&self) {
        let mut state = self.state.borrow_mut();
        state.engine.reap();
        state.engine.submit();
        self.progress(&mut state);
    }

    /// Tells those who wait of what happened in the engine.
    pub(super) fn progress(&self, state: &mut State) {
        let progress = state.engine.take_progress();
        state.appends.progress(&progress);
        self.counters.count_waves(progress.released.len());
        for waiting in progress.read_in.iter().filter_map(|job| state.reading_in.remove(job)) {
            answer(waiting, ());
        }
        for id in progress.advanced {
            state.watches.advance(id, || state.engine.readable_end(id).ok());
        }
        if !progress.failed.is_empty() {
            state.groups.drop_offline(&state.engine);
        }
        for (dir, reason) in progress.failed {
            state.watches.wake_all();
            self.tell_of_failure(dir);
            // The first directory holds what is known of topics.
            if dir == 0 || state.engine.is_all_offline() {
                self.broker.stop.fail(format!("log directory {dir} is offline: {reason}"));
            }
        }
    }

    /// Has the other shards take a directory offline too: each file tells of a failure once, and only those
    /// who sync it.
    fn tell_of_failure(&self, dir: usize) {
        for to in (0..self.broker.shards()).filter(|to| *to != self.index) {
            let sending = self.lanes.send_later(to, Command::FailDir(dir));
            self.host.runtime.spawn(Box::pin(sending));
        }
    }

    fn read(&self, Read { isolation, partitions, reply }: Read) {
        let state = &mut *self.state.borrow_mut();
        let mut read = |ReadPartition { id, offset, len_max }: &ReadPartition| {
            let fetched = state.engine.fetch(*id, *offset, *len_max, isolation)?;
            Ok(ReadAnswer { fetched, end: state.engine.readable_end(*id)? })
        };
        reply.send(partitions.iter().map(|partition| self.told(read(partition))).collect());
    }

    fn find_offsets(&self, FindOffsets { isolation, partitions, reply }: FindOffsets) {
        let state = &mut *self.state.borrow_mut();
        let find = |(id, query): &(PartitionId, OffsetQuery)| {
            self.told(find_offset(&mut state.engine, *id, *query, isolation))
        };
        reply.send(partitions.iter().map(find).collect());
    }

    fn delete_records(&self, DeleteRecords { partitions, reply }: DeleteRecords) {
        let state = &mut *self.state.borrow_mut();
        let delete = |(id, before)| self.told(state.engine.delete_records(id, before));
        let results = partitions.into_iter().map(delete).collect();
        state.appends.enroll(results, reply);
        state.engine.submit();
        self.progress(state);
    }

    fn find_producers(&self, FindProducers { partitions, reply }: FindProducers) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        let find = |id| self.told(state.engine.producers(id, now_ms));
        reply.send(partitions.into_iter().map(find).collect());
    }

    fn commit_offsets(&self, CommitOffsets { coordinator, commit, reply }: CommitOffsets) {
        let now = self.now();
        let state = &mut *self.state.borrow_mut();
        let committed = state.groups.commit(&mut state.engine, coordinator, &commit, now);
        answer(reply, committed.map(|(codes, rests_on)| state.appends.hold(codes, rests_on)));
        state.engine.submit();
        self.progress(state);
    }

    fn fetch_offsets(&self, FetchOffsets { queries, reply }: FetchOffsets) {
        let state = &mut *self.state.borrow_mut();
        let fetch = |(coordinator, query): &(PartitionId, Query)| {
            let (topics, rests_on) = state.groups.fetch(*coordinator, query)?;
            Ok(state.appends.hold(topics, rests_on))
        };
        reply.send(queries.iter().map(fetch).collect());
    }

    fn open(&self, Open { partitions, reply }: Open) {
        let now = self.now();
        let now_ms = now.wall_ms;
        let State { engine, groups, .. } = &mut *self.state.borrow_mut();
        let opened = partitions.iter().try_for_each(|partition| {
            engine.open(partition, now_ms)?;
            take_in(engine, groups, partition);
            groups.await_members(engine, partition.id, now);
            Ok(())
        });
        answer(reply, opened);
    }

    fn close(&self, Close { partitions, reply }: Close) {
        let state = &mut *self.state.borrow_mut();
        for id in partitions {
            state.engine.close(id);
            state.watches.close(id);
            state.groups.close(id);
        }
        answer(reply, ());
    }

    fn find_marks(&self, FindMarks { with_upkeep, reply }: FindMarks) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        if with_upkeep {
            state.engine.upkeep(now_ms);
        }
        answer(reply, state.engine.marks());
        state.engine.submit();
        self.progress(state);
    }

    fn marks_written(&self, written: &[PartitionMarks]) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        state.engine.marks_written(written, now_ms);
        state.engine.submit();
        self.progress(state);
    }

    fn order(&self, order: Order) {
        let orders = self.orders.borrow();
        orders.as_ref().expect("orders come to the controller's shard").push(order);
    }

    /// Makes everything durable; waits. The last thing that a clean stop does.
    pub fn stop(&self) -> Result<Stopped, Error> {
        let engine = &mut self.state.borrow_mut().engine;
        engine.stop()?;
        Ok(Stopped { marks: engine.marks(), offline_dirs: engine.offline_dirs().collect() })
    }
}

/// Opens partitions for the shard that the opener becomes. All that fail are told of.
pub(crate) fn open_all(
    opener: &Opener,
    partitions: &[OpenPartition],
    pace: Pace,
    now_ms: i64,
) -> Result<Vec<Opened>, Error> {
    let opened = pace.each(
        partitions,
        || opener.beside(),
        |opener, partition| {
            opener.open(partition, now_ms).inspect_err(|error| {
                tracing::error!("opening {}-{}: {error}", partition.topic, partition.id.index);
            })
        },
    );
    opened.into_iter().collect()
}

/// Takes up the coordinator whose log a partition is.
fn take_in(engine: &mut Shard, groups: &mut Coordinators, partition: &OpenPartition) {
    if partition.topic == CONSUMER_OFFSETS {
        groups.open(engine, partition.id);
    }
}

fn find_offset(
    engine: &mut Shard,
    id: PartitionId,
    query: OffsetQuery,
    isolation: Isolation,
) -> OffsetAnswer {
    let (offset, timestamp, epoch) = match query {
        OffsetQuery::Start => {
            let start = engine.bounds(id)?.start;
            (start, NO_TIMESTAMP, engine.epoch_at(id, start)?)
        }
        OffsetQuery::End => (engine.bounds(id)?.visible(isolation), NO_TIMESTAMP, Some(LEADER_EPOCH)),
        OffsetQuery::Time(query) => match engine.offset_at(id, query, isolation)? {
            Some(found) => (found.offset, found.timestamp, engine.epoch_at(id, found.offset)?),
            None => return Ok(None),
        },
        OffsetQuery::EndOfEpoch(epoch) => match engine.end_of_epoch(id, epoch)? {
            Some(found) => (found.end, NO_TIMESTAMP, Some(found.epoch)),
            None => return Ok(None),
        },
    };
    Ok(Some(FoundOffset { offset, timestamp, epoch: epoch.unwrap_or(NO_EPOCH) }))
}

/// Replies; whoever waited may have gone.
pub(super) fn answer<T>(reply: tokio::sync::oneshot::Sender<T>, result: T) {
    let _ = reply.send(result);
}

/// Applies what other shards send. Nothing in this loop waits but for the next message.
async fn take_mail(shard: Rc<LocalShard>, mut mailbox: Mailbox) {
    let random = shard.host.random.clone();
    while let Some(command) = mailbox.receive(&*random).await {
        shard.apply(command);
    }
}

async fn take_completions(shard: Rc<LocalShard>, mut completions: Box<dyn crate::net::runtime::Completions>) {
    loop {
        poll_fn(|cx| completions.poll_ready(cx)).await;
        shard.reap();
    }
}

/// An error that a shard's thread cannot go on with.
pub(crate) fn io_error(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing: doing.to_string(), source }
}
