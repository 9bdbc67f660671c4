//! OffsetFetch: what groups have committed, from their coordinators.

use std::collections::HashSet;

use logmill_engine::format::Uuid;
use logmill_engine::partition::PartitionId;

use super::shares::{Answers, Place, Shares};
use super::{Call, Reply};
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::records::OffsetCommitValue;
use crate::group::{FetchedTopic, Query, partition_of};
use crate::metadata::Image;
use crate::net::conn::Ended;
use crate::shard::{Command, FetchOffsets, FetchedOffsets};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{ErrorCode, Text};

/// From this version on a request has many groups.
const BATCHED_FROM: i16 = 8;
/// From this version on topics are named by id.
const TOPIC_ID_FROM: i16 = 10;
/// From this version on there is an error of the whole group.
const GROUP_ERROR_FROM: i16 = 2;

/// A group of the request: where its answer will be, and what was asked for.
struct GroupPlace {
    group_id: Text,
    place: Place,
    /// `None`: everything.
    topics: Option<Vec<TopicPlace>>,
}

/// A topic of the request. Those that exist stand in the query, in the same order; the others have nothing
/// committed, and a code.
struct TopicPlace {
    name: Text,
    topic_id: Uuid,
    partitions: Vec<i32>,
    id: Result<Uuid, ErrorCode>,
}

/// Asks in order, behind the connection's own commits; the answer comes later. Members and their epochs are
/// of groups with members, others are answered as they ask.
pub(crate) async fn handle(request: OffsetFetchRequest, call: Call) -> Result<Reply, Ended> {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let groups: Vec<GroupPlace> = groups_of(request, call.version)
        .into_iter()
        .map(|group| place_group(group, &image, &call, &mut shares))
        .collect();
    let fetch = |queries, reply| Command::FetchOffsets(FetchOffsets { queries, reply });
    let asked = shares.ask(&call.shard, fetch).await;
    let answer = async move {
        let mut answers = asked.answers().await;
        let mut responses = Vec::with_capacity(groups.len());
        for group in groups {
            responses.push(answer_group(group, &mut answers, &image, call.version).await);
        }
        call.answer(&respond(responses, call.version))
    };
    Ok(Reply::Later(Box::pin(answer)))
}

/// The groups of a request, each once, those of older versions in the newer form.
fn groups_of(request: OffsetFetchRequest, version: i16) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCHED_FROM {
        // A few bytes can name a group, and be answered with all that it has committed.
        let mut seen = HashSet::new();
        let mut groups = request.groups;
        groups.retain(|group| seen.insert(group.group_id.clone()));
        return groups;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect()
    });
    vec![OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() }]
}

fn place_group(
    group: OffsetFetchRequestGroup,
    image: &Image,
    call: &Call,
    shares: &mut Shares<(PartitionId, Query)>,
) -> GroupPlace {
    let OffsetFetchRequestGroup { group_id, topics, .. } = group;
    let topics: Option<Vec<TopicPlace>> =
        topics.map(|topics| topics.into_iter().map(|topic| place_topic(topic, image, call)).collect());
    let place = match image.by_name(CONSUMER_OFFSETS) {
        None => Place::Refused(ErrorCode::NotCoordinator),
        Some(coordinators) => {
            let coordinator = partition_of(&group_id, coordinators);
            let known = |topics: &Vec<TopicPlace>| {
                let known = |topic: &TopicPlace| {
                    topic.id.ok().map(|id| (topic.name.clone(), id, topic.partitions.clone()))
                };
                topics.iter().filter_map(known).collect()
            };
            let query = Query { group: group_id.clone(), topics: topics.as_ref().map(known) };
            shares.add(&call.shard, coordinator, (coordinator, query))
        }
    };
    GroupPlace { group_id, place, topics }
}

fn place_topic(topic: OffsetFetchRequestTopics, image: &Image, call: &Call) -> TopicPlace {
    let OffsetFetchRequestTopics { name, topic_id, partition_indexes: partitions } = topic;
    if call.version < TOPIC_ID_FROM {
        let id = image.by_name(&name).map(|found| found.id).ok_or(ErrorCode::None);
        return TopicPlace { name, topic_id, partitions, id };
    }
    match image.by_id(topic_id) {
        Some(found) => TopicPlace { name: found.name.clone(), topic_id, partitions, id: Ok(topic_id) },
        None => TopicPlace { name, topic_id, partitions, id: Err(ErrorCode::UnknownTopicId) },
    }
}

async fn answer_group(
    group: GroupPlace,
    answers: &mut Answers<FetchedOffsets>,
    image: &Image,
    version: i16,
) -> OffsetFetchResponseGroup {
    let GroupPlace { group_id, place, topics } = group;
    let fetched = match answers.take(place) {
        Ok(Ok(held)) => held.release().await,
        Ok(Err(code)) | Err(code) => Err(code),
    };
    match (fetched, topics) {
        (Err(code), Some(topics)) if version < GROUP_ERROR_FROM => {
            let topics = topics.into_iter().map(|topic| failed_topic(topic, code)).collect();
            OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
        }
        (Err(code), _) => OffsetFetchResponseGroup {
            group_id,
            error_code: code.code(),
            ..OffsetFetchResponseGroup::default()
        },
        (Ok(fetched), Some(mut topics)) => {
            // As in Apache Kafka, topics that do not exist come last.
            topics.sort_by_key(|topic| topic.id == Err(ErrorCode::UnknownTopicId));
            let mut fetched = fetched.into_iter();
            let topics = topics.into_iter().map(|topic| match topic.id {
                Err(code) => failed_topic(topic, code),
                Ok(_) => {
                    let found = fetched.next().expect("a topic of the query has an answer");
                    topic_response(found, topic.topic_id)
                }
            });
            OffsetFetchResponseGroup { group_id, topics: topics.collect(), error_code: 0 }
        }
        (Ok(fetched), None) => {
            // Offsets of a topic that was deleted are still in the log, and mean nothing.
            let topics = fetched.into_iter().filter_map(|mut topic| {
                let id = image.by_name(&topic.name)?.id;
                topic.partitions.retain(|(_, value)| value.as_ref().is_some_and(|value| value.is_of(id)));
                (!topic.partitions.is_empty()).then(|| topic_response(topic, id))
            });
            OffsetFetchResponseGroup { group_id, topics: topics.collect(), error_code: 0 }
        }
    }
}

fn topic_response(fetched: FetchedTopic, topic_id: Uuid) -> OffsetFetchResponseTopics {
    let partitions = fetched.partitions.into_iter();
    let partitions =
        partitions.map(|(index, committed)| partition_response(index, committed, ErrorCode::None));
    OffsetFetchResponseTopics { name: fetched.name, topic_id, partitions: partitions.collect() }
}

fn failed_topic(topic: TopicPlace, code: ErrorCode) -> OffsetFetchResponseTopics {
    let TopicPlace { name, topic_id, partitions, .. } = topic;
    let partitions = partitions.into_iter().map(|index| partition_response(index, None, code));
    OffsetFetchResponseTopics { name, topic_id, partitions: partitions.collect() }
}

/// Without a committed offset the answer is -1: a consumer that was told 0 would read everything again.
fn partition_response(
    partition_index: i32,
    committed: Option<OffsetCommitValue>,
    code: ErrorCode,
) -> OffsetFetchResponsePartitions {
    let none = || OffsetCommitValue { offset: -1, ..OffsetCommitValue::default() };
    let OffsetCommitValue { offset, leader_epoch, metadata, .. } = committed.unwrap_or_else(none);
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: offset,
        committed_leader_epoch: leader_epoch,
        metadata: Some(metadata),
        error_code: code.code(),
    }
}

/// The response of a version: older ones have room for the one group that they can ask for.
fn respond(mut groups: Vec<OffsetFetchResponseGroup>, version: i16) -> OffsetFetchResponse {
    if version >= BATCHED_FROM {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let group = groups.pop().expect("a request of an older version has one group");
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}
