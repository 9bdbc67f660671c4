//! `Outcome`: what a load came to; `Progress`: how it goes meanwhile.

use serde::{Deserialize, Serialize};

use super::{Latency, Workload};
use crate::rig::ProcessUse;

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was run.
    pub workload: Workload,
    /// Length of the measured part.
    pub seconds: f64,
    /// What was acknowledged in that time.
    pub published: Flow,
    /// What was read in that time, by all subscriptions together.
    pub consumed: Flow,
    /// From when a message was due until it was acknowledged.
    pub publish_latency: Latency,
    /// From when a message was due until a consumer had it; empty when only a backlog was read.
    pub end_to_end_latency: Latency,
    /// Counts of the whole run, the warm-up and what came after the measured part included, the backlog not.
    pub totals: Totals,
    /// From when consumers started until they had read the backlog that lay there; none without one, or when they
    /// did not get to its end.
    pub backlog_drained_s: Option<f64>,
    /// CPU time of this client's threads in the measured part.
    pub client: ClientUse,
    /// What the process under load used in the measured part, when its id was told.
    pub process: Option<ProcessUse>,
    /// The measured part, second by second.
    pub intervals: Vec<Interval>,
    /// It was ended early.
    pub interrupted: bool,
    /// What is odd about these figures, for people.
    pub remarks: Vec<String>,
}

/// Messages in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Messages.
    pub messages: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Bytes of their batches, as they were on the wire.
    pub batch_bytes: u64,
    /// Batches.
    pub batches: u64,
    /// Requests that they were in.
    pub requests: u64,
    /// How long it took: the measured part, or until the last of a given number of messages.
    pub seconds: f64,
    /// Messages a second.
    pub messages_per_s: f64,
    /// Millions of bytes of values a second.
    pub mb_per_s: f64,
}

impl Flow {
    pub(super) fn over(mut self, seconds: f64) -> Flow {
        let seconds = seconds.max(1e-6);
        self.seconds = seconds;
        self.messages_per_s = self.messages as f64 / seconds;
        self.mb_per_s = self.bytes as f64 / 1e6 / seconds;
        self
    }

    pub(super) fn add(&mut self, other: &Flow) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.batch_bytes += other.batch_bytes;
        self.batches += other.batches;
        self.requests += other.requests;
    }
}

/// Counts of a whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Messages that were read, by all subscriptions together.
    pub consumed: u64,
    /// Messages that were sent and not acknowledged when the run ended. Their time until then counts in the latency.
    pub unacknowledged: u64,
    /// Messages that were due and not sent when the run ended. Their time until then counts in the latency.
    pub unsent: u64,
    /// Messages with `acks=0` that were under way when a connection was lost.
    pub lost: u64,
    /// Batches that were sent again.
    pub batches_sent_again: u64,
    /// Connections that were lost, and attempts that made none.
    pub connections_lost: u64,
    /// Offsets that were gone before they were read.
    pub offsets_skipped: u64,
}

/// CPU time of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientUse {
    /// Its threads.
    pub threads: usize,
    /// Seconds on a CPU, all threads together.
    pub cpu_s: f64,
    /// The same for 10^9 bytes of values, sent and read counted each; 0 of none.
    pub cpu_s_per_gb: f64,
}

/// About a second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it ended, counted from the start of the load.
    pub at_s: f64,
    /// How long it was.
    pub seconds: f64,
    /// What was acknowledged.
    pub published: Flow,
    /// What was read.
    pub consumed: Flow,
    /// From due to acknowledged.
    pub publish_ms: Quantiles,
    /// From due to read.
    pub end_to_end_ms: Quantiles,
    /// Messages that were due and not acknowledged at its end; 0 when the rate is unlimited.
    pub late: u64,
    /// Messages that were acknowledged and not read at its end, of all subscriptions together.
    pub backlog: u64,
}

/// A latency in four numbers, in milliseconds; zeros of none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Of a hundred, one is longer.
    pub p99: f64,
    /// Of a thousand, one is longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Of what was recorded.
    pub fn of(latency: &Latency) -> Quantiles {
        Quantiles {
            p50: latency.percentile_ms(50.0),
            p99: latency.percentile_ms(99.0),
            p999: latency.percentile_ms(99.9),
            max: latency.max_ms(),
        }
    }
}

/// How a running load goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Its last second.
    pub interval: Interval,
}

/// What a load is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A backlog is written before anybody reads.
    Filling,
    /// It runs and is not measured.
    WarmUp,
    /// It is measured.
    Measured,
    /// Nothing new is sent; what is under way comes in.
    Draining,
}
