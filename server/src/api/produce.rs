//! Produce: batches to the shards that own their partitions; acknowledged when their waves are released.

use bytes::Bytes;
use logmill_engine::partition::{Appended, PartitionId};
use logmill_engine::{Error, RecordError, Refusal};

use super::errors::code_of;
use super::shares::{Answers, Asked, Place, Shares};
use super::{Answer, Call, Reply};
use crate::config::topic_name;
use crate::metadata::Image;
use crate::net::conn::Ended;
use crate::shard::{Append, AppendResult, Command};
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use crate::wire::{ErrorCode, Few, Records, Text};

/// Acknowledgements that exist: none, the leader's, all in-sync replicas'.
const ACKS: [i16; 3] = [0, 1, -1];
/// From this version on topics are named by id.
const TOPIC_ID_FROM: i16 = 13;

/// From this version on batches may be compressed by zstd.
const ZSTD_FROM: i16 = 7;

/// A topic of the request, and where the answers for its partitions will be.
struct TopicPlaces {
    name: Text,
    topic_id: logmill_engine::format::Uuid,
    partitions: Few<(i32, Place)>,
}

/// Hands the batches on in order and waits for room where a mailbox has none; the answer comes later.
pub(crate) async fn handle(request: ProduceRequest, call: Call) -> Result<Reply, Ended> {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let acks = request.acks;
    // Apache Kafka refuses the whole request, before it looks at anything else.
    let refused = (request.transactional_id.is_none() && has_transaction(&request))
        .then_some(ErrorCode::TransactionalIdAuthorizationFailed);
    let topics: Few<TopicPlaces> = request
        .topic_data
        .into_iter()
        .map(|topic| place_topic(topic, refused, acks, &image, &call, &mut shares))
        .collect();
    let append = |partitions, reply| Command::Append(Append { partitions, reply });
    let asked = shares.ask_by(&call.shard, || call.shard.append_replies().channel(), append).await;
    Ok(Reply::Later(Box::pin(answer(asked, topics, acks, call))))
}

fn place_topic(
    topic: TopicProduceData,
    refused: Option<ErrorCode>,
    acks: i16,
    image: &Image,
    call: &Call,
    shares: &mut Shares<(PartitionId, Bytes)>,
) -> TopicPlaces {
    let (found, unknown) = if call.version >= TOPIC_ID_FROM {
        (image.by_id(topic.topic_id), ErrorCode::UnknownTopicId)
    } else {
        (image.by_name(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    let mut place = |PartitionProduceData { index, records }| {
        let place = match found.map(|topic| topic.partition(index)) {
            _ if let Some(code) = refused => Place::Refused(code),
            None => Place::Refused(unknown),
            Some(None) => Place::Refused(ErrorCode::UnknownTopicOrPartition),
            Some(Some(_)) if !ACKS.contains(&acks) => Place::Refused(ErrorCode::InvalidRequiredAcks),
            // Their records are the state of coordinators, which alone append them.
            Some(Some(_)) if found.is_some_and(|topic| topic_name::is_internal(&topic.name)) => {
                Place::Refused(ErrorCode::InvalidTopicException)
            }
            Some(Some(id)) => match records {
                Records::Bytes(bytes) if call.version < ZSTD_FROM && is_zstd(&bytes) => {
                    Place::Refused(ErrorCode::UnsupportedCompressionType)
                }
                Records::Bytes(bytes) => shares.add(&call.shard, id, (id, bytes)),
                Records::Null | Records::Slices(_) => Place::Refused(ErrorCode::InvalidRecord),
            },
        };
        (index, place)
    };
    let partitions = topic.partition_data.into_iter().map(&mut place).collect();
    // A slice of the request would keep its batches in memory until they are on the device.
    let name = found.map_or_else(|| topic.name.detached(), |found| found.name.clone());
    TopicPlaces { name, topic_id: topic.topic_id, partitions }
}

/// Where the lower byte of a batch's attributes stands.
const ATTRIBUTES_LOW_AT: usize = 22;

/// Whether a batch, as far as it is one, says that it is compressed by zstd.
fn is_zstd(batch: &[u8]) -> bool {
    const CODEC_BITS: u8 = 7;
    const ZSTD: u8 = 4;
    batch.get(ATTRIBUTES_LOW_AT).is_some_and(|attributes| attributes & CODEC_BITS == ZSTD)
}

/// Whether a batch, as far as it is one, says that it belongs to a transaction.
fn has_transaction(request: &ProduceRequest) -> bool {
    const TRANSACTIONAL: u8 = 1 << 4;
    let mut partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.any(|partition| match &partition.records {
        Records::Bytes(batch) => {
            batch.get(ATTRIBUTES_LOW_AT).is_some_and(|attributes| attributes & TRANSACTIONAL != 0)
        }
        Records::Null | Records::Slices(_) => false,
    })
}

async fn answer(asked: Asked<AppendResult>, topics: Few<TopicPlaces>, acks: i16, call: Call) -> Answer {
    let mut answers = asked.answers().await;
    let topic_response = |TopicPlaces { name, topic_id, partitions }| TopicProduceResponse {
        name,
        topic_id,
        partition_responses: partitions
            .into_iter()
            .map(|(index, place)| partition_response(index, place, &mut answers))
            .collect(),
    };
    let responses: Vec<TopicProduceResponse> = topics.into_iter().map(topic_response).collect();
    if acks != 0 {
        return call.answer(&ProduceResponse { responses, ..ProduceResponse::default() });
    }
    let mut partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
    if partitions.all(|partition| partition.error_code == 0) {
        Answer::Silent
    } else {
        call.close(Ended::Unanswerable)
    }
}

fn partition_response(
    index: i32,
    place: Place,
    answers: &mut Answers<AppendResult>,
) -> PartitionProduceResponse {
    let (code, message, record_errors) = match answers.take(place) {
        Ok(Ok(Appended { base_offset, append_time_ms, start_offset, .. })) => {
            return PartitionProduceResponse {
                index,
                base_offset,
                log_append_time_ms: append_time_ms.unwrap_or(-1),
                log_start_offset: start_offset,
                ..PartitionProduceResponse::default()
            };
        }
        Ok(Err(error)) => (code_of(&error), Some(Text::from(error.to_string())), record_errors(error)),
        Err(code) => (code, None, Vec::new()),
    };
    PartitionProduceResponse {
        index,
        error_code: code as i16,
        error_message: message,
        record_errors,
        base_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

/// What is wrong with which records, where they are what an append was refused for.
fn record_errors(error: Error) -> Vec<BatchIndexAndErrorMessage> {
    let Error::Refused(Refusal::Records { errors, .. }) = error else { return Vec::new() };
    let answer = |RecordError { index, message }| BatchIndexAndErrorMessage {
        batch_index: index,
        batch_index_error_message: Some(Text::from(message)),
    };
    errors.into_iter().map(answer).collect()
}
