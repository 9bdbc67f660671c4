//! What brokers and controllers of a cluster settle among each other.

use super::{ALONE, CHECKPOINTS, key, unset};
use crate::config::keys::Effect::{Honoured, Ignored, Refused};
use crate::config::keys::Key;
use crate::config::value::Range::{Any, AtLeast};
use crate::config::value::ValueType::{Boolean, Int, List, Long, String};

const NO_SNAPSHOT: &str = "the metadata log is kept whole";

pub(super) const KEYS: &[Key] = &[
    key(
        "controller.quorum.voters",
        List,
        "",
        Any,
        Honoured("This node alone; a quorum of several controllers is refused."),
    ),
    key(
        "controller.quorum.bootstrap.servers",
        List,
        "",
        Any,
        Honoured("At most one server, which is this one; a quorum of several controllers is refused."),
    ),
    key(
        "controller.quorum.auto.join.enable",
        Boolean,
        "false",
        Any,
        Refused("the controller is a quorum of one"),
    ),
    key(
        "metadata.log.max.record.bytes.between.snapshots",
        Long,
        "20971520",
        AtLeast(1),
        Ignored(NO_SNAPSHOT),
    ),
    key("metadata.log.max.snapshot.interval.ms", Long, "3600000", AtLeast(0), Ignored(NO_SNAPSHOT)),
    key("metadata.log.segment.bytes", Int, "1073741824", AtLeast(8_388_608), Ignored(NO_SNAPSHOT)),
    key("metadata.log.segment.ms", Long, "604800000", Any, Ignored(NO_SNAPSHOT)),
    key("metadata.max.retention.bytes", Long, "104857600", Any, Ignored(NO_SNAPSHOT)),
    key("metadata.max.retention.ms", Long, "604800000", Any, Ignored(NO_SNAPSHOT)),
    key("metadata.max.idle.interval.ms", Int, "500", AtLeast(0), Ignored(NO_SNAPSHOT)),
    unset("num.replica.alter.log.dirs.threads", Int, Any, Ignored(ALONE)),
    key("request.timeout.ms", Int, "30000", Any, Ignored(ALONE)),
    key("socket.connection.setup.timeout.ms", Long, "10000", Any, Ignored(ALONE)),
    key("socket.connection.setup.timeout.max.ms", Long, "30000", Any, Ignored(ALONE)),
    key("controlled.shutdown.enable", Boolean, "true", Any, Ignored(ALONE)),
    key("initial.broker.registration.timeout.ms", Int, "60000", Any, Ignored(ALONE)),
    key("broker.heartbeat.interval.ms", Int, "2000", Any, Ignored(ALONE)),
    key("broker.session.timeout.ms", Int, "9000", Any, Ignored(ALONE)),
    key("controller.socket.timeout.ms", Int, "30000", Any, Ignored(ALONE)),
    key("replica.lag.time.max.ms", Long, "30000", Any, Ignored(ALONE)),
    key("replica.socket.timeout.ms", Int, "30000", Any, Ignored(ALONE)),
    key("replica.socket.receive.buffer.bytes", Int, "65536", Any, Ignored(ALONE)),
    key("replica.fetch.max.bytes", Int, "1048576", AtLeast(0), Ignored(ALONE)),
    key("replica.fetch.wait.max.ms", Int, "500", Any, Ignored(ALONE)),
    key("replica.fetch.backoff.ms", Int, "1000", AtLeast(0), Ignored(ALONE)),
    key("replica.fetch.min.bytes", Int, "1", Any, Ignored(ALONE)),
    key("replica.fetch.response.max.bytes", Int, "10485760", AtLeast(0), Ignored(ALONE)),
    key("num.replica.fetchers", Int, "1", AtLeast(1), Ignored(ALONE)),
    key("replica.high.watermark.checkpoint.interval.ms", Long, "5000", Any, Ignored(CHECKPOINTS)),
    key("auto.leader.rebalance.enable", Boolean, "true", Any, Ignored(ALONE)),
    key("leader.imbalance.check.interval.seconds", Long, "300", AtLeast(1), Ignored(ALONE)),
    unset("replica.selector.class", String, Any, Ignored(ALONE)),
    key("log.dir.failure.timeout.ms", Long, "30000", AtLeast(1), Ignored(ALONE)),
    key("controller.quorum.election.timeout.ms", Int, "1000", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.fetch.timeout.ms", Int, "2000", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.election.backoff.max.ms", Int, "1000", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.append.linger.ms", Int, "25", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.request.timeout.ms", Int, "2000", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.retry.backoff.ms", Int, "20", AtLeast(0), Ignored(ALONE)),
    key("controller.quorum.fetch.snapshot.max.bytes", Int, "1048576", AtLeast(1), Ignored(ALONE)),
    key("controller.quorum.fetch.max.bytes", Int, "1048576", AtLeast(1), Ignored(ALONE)),
    key("replication.quota.window.num", Int, "11", AtLeast(1), Ignored(ALONE)),
    key("alter.log.dirs.replication.quota.window.num", Int, "11", AtLeast(1), Ignored(ALONE)),
    key("replication.quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(ALONE)),
    key("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(ALONE)),
];
