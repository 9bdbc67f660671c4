//! The table of the topic settings of Apache Kafka 4.3.1.

use super::key_table::{CLEANUP_POLICIES, COMPRESSION_TYPES, TIMESTAMP_TYPES};
use super::topic::TopicEffect::{self, Honoured, Ignored, Refused};
use super::topic::{Synonym, TopicKey};
use super::value::Range::{self, Any, AtLeast, Between, GzipLevel, ListOf, OneOf, Replicas};
use super::value::Rule;
use super::value::ValueType::{self, Boolean, Double, Int, List, Long, String};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

const NO_TIERS: TopicEffect = Ignored("there is no tiered storage");
const KEPT: TopicEffect = Ignored("nothing is compacted yet");
const ALONE: TopicEffect = Ignored("the broker has nobody to replicate with");

const fn topic(
    name: &'static str,
    value_type: ValueType,
    range: Range,
    synonyms: &'static [Synonym],
    effect: TopicEffect,
    meaning: &'static str,
) -> TopicKey {
    TopicKey {
        name,
        rule: Rule { value_type, range },
        default: None,
        synonyms,
        effect,
        meaning,
        is_internal: false,
    }
}

const fn with_default(default: &'static str, key: TopicKey) -> TopicKey {
    TopicKey { default: Some(default), ..key }
}

const fn is(key: &'static str) -> Synonym {
    Synonym { key, unit: 1 }
}

const fn times(key: &'static str, unit: i64) -> Synonym {
    Synonym { key, unit }
}

/// Every topic setting, in Apache Kafka's order: where several are wrong, the first one is reported.
pub(super) static TOPIC_KEYS: &[TopicKey] = &[
    topic(
        "segment.bytes",
        Int,
        AtLeast(1_048_576),
        &[is("log.segment.bytes")],
        Honoured,
        "A segment is closed, and the next one begun, before it grows past this many bytes.",
    ),
    topic(
        "segment.ms",
        Long,
        AtLeast(1),
        &[is("log.roll.ms"), times("log.roll.hours", HOUR_MS)],
        Honoured,
        "A segment is closed when its first record is this old, full or not.",
    ),
    topic(
        "segment.jitter.ms",
        Long,
        AtLeast(0),
        &[is("log.roll.jitter.ms"), times("log.roll.jitter.hours", HOUR_MS)],
        Honoured,
        "Up to this much is taken off segment.ms at random, so that partitions do not all roll at once.",
    ),
    topic(
        "segment.index.bytes",
        Int,
        AtLeast(4),
        &[is("log.index.size.max.bytes")],
        Honoured,
        "A segment is closed when one of its indexes has grown to this many bytes.",
    ),
    topic(
        "flush.messages",
        Long,
        AtLeast(1),
        &[is("log.flush.interval.messages")],
        Honoured,
        "With logmill.ack=page-cache: a log is synced after this many records, before the last one is acknowledged.",
    ),
    topic(
        "flush.ms",
        Long,
        AtLeast(0),
        &[is("log.flush.interval.ms"), is("log.flush.scheduler.interval.ms")],
        Honoured,
        "With logmill.ack=page-cache: a log is synced when a record has waited for this long. Looked at every log.flush.scheduler.interval.ms, or every second where that is unset.",
    ),
    topic(
        "retention.bytes",
        Long,
        Any,
        &[is("log.retention.bytes")],
        Honoured,
        "The oldest segments of a partition are deleted while the others still hold this many bytes; -1 for no limit.",
    ),
    topic(
        "retention.ms",
        Long,
        AtLeast(-1),
        &[
            is("log.retention.ms"),
            times("log.retention.minutes", MINUTE_MS),
            times("log.retention.hours", HOUR_MS),
        ],
        Honoured,
        "A segment is deleted when its newest record is older than this, or its file where records have no timestamps; -1 for no limit.",
    ),
    topic(
        "max.message.bytes",
        Int,
        AtLeast(0),
        &[is("message.max.bytes")],
        Honoured,
        "The largest record batch that is accepted, compressed as it comes.",
    ),
    topic(
        "index.interval.bytes",
        Int,
        AtLeast(0),
        &[is("log.index.interval.bytes")],
        Honoured,
        "The offset index has an entry about every this many bytes of records.",
    ),
    topic(
        "delete.retention.ms",
        Long,
        AtLeast(0),
        &[is("log.cleaner.delete.retention.ms")],
        KEPT,
        "Compaction keeps the mark of a deleted key for this long.",
    ),
    topic(
        "min.compaction.lag.ms",
        Long,
        AtLeast(0),
        &[is("log.cleaner.min.compaction.lag.ms")],
        KEPT,
        "Compaction leaves a record alone until it is this old.",
    ),
    topic(
        "max.compaction.lag.ms",
        Long,
        AtLeast(1),
        &[is("log.cleaner.max.compaction.lag.ms")],
        KEPT,
        "Compaction takes a record along at the latest when it is this old.",
    ),
    topic(
        "file.delete.delay.ms",
        Long,
        AtLeast(0),
        &[is("log.segment.delete.delay.ms")],
        Honoured,
        "The files of a deleted segment stay for this long, for those who still read them; those of a deleted topic are removed at once.",
    ),
    topic(
        "min.cleanable.dirty.ratio",
        Double,
        Between(0, 1),
        &[is("log.cleaner.min.cleanable.ratio")],
        KEPT,
        "Compaction begins when this share of a log has not been compacted.",
    ),
    topic(
        "cleanup.policy",
        List,
        ListOf(CLEANUP_POLICIES),
        &[is("log.cleanup.policy")],
        Honoured,
        "What happens to old records: segments are deleted, or compacted to the last record of each key, or both; empty to keep all. Nothing is compacted yet.",
    ),
    topic(
        "unclean.leader.election.enable",
        Boolean,
        Any,
        &[is("unclean.leader.election.enable")],
        ALONE,
        "Whether a replica that lacks acknowledged records may become leader when no other is left.",
    ),
    topic(
        "min.insync.replicas",
        Int,
        AtLeast(1),
        &[is("min.insync.replicas")],
        Honoured,
        "A write with acks=all fails when fewer replicas than this are in sync.",
    ),
    topic(
        "compression.type",
        String,
        OneOf(COMPRESSION_TYPES),
        &[is("compression.type")],
        Honoured,
        "How batches are compressed in the log; `producer` keeps them as they were sent.",
    ),
    topic(
        "compression.gzip.level",
        Int,
        GzipLevel,
        &[is("compression.gzip.level")],
        Honoured,
        "The level when compression.type is gzip.",
    ),
    topic(
        "compression.lz4.level",
        Int,
        Between(1, 17),
        &[is("compression.lz4.level")],
        Honoured,
        "The level when compression.type is lz4; all levels are done as 9, the fast compressor.",
    ),
    topic(
        "compression.zstd.level",
        Int,
        Between(-131_072, 22),
        &[is("compression.zstd.level")],
        Honoured,
        "The level when compression.type is zstd.",
    ),
    topic(
        "preallocate",
        Boolean,
        Any,
        &[is("log.preallocate")],
        Ignored("segments are never preallocated"),
        "Whether a segment's file has its full size from the start.",
    ),
    topic(
        "message.timestamp.type",
        String,
        OneOf(TIMESTAMP_TYPES),
        &[is("log.message.timestamp.type")],
        Honoured,
        "Whether records carry the time at which their producer made them or the time at which they were appended.",
    ),
    topic(
        "message.timestamp.before.max.ms",
        Long,
        AtLeast(0),
        &[is("log.message.timestamp.before.max.ms")],
        Honoured,
        "A record whose timestamp lies further than this in the past is refused.",
    ),
    topic(
        "message.timestamp.after.max.ms",
        Long,
        AtLeast(0),
        &[is("log.message.timestamp.after.max.ms")],
        Honoured,
        "A record whose timestamp lies further than this in the future is refused.",
    ),
    with_default(
        "",
        topic(
            "leader.replication.throttled.replicas",
            List,
            Replicas,
            &[],
            ALONE,
            "Replicas whose replication is throttled on the leader's side.",
        ),
    ),
    with_default(
        "",
        topic(
            "follower.replication.throttled.replicas",
            List,
            Replicas,
            &[],
            ALONE,
            "Replicas whose replication is throttled on the follower's side.",
        ),
    ),
    with_default(
        "false",
        topic(
            "remote.storage.enable",
            Boolean,
            Any,
            &[],
            Refused("there is no tiered storage"),
            "Whether closed segments are moved to tiered storage.",
        ),
    ),
    topic(
        "local.retention.ms",
        Long,
        AtLeast(-2),
        &[is("log.local.retention.ms")],
        NO_TIERS,
        "How long segments stay on the broker once tiered storage has them; -2 for retention.ms.",
    ),
    topic(
        "local.retention.bytes",
        Long,
        AtLeast(-2),
        &[is("log.local.retention.bytes")],
        NO_TIERS,
        "How many bytes stay on the broker once tiered storage has them; -2 for retention.bytes.",
    ),
    with_default(
        "false",
        topic(
            "remote.log.copy.disable",
            Boolean,
            Any,
            &[],
            NO_TIERS,
            "Whether nothing more is moved to tiered storage.",
        ),
    ),
    with_default(
        "false",
        topic(
            "remote.log.delete.on.disable",
            Boolean,
            Any,
            &[],
            NO_TIERS,
            "Whether what lies in tiered storage is deleted when it is switched off.",
        ),
    ),
    TopicKey {
        is_internal: true,
        ..topic(
            "internal.segment.bytes",
            Int,
            Any,
            &[],
            Honoured,
            "Stands for segment.bytes, without its lower bound; for tests.",
        )
    },
];
