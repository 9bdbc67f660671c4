//! `Workload`: what is sent and read, how fast and for how long.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LoadError;

/// One load. Counts of producers and consumers are of each topic, the rate is of all producers together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// What it is called in reports.
    pub name: String,
    /// Topics.
    pub topics: u32,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Bytes of a message's value.
    pub message_bytes: usize,
    /// How much of a value is random; the rest is zeros.
    pub random_share: f64,
    /// A file that is the value of every message; its length is `message_bytes`.
    pub payload_file: Option<PathBuf>,
    /// The keys of messages.
    pub keys: Keys,
    /// Bytes of a batch before it is compressed, as `batch.size`.
    pub batch_bytes: usize,
    /// How long a batch waits for more messages.
    pub linger_ms: f64,
    /// How batches are compressed.
    pub codec: Codec,
    /// Who has to have a message before it is acknowledged.
    pub acks: Acks,
    /// Whether the broker sorts out batches that arrive twice; not told: where `acks` permits it.
    pub idempotence: Option<bool>,
    /// Requests that a producer has sent to a broker and not seen answered.
    pub max_in_flight: usize,
    /// Bytes of a produce request.
    pub request_bytes_max: usize,
    /// Producers of each topic.
    pub producers: u32,
    /// How often each topic is read as a whole.
    pub subscriptions: u32,
    /// Consumers that share the partitions of a topic in each subscription.
    pub consumers: u32,
    /// How fast messages are sent.
    pub rate: Rate,
    /// Bytes of values that each topic has before anybody reads; they are sent as fast as they are taken.
    pub backlog_bytes: u64,
    /// How long it runs before it is measured.
    pub warm_up_s: f64,
    /// How long it is measured.
    pub duration_s: f64,
    /// It ends when so many were sent and read, however long that takes, instead of after `duration_s`.
    pub messages: Option<u64>,
    /// Replicas of each partition; -1 is the broker's default.
    pub replication_factor: i16,
    /// Settings of the topics.
    pub topic_configs: BTreeMap<String, String>,
    /// Name of the topic, or what the names of several begin with; not told: a name that is used once.
    pub topic: Option<String>,
    /// The topics exist: they are neither made nor deleted, and read from their beginning.
    pub existing: bool,
    /// The topics stay.
    pub keep: bool,
    /// What fetches ask for.
    pub fetch: FetchOptions,
    /// How long a batch is sent again before it counts as lost.
    pub delivery_timeout_s: f64,
    /// How long to wait, in the end, for what is under way.
    pub drain_s: f64,
    /// Threads of the client; not told: half of the cores.
    pub threads: Option<usize>,
    /// Chooses payloads and random keys.
    pub seed: u64,
}

/// What fetches ask for: the Java client's defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchOptions {
    /// Bytes of a response.
    pub max_bytes: i32,
    /// Bytes of each partition in it.
    pub partition_bytes: i32,
    /// Bytes that are worth an answer.
    pub min_bytes: i32,
    /// How long to wait for those.
    pub wait_ms: i32,
    /// Whether the checksum of every batch is verified.
    pub check_crc: bool,
}

/// The keys of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// None: batches go to the partitions in turn.
    #[default]
    None,
    /// One of [`KEYS`] at random, which says which partition.
    Random,
    /// Each of [`KEYS`] in turn, which says which partition.
    RoundRobin,
}

/// Different keys.
pub const KEYS: usize = 10_000;

/// How batches are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Who has to have a message before it is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    /// Nobody: it counts as acknowledged when the socket has taken it.
    #[value(name = "0")]
    #[serde(rename = "0")]
    Zero,
    /// The leader.
    #[value(name = "1")]
    #[serde(rename = "1")]
    One,
    /// All replicas in sync.
    #[default]
    All,
}

impl Acks {
    /// As a request has it.
    pub(super) fn code(self) -> i16 {
        match self {
            Acks::Zero => 0,
            Acks::One => 1,
            Acks::All => -1,
        }
    }
}

/// How fast messages are sent, all producers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// As fast as they are acknowledged: always full batches, and latency from when a batch is made.
    #[default]
    Unlimited,
    /// Messages a second. Latency is counted from when a message was due, whenever it was sent.
    MessagesPerS(f64),
    /// Bytes of values a second.
    BytesPerS(f64),
}

impl Default for Workload {
    /// The base case: records of 1 KiB in batches of 16 KiB, four producers, sixteen partitions.
    fn default() -> Workload {
        Workload {
            name: "base".into(),
            topics: 1,
            partitions: 16,
            message_bytes: 1024,
            random_share: 0.5,
            payload_file: None,
            keys: Keys::None,
            batch_bytes: 16_384,
            linger_ms: 1.0,
            codec: Codec::None,
            acks: Acks::All,
            idempotence: None,
            max_in_flight: 5,
            request_bytes_max: 1 << 20,
            producers: 4,
            subscriptions: 1,
            consumers: 4,
            rate: Rate::Unlimited,
            backlog_bytes: 0,
            warm_up_s: 5.0,
            duration_s: 30.0,
            messages: None,
            replication_factor: -1,
            topic_configs: BTreeMap::new(),
            topic: None,
            existing: false,
            keep: false,
            fetch: FetchOptions::default(),
            delivery_timeout_s: 120.0,
            drain_s: 10.0,
            threads: None,
            seed: 1,
        }
    }
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            max_bytes: 50 << 20,
            partition_bytes: 1 << 20,
            min_bytes: 1,
            wait_ms: 500,
            check_crc: false,
        }
    }
}

/// The longest value: what a record's lengths are counted with is 32 bits wide.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// More than anybody waits for, and small enough to be counted in microseconds.
const SECONDS_MAX: f64 = 10_000_000.0;

impl Workload {
    /// Whether the broker sorts out batches that arrive twice.
    pub fn is_idempotent(&self) -> bool {
        self.idempotence.unwrap_or(self.acks == Acks::All)
    }

    /// Messages a second of all producers together; `None` when unlimited.
    pub fn messages_per_s(&self) -> Option<f64> {
        match self.rate {
            Rate::Unlimited => None,
            Rate::MessagesPerS(rate) => Some(rate),
            Rate::BytesPerS(rate) => Some(rate / self.message_bytes as f64),
        }
    }

    /// Messages of all topics' backlogs together.
    pub(super) fn backlog_messages(&self) -> u64 {
        self.backlog_bytes.div_ceil(self.message_bytes.max(1) as u64) * u64::from(self.topics)
    }

    /// Whether nothing is read.
    pub(super) fn reads_nothing(&self) -> bool {
        self.subscriptions == 0 || self.consumers == 0
    }

    /// Refuses what cannot be run, naming the field and its value.
    pub fn check(&self) -> Result<(), LoadError> {
        let seconds = 0.0..=SECONDS_MAX;
        let wrong = |what: String| Err(LoadError::Workload(what));
        if self.topics == 0 || self.partitions == 0 {
            return wrong(format!("{} topics of {} partitions", self.topics, self.partitions));
        }
        if self.producers == 0 && self.reads_nothing() {
            return wrong("neither producers nor consumers".into());
        }
        if !(1..=MESSAGE_BYTES_MAX).contains(&self.message_bytes) {
            return wrong(format!("messages of {} bytes: 1 to {MESSAGE_BYTES_MAX}", self.message_bytes));
        }
        if !(0.0..=1.0).contains(&self.random_share) {
            return wrong(format!("a random share of {}: 0 to 1", self.random_share));
        }
        if self.is_idempotent() && self.acks != Acks::All {
            return wrong(format!("idempotence needs acks=all, not {:?}", self.acks));
        }
        let in_flight_max = if self.is_idempotent() { 5 } else { 10_000 };
        if !(1..=in_flight_max).contains(&self.max_in_flight) {
            return wrong(format!(
                "{} requests in flight: 1 to {in_flight_max}{}",
                self.max_in_flight,
                if self.is_idempotent() { " with idempotence" } else { "" }
            ));
        }
        if self.messages_per_s().is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return wrong(format!("a rate of {:?}: leave it out for unlimited", self.rate));
        }
        for (name, value) in [
            ("linger (s)", self.linger_ms / 1000.0),
            ("warm-up", self.warm_up_s),
            ("duration", self.duration_s),
            ("delivery timeout", self.delivery_timeout_s),
            ("drain", self.drain_s),
        ] {
            if !seconds.contains(&value) {
                return wrong(format!("{name} of {value} s: 0 to {SECONDS_MAX}"));
            }
        }
        if self.threads == Some(0) || self.messages == Some(0) {
            return wrong("no threads, or no messages".into());
        }
        if self.existing && self.topic.is_none() {
            return wrong("topics that exist have a name".into());
        }
        if self.existing && self.backlog_bytes > 0 {
            return wrong("topics that exist get no backlog".into());
        }
        if self.producers == 0 && self.backlog_bytes == 0 && !self.existing {
            return wrong("no producers, no backlog, and no topics that exist: nothing to read".into());
        }
        Ok(())
    }
}
