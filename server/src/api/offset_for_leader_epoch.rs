//! OffsetForLeaderEpoch: where an epoch ends. Clients ask it to learn whether what they have read is still
//! what the log holds.

use logmill_engine::partition::Isolation;

use super::errors::{code_of, code_of_epoch};
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::net::conn::Ended;
use crate::shard::{Command, FindOffsets, FoundOffset, OffsetQuery};
use crate::wire::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

pub(crate) fn handle(request: OffsetForLeaderEpochRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: OffsetForLeaderEpochRequest, call: Call) -> Answer {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut places = Vec::new();
    for topic in &request.topics {
        let found = image.by_name(&topic.topic);
        for OffsetForLeaderPartition { partition, current_leader_epoch, leader_epoch } in &topic.partitions {
            places.push(match found.and_then(|topic| topic.partition(*partition)) {
                None => Place::Refused(ErrorCode::UnknownTopicOrPartition),
                Some(id) => match code_of_epoch(*current_leader_epoch) {
                    Some(code) => Place::Refused(code),
                    None => shares.add(&call.shard, id, (id, OffsetQuery::EndOfEpoch(*leader_epoch))),
                },
            });
        }
    }
    let isolation = Isolation::Uncommitted;
    let find = |partitions, reply| Command::FindOffsets(FindOffsets { isolation, partitions, reply });
    let mut answers = shares.ask(&call.shard, find).await.answers().await;
    let mut places = places.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let place = places.next().expect("every partition has a place");
            match answers.take(place) {
                Ok(Ok(Some(end))) => ended(partition, end),
                Ok(Ok(None)) => EpochEndOffset { partition: partition.partition, ..Default::default() },
                Ok(Err(error)) => failed(partition, code_of(&error)),
                Err(code) => failed(partition, code),
            }
        });
        OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    let topics = topics.collect();
    call.answer(&OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() })
}

fn ended(asked: &OffsetForLeaderPartition, end: FoundOffset) -> EpochEndOffset {
    let FoundOffset { offset: end_offset, epoch: leader_epoch, .. } = end;
    EpochEndOffset { error_code: 0, partition: asked.partition, leader_epoch, end_offset }
}

fn failed(asked: &OffsetForLeaderPartition, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { error_code: code as i16, partition: asked.partition, ..EpochEndOffset::default() }
}
