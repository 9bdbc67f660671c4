//! `Config`: what the broker was told to be, by `server.properties`, the environment and the command line.
//!
//! What is in here is text and its meaning: file, environment, host name and cores are handed in.

pub mod describe;
mod environment;
pub(crate) mod java_order;
mod key_table;
pub mod keys;
pub mod layers;
pub mod listener;
mod load;
#[cfg(test)]
mod operations_doc;
#[cfg(test)]
mod tests;
pub mod topic;
pub mod topic_name;
mod topic_table;
pub mod value;

use std::path::PathBuf;

pub use keys::Key;
pub use layers::Layers;
pub use listener::Listener;
pub use load::{Checked, ConfigError, ConfigErrors, Machine, Origin, Warning};
pub use topic::{TopicConfig, TopicOverrides};
pub use value::InvalidConfig;

/// What groups are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub session_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub session_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_delay_ms: i32,
    /// `group.max.size`
    pub size_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_check_interval_ms: u64,
}

/// Everything that the broker is started with, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `node.id` or `broker.id`
    pub node_id: i32,
    /// `cluster.id`, for data that has none yet; `None` asks for a random one.
    pub cluster_id: Option<String>,
    /// `listeners` without those of the controller: what is opened.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`: what clients are told, never without a host.
    pub advertised_listeners: Vec<Listener>,
    /// `inter.broker.listener.name`
    pub inter_broker_listener: String,
    /// `log.dirs` or `log.dir`; at least one.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of the log directories.
    pub metadata_log_dir: PathBuf,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i32,
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `delete.topic.enable`
    pub delete_topics: bool,
    /// `offsets.topic.num.partitions`
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.segment.bytes`
    pub offsets_topic_segment_bytes: i32,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval_ms: u64,
    /// How often logs are looked at for records that have waited for their `flush.ms`:
    /// `log.flush.scheduler.interval.ms`
    pub flush_check_interval_ms: u64,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub checkpoint_interval_ms: u64,
    /// `offset.metadata.max.bytes`: the longest text beside an offset, in the units of UTF-16.
    pub offset_metadata_len_max: i32,
    /// Keys that begin with `group.` and `offsets.retention`
    pub groups: GroupSettings,
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: u32,
    /// `queued.max.request.bytes`; `None` leaves it to the broker.
    pub in_flight_bytes_max: Option<usize>,
    /// `max.connections`
    pub connections_max: u32,
    /// `max.connections.per.ip`
    pub connections_per_ip_max: u32,
    /// `max.connections.per.ip.overrides`: hosts and their own maximum.
    pub connections_per_ip_overrides: Vec<(String, u32)>,
    /// `max.connection.creation.rate`
    pub connection_creation_rate_max: u32,
    /// `connections.max.idle.ms`; below zero they may be idle for ever.
    pub connections_max_idle_ms: i64,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_sessions_max: u32,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: u32,
    /// `max.request.partition.size.limit`
    pub request_partitions_max: u32,
    /// `logmill.metrics.listener`
    pub metrics_listener: Option<Listener>,
    /// `logmill.ack`
    pub ack: Ack,
    /// `logmill.journal.bytes`: of each log directory, for all shards.
    pub journal_bytes: u64,
    /// `logmill.shards`, or the number of cores.
    pub shards: u32,
    /// `logmill.shards.pin`
    pub pin_shards: bool,
    /// `logmill.io`
    pub io: Io,
    /// `logmill.mailbox.messages`: the bound of one lane between two shards.
    pub mailbox_messages_max: u32,
    /// Every setting as text: the defaults of topics come from here.
    pub layers: Layers,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// The records are on the device.
    Durable,
    /// The records are in the page cache.
    PageCache,
}

/// How the disk is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// With a ring where the kernel grants one.
    Auto,
    /// With a ring, or not at all.
    Uring,
    /// With plain system calls.
    Syscalls,
}
