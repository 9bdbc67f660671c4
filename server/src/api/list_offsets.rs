//! ListOffsets: how far partitions reach, and what offset stands at a time.

use logmill_engine::partition::TimeQuery;

use super::errors::{code_of, code_of_epoch};
use super::isolation::isolation_of;
use super::shares::{Asked, Place, Shares};
use super::{Answer, Call, Reply};
use crate::net::conn::Ended;
use crate::shard::{Command, FindOffsets, FoundOffset, OffsetAnswer, OffsetQuery};
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::wire::{ErrorCode, Text};

/// Timestamps that ask for something else than a time.
mod special {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const LATEST_TIERED: i64 = -5;
    pub(super) const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

/// The first version in which a special timestamp may be asked for.
fn first_version(timestamp: i64) -> Option<i16> {
    match timestamp {
        special::MAX_TIMESTAMP => Some(7),
        special::EARLIEST_LOCAL => Some(8),
        special::LATEST_TIERED => Some(9),
        special::EARLIEST_PENDING_UPLOAD => Some(11),
        special::LATEST | special::EARLIEST | 0.. => Some(0),
        _ => None,
    }
}

/// What a timestamp asks a partition. `None`: something that only tiered storage has.
fn query_of(timestamp: i64) -> Option<OffsetQuery> {
    match timestamp {
        special::LATEST => Some(OffsetQuery::End),
        special::EARLIEST | special::EARLIEST_LOCAL => Some(OffsetQuery::Start),
        special::MAX_TIMESTAMP => Some(OffsetQuery::Time(TimeQuery::Max)),
        special::LATEST_TIERED | special::EARLIEST_PENDING_UPLOAD => None,
        timestamp => Some(OffsetQuery::Time(TimeQuery::From(timestamp))),
    }
}

/// Where a partition's answer comes from.
enum Source {
    /// Nothing is stored elsewhere: there is no such offset.
    NoTier,
    Place(Place),
}

struct TopicPlaces {
    name: Text,
    partitions: Vec<(i32, Source)>,
}

pub(crate) fn handle(request: ListOffsetsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: ListOffsetsRequest, call: Call) -> Answer {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = image.by_name(&topic.name);
        let place = |partition: ListOffsetsPartition| {
            let ListOffsetsPartition { partition_index, current_leader_epoch, timestamp } = partition;
            let refused = |code| Source::Place(Place::Refused(code));
            let source = match found.and_then(|topic| topic.partition(partition_index)) {
                None => refused(ErrorCode::UnknownTopicOrPartition),
                Some(_) if first_version(timestamp).is_none_or(|first| call.version < first) => {
                    refused(ErrorCode::UnsupportedVersion)
                }
                Some(_) if let Some(code) = code_of_epoch(current_leader_epoch) => refused(code),
                Some(id) => match query_of(timestamp) {
                    None => Source::NoTier,
                    Some(query) => Source::Place(shares.add(&call.shard, id, (id, query))),
                },
            };
            (partition_index, source)
        };
        let partitions = topic.partitions.into_iter().map(place).collect();
        topics.push(TopicPlaces { name: topic.name, partitions });
    }
    let isolation = isolation_of(request.isolation_level);
    let find = |partitions, reply| Command::FindOffsets(FindOffsets { isolation, partitions, reply });
    let asked = shares.ask(&call.shard, find).await;
    call.answer(&respond(asked, topics).await)
}

async fn respond(asked: Asked<OffsetAnswer>, topics: Vec<TopicPlaces>) -> ListOffsetsResponse {
    let mut answers = asked.answers().await;
    let topics = topics.into_iter().map(|TopicPlaces { name, partitions }| {
        let partitions = partitions.into_iter().map(|(index, source)| match source {
            Source::NoTier => nothing(index),
            Source::Place(place) => match answers.take(place) {
                Ok(Ok(Some(found))) => at(index, found),
                Ok(Ok(None)) => nothing(index),
                Ok(Err(error)) => failed(index, code_of(&error)),
                Err(code) => failed(index, code),
            },
        });
        ListOffsetsTopicResponse { name, partitions: partitions.collect() }
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

fn at(partition_index: i32, found: FoundOffset) -> ListOffsetsPartitionResponse {
    let FoundOffset { offset, timestamp, epoch: leader_epoch } = found;
    ListOffsetsPartitionResponse { partition_index, error_code: 0, timestamp, offset, leader_epoch }
}

/// No record stands there.
fn nothing(partition_index: i32) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() }
}

fn failed(partition_index: i32, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index, error_code: code as i16, ..Default::default() }
}
