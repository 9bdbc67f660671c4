//! The table of the broker's settings: those of Apache Kafka 4.3.1 and our own, by what they are about.

mod cluster;
mod coordinators;
mod process;
mod serving;
mod topics;
mod unserved;

use super::keys::{Effect, Key};
use super::value::{Range, Rule, ValueType};

/// Every key that is known. A name that ends with `*` stands for all keys that begin like it.
pub(super) static TABLES: [&[Key]; 6] =
    [process::KEYS, topics::KEYS, serving::KEYS, cluster::KEYS, coordinators::KEYS, unserved::KEYS];

/// What `compression.type` takes, for brokers and topics.
pub(in crate::config) const COMPRESSION_TYPES: &[&str] =
    &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
/// What `cleanup.policy` lists, for brokers and topics.
pub(in crate::config) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];
/// What `message.timestamp.type` takes, for brokers and topics.
pub(in crate::config) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

const ALONE: &str = "the broker is the only one of its cluster";
const CHECKPOINTS: &str = "written with the recovery points, see `log.flush.offset.checkpoint.interval.ms`";
const SHARDS: &str = "each shard does its own work, see `logmill.shards`";

const fn key(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    range: Range,
    effect: Effect,
) -> Key {
    Key { name, rule: Rule { value_type, range }, default: Some(default), effect }
}

const fn unset(name: &'static str, value_type: ValueType, range: Range, effect: Effect) -> Key {
    Key { name, rule: Rule { value_type, range }, default: None, effect }
}
