//! `Producer`: takes messages as they become due, makes batches of them, sends those and sees them acknowledged.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::LoadError;
use super::clock::Alarm;
use super::cluster::{Layout, RETRY_AFTER};
use super::figures::{Counter, Shared, Stage, lock};
use super::lane::{self, Event, LaneId, Outbox};
use super::pending::{Batch, Due, Source};
use super::request::{self, Answer, Frame};
use super::template::Templates;
use super::workload::Acks;

/// Longest sleep of a producer that has nothing to do.
const SLEEP_MAX_US: u64 = 100_000;
/// Attempts to reach a broker that never answered.
const ATTEMPTS_MAX: u32 = 5;
/// Shortest sleep until a message is due: finer is a wake for each message, which at high rates costs more than
/// the message.
const SLEEP_MIN_US: u64 = 50;

/// Who a producer is.
pub(super) struct ProducerJob {
    pub(super) topic: String,
    pub(super) source: Source,
}

/// One producer.
pub(super) struct Producer {
    shared: Arc<Shared>,
    figures: Counter,
    templates: Rc<RefCell<Templates>>,
    topic: String,
    source: Source,
    version: i16,
    producer_id: Option<(i64, i16)>,
    layout: Arc<Layout>,
    partitions: Vec<Partition>,
    /// Where the search for the next batch begins.
    turn: usize,
    lanes: BTreeMap<i32, Lane>,
    events: UnboundedReceiver<(LaneId, Event)>,
    say: UnboundedSender<(LaneId, Event)>,
    /// Batches that wait to be sent again, of all partitions.
    again: usize,
    refresh_at_us: Option<u64>,
    /// What went wrong last, for whoever gives up on it.
    last_fault: String,
}

#[derive(Default)]
struct Partition {
    next_sequence: i32,
    next_number: u64,
    in_flight: usize,
    /// Of batches that were made before, the oldest first.
    again: VecDeque<Batch>,
    /// Nothing of it is sent before.
    not_before_us: u64,
}

struct Lane {
    attempt: u32,
    outbox: Option<Outbox>,
    is_up: bool,
    /// Whether it ever was.
    has_been_up: bool,
    /// What was sent and not answered, the oldest first.
    in_flight: VecDeque<Request>,
    /// Frames that can be used again.
    spare: Vec<Frame>,
    next_id: i32,
    not_before_us: u64,
}

struct Request {
    id: i32,
    batches: Vec<Batch>,
}

impl Producer {
    /// Sends until there is nothing more to send and everything is acknowledged.
    pub(super) async fn run(
        job: ProducerJob,
        shared: Arc<Shared>,
        figures: Counter,
        templates: Rc<RefCell<Templates>>,
    ) -> Result<(), LoadError> {
        let version = shared.cluster.versions().of::<kafka_protocol::messages::ProduceRequest>()?;
        let producer_id = match shared.workload.is_idempotent() {
            true => Some(shared.cluster.producer_id().await?),
            false => None,
        };
        let layout = shared.cluster.layout();
        let partitions = (0..layout.partitions(&job.topic)).map(|_| Partition::default()).collect();
        let (say, events) = unbounded_channel();
        let mut producer = Producer {
            figures,
            templates,
            topic: job.topic,
            source: job.source,
            version,
            producer_id,
            layout,
            partitions,
            turn: 0,
            lanes: BTreeMap::new(),
            events,
            say,
            again: 0,
            refresh_at_us: None,
            last_fault: String::new(),
            shared,
        };
        // So that producers do not all begin with the same partition.
        producer.turn = producer.source.index() as usize % producer.partitions.len().max(1);
        let mut stage = producer.shared.stage.subscribe();
        let ended = producer.pump(&mut stage).await;
        producer.give_up_the_rest();
        producer.shared.producing.fetch_sub(1, Ordering::Relaxed);
        ended
    }

    async fn pump(&mut self, stage: &mut watch::Receiver<Stage>) -> Result<(), LoadError> {
        let mut alarm = Alarm::new().map_err(LoadError::io("making a timer"))?;
        let clock = self.shared.clock;
        for partition in 0..self.partitions.len() {
            if let Some(broker) = self.layout.leader(&self.topic, partition) {
                self.lane(broker, clock.now_us());
            }
        }
        self.shared.ready.fetch_add(1, Ordering::Release);
        let stopped = |_| LoadError::Protocol { what: "nobody watches this load".into() };
        stage.wait_for(|stage| *stage >= Stage::Go).await.map_err(stopped)?;
        self.source.begin(self.shared.start_us());
        loop {
            let now = clock.now_us();
            let told = *stage.borrow_and_update();
            if told == Stage::Stop {
                return Ok(());
            }
            if self.refresh_at_us.is_some_and(|at| at <= now) {
                self.refresh().await;
            }
            let is_open = self.source.is_open(&self.shared, told > Stage::Go);
            self.send_what_is_ready(now, is_open)?;
            let is_idle = self.again == 0 && self.lanes.values().all(|lane| lane.in_flight.is_empty());
            if !is_open && is_idle {
                return Ok(());
            }
            let wake_us = self.next_wake(now, is_open);
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let (id, event) = event.expect("this producer holds a sender itself");
                    self.take(id, event)?;
                    while let Ok((id, event)) = self.events.try_recv() {
                        self.take(id, event)?;
                    }
                }
                changed = stage.changed() => changed.map_err(stopped)?,
                rung = alarm.wait_until(&clock, wake_us) => rung.map_err(LoadError::io("waiting for a timer"))?,
            }
        }
    }

    /// When something is to be done that no event announces.
    fn next_wake(&self, now: u64, is_open: bool) -> u64 {
        let mut wake = now + SLEEP_MAX_US;
        let records_max = self.templates.borrow().records_max();
        let has_room = self.lanes.values().any(|lane| lane.has_room(&self.shared, now));
        if is_open
            && has_room
            && let Some(ready_us) = self.source.ready_at(records_max, self.linger_us())
        {
            wake = wake.min(ready_us.max(now + SLEEP_MIN_US));
        }
        if self.again > 0 || self.lanes.values().any(|lane| lane.outbox.is_none()) {
            wake = wake.min(now + 5_000);
        }
        self.refresh_at_us.map_or(wake, |at| wake.min(at.max(now + 1_000)))
    }

    fn linger_us(&self) -> u64 {
        (self.shared.workload.linger_ms * 1000.0) as u64
    }

    /// Makes and sends requests as long as there is room for them and something to send.
    fn send_what_is_ready(&mut self, now: u64, is_open: bool) -> Result<(), LoadError> {
        if is_open {
            self.source.look(&self.shared, now);
        }
        loop {
            let mut requests = BTreeMap::<i32, (usize, Vec<Batch>)>::new();
            let count = self.partitions.len();
            let mut last_new = None;
            let mut is_dry = !is_open;
            for step in 0..count {
                if is_dry && self.again == 0 {
                    break;
                }
                let index = (self.turn + step) % count;
                let partition = &self.partitions[index];
                if partition.not_before_us > now || (is_dry && partition.again.is_empty()) {
                    continue;
                }
                // What was refused goes first, and only when nothing of the partition is under way behind it.
                if !partition.again.is_empty() && partition.in_flight > 0 {
                    continue;
                }
                let Some(broker) = self.layout.leader(&self.topic, index) else {
                    self.refresh_soon(now);
                    continue;
                };
                if !self.lane(broker, now) {
                    continue;
                }
                let (bytes, batches) = requests.entry(broker).or_default();
                if *bytes >= self.shared.workload.request_bytes_max {
                    continue;
                }
                let batch = match self.partitions[index].again.pop_front() {
                    Some(batch) => {
                        self.again -= 1;
                        batch
                    }
                    None => match self.new_batch(now, index) {
                        Due::Batch(batch) => {
                            last_new = Some(index);
                            batch
                        }
                        Due::NotHere => continue,
                        Due::Nothing => {
                            is_dry = true;
                            continue;
                        }
                    },
                };
                *bytes += self.shared.workload.batch_bytes;
                self.partitions[index].in_flight += 1;
                batches.push(batch);
            }
            if let Some(index) = last_new {
                self.turn = (index + 1) % count;
            }
            let mut has_sent = false;
            for (broker, (_, batches)) in requests.into_iter().filter(|(_, (_, batches))| !batches.is_empty())
            {
                has_sent = true;
                self.send(broker, batches)?;
            }
            if !has_sent {
                return Ok(());
            }
        }
    }

    fn new_batch(&mut self, now: u64, index: usize) -> Due {
        let records_max = self.templates.borrow().records_max();
        let due = self.source.next_batch(&self.shared, now, index as u32, records_max, self.linger_us());
        if let Due::Batch(mut batch) = due {
            let partition = &mut self.partitions[index];
            batch.partition = index as i32;
            batch.sequence = partition.next_sequence;
            batch.number = partition.next_number;
            batch.made_us = now;
            partition.next_number += 1;
            partition.next_sequence =
                ((i64::from(batch.sequence) + i64::from(batch.count)) % (1 << 31)) as i32;
            return Due::Batch(batch);
        }
        due
    }

    /// Whether a broker can be sent something this moment; opens a lane to it when there is none.
    fn lane(&mut self, broker: i32, now: u64) -> bool {
        let lane = self.lanes.entry(broker).or_insert_with(Lane::new);
        if lane.outbox.is_none() && lane.not_before_us <= now {
            let Some(address) = self.layout.brokers.get(&broker) else { return false };
            lane.attempt += 1;
            let id = LaneId { broker, attempt: lane.attempt };
            lane.outbox = Some(lane::open(id, address.clone(), self.shared.clock, self.say.clone()));
            lane.is_up = false;
        }
        lane.has_room(&self.shared, now)
    }

    fn send(&mut self, broker: i32, mut batches: Vec<Batch>) -> Result<(), LoadError> {
        let lane = self.lanes.get_mut(&broker).expect("it had room");
        let mut frame = lane.spare.pop().unwrap_or_default();
        let id = lane.next_id;
        lane.next_id = lane.next_id.wrapping_add(1);
        let envelope = request::Envelope {
            topic: &self.topic,
            version: self.version,
            correlation_id: id,
            acks: self.shared.workload.acks,
            producer: self.producer_id,
            clock: self.shared.clock,
        };
        envelope
            .write(&mut frame, &mut batches, &self.source, &mut self.templates.borrow_mut())
            .map_err(LoadError::io("encoding a request"))?;
        lane.in_flight.push_back(Request { id, batches });
        // A lane that has just been lost says so in an event that is on its way.
        if let Some(outbox) = &lane.outbox {
            drop(outbox.send(frame));
        }
        Ok(())
    }

    fn take(&mut self, id: LaneId, event: Event) -> Result<(), LoadError> {
        let Some(lane) = self.lanes.get_mut(&id.broker).filter(|lane| lane.attempt == id.attempt) else {
            return Ok(());
        };
        match event {
            Event::Up => (lane.is_up, lane.has_been_up) = (true, true),
            Event::Written { frame, at_us } => {
                lane.spare.push(frame);
                if self.shared.workload.acks == Acks::Zero
                    && let Some(request) = lane.in_flight.pop_front()
                {
                    lock(&self.figures).published.requests += 1;
                    for batch in request.batches {
                        self.partitions[batch.partition as usize].in_flight -= 1;
                        self.acknowledge(&batch, at_us);
                    }
                }
            }
            Event::Answered { frame, at_us } => {
                let request = lane
                    .in_flight
                    .pop_front()
                    .ok_or_else(|| LoadError::Protocol { what: "nothing was asked".into() })?;
                let (answered, mut answers) = request::read_answer(frame, self.version)?;
                if answered != request.id {
                    let what = format!("response {answered}, expected {}", request.id);
                    return Err(LoadError::Protocol { what });
                }
                lock(&self.figures).published.requests += 1;
                for batch in request.batches {
                    self.partitions[batch.partition as usize].in_flight -= 1;
                    let answer = answers.remove(&batch.partition);
                    self.settle(batch, answer, at_us)?;
                }
            }
            Event::Lost(error) => self.lost(id.broker, error)?,
        }
        Ok(())
    }

    /// Does what the answer to a batch says.
    fn settle(&mut self, batch: Batch, answer: Option<Answer>, at_us: u64) -> Result<(), LoadError> {
        let is_behind_a_failure = !self.partitions[batch.partition as usize].again.is_empty();
        let fault = match answer {
            None => "the answer leaves it out".into(),
            Some(answer) => match answer.verdict(is_behind_a_failure) {
                request::Verdict::Stored => {
                    self.acknowledge(&batch, at_us);
                    return Ok(());
                }
                request::Verdict::Again(error) => format!("{error:?}"),
                request::Verdict::Never(error) => {
                    return Err(LoadError::Refused {
                        what: format!(
                            "sending {} messages to {}-{}",
                            batch.count, self.topic, batch.partition
                        ),
                        error,
                        message: answer.message,
                    });
                }
            },
        };
        self.last_fault = fault;
        self.refresh_soon(at_us);
        self.send_again(batch, at_us)
    }

    fn acknowledge(&mut self, batch: &Batch, at_us: u64) {
        let workload = &self.shared.workload;
        let mut figures = lock(&self.figures);
        let count = u64::from(batch.count);
        figures.published.messages += count;
        figures.published.bytes += count * workload.message_bytes as u64;
        figures.published.batch_bytes += u64::from(batch.bytes);
        figures.published.batches += 1;
        figures.totals.acknowledged += count;
        figures.published_at_us = at_us;
        self.source
            .each_due(batch, |due_us, times| figures.publish.record(at_us.saturating_sub(due_us), times));
    }

    fn send_again(&mut self, batch: Batch, now: u64) -> Result<(), LoadError> {
        let waited_us = now.saturating_sub(batch.made_us);
        if waited_us as f64 > self.shared.workload.delivery_timeout_s * 1e6 {
            let what = format!(
                "sending {} messages to {}-{} for {:.0} s",
                batch.count,
                self.topic,
                batch.partition,
                waited_us as f64 / 1e6
            );
            return Err(LoadError::Undelivered { what, last: self.last_fault.clone() });
        }
        lock(&self.figures).totals.batches_sent_again += 1;
        self.again += 1;
        let partition = &mut self.partitions[batch.partition as usize];
        partition.not_before_us = now + RETRY_AFTER.as_micros() as u64;
        let place = partition.again.partition_point(|other| other.number < batch.number);
        partition.again.insert(place, batch);
        Ok(())
    }

    fn lost(&mut self, broker: i32, error: io::Error) -> Result<(), LoadError> {
        let now = self.shared.clock.now_us();
        let lane = self.lanes.get_mut(&broker).expect("looked up by the caller");
        lane.outbox = None;
        lane.is_up = false;
        lane.not_before_us = now + RETRY_AFTER.as_micros() as u64;
        let requests = std::mem::take(&mut lane.in_flight);
        let never_up = !lane.has_been_up && lane.attempt >= ATTEMPTS_MAX;
        let address = self.layout.brokers.get(&broker).cloned().unwrap_or_default();
        if never_up {
            // As a rule an address that brokers advertise and this machine does not reach.
            return Err(LoadError::NoBroker {
                address: format!("{address}, where broker {broker} is said to be"),
                source: error,
            });
        }
        self.last_fault = format!("broker {broker} at {address}: {error}");
        lock(&self.figures).totals.connections_lost += 1;
        self.refresh_soon(now);
        for batch in requests.into_iter().flat_map(|request| request.batches) {
            self.partitions[batch.partition as usize].in_flight -= 1;
            if self.shared.workload.acks == Acks::Zero {
                // Nobody knows how far it came; sent again it might be there twice.
                lock(&self.figures).totals.lost += u64::from(batch.count);
            } else {
                self.send_again(batch, now)?;
            }
        }
        Ok(())
    }

    fn refresh_soon(&mut self, now: u64) {
        self.refresh_at_us.get_or_insert(now + RETRY_AFTER.as_micros() as u64 / 2);
    }

    /// A cluster that does not answer is asked again: what waits for it has a time limit of its own.
    async fn refresh(&mut self) {
        self.refresh_at_us = None;
        match self.shared.cluster.refresh().await {
            Ok(layout) => self.layout = layout,
            Err(error) => {
                self.last_fault = error.to_string();
                self.refresh_soon(self.shared.clock.now_us());
            }
        }
    }

    /// What is not acknowledged by now counts with the time that it has waited, so that the slowest are not left
    /// out.
    fn give_up_the_rest(&mut self) {
        let now = self.shared.clock.now_us();
        let mut figures = lock(&self.figures);
        let in_flight = self.lanes.values().flat_map(|lane| lane.in_flight.iter().flat_map(|r| &r.batches));
        for batch in in_flight.chain(self.partitions.iter().flat_map(|partition| &partition.again)) {
            figures.totals.unacknowledged += u64::from(batch.count);
            self.source
                .each_due(batch, |due_us, times| figures.publish.record(now.saturating_sub(due_us), times));
        }
        if self.shared.workload.messages.is_none() {
            let unsent = self.source.each_unsent(|due_us| figures.publish.record(now - due_us, 1));
            figures.totals.unsent += unsent;
        }
    }
}

impl Lane {
    fn new() -> Lane {
        Lane {
            attempt: 0,
            outbox: None,
            is_up: false,
            has_been_up: false,
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            next_id: 0,
            not_before_us: 0,
        }
    }

    fn has_room(&self, shared: &Shared, now: u64) -> bool {
        self.is_up && self.not_before_us <= now && self.in_flight.len() < shared.workload.max_in_flight
    }
}
