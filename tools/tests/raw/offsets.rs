//! Offsets: those at special times, where epochs end, what remains when records are deleted; and who wrote them.

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, DeleteRecordsRequest, DescribeProducersRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};
use logmill_engine::format::BatchBuilder;

use super::{Client, batch, name_of, topic_name};

const TOPIC: &str = "offsets";
const COMPACTED: &str = "only-compacted";
const PRODUCE: i16 = 11;
/// The last version that kafka-protocol knows.
const LIST_OFFSETS: i16 = 10;
/// The first version, the last before the largest time, before the first local one, before the last tiered one.
const OLDER_LIST_OFFSETS: [i16; 4] = [1, 6, 7, 8];
const EPOCHS: i16 = 4;
const HIGH_WATERMARK: i64 = -1;
/// Asks for the record with the largest timestamp.
const LARGEST: i64 = -3;

/// Fills a topic, and says what is answered about it before and after records are deleted.
pub(crate) fn answers(client: &mut Client) -> Vec<String> {
    client.create(TOPIC, &[]);
    client.create(COMPACTED, &[("cleanup.policy", "compact")]);
    let mut said = about(client, "empty");
    for (id, sequence, timestamp) in [(9, 0, 3_000), (4, 0, 5_000), (9, 3, 1_000), (9, 6, 4_000)] {
        produce(client, id, sequence, timestamp);
    }
    said.extend(about(client, "full"));
    // Not when records are deleted: Apache Kafka tells of them still.
    for version in [LIST_OFFSETS].into_iter().chain(OLDER_LIST_OFFSETS) {
        said.push(offset_at(client, version, LARGEST, "full"));
    }
    said.extend(deletions(client));
    said
}

fn produce(client: &mut Client, id: i64, sequence: i32, timestamp: i64) {
    let records = batch(BatchBuilder::new().producer(id, 0, sequence), &[None, None, None], timestamp);
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name(TOPIC)).with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let response = client.ask(PRODUCE, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

fn about(client: &mut Client, when: &str) -> Vec<String> {
    let mut said = Vec::new();
    for timestamp in [-1, -2, -4, -5, -6, -7, 0, 1_000, 3_500, 5_000, 5_001] {
        said.push(offset_at(client, LIST_OFFSETS, timestamp, when));
    }
    for version in OLDER_LIST_OFFSETS {
        for timestamp in [-1, -2, -4, -5] {
            said.push(offset_at(client, version, timestamp, when));
        }
    }
    for epoch in [-1, 0, 1] {
        said.push(end_of(client, epoch, -1, when));
    }
    said.extend([end_of(client, 0, 0, when), end_of(client, 0, 7, when), producers(client, TOPIC, when)]);
    said
}

fn offset_at(client: &mut Client, version: i16, timestamp: i64, when: &str) -> String {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(topic_name(TOPIC)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let found = client.ask(version, &request).topics.remove(0).partitions.remove(0);
    format!(
        "{when}, ListOffsets v{version} at {timestamp}: {}, offset {}, time {}, epoch {}",
        name_of(found.error_code),
        found.offset,
        found.timestamp,
        found.leader_epoch
    )
}

fn end_of(client: &mut Client, epoch: i32, current: i32, when: &str) -> String {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(current)
        .with_leader_epoch(epoch);
    let topic =
        OffsetForLeaderTopic::default().with_topic(topic_name(TOPIC)).with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    let found = client.ask(EPOCHS, &request).topics.remove(0).partitions.remove(0);
    format!(
        "{when}, end of epoch {epoch}, knowing {current}: {}, offset {}, epoch {}",
        name_of(found.error_code),
        found.end_offset,
        found.leader_epoch
    )
}

/// Their order is nobody's promise.
fn producers(client: &mut Client, topic: &'static str, when: &str) -> String {
    let asked = TopicRequest::default().with_name(topic_name(topic)).with_partition_indexes(vec![0, 7]);
    let mut answered = client.ask(0, &DescribeProducersRequest::default().with_topics(vec![asked]));
    let mut partitions = answered.topics.remove(0).partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    let said = partitions.into_iter().map(|mut partition| {
        partition.active_producers.sort_by_key(|producer| producer.producer_id);
        let known: Vec<String> = partition
            .active_producers
            .iter()
            .map(|producer| {
                format!(
                    "{} epoch {} sequence {} time {} coordinator {} transaction {}",
                    *producer.producer_id,
                    producer.producer_epoch,
                    producer.last_sequence,
                    producer.last_timestamp,
                    producer.coordinator_epoch,
                    producer.current_txn_start_offset
                )
            })
            .collect();
        format!("{} {:?} {known:?}", name_of(partition.error_code), partition.error_message)
    });
    format!("{when}, producers of {topic}: {}", said.collect::<Vec<_>>().join("; "))
}

fn deletions(client: &mut Client) -> Vec<String> {
    let mut said = Vec::new();
    for (version, offset) in [(0, 4), (1, 2), (2, 0), (2, -2), (2, 13), (2, i64::MAX)] {
        said.push(delete(client, version, TOPIC, 0, offset));
    }
    said.extend(about(client, "begun at 4"));
    said.push(delete(client, 2, TOPIC, 0, HIGH_WATERMARK));
    said.extend(about(client, "deleted"));
    for (topic, partition) in [("unknown", 0), (TOPIC, 1), ("__consumer_offsets", 0), (COMPACTED, 0)] {
        said.push(delete(client, 2, topic, partition, 0));
    }
    said.push(producers(client, "unknown", "at last"));
    said.push(producers(client, "not a name", "at last"));
    said
}

fn delete(client: &mut Client, version: i16, topic: &'static str, partition: i32, offset: i64) -> String {
    let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let named = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
    let request = DeleteRecordsRequest::default().with_topics(vec![named]).with_timeout_ms(30_000);
    let deleted = client.ask(version, &request).topics.remove(0).partitions.remove(0);
    format!(
        "delete v{version} {topic}-{partition} before {offset}: {}, begins at {}",
        name_of(deleted.error_code),
        deleted.low_watermark
    )
}
