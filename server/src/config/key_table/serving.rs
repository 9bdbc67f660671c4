//! How clients are served, and how logs are kept.

use super::{CHECKPOINTS, SHARDS, key};
use crate::config::keys::Effect::{Honoured, Ignored};
use crate::config::keys::Key;
use crate::config::value::Range::{Any, AtLeast};
use crate::config::value::ValueType::{Boolean, Double, Int, Long, String};

const KERNEL: &str = "left to the kernel";
const NO_CLEANER: &str = "there is no pool of cleaner threads";

pub(super) const KEYS: &[Key] = &[
    key(
        "socket.request.max.bytes",
        Int,
        "104857600",
        AtLeast(1),
        Honoured("The largest request; a connection that announces a larger one is closed."),
    ),
    key(
        "fetch.max.bytes",
        Int,
        "57671680",
        AtLeast(1024),
        Honoured("The most bytes that one fetch is answered with, whatever it asks for."),
    ),
    key(
        "max.request.partition.size.limit",
        Int,
        "2000",
        AtLeast(1),
        Honoured("The most partitions that one answer of DescribeTopicPartitions holds."),
    ),
    key(
        "max.incremental.fetch.session.cache.slots",
        Int,
        "1000",
        AtLeast(0),
        Honoured("The most fetch sessions, shared out among the shards; 0 for none."),
    ),
    key("socket.send.buffer.bytes", Int, "102400", Any, Ignored(KERNEL)),
    key("socket.receive.buffer.bytes", Int, "102400", Any, Ignored(KERNEL)),
    key("socket.listen.backlog.size", Int, "50", AtLeast(1), Ignored(KERNEL)),
    key(
        "max.connections.per.ip",
        Int,
        "2147483647",
        AtLeast(0),
        Honoured("The most connections of one address; more of them are closed at once."),
    ),
    key(
        "max.connections.per.ip.overrides",
        String,
        "",
        Any,
        Honoured("`host:count, ...`: the most connections of these hosts instead."),
    ),
    key(
        "max.connections",
        Int,
        "2147483647",
        AtLeast(0),
        Honoured(
            "The most connections; more of them wait to be accepted, but for those between brokers by a listener of their own. A quarter of the files that the process may open is kept for the logs all the same.",
        ),
    ),
    key(
        "max.connection.creation.rate",
        Int,
        "2147483647",
        AtLeast(0),
        Honoured("The most connections that are accepted in a second; more of them wait."),
    ),
    key(
        "connections.max.idle.ms",
        Long,
        "600000",
        Any,
        Honoured(
            "A connection on which nothing comes or goes for so long is closed, at the latest after a quarter more; never when it is below zero.",
        ),
    ),
    key("num.io.threads", Int, "8", AtLeast(1), Ignored(SHARDS)),
    key("background.threads", Int, "10", AtLeast(1), Ignored(SHARDS)),
    key("queued.max.requests", Int, "500", AtLeast(1), Ignored(SHARDS)),
    key(
        "queued.max.request.bytes",
        Long,
        "-1",
        Any,
        Honoured(
            "The most bytes of memory that requests and their answers take at a time, all shards together: beyond it nothing is read, but for one request of each shard. 268435456 when it is not above zero.",
        ),
    ),
    key("num.network.threads", Int, "3", AtLeast(1), Ignored(SHARDS)),
    key("fetch.purgatory.purge.interval.requests", Int, "1000", Any, Ignored(SHARDS)),
    key("producer.purgatory.purge.interval.requests", Int, "1000", Any, Ignored(SHARDS)),
    key("delete.records.purgatory.purge.interval.requests", Int, "1", Any, Ignored(SHARDS)),
    key("num.recovery.threads.per.data.dir", Int, "2", AtLeast(1), Ignored(SHARDS)),
    key(
        "log.retention.check.interval.ms",
        Long,
        "300000",
        AtLeast(1),
        Honoured("How often old segments are looked for."),
    ),
    key("log.cleaner.threads", Int, "1", AtLeast(0), Ignored(NO_CLEANER)),
    key("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", Any, Ignored(NO_CLEANER)),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728", Any, Ignored(NO_CLEANER)),
    key("log.cleaner.io.buffer.size", Int, "524288", AtLeast(0), Ignored(NO_CLEANER)),
    key("log.cleaner.io.buffer.load.factor", Double, "0.9", Any, Ignored(NO_CLEANER)),
    key("log.cleaner.backoff.ms", Long, "15000", AtLeast(0), Ignored(NO_CLEANER)),
    key("log.cleaner.enable", Boolean, "true", Any, Ignored(NO_CLEANER)),
    key(
        "log.flush.offset.checkpoint.interval.ms",
        Int,
        "60000",
        AtLeast(0),
        Honoured("How often recovery points, log starts and high watermarks are written down."),
    ),
    key("log.flush.start.offset.checkpoint.interval.ms", Int, "60000", AtLeast(0), Ignored(CHECKPOINTS)),
];
