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
use logmill_engine::partition::PartitionId;
use logmill_engine::shard::{PartitionMarks, Shard};
use tokio::sync::{Notify, oneshot};

use super::appends::Appends;
use super::apply::answer;
use super::command::{AppendResult, Command};
use super::mailbox::{Lanes, Mailbox};
use super::reply::Replies;
use super::told::Told;
use super::watches::Watches;
use crate::api::fetch_sessions::FetchSessions;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::group::Coordinators;
use crate::metadata::{Image, OrderQueue};
use crate::metrics::{self, Counters, Counts};
use crate::net::connections::Connections;
use crate::net::in_flight::{InFlight, PROCESS_BYTES_MAX};
use crate::net::receive_pool::ReceivePool;
use crate::net::runtime::{Completions, Runtime};
use crate::random::Random;
use crate::wire::{Few, Text};

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

/// One thread's shard. State is touched in plain calls: no borrow lives across an await.
pub struct LocalShard {
    index: usize,
    broker: Arc<Broker>,
    pub(super) host: Host,
    lanes: Lanes,
    pub(super) image: RefCell<Arc<Image>>,
    pub(super) state: RefCell<State>,
    /// What busy connections receive into.
    receive_pool: ReceivePool,
    /// Responses are encoded here and split off.
    encode_buf: RefCell<Vec<u8>>,
    append_replies: Replies<Few<AppendResult>>,
    /// What requests for partitions of this shard have failed at.
    pub(super) faults: Told,
    /// Producer ids that this shard may give out without asking the controller.
    producer_ids: Cell<Range<i64>>,
    /// Where orders go, on the controller's shard.
    pub(super) orders: RefCell<Option<OrderQueue>>,
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
    pub(super) watches: Watches,
    pub(super) groups: Coordinators,
    /// Connections that wait for cold data.
    reading_in: HashMap<u32, oneshot::Sender<()>>,
}

impl LocalShard {
    /// The shard of an engine that has begun.
    pub(super) fn new(
        index: usize,
        broker: Arc<Broker>,
        host: Host,
        (lanes, image): (Lanes, Arc<Image>),
        (engine, groups): (Shard, Coordinators),
    ) -> LocalShard {
        let log_dirs = broker.config.log_dirs.clone();
        let of_process = broker.config.in_flight_bytes_max.unwrap_or(PROCESS_BYTES_MAX);
        let in_flight_bytes_max = of_process / broker.shards();
        let sessions = FetchSessions::new(index, broker.shards(), broker.config.fetch_sessions_max as usize);
        LocalShard {
            index,
            broker,
            host,
            lanes,
            image: RefCell::new(image),
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
        }
    }

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

    pub(super) fn counts(&self) -> Counts {
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

    /// Channels for what becomes of appends.
    pub(crate) fn append_replies(&self) -> &Replies<Few<AppendResult>> {
        &self.append_replies
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

    /// Makes everything durable; waits. The last thing that a clean stop does.
    pub fn stop(&self) -> Result<Stopped, Error> {
        let engine = &mut self.state.borrow_mut().engine;
        engine.stop()?;
        Ok(Stopped { marks: engine.marks(), offline_dirs: engine.offline_dirs().collect() })
    }
}

/// Applies what other shards send. Nothing in this loop waits but for the next message.
pub(super) async fn take_mail(shard: Rc<LocalShard>, mut mailbox: Mailbox) {
    let random = shard.host.random.clone();
    while let Some(command) = mailbox.receive(&*random).await {
        shard.apply(command);
    }
}

pub(super) async fn take_completions(shard: Rc<LocalShard>, mut completions: Box<dyn Completions>) {
    loop {
        poll_fn(|cx| completions.poll_ready(cx)).await;
        shard.reap();
    }
}

/// An error that a shard's thread cannot go on with.
pub(crate) fn io_error(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing: doing.to_string(), source }
}
