//! `Image`: the topics at one moment, immutable, shared by all shards.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use logmill_engine::format::{BatchRules, Compression, TimestampRule, Uuid};
use logmill_engine::journal::PartitionReplay;
use logmill_engine::log::{LogLimits, Retention};
use logmill_engine::partition::{Ack, FlushLimits, Known, PartitionConfig, PartitionId};
use logmill_engine::shard::OpenPartition;

use crate::config::topic::TimestampType;
use crate::config::{self, Config, TopicConfig, TopicOverrides, topic_name};
use crate::wire::Text;

/// Epoch of every partition's leader: this broker leads them all, and always has.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// One topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: Text,
    /// Its id, which no other topic ever has.
    pub id: Uuid,
    /// By partition, the log directory that it lies in, as an index.
    pub dirs: Vec<usize>,
    /// The settings that it was given.
    pub overrides: TopicOverrides,
}

impl Topic {
    /// The ids of its partitions.
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + '_ {
        (0..self.dirs.len() as i32).map(|index| PartitionId { topic: self.id, index })
    }

    /// The partition with this number, if there is one.
    pub fn partition(&self, index: i32) -> Option<PartitionId> {
        let exists = usize::try_from(index).is_ok_and(|index| index < self.dirs.len());
        exists.then_some(PartitionId { topic: self.id, index })
    }

    /// Whether nothing of it is ever deleted but by compaction.
    pub(crate) fn is_only_compacted(&self, config: &Config) -> bool {
        let topic = self.config(config);
        topic.compact && !topic.delete
    }

    /// What the shards need to know to open its partitions when they are new.
    pub(crate) fn to_open<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = OpenPartition> + 'a {
        let topic = self.config(config);
        let partition_config = self.partition_config(&topic, config);
        self.partition_ids().zip(&self.dirs).map(move |(id, &dir)| OpenPartition {
            id,
            topic: self.name.to_string(),
            dir,
            config: partition_config,
            known: Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: topic.compact },
            replay: PartitionReplay::default(),
        })
    }

    fn config(&self, config: &Config) -> TopicConfig {
        // The settings were checked when the topic got them.
        TopicConfig::new(&self.overrides, &config.layers).expect("a topic's settings are valid")
    }

    fn partition_config(&self, topic: &TopicConfig, config: &Config) -> PartitionConfig {
        PartitionConfig {
            batch: batch_rules(topic),
            log: LogLimits {
                segment_bytes: topic.segment_bytes.into(),
                segment_ms: topic.segment_ms,
                segment_jitter_ms: topic.segment_jitter_ms,
                index_bytes_max: topic.segment_index_bytes,
                index_interval_bytes: topic.index_interval_bytes.into(),
            },
            leader_epoch: LEADER_EPOCH,
            ack: match config.ack {
                // Coordinators tell of what they wrote as of something that has happened.
                config::Ack::PageCache if !topic_name::is_internal(&self.name) => ack_of_page_cache(topic),
                config::Ack::PageCache | config::Ack::Durable => Ack::Durable,
            },
            producer_expiration_ms: config.producer_expiration_ms,
            // What is only compacted, or kept for good, is kept whatever its age and size.
            retention: match topic.delete {
                true => Retention { ms: topic.retention_ms, bytes: topic.retention_bytes },
                false => Retention { ms: None, bytes: None },
            },
            delete_delay_ms: topic.file_delete_delay_ms,
        }
    }
}

/// Where an acknowledgement means that the kernel has the bytes.
fn ack_of_page_cache(topic: &TopicConfig) -> Ack {
    let limits = FlushLimits { messages: topic.flush_messages, ms: topic.flush_ms };
    if limits == (FlushLimits { messages: i64::MAX, ms: i64::MAX }) {
        Ack::PageCache
    } else {
        Ack::Flushed(limits)
    }
}

fn batch_rules(topic: &TopicConfig) -> BatchRules {
    BatchRules {
        size_max: topic.max_message_bytes as usize,
        needs_keys: topic.compact,
        timestamps: match topic.timestamp_type {
            TimestampType::LogAppendTime => TimestampRule::Append,
            TimestampType::CreateTime => TimestampRule::Create {
                before_ms_max: topic.timestamp_before_max_ms,
                after_ms_max: topic.timestamp_after_max_ms,
            },
        },
        compression: match topic.compression {
            config::topic::Compression::Producer => None,
            config::topic::Compression::Uncompressed => Some(Compression::None),
            config::topic::Compression::Gzip(level) => Some(Compression::Gzip { level }),
            config::topic::Compression::Snappy => Some(Compression::Snappy),
            config::topic::Compression::Lz4(_) => Some(Compression::Lz4),
            config::topic::Compression::Zstd(level) => Some(Compression::Zstd { level }),
        },
    }
}

/// All topics.
#[derive(Debug, Clone, Default)]
pub struct Image {
    by_name: BTreeMap<Text, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Image {
    /// The topic with this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic with this id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics, sorted by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Topics with this name or behind it, sorted by name.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.range::<str, _>((Bound::Included(name), Bound::Unbounded)).map(|(_, topic)| topic)
    }

    pub(crate) fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    pub(crate) fn remove(&mut self, topic: &Topic) {
        self.by_id.remove(&topic.id);
        self.by_name.remove(&topic.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    fn ack(broker: &[(&str, &str)], name: &'static str, topic: &[(&str, &str)]) -> Ack {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings: Vec<(String, String)> = broker.iter().map(owned).collect();
        let machine = Machine { host_name: "localhost".to_owned(), cores: 1 };
        let config = Config::load(None, [], &settings, &machine).unwrap().0;
        let topic = Topic {
            name: Text::from_static(name),
            id: Uuid([9; 16]),
            dirs: vec![0],
            overrides: TopicOverrides::accepted(topic.iter().map(owned).collect()),
        };
        topic.to_open(&config).next().unwrap().config.ack
    }

    #[test]
    fn logs_are_flushed_as_their_topic_says_where_acknowledgements_mean_the_page_cache() {
        let page_cache = ("logmill.ack", "page-cache");
        let flushed = |messages, ms| Ack::Flushed(FlushLimits { messages, ms });
        assert_eq!(ack(&[page_cache], "t", &[]), Ack::PageCache);
        assert_eq!(ack(&[page_cache], "t", &[("flush.messages", "5")]), flushed(5, i64::MAX));
        assert_eq!(ack(&[page_cache], "t", &[("flush.ms", "7")]), flushed(i64::MAX, 7));
        let of_broker = [page_cache, ("log.flush.interval.messages", "3"), ("log.flush.interval.ms", "9")];
        assert_eq!(ack(&of_broker, "t", &[("flush.ms", "7")]), flushed(3, 7));
        assert_eq!(ack(&of_broker, "__consumer_offsets", &[]), Ack::Durable);
        assert_eq!(ack(&[], "t", &[("flush.messages", "5")]), Ack::Durable);
    }
}
