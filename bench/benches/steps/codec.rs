//! Reading and writing the messages that a busy broker sees all the time.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::messages::{BrokerId, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use logmill_server::wire::messages::{api_versions, fetch, list_offsets, metadata, offset_commit, produce};
use logmill_server::wire::{Api, Message, Reader, encode_response, read_request_header};

use super::partition::batch;
use super::{Step, Work};

const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const METADATA: i16 = 12;
const OFFSET_COMMIT: i16 = 8;
const API_VERSIONS: i16 = 4;
const PARTITIONS: i32 = 16;

pub(super) fn steps() -> Vec<Step> {
    vec![
        Step { name: "codec/read ProduceRequest of 16 batches", make: produce_request },
        Step { name: "codec/write ProduceResponse of 16 partitions", make: produce_response },
        Step { name: "codec/read FetchRequest of 16 partitions", make: fetch_request },
        Step { name: "codec/write FetchResponse of 16 partitions", make: fetch_response },
        Step { name: "codec/read ListOffsetsRequest of 16 partitions", make: list_offsets_request },
        Step { name: "codec/write MetadataResponse of 16 partitions", make: metadata_response },
        Step { name: "codec/read OffsetCommitRequest of 16 partitions", make: offset_commit_request },
        Step { name: "codec/write ApiVersionsResponse", make: api_versions_response },
    ]
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("a-topic-of-some-length"))
}

/// Reads the header and the body of a request that another codec wrote.
fn reads<M: Message>(api: Api, version: i16, body: &impl Encodable) -> Work {
    let row = api.row();
    let header = RequestHeader::default()
        .with_request_api_key(row.key())
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(StrBytes::from_static_str("client")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, row.request_header_version(version)).expect("a header that can be written");
    body.encode(&mut frame, version).expect("a request that can be written");
    let frame = frame.freeze();
    Box::new(move || {
        let mut reader = Reader::new(&frame);
        let (found, _) = read_request_header(&mut reader).expect("the header is whole");
        assert!(found == api, "the frame is of this API");
        black_box(M::read_message(&mut reader, version).expect("the request is whole"));
    })
}

/// Writes a response that another codec made.
fn writes<M: Message + 'static>(api: Api, version: i16, body: &impl Encodable) -> Work {
    let mut bytes = BytesMut::new();
    body.encode(&mut bytes, version).expect("a response that can be written");
    let frame: Bytes = bytes.freeze();
    let response = M::read_message(&mut Reader::new(&frame), version).expect("it can be read");
    let mut buffer = Vec::new();
    Box::new(move || {
        buffer.clear();
        black_box(encode_response(&mut buffer, api, version, 7, &response).expect("it is small"));
    })
}

fn produce_request() -> Work {
    use theirs::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    let records = batch(16 << 10);
    let partition =
        |index| PartitionProduceData::default().with_index(index).with_records(Some(records.clone()));
    let of_topic = TopicProduceData::default()
        .with_name(topic())
        .with_partition_data((0..PARTITIONS).map(partition).collect());
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![of_topic]);
    reads::<produce::ProduceRequest>(Api::Produce, PRODUCE, &request)
}

fn produce_response() -> Work {
    use theirs::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
    let partition = |index| PartitionProduceResponse::default().with_index(index).with_base_offset(1 << 40);
    let of_topic = TopicProduceResponse::default()
        .with_name(topic())
        .with_partition_responses((0..PARTITIONS).map(partition).collect());
    let response = ProduceResponse::default().with_responses(vec![of_topic]);
    writes::<produce::ProduceResponse>(Api::Produce, PRODUCE, &response)
}

fn fetch_request() -> Work {
    use theirs::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
    let partition = |index| {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(1 << 40)
            .with_partition_max_bytes(1 << 20)
    };
    let of_topic =
        FetchTopic::default().with_topic(topic()).with_partitions((0..PARTITIONS).map(partition).collect());
    let request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_topics(vec![of_topic]);
    reads::<fetch::FetchRequest>(Api::Fetch, FETCH, &request)
}

fn fetch_response() -> Work {
    use theirs::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
    let partition = |index| {
        PartitionData::default().with_partition_index(index).with_high_watermark(1 << 40).with_records(None)
    };
    let of_topic = FetchableTopicResponse::default()
        .with_topic(topic())
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let response = FetchResponse::default().with_responses(vec![of_topic]);
    writes::<fetch::FetchResponse>(Api::Fetch, FETCH, &response)
}

fn list_offsets_request() -> Work {
    use theirs::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
    let partition = |index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1);
    let of_topic = ListOffsetsTopic::default()
        .with_name(topic())
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let request = ListOffsetsRequest::default().with_topics(vec![of_topic]);
    reads::<list_offsets::ListOffsetsRequest>(Api::ListOffsets, LIST_OFFSETS, &request)
}

fn metadata_response() -> Work {
    use theirs::metadata_response::{
        MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };
    let node = BrokerId(1);
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    };
    let of_topic = MetadataResponseTopic::default()
        .with_name(Some(topic()))
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let broker = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(StrBytes::from_static_str("localhost"));
    let response = MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![of_topic]);
    writes::<metadata::MetadataResponse>(Api::Metadata, METADATA, &response)
}

fn offset_commit_request() -> Work {
    use theirs::offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    let partition = |index| {
        OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(1 << 40)
    };
    let of_topic = OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let request = OffsetCommitRequest::default().with_topics(vec![of_topic]);
    reads::<offset_commit::OffsetCommitRequest>(Api::OffsetCommit, OFFSET_COMMIT, &request)
}

fn api_versions_response() -> Work {
    use theirs::api_versions_response::{ApiVersion, ApiVersionsResponse};
    let row = |key| ApiVersion::default().with_api_key(key).with_max_version(10);
    let response = ApiVersionsResponse::default().with_api_keys((0..60).map(row).collect());
    writes::<api_versions::ApiVersionsResponse>(Api::ApiVersions, API_VERSIONS, &response)
}
