//! `PartitionConfig`: what a topic's settings mean to the engine.

use crate::format::BatchRules;
use crate::log::{LogLimits, Retention};

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// The bytes survive a power cut.
    Durable,
    /// The kernel has the bytes: Apache Kafka's meaning.
    PageCache,
    /// The same, but that the log is synced now and then.
    Flushed(FlushLimits),
}

/// When a log is synced whose appends are acknowledged from the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushLimits {
    /// After so many records, before the last of them is acknowledged: `flush.messages`.
    pub messages: i64,
    /// When a record has waited for so long: `flush.ms`.
    pub ms: i64,
}

/// What a topic's settings mean to the engine.
#[derive(Debug, Clone, Copy)]
pub struct PartitionConfig {
    /// What a batch has to be, and is made.
    pub batch: BatchRules,
    /// When a log rolls and how finely it is indexed.
    pub log: LogLimits,
    /// Epoch of the partition's leader, which every batch is stamped with.
    pub leader_epoch: i32,
    /// What an acknowledgement means.
    pub ack: Ack,
    /// A producer that has written nothing for so long is forgotten: `producer.id.expiration.ms`.
    pub producer_expiration_ms: i64,
    /// What is kept.
    pub retention: Retention,
    /// The files of a deleted segment stay for so long: `file.delete.delay.ms`.
    pub delete_delay_ms: i64,
}

impl Default for PartitionConfig {
    /// Takes what comes, durably, and gives nothing up.
    fn default() -> PartitionConfig {
        PartitionConfig {
            batch: BatchRules::default(),
            log: LogLimits::default(),
            leader_epoch: 0,
            ack: Ack::Durable,
            producer_expiration_ms: i64::MAX,
            retention: Retention { ms: None, bytes: None },
            delete_delay_ms: 60_000,
        }
    }
}
