//! What a client asks for before it sends or fetches anything: versions, topics, offsets, a producer id.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, InitProducerIdRequest, InitProducerIdResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, ProducerId, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::super::frame::refused;
use super::topics::{Topic, Topics};

/// Which versions are served; of those that are read by hand, all that the hand knows.
const VERSIONS: [(ApiKey, i16, i16); 8] = [
    (ApiKey::Produce, 9, 13),
    (ApiKey::Fetch, 12, 17),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 5),
];
const NODE: BrokerId = BrokerId(1);
const LATEST: i64 = -1;
const UNKNOWN_TOPIC: i16 = 3;

/// The response to a request, with its header, without its length.
pub(super) fn answer(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: Bytes,
    topics: &mut Topics,
    address: SocketAddr,
) -> io::Result<Vec<u8>> {
    let mut body = body;
    let body = &mut body;
    let mut out = Vec::new();
    let served = VERSIONS.iter().find(|row| row.0 == api);
    if served.is_none_or(|row| !(row.1..=row.2).contains(&version)) {
        return Err(refused(format!("{api:?} of version {version}")));
    }
    match api {
        ApiKey::ApiVersions => {
            read::<ApiVersionsRequest>(body, version)?;
            write(&mut out, version, correlation_id, &api_versions())?;
        }
        ApiKey::Metadata => {
            let request = read::<MetadataRequest>(body, version)?;
            write(&mut out, version, correlation_id, &metadata(&request, topics, address))?;
        }
        ApiKey::CreateTopics => {
            let request = read::<CreateTopicsRequest>(body, version)?;
            write(&mut out, version, correlation_id, &create(&request, topics)?)?;
        }
        ApiKey::DeleteTopics => {
            // It all goes with the floor.
            let request = read::<DeleteTopicsRequest>(body, version)?;
            let names = request.topic_names.iter().cloned().map(Some);
            let names = names.chain(request.topics.iter().map(|topic| topic.name.clone()));
            let gone = names.map(|name| DeletableTopicResult::default().with_name(name)).collect();
            write(&mut out, version, correlation_id, &DeleteTopicsResponse::default().with_responses(gone))?;
        }
        ApiKey::InitProducerId => {
            read::<InitProducerIdRequest>(body, version)?;
            let response =
                InitProducerIdResponse::default().with_producer_id(ProducerId(1)).with_producer_epoch(0);
            write(&mut out, version, correlation_id, &response)?;
        }
        ApiKey::ListOffsets => {
            let request = read::<ListOffsetsRequest>(body, version)?;
            write(&mut out, version, correlation_id, &list_offsets(&request, topics))?;
        }
        _ => return Err(refused(format!("{api:?}"))),
    }
    Ok(out)
}

fn read<R: Decodable>(body: &mut Bytes, version: i16) -> io::Result<R> {
    R::decode(body, version).map_err(|error| refused(error.to_string()))
}

fn write<R: Encodable + HeaderVersion>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> io::Result<()> {
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(out, R::header_version(version)).map_err(|error| refused(error.to_string()))?;
    response.encode(out, version).map_err(|error| refused(error.to_string()))
}

fn api_versions() -> ApiVersionsResponse {
    let row = |(api, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*api as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(VERSIONS.iter().map(row).collect())
}

fn metadata(request: &MetadataRequest, topics: &Topics, address: SocketAddr) -> MetadataResponse {
    let asked: Vec<(u32, Option<TopicName>)> = match &request.topics {
        None => (0..topics.all().len() as u32).map(|topic| (topic, None)).collect(),
        Some(asked) => asked
            .iter()
            .map(|topic| match &topic.name {
                Some(name) => (topics.by_name(name.0.as_bytes()), Some(name.clone())),
                None => (topics.by_id(topic.topic_id.as_bytes()), None),
            })
            .map(|(topic, name)| (topic.unwrap_or(u32::MAX), name))
            .collect(),
    };
    let told = asked.into_iter().map(|(number, name)| match topics.all().get(number as usize) {
        Some(topic) => describe(number, topic),
        None => MetadataResponseTopic::default().with_error_code(UNKNOWN_TOPIC).with_name(name),
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(StrBytes::from_string(address.ip().to_string()))
        .with_port(i32::from(address.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(NODE)
        .with_topics(told.collect())
}

fn describe(number: u32, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index: u32| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    let name = StrBytes::from_string(String::from_utf8_lossy(&topic.name).into_owned());
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(name)))
        .with_topic_id(Topics::id_text(number).parse().expect("an id is 32 digits"))
        .with_partitions((0..topic.partitions).map(partition).collect())
}

fn create(request: &CreateTopicsRequest, topics: &mut Topics) -> io::Result<CreateTopicsResponse> {
    let made = request.topics.iter().map(|topic| {
        let partitions = topic.num_partitions.max(1);
        let number = topics.create(topic.name.0.as_bytes(), partitions as u32)?;
        Ok(CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_topic_id(Topics::id_text(number).parse().expect("an id is 32 digits"))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_topic_config_error_code(0))
    });
    Ok(CreateTopicsResponse::default().with_topics(made.collect::<io::Result<_>>()?))
}

fn list_offsets(request: &ListOffsetsRequest, topics: &Topics) -> ListOffsetsResponse {
    let told = request.topics.iter().map(|asked| {
        let topic = topics.by_name(asked.name.0.as_bytes());
        let partitions = asked.partitions.iter().map(|partition| {
            let file = topic.and_then(|topic| topics.file(topic, partition.partition_index));
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1);
            match file {
                None => answer.with_error_code(UNKNOWN_TOPIC),
                Some(file) if partition.timestamp == LATEST => {
                    answer.with_offset(topics.readable(file).offset)
                }
                Some(_) => answer.with_offset(0),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(told.collect())
}
