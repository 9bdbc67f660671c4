//! `World`: a broker and its clients, and the seed that decides what happens next.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use logmill_engine::Error;
use logmill_engine::disk::Disk;
use logmill_engine::disk::sim::SimDisk;

use super::executor::Executor;
use super::network::{Backlog, SharedPipe, SimSocket};
use crate::broker::{self, Prepared};
use crate::clock::Clock;
use crate::config::Config;
use crate::net::Listener;
use crate::net::admission::Admission;
use crate::net::runtime::{Completions, Runtime, Task};
use crate::pace::Pace;
use crate::random::{Random, SeededRandom};
use crate::shard::{Host, LocalShard, OpenShard};

/// What time it is when a world begins.
const START_MS: i64 = 1_700_000_000_000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task of a thread ran until it waited. Clients are the thread behind the shards.
    Ran {
        /// The thread.
        thread: usize,
        /// The task, by the order in which tasks were spawned.
        task: usize,
    },
    /// One of the syncs that a shard has in flight was done.
    Synced {
        /// The shard.
        shard: usize,
        /// Which of them.
        sync: usize,
    },
    /// Bytes arrived at one end of a connection.
    Arrived {
        /// The pipe, two for each connection.
        pipe: usize,
        /// How many.
        bytes: usize,
        /// A checksum of them.
        sum: u32,
    },
    /// Work that a shard had handed off its thread was done.
    Worked,
    /// Nothing else could happen, and time went on.
    Slept {
        /// Milliseconds since the world began.
        until_ms: u64,
    },
}

/// All that the simulated makers share.
struct Nature {
    executor: Executor,
    now_ms: Cell<u64>,
    /// Wakers of sleepers by the time they wait for, in the order in which they began to.
    sleepers: RefCell<Vec<(u64, Waker)>>,
    /// Work off the threads, with a flag that it is done and the waker of who waits.
    work: RefCell<Vec<Work>>,
    /// By shard, whether syncs are done that it has not reaped, and who waits for that.
    completions: RefCell<Vec<(bool, Option<Waker>)>>,
}

struct Work {
    run: Box<dyn FnOnce() + Send>,
    done: Rc<Cell<bool>>,
    waiter: Rc<RefCell<Option<Waker>>>,
}

/// A broker with simulated seams, and a thread for its clients.
pub struct World {
    nature: Rc<Nature>,
    random: SeededRandom,
    disk: SimDisk,
    /// Those that something may still come through, by number.
    pipes: RefCell<BTreeMap<usize, SharedPipe>>,
    connections: Cell<usize>,
    backlogs: Vec<Backlog>,
    shards: Vec<Rc<LocalShard>>,
    trace: RefCell<Vec<Event>>,
}

impl World {
    /// Starts a broker on the files of `disk`. Its listeners are opened but for their addresses: clients
    /// come by [`World::connect`].
    pub fn start(seed: u64, config: Config, disk: SimDisk) -> Result<World, Error> {
        let threads = config.shards as usize + 1;
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let random = SeededRandom::from_seed(seed);
        let advertised = config.advertised_listeners.clone();
        let first_queue = disk.queues().len();
        let admission = Admission::new(&config, HashMap::new(), None);
        let Prepared { broker, store, shards: parts, .. } =
            broker::prepare(config, &shared, advertised, admission, &random, Pace::OneByOne)?;
        let nature = Rc::new(Nature {
            executor: Executor::new(threads),
            now_ms: Cell::new(0),
            sleepers: RefCell::default(),
            work: RefCell::default(),
            completions: RefCell::new(vec![(false, None); first_queue + threads - 1]),
        });
        let mut store = Some(store);
        let mut opened = Vec::new();
        for parts in parts {
            let thread = parts.index;
            let host = Host {
                runtime: Rc::new(SimRuntime { nature: nature.clone(), thread, queue: first_queue + thread }),
                clock: Rc::new(SimClock(nature.clone())),
                random: Rc::new(SeededRandom::from_seed(random.next())),
                disk: shared.clone(),
            };
            opened.push(OpenShard::open(parts, broker.clone(), host)?);
        }
        let (mut shards, mut backlogs) = (Vec::new(), Vec::new());
        for shard in opened {
            let backlog = Backlog::default();
            let listeners: Vec<Box<dyn Listener>> = vec![Box::new(backlog.clone())];
            shards.push(broker::serve_shard(shard, store.take(), listeners)?);
            backlogs.push(backlog);
        }
        let (pipes, trace) = (RefCell::default(), RefCell::default());
        let connections = Cell::new(0);
        Ok(World { nature, random, disk, pipes, connections, backlogs, shards, trace })
    }

    /// Opens a connection to a shard that the seed picks, as the kernel would.
    pub fn connect(&self) -> SimSocket {
        let number = self.connections.get();
        self.connections.set(number + 1);
        let (client, server, pipes) = SimSocket::pair(number);
        self.pipes.borrow_mut().extend((2 * number..).zip(pipes));
        self.backlogs[self.random.below(self.backlogs.len())].push(server);
        client
    }

    /// Runs a client to its end, and with it everything else that can happen.
    pub fn run<T: 'static>(&self, client: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        let task = Box::pin(async move {
            let output = client.await;
            *slot.borrow_mut() = Some(output);
        });
        self.nature.executor.spawn(self.shards.len(), task);
        while result.borrow().is_none() {
            self.step();
        }
        result.take().expect("the loop ends when it is there")
    }

    /// Lets one thing happen.
    fn step(&self) {
        let ready = self.nature.executor.ready_threads();
        let queues = self.disk.queues();
        let syncing: Vec<usize> = (0..queues.len()).filter(|queue| queues[*queue].in_flight() > 0).collect();
        self.pipes.borrow_mut().retain(|_, pipe| !pipe.borrow().is_done());
        let sending: Vec<(usize, SharedPipe)> = self
            .pipes
            .borrow()
            .iter()
            .filter(|(_, pipe)| pipe.borrow().in_transit() > 0)
            .map(|(number, pipe)| (*number, pipe.clone()))
            .collect();
        let working = self.nature.work.borrow().len();
        let choices = ready.len() + syncing.len() + sending.len() + working;
        let event = if choices == 0 {
            self.sleep()
        } else {
            let choice = self.random.below(choices);
            let (from_sync, from_send) = (ready.len(), ready.len() + syncing.len());
            let from_work = from_send + sending.len();
            if choice < from_sync {
                let thread = ready[choice];
                Event::Ran { thread, task: self.nature.executor.run_next(thread) }
            } else if choice < from_send {
                let shard = syncing[choice - from_sync];
                let sync = self.random.below(queues[shard].in_flight());
                queues[shard].finish(sync, Ok(()));
                self.nature.complete(shard);
                Event::Synced { shard, sync }
            } else if choice < from_work {
                let (pipe, sent) = &sending[choice - from_send];
                let mut sent = sent.borrow_mut();
                let bytes = 1 + self.random.below(sent.in_transit());
                Event::Arrived { pipe: *pipe, bytes, sum: sent.deliver(bytes) }
            } else {
                let work = self.nature.work.borrow_mut().remove(choice - from_work);
                work.finish();
                Event::Worked
            }
        };
        self.trace.borrow_mut().push(event);
    }

    fn sleep(&self) -> Event {
        let mut sleepers = self.nature.sleepers.borrow_mut();
        let next = sleepers.iter().map(|(until_ms, _)| *until_ms).min();
        let until_ms = next.expect("nothing can happen any more: somebody waits for what never comes");
        self.nature.now_ms.set(until_ms);
        sleepers.extract_if(.., |(due_ms, _)| *due_ms <= until_ms).for_each(|(_, waker)| waker.wake());
        Event::Slept { until_ms }
    }

    /// What has happened since the last call.
    pub fn take_trace(&self) -> Vec<Event> {
        self.trace.take()
    }
}

impl Drop for World {
    /// Tasks hold their shards and shards their tasks: taken apart by hand.
    fn drop(&mut self) {
        (0..=self.shards.len()).for_each(|thread| self.nature.executor.end_thread(thread));
    }
}

impl Nature {
    fn complete(&self, queue: usize) {
        let (is_done, waiter) = &mut self.completions.borrow_mut()[queue];
        *is_done = true;
        if let Some(waiter) = waiter.take() {
            waiter.wake();
        }
    }
}

struct SimClock(Rc<Nature>);

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        START_MS + self.0.now_ms.get() as i64
    }

    fn steady_ms(&self) -> i64 {
        self.now_ms()
    }
}

impl Work {
    fn finish(self) {
        (self.run)();
        self.done.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

struct SimRuntime {
    nature: Rc<Nature>,
    thread: usize,
    /// Which of the disk's queues is this shard's.
    queue: usize,
}

impl Runtime for SimRuntime {
    fn spawn(&self, task: Task) {
        self.nature.executor.spawn(self.thread, task);
    }

    fn sleep(&self, ms: u64) -> Task {
        let nature = self.nature.clone();
        let until_ms = nature.now_ms.get() + ms;
        Box::pin(std::future::poll_fn(move |cx| {
            if nature.now_ms.get() >= until_ms {
                return Poll::Ready(());
            }
            nature.sleepers.borrow_mut().push((until_ms, cx.waker().clone()));
            Poll::Pending
        }))
    }

    fn off_thread(&self, run: Box<dyn FnOnce() + Send>) -> Task {
        let (done, waiter) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        self.nature.work.borrow_mut().push(Work { run, done: done.clone(), waiter: waiter.clone() });
        Box::pin(std::future::poll_fn(move |cx| {
            if done.get() {
                return Poll::Ready(());
            }
            *waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn completions(&self, _fd: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Completions>> {
        Ok(Box::new(SimCompletions { nature: self.nature.clone(), queue: self.queue }))
    }
}

struct SimCompletions {
    nature: Rc<Nature>,
    queue: usize,
}

impl Completions for SimCompletions {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (is_done, waiter) = &mut self.nature.completions.borrow_mut()[self.queue];
        if std::mem::take(is_done) {
            return Poll::Ready(());
        }
        *waiter = Some(cx.waker().clone());
        Poll::Pending
    }
}
