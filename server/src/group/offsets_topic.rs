//! The topic `__consumer_offsets`: which of its partitions a group belongs to, and how it comes into being.

use std::sync::Arc;

use logmill_engine::partition::PartitionId;

use crate::config::Config;
use crate::config::java_order::java_hash;
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::metadata::{CreateTopics, NewTopic, Order, Topic, ask};
use crate::shard::LocalShard;
use crate::wire::Text;

/// The partition whose coordinator keeps a group.
pub(crate) fn partition_of(group: &str, topic: &Topic) -> PartitionId {
    // The one hash without a positive counterpart counts as 0, as in Apache Kafka, whose groups we may find.
    let hash = java_hash(group).cast_signed().checked_abs().unwrap_or(0);
    let index = hash % topic.dirs.len() as i32;
    PartitionId { topic: topic.id, index }
}

/// The topic, made if it is not there yet; `None` when it cannot be made.
pub(crate) async fn find_or_create(shard: &LocalShard) -> Option<Arc<Topic>> {
    if let Some(topic) = shard.image().by_name(CONSUMER_OFFSETS) {
        return Some(topic.clone());
    }
    let topic = definition(&shard.broker().config);
    let topics = vec![topic];
    let create =
        |reply| Order::Create(CreateTopics { topics, is_dry_run: false, expires_ms: i64::MAX, reply });
    let outcome = ask(shard, create).await?;
    // Others may have asked at the same time, and the first one made it.
    let found = shard.image().by_name(CONSUMER_OFFSETS).cloned();
    let refused = outcome.map_or_else(Some, |results| results.into_iter().find_map(Result::err));
    if let (None, Some(refused)) = (&found, refused) {
        let reason = refused.message.unwrap_or_default();
        tracing::warn!("cannot create {CONSUMER_OFFSETS}: {}: {reason}", refused.code);
    }
    found
}

fn definition(config: &Config) -> NewTopic {
    let segment_bytes = config.offsets_topic_segment_bytes.to_string();
    let configs = [("cleanup.policy", "compact"), ("compression.type", "producer")];
    let configs = configs.into_iter().chain([("segment.bytes", segment_bytes.as_str())]);
    NewTopic {
        name: Text::from_static(CONSUMER_OFFSETS),
        partitions: config.offsets_topic_partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: configs.map(|(key, value)| (Text::from(key), Some(Text::from(value)))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::Uuid;

    use super::*;
    use crate::config::TopicOverrides;

    fn check(group: &str, partitions: usize, expected: i32) {
        let topic = Topic {
            name: Text::from_static(CONSUMER_OFFSETS),
            id: Uuid([1; 16]),
            dirs: vec![0; partitions],
            overrides: TopicOverrides::default(),
        };
        assert_eq!(partition_of(group, &topic).index, expected, "{group}");
    }

    #[test]
    fn groups_belong_where_apache_kafka_puts_them() {
        check("billing", 50, 9);
        check("", 50, 0);
        // By Java's hashes 99162322, -640608884 and the smallest number of all.
        check("hello", 50, 22);
        check("hello, world", 50, 34);
        check("polygenelubricants", 50, 0);
    }
}
