//! Requests as a client writes them, responses as it reads them.

use bytes::Bytes;

use super::batch::batch;
use crate::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::messages::header::{RequestHeader, ResponseHeader};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::writer::Writer;
use crate::wire::{Api, Message, Reader, Records, Text};

/// Versions in which these tests speak: the last ones that name topics.
pub(super) const PRODUCE: i16 = 12;
pub(super) const FETCH: i16 = 12;
pub(super) const CREATE_TOPICS: i16 = 7;
pub(super) const INIT_PRODUCER_ID: i16 = 4;

/// A whole frame.
pub(super) fn encode<M: Message>(api: Api, version: i16, correlation_id: i32, body: &M) -> Vec<u8> {
    let mut frame = vec![0; 4];
    let mut writer = Writer::new(&mut frame);
    let header = RequestHeader {
        request_api_key: api as i16,
        request_api_version: version,
        correlation_id,
        client_id: Some(Text::from_static("test")),
    };
    header.write_message(&mut writer, api.row().request_header_version(version));
    body.write_message(&mut writer, version);
    let len = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}

/// A response without its length in front: its correlation id and its body.
pub(super) fn decode<M: Message>(api: Api, version: i16, frame: &Bytes) -> (i32, M) {
    let mut reader = Reader::new(frame);
    let header =
        ResponseHeader::read_message(&mut reader, api.row().response_header_version(version)).unwrap();
    let body = M::read_message(&mut reader, version).unwrap();
    assert_eq!(reader.remaining(), 0, "{} version {version} has bytes behind it", api.row().name);
    (header.correlation_id, body)
}

pub(super) fn create_topic(name: &str, partitions: i32) -> CreateTopicsRequest {
    let topic = CreatableTopic {
        name: Text::from(name),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() }
}

/// One batch to each of these partitions.
pub(super) fn produce(topic: &str, payloads: &[(i32, &[u8])]) -> ProduceRequest {
    produce_batches(topic, payloads.iter().map(|(index, payload)| (*index, batch(payload, None))))
}

/// These batches, each to its partition.
pub(super) fn produce_batches(
    topic: &str,
    batches: impl IntoIterator<Item = (i32, Bytes)>,
) -> ProduceRequest {
    let partition = |(index, batch)| PartitionProduceData { index, records: Records::Bytes(batch) };
    let topic = TopicProduceData {
        name: Text::from(topic),
        partition_data: batches.into_iter().map(partition).collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic].into(),
        ..ProduceRequest::default()
    }
}

/// These partitions from these offsets on.
pub(super) fn fetch(
    topic: &str,
    partitions: &[(i32, i64)],
    min_bytes: i32,
    max_wait_ms: i32,
) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: Text::from(topic),
        partitions: partitions.iter().map(partition).collect(),
        ..FetchTopic::default()
    };
    FetchRequest { max_wait_ms, min_bytes, topics: vec![topic], ..FetchRequest::default() }
}
