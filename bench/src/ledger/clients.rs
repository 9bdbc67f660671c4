//! `Clients`: producers and a tailing reader, held and let go together.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::book::{Book, Tally};
use super::producer::Producer;
use super::reader::Tail;
use crate::rig::Connection;

const CREATE_TOPICS: i16 = 7;

/// How long everything that was sent may take until it is acknowledged, once nothing new is sent.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Between two looks at how much was acknowledged.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Who sends what to whom.
#[derive(Debug, Clone)]
pub(crate) struct ClientsOptions {
    /// The broker, or a proxy in front of it.
    pub(crate) broker: SocketAddr,
    /// The topic, which exists.
    pub(crate) topic: String,
    /// The partitions of each producer.
    pub(crate) producers: Vec<Vec<i32>>,
    /// Chooses sizes and partitions.
    pub(crate) seed: u64,
}

/// Running clients; they end when this is dropped.
pub(crate) struct Clients {
    gate: Arc<Gate>,
    threads: Vec<JoinHandle<()>>,
    book: Arc<Book>,
}

impl Clients {
    /// Makes a topic.
    pub(crate) fn create_topic(broker: SocketAddr, topic: &str, partitions: usize) -> io::Result<()> {
        let mut connection = Connection::open(broker, Duration::from_secs(30))?;
        let creatable = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_num_partitions(partitions as i32)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(30_000);
        let response = connection.ask(CREATE_TOPICS, &request)?;
        match response.topics.first() {
            Some(created) if created.error_code == 0 => Ok(()),
            created => Err(io::Error::other(format!("creating topic {topic}: {created:?}"))),
        }
    }

    /// Starts them, held. Every other producer waits with `acks=1` instead of all.
    pub(crate) fn start(options: &ClientsOptions, book: &Arc<Book>) -> Clients {
        let gate = Arc::new(Gate::default());
        let mut threads = Vec::new();
        for (index, partitions) in (0..).zip(&options.producers) {
            let producer = Producer {
                index,
                broker: options.broker,
                topic: options.topic.clone(),
                partitions: partitions.clone(),
                acks: if index % 2 == 0 { -1 } else { 1 },
                book: book.clone(),
                random: StdRng::seed_from_u64(options.seed ^ u64::from(index)),
            };
            let gate = gate.clone();
            threads.push(std::thread::spawn(move || producer.run(&gate)));
        }
        let tail = Tail {
            broker: options.broker,
            topic: options.topic.clone(),
            partitions: (0..book.partitions()).collect(),
            book: book.clone(),
        };
        threads.push(std::thread::spawn({
            let gate = gate.clone();
            move || tail.run(&gate)
        }));
        Clients { gate, threads, book: book.clone() }
    }

    /// Lets them go on.
    pub(crate) fn release(&self) {
        self.gate.set(State::Open);
    }

    /// Sends nothing any more, and waits until no client is connected.
    pub(crate) fn hold(&self) {
        self.gate.set(State::Held);
        self.gate.await_passing(0);
    }

    /// Waits until so many more records are acknowledged. False when the deadline comes first.
    pub(crate) fn await_acknowledged(&self, more: u64, deadline: Instant) -> bool {
        let enough = self.book.tally().acknowledged + more;
        self.await_tally(deadline, |tally| tally.acknowledged >= enough)
    }

    /// Ends them when everything that was sent is acknowledged.
    pub(crate) fn drain(mut self) -> Result<(), String> {
        self.gate.set(State::Draining);
        let is_drained = self.await_tally(Instant::now() + DRAIN_MAX, |tally| {
            tally.acknowledged == tally.sent || !self.book.verdict().is_empty()
        });
        let tally = self.book.tally();
        self.end();
        if is_drained { Ok(()) } else { Err(format!("not all was acknowledged in {DRAIN_MAX:?}: {tally:?}")) }
    }

    fn await_tally(&self, deadline: Instant, mut holds: impl FnMut(Tally) -> bool) -> bool {
        while !holds(self.book.tally()) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    fn end(&mut self) {
        self.gate.set(State::Shut);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.book.contradict("client", "a thread of the ledger panicked".into());
            }
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.end();
    }
}

/// What clients may do.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    state: State,
    /// Clients that went through the gate and did not come back to it.
    passing: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody is connected.
    #[default]
    Held,
    /// Everybody works.
    Open,
    /// What was sent is repeated until it is answered; nothing new.
    Draining,
    /// The end.
    Shut,
}

impl Gate {
    /// Waits until there is something to do. `is_owed`: this client has something unanswered. False at the
    /// end.
    pub(super) fn pass(&self, is_owed: bool) -> bool {
        let mut state = self.lock();
        thread_local! {
            static IS_PASSING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        }
        if IS_PASSING.replace(false) {
            state.passing -= 1;
            self.changed.notify_all();
        }
        loop {
            match state.state {
                State::Open => break,
                State::Draining if is_owed => break,
                State::Shut => return false,
                State::Held | State::Draining => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        state.passing += 1;
        IS_PASSING.set(true);
        true
    }

    /// Whether new records may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.lock().state == State::Open
    }

    fn set(&self, state: State) {
        self.lock().state = state;
        self.changed.notify_all();
    }

    fn await_passing(&self, count: usize) {
        let mut state = self.lock();
        while state.passing > count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
