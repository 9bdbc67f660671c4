//! OffsetCommit: to the coordinator of the group; answered when the offsets are durable.

use logmill_engine::format::Uuid;
use tokio::sync::oneshot;

use super::{Call, Reply};
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{Commit, NewOffset, partition_of};
use crate::metadata::Image;
use crate::net::conn::Ended;
use crate::shard::{Command, CommitOffsets};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::{ErrorCode, Text};

/// From this version on topics are named by id.
const TOPIC_ID_FROM: i16 = 10;
/// From this version on clients know GROUP_ID_NOT_FOUND.
const GROUP_NOT_FOUND_FROM: i16 = 9;

/// A topic of the request, and of each partition an index into the offsets to commit or an error.
struct TopicPlaces {
    name: Text,
    topic_id: Uuid,
    partitions: Vec<(i32, Result<usize, ErrorCode>)>,
}

/// Hands the commit on in order and waits for room where the mailbox has none; the answer comes later.
pub(crate) async fn handle(request: OffsetCommitRequest, call: Call) -> Result<Reply, Ended> {
    let image = call.shard.image();
    let mut offsets = Vec::new();
    let topics: Vec<TopicPlaces> =
        request.topics.into_iter().map(|topic| place_topic(topic, &image, &call, &mut offsets)).collect();
    if offsets.is_empty() {
        return call.now(&respond(topics, &Ok(Vec::new())));
    }
    let Some(coordinators) = image.by_name(CONSUMER_OFFSETS) else {
        return call.now(&respond(topics, &Err(ErrorCode::NotCoordinator)));
    };
    let coordinator = partition_of(&request.group_id, coordinators);
    let commit = Commit {
        group: request.group_id,
        member_id: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        knows_group_not_found: call.version >= GROUP_NOT_FOUND_FROM,
        retention_ms: (request.retention_time_ms != -1).then_some(request.retention_time_ms),
        offsets,
    };
    let (reply, committed) = oneshot::channel();
    let command = Command::CommitOffsets(CommitOffsets { coordinator, commit, reply });
    call.shard.send(call.shard.owner_of(coordinator), command).await;
    let answer = async move {
        let codes = match committed.await {
            Ok(Ok(held)) => held.release().await,
            Ok(Err(code)) => Err(code),
            // A shard that is gone takes the process with it; until then nobody answers for it.
            Err(_) => Err(ErrorCode::NotCoordinator),
        };
        call.answer(&respond(topics, &codes))
    };
    Ok(Reply::Later(Box::pin(answer)))
}

fn place_topic(
    topic: OffsetCommitRequestTopic,
    image: &Image,
    call: &Call,
    offsets: &mut Vec<NewOffset>,
) -> TopicPlaces {
    let OffsetCommitRequestTopic { name, topic_id, partitions } = topic;
    let (found, unknown) = if call.version >= TOPIC_ID_FROM {
        (image.by_id(topic_id), ErrorCode::UnknownTopicId)
    } else {
        (image.by_name(&name), ErrorCode::UnknownTopicOrPartition)
    };
    let mut place = |partition: OffsetCommitRequestPartition| {
        let index = partition.partition_index;
        let place = match found {
            None => Err(unknown),
            Some(topic) if topic.partition(index).is_none() => Err(ErrorCode::UnknownTopicOrPartition),
            Some(topic) => {
                offsets.push(NewOffset {
                    topic: topic.name.clone(),
                    topic_id: topic.id,
                    partition: index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.unwrap_or_default(),
                });
                Ok(offsets.len() - 1)
            }
        };
        (index, place)
    };
    let partitions = partitions.into_iter().map(&mut place).collect();
    TopicPlaces { name, topic_id, partitions }
}

/// With the codes of the offsets that were to be committed, or the one code of them all.
fn respond(topics: Vec<TopicPlaces>, codes: &Result<Vec<ErrorCode>, ErrorCode>) -> OffsetCommitResponse {
    let code = |place| match (place, codes) {
        (Err(code), _) | (Ok(_), &Err(code)) => code,
        (Ok(index), Ok(codes)) => codes[index],
    };
    let topic_response = |TopicPlaces { name, topic_id, partitions }| OffsetCommitResponseTopic {
        name,
        topic_id,
        partitions: partitions
            .into_iter()
            .map(|(partition_index, place)| OffsetCommitResponsePartition {
                partition_index,
                error_code: code(place).code(),
            })
            .collect(),
    };
    let topics = topics.into_iter().map(topic_response).collect();
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}
