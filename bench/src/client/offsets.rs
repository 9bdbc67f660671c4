//! Offsets of partitions: the first one, the one behind the last, or the first one of a time.

use std::collections::BTreeMap;

use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use super::cluster::topic_name;
use super::{Client, ClientError, Cluster};

/// Asks for the first offset.
pub const EARLIEST: i64 = -2;
/// Asks for the offset behind the last.
pub const LATEST: i64 = -1;

impl Client {
    /// The offset of each of these partitions of the cluster's first topic, as [`EARLIEST`], [`LATEST`] or a time
    /// in milliseconds says; -1 where no record is as late as that. `is_committed`: open transactions end it.
    pub fn offsets(
        &mut self,
        cluster: &Cluster,
        partitions: &[i32],
        time: i64,
        is_committed: bool,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut offsets = BTreeMap::new();
        let Some(topic) = cluster.topics.first() else { return Ok(offsets) };
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        let mut by_leader = BTreeMap::<i32, Vec<ListOffsetsPartition>>::new();
        for partition in topic.partitions.iter().filter(|one| partitions.contains(&one.partition_index)) {
            let asked = ListOffsetsPartition::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(time);
            by_leader.entry(partition.leader_id.0).or_default().push(asked);
        }
        for (leader, partitions) in by_leader {
            let topic = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions);
            let response = self.ask_broker(cluster, leader, |version| {
                let request =
                    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
                // Before version 2 nobody could ask for that.
                if version >= 2 { request.with_isolation_level(i8::from(is_committed)) } else { request }
            })?;
            for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let what = || format!("asking for an offset of {name}-{}", answer.partition_index);
                ClientError::refused(what, answer.error_code, None)?;
                offsets.insert(answer.partition_index, answer.offset);
            }
        }
        Ok(offsets)
    }
}
