//! `GroupOffsets`: what one group has committed, by topic and partition.

use std::collections::BTreeMap;

use super::coordinator::{FetchedTopic, QueryTopic};
use super::records::{OffsetCommitKey, OffsetCommitValue};
use crate::wire::Text;

/// What one group has committed, by topic and partition.
#[derive(Debug, Default)]
pub(super) struct GroupOffsets(BTreeMap<Text, BTreeMap<i32, OffsetCommitValue>>);

impl GroupOffsets {
    pub(super) fn insert(&mut self, key: &OffsetCommitKey, value: OffsetCommitValue) {
        match self.0.get_mut(&*key.topic) {
            Some(partitions) => partitions.insert(key.partition, value),
            None => self.0.entry(key.topic.detached()).or_default().insert(key.partition, value),
        };
    }

    pub(super) fn remove(&mut self, key: &OffsetCommitKey) {
        if let Some(partitions) = self.0.get_mut(&*key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                self.0.remove(&*key.topic);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&OffsetCommitValue> {
        self.0.get(topic)?.get(&partition)
    }

    /// Everything, by topic and partition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text, i32, &OffsetCommitValue)> {
        self.0.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value))
        })
    }

    pub(super) fn all(&self) -> Vec<FetchedTopic> {
        let fetched = |(name, partitions): (&Text, &BTreeMap<i32, OffsetCommitValue>)| FetchedTopic {
            name: name.clone(),
            partitions: partitions.iter().map(|(index, value)| (*index, Some(value.clone()))).collect(),
        };
        self.0.iter().map(fetched).collect()
    }

    pub(super) fn some(group: Option<&GroupOffsets>, (name, id, partitions): &QueryTopic) -> FetchedTopic {
        let committed = group.and_then(|group| group.0.get(&**name));
        let value = |index: &i32| committed?.get(index).filter(|value| value.is_of(*id)).cloned();
        let partitions = partitions.iter().map(|index| (*index, value(index))).collect();
        FetchedTopic { name: name.clone(), partitions }
    }
}
