//! `PartitionId`: which partition of which topic, and `PartitionMap`: what is found by it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Uuid;

/// Which partition of which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic's id. A topic that is made again with an old name has another one.
    pub topic: Uuid,
    /// The partition's number, from 0.
    pub index: i32,
}

/// By partition, for what is looked up with every append. Its order means nothing.
pub type PartitionMap<V> = HashMap<PartitionId, V, BuildHasherDefault<PartitionHasher>>;

/// Mixes a partition's id with a multiplication for each word. Topic ids are drawn at random by brokers, so
/// that no client chooses partitions which collide.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartitionHasher(u64);

/// Odd, with bits in every part of the word.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl PartitionHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for PartitionHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.mix(u64::from(number.cast_unsigned()));
    }

    /// The length of an id, which is always the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        // A product's high bits depend on all bits of its factors; maps choose by the low ones too.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn partitions_of_a_topic_and_topics_of_a_broker_spread_over_buckets_and_tags() {
        let hasher = BuildHasherDefault::<PartitionHasher>::default();
        let hash = |topic: u8, index| {
            let mut id = [0; 16];
            id[15 - usize::from(topic) % 16] = topic;
            hasher.hash_one(PartitionId { topic: Uuid(id), index })
        };
        let of_topic: Vec<u64> = (0..1_024).map(|index| hash(1, index)).collect();
        let of_broker: Vec<u64> = (0..=255).map(|topic| hash(topic, 0)).collect();
        for hashes in [of_topic, of_broker] {
            let low: HashSet<u64> = hashes.iter().map(|hash| hash % hashes.len() as u64).collect();
            assert!(low.len() > hashes.len() / 2, "{} buckets of {}", low.len(), hashes.len());
            let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(tags.len() > 64, "{} tags", tags.len());
        }
    }
}
