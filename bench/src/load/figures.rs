//! What the threads of a load count, and what they are told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::clock::Clock;
use super::cluster::Cluster;
use super::outcome::{Flow, Totals};
use super::{Latency, LoadError, Workload};

/// Of one thread, since somebody took them last.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) published: Flow,
    pub(super) consumed: Flow,
    pub(super) publish: Latency,
    pub(super) end_to_end: Latency,
    pub(super) totals: Totals,
    /// When something was acknowledged last, and when something was read.
    pub(super) published_at_us: u64,
    pub(super) consumed_at_us: u64,
}

impl Figures {
    /// Adds another thread's.
    pub(super) fn add(&mut self, other: &Figures) {
        self.published.add(&other.published);
        self.consumed.add(&other.consumed);
        self.publish.add(&other.publish);
        self.end_to_end.add(&other.end_to_end);
        self.totals.add(&other.totals);
        self.published_at_us = self.published_at_us.max(other.published_at_us);
        self.consumed_at_us = self.consumed_at_us.max(other.consumed_at_us);
    }

    /// Forgets everything, and keeps the memory of the histograms.
    pub(super) fn clear(&mut self) {
        self.published = Flow::default();
        self.consumed = Flow::default();
        self.publish.clear();
        self.end_to_end.clear();
        self.totals = Totals::default();
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: &Totals) {
        self.acknowledged += other.acknowledged;
        self.consumed += other.consumed;
        self.unacknowledged += other.unacknowledged;
        self.unsent += other.unsent;
        self.lost += other.lost;
        self.batches_sent_again += other.batches_sent_again;
        self.connections_lost += other.connections_lost;
        self.offsets_skipped += other.offsets_skipped;
    }
}

/// What a load is told to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Get ready.
    Prepare,
    /// Send and read.
    Go,
    /// Send what is due by now, and nothing new.
    Finish,
    /// End.
    Stop,
}

/// Between the threads of a load and whoever watches it.
pub(super) struct Shared {
    pub(super) workload: Workload,
    pub(super) cluster: Arc<Cluster>,
    pub(super) clock: Clock,
    pub(super) stage: watch::Sender<Stage>,
    /// Messages that may still be sent, when there is a number of them.
    left: Option<AtomicU64>,
    /// Moment of the first message.
    start_us: AtomicU64,
    end_us: AtomicU64,
    /// Producers that wait for the stage to say go.
    pub(super) ready: AtomicU64,
    /// Producers that have something to send or to wait for.
    pub(super) producing: AtomicU64,
    /// Partitions of subscriptions whose backlog was not read to its end.
    pub(super) draining: AtomicU64,
    /// Messages of those backlogs.
    pub(super) backlog: AtomicU64,
    failure: Mutex<Option<LoadError>>,
}

impl Shared {
    pub(super) fn new(
        workload: Workload,
        cluster: Arc<Cluster>,
        clock: Clock,
        messages: Option<u64>,
    ) -> Shared {
        Shared {
            workload,
            cluster,
            clock,
            stage: watch::Sender::new(Stage::Prepare),
            left: messages.map(AtomicU64::new),
            start_us: AtomicU64::new(0),
            end_us: AtomicU64::new(u64::MAX),
            ready: AtomicU64::new(0),
            producing: AtomicU64::new(0),
            draining: AtomicU64::new(0),
            backlog: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    /// Begins, unless it has failed.
    pub(super) fn go(&self) {
        self.start_us.store(self.clock.now_us(), Ordering::Release);
        self.stage.send_if_modified(|stage| {
            let is_ready = *stage == Stage::Prepare;
            if is_ready {
                *stage = Stage::Go;
            }
            is_ready
        });
    }

    /// Lets nothing become due any more.
    pub(super) fn finish(&self) {
        self.end_us.store(self.clock.now_us(), Ordering::Release);
        self.stage.send_if_modified(|stage| {
            let is_new = *stage < Stage::Finish;
            *stage = (*stage).max(Stage::Finish);
            is_new
        });
    }

    /// What was due by then is sent; the end of time while there is none.
    pub(super) fn end_us(&self) -> u64 {
        self.end_us.load(Ordering::Acquire)
    }

    /// When it began.
    pub(super) fn start_us(&self) -> u64 {
        self.start_us.load(Ordering::Acquire)
    }

    /// Takes up to so many messages of those that may still be sent; 0 when there are none.
    pub(super) fn claim(&self, most: u64) -> u64 {
        let Some(left) = &self.left else { return most };
        let before = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(most)))
            .expect("the closure always says what comes next");
        before.min(most)
    }

    /// Whether a number of messages was given and all are taken.
    pub(super) fn is_claimed(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// Ends the load with this error, unless there is one already.
    pub(super) fn fail(&self, error: LoadError) {
        lock(&self.failure).get_or_insert(error);
        self.stage.send_replace(Stage::Stop);
    }

    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<LoadError> {
        lock(&self.failure).take()
    }
}

/// A thread's figures; the only lock that is taken while a load runs, and nearly always free.
pub(super) type Counter = Arc<Mutex<Figures>>;

/// Locks; what a thread counted before it panicked still counts.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
