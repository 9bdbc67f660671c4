//! One thread's share of the broker: its engine shard, the mail between shards, and who waits for what.

mod appends;
mod apply;
mod command;
mod groups;
mod local;
mod mailbox;
mod open_shard;
#[cfg(test)]
pub(crate) mod planted;
mod reply;
mod told;
mod watches;

pub(crate) use command::{
    Append, AppendResult, Close, Command, CommitOffsets, DeleteRecords, FetchOffsets, FetchedOffsets,
    FindMarks, FindOffsets, FindProducers, FoundOffset, Held, OffsetAnswer, OffsetQuery, Open, Publish, Read,
    ReadAnswer, ReadPartition, Watch, WatchedPartition,
};
pub(crate) use local::io_error;
pub use local::{Host, LocalShard, Stopped};
pub use mailbox::{Lanes, Mailbox, connect};
pub use open_shard::ShardParts;
pub(crate) use open_shard::{OpenShard, open_all};
pub(crate) use reply::{Answer, Reply, channel};

use logmill_engine::partition::PartitionId;

/// The shard that owns a partition. Partitions of one topic follow each other, so that few spread too.
pub fn owner_of(id: PartitionId, shards: usize) -> usize {
    // A topic's id is random already: its last bytes are as good as any hash of it.
    let topic = u64::from_be_bytes(*id.topic.0.last_chunk().expect("an id has sixteen bytes"));
    ((topic % shards as u64) as usize + id.index as usize) % shards
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::Uuid;

    use super::*;

    #[test]
    fn partitions_of_a_topic_spread_evenly_and_topics_begin_anywhere() {
        for topic in [Uuid([9; 16]), Uuid([0xff; 16]), Uuid::METADATA_TOPIC] {
            let mut counts = [0; 3];
            for index in 0..9 {
                counts[owner_of(PartitionId { topic, index }, 3)] += 1;
            }
            assert_eq!(counts, [3, 3, 3], "{topic}");
        }
        let first = |byte| owner_of(PartitionId { topic: Uuid([byte; 16]), index: 0 }, 3);
        assert!((0..9).any(|byte| first(byte) != first(0)));
    }
}
