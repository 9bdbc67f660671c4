//! Tiered storage, security, quotas, metrics of Java, and keys that Apache Kafka 4 does not have any more.

use super::{key, unset};
use crate::config::keys::Effect::{Ignored, Refused};
use crate::config::keys::Key;
use crate::config::value::Range::{Any, AtLeast, Text};
use crate::config::value::ValueType::{Boolean, Class, Int, List, Long, Password, String};

const NO_AUTHORIZER: &str = "requests are not authorized";
const NO_JMX: &str = "there are no Java metrics";
const NO_LISTENER_SETTINGS: &str = "listeners have no settings of their own";
const NO_QUOTAS: &str = "there are no quotas";
const NO_SECURITY: &str = "neither TLS nor SASL is served; a listener that asks for them is refused";
const NO_TIERS: &str = "there is no tiered storage";
const REMOVED: &str = "Apache Kafka 4 has no such key";

pub(super) const KEYS: &[Key] = &[
    key("remote.log.storage.system.enable", Boolean, "false", Any, Refused("there is no tiered storage")),
    key("remote.log.storage.manager.impl.prefix", String, "rsm.config.", Text, Ignored(NO_TIERS)),
    key("remote.log.metadata.manager.impl.prefix", String, "rlmm.config.", Text, Ignored(NO_TIERS)),
    unset("remote.log.storage.manager.class.name", String, Text, Ignored(NO_TIERS)),
    unset("remote.log.storage.manager.class.path", String, Any, Ignored(NO_TIERS)),
    key(
        "remote.log.metadata.manager.class.name",
        String,
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        Text,
        Ignored(NO_TIERS),
    ),
    unset("remote.log.metadata.manager.class.path", String, Any, Ignored(NO_TIERS)),
    unset("remote.log.metadata.manager.listener.name", String, Text, Ignored(NO_TIERS)),
    key("remote.log.metadata.custom.metadata.max.bytes", Int, "128", AtLeast(0), Ignored(NO_TIERS)),
    key("remote.log.index.file.cache.total.size.bytes", Long, "1073741824", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.thread.pool.size", Int, "2", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.copier.thread.pool.size", Int, "10", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.expiration.thread.pool.size", Int, "10", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.follower.thread.pool.size", Int, "2", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.task.interval.ms", Long, "30000", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.reader.threads", Int, "10", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.reader.max.pending.tasks", Int, "100", AtLeast(1), Ignored(NO_TIERS)),
    key(
        "remote.log.manager.copy.max.bytes.per.second",
        Long,
        "9223372036854775807",
        AtLeast(1),
        Ignored(NO_TIERS),
    ),
    key("remote.log.manager.copy.quota.window.num", Int, "11", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.copy.quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(NO_TIERS)),
    key(
        "remote.log.manager.fetch.max.bytes.per.second",
        Long,
        "9223372036854775807",
        AtLeast(1),
        Ignored(NO_TIERS),
    ),
    key("remote.log.manager.fetch.quota.window.num", Int, "11", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.log.manager.fetch.quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.fetch.max.wait.ms", Int, "500", AtLeast(1), Ignored(NO_TIERS)),
    key("remote.list.offsets.request.timeout.ms", Long, "30000", AtLeast(1), Ignored(NO_TIERS)),
    key("follower.fetch.last.tiered.offset.enable", Boolean, "false", Any, Ignored(NO_TIERS)),
    key("authorizer.class.name", String, "", Any, Refused("requests are not authorized")),
    unset("super.users", String, Any, Ignored(NO_AUTHORIZER)),
    unset("allow.everyone.if.no.acl.found", Boolean, Any, Ignored(NO_AUTHORIZER)),
    key("connection.failed.authentication.delay.ms", Int, "100", AtLeast(0), Ignored(NO_SECURITY)),
    key("connections.max.reauth.ms", Long, "0", Any, Ignored(NO_SECURITY)),
    unset("security.providers", String, Any, Ignored(NO_SECURITY)),
    key(
        "principal.builder.class",
        Class,
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        Any,
        Ignored(NO_SECURITY),
    ),
    unset("delegation.token.secret.key", Password, Any, Ignored(NO_SECURITY)),
    key("delegation.token.max.lifetime.ms", Long, "604800000", AtLeast(1), Ignored(NO_SECURITY)),
    key("delegation.token.expiry.time.ms", Long, "86400000", AtLeast(1), Ignored(NO_SECURITY)),
    key("delegation.token.expiry.check.interval.ms", Long, "3600000", AtLeast(1), Ignored(NO_SECURITY)),
    unset("ssl.*", Password, Any, Ignored(NO_SECURITY)),
    unset("sasl.*", Password, Any, Ignored(NO_SECURITY)),
    unset("listener.name.*", Password, Any, Ignored(NO_LISTENER_SETTINGS)),
    unset("client.quota.callback.class", Class, Any, Refused("Java classes cannot be loaded")),
    key("quota.window.num", Int, "11", AtLeast(1), Ignored(NO_QUOTAS)),
    key("controller.quota.window.num", Int, "11", AtLeast(1), Ignored(NO_QUOTAS)),
    key("quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(NO_QUOTAS)),
    key("controller.quota.window.size.seconds", Int, "1", AtLeast(1), Ignored(NO_QUOTAS)),
    key("config.providers", List, "", Any, Refused("placeholders in values are not resolved")),
    key("metrics.num.samples", Int, "2", AtLeast(1), Ignored(NO_JMX)),
    key("metrics.sample.window.ms", Long, "30000", AtLeast(1), Ignored(NO_JMX)),
    key("metric.reporters", List, "org.apache.kafka.common.metrics.JmxReporter", Any, Ignored(NO_JMX)),
    key("metrics.recording.level", String, "INFO", Any, Ignored(NO_JMX)),
    key("kafka.metrics.reporters", List, "", Any, Ignored(NO_JMX)),
    key("kafka.metrics.polling.interval.secs", Int, "10", AtLeast(1), Ignored(NO_JMX)),
    key("telemetry.max.bytes", Int, "1048576", AtLeast(1), Ignored(NO_JMX)),
    unset("zookeeper.*", String, Any, Ignored(REMOVED)),
    unset("password.encoder.*", Password, Any, Ignored(REMOVED)),
    unset("broker.id.generation.enable", String, Any, Ignored(REMOVED)),
    unset("control.plane.listener.name", String, Any, Ignored(REMOVED)),
    unset("delegation.token.master.key", Password, Any, Ignored(REMOVED)),
    unset("group.coordinator.new.enable", String, Any, Ignored(REMOVED)),
    unset("inter.broker.protocol.version", String, Any, Ignored(REMOVED)),
    unset("log.message.downconversion.enable", String, Any, Ignored(REMOVED)),
    unset("log.message.format.version", String, Any, Ignored(REMOVED)),
    unset("log.message.timestamp.difference.max.ms", String, Any, Ignored(REMOVED)),
    unset("offsets.commit.required.acks", String, Any, Ignored(REMOVED)),
    unset("reserved.broker.max.id", String, Any, Ignored(REMOVED)),
];
