//! OffsetForLeaderEpoch: where an epoch ends. Clients ask it to learn whether what they have read is still
//! what the log holds.

use logmill_engine::partition::Isolation;

use super::errors::{code_of, code_of_epoch};
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::metadata::LEADER_EPOCH;
use crate::net::conn::Ended;
use crate::shard::{Command, FindOffsets, OffsetQuery};
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
        for OffsetForLeaderPartition { partition, current_leader_epoch, .. } in &topic.partitions {
            places.push(match found.and_then(|topic| topic.partition(*partition)) {
                None => Place::Refused(ErrorCode::UnknownTopicOrPartition),
                Some(id) => match code_of_epoch(*current_leader_epoch) {
                    Some(code) => Place::Refused(code),
                    None => shares.add(&call.shard, id, (id, OffsetQuery::End)),
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
                Ok(Ok(end)) => end_of(partition, end.map_or(-1, |end| end.offset)),
                Ok(Err(error)) => failed(partition, code_of(&error)),
                Err(code) => failed(partition, code),
            }
        });
        OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    let topics = topics.collect();
    call.answer(&OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() })
}

/// There is one epoch, and the log is all of it.
fn end_of(asked: &OffsetForLeaderPartition, end_offset: i64) -> EpochEndOffset {
    let partition = asked.partition;
    if asked.leader_epoch != LEADER_EPOCH {
        return EpochEndOffset { partition, ..EpochEndOffset::default() };
    }
    EpochEndOffset { error_code: 0, partition, leader_epoch: LEADER_EPOCH, end_offset }
}

fn failed(asked: &OffsetForLeaderPartition, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { error_code: code as i16, partition: asked.partition, ..EpochEndOffset::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_epoch_ends_with_the_log_and_of_no_other_anything_is_known() {
        let end = |leader_epoch| {
            let asked = OffsetForLeaderPartition { partition: 4, leader_epoch, ..Default::default() };
            let EpochEndOffset { error_code, partition, leader_epoch, end_offset } = end_of(&asked, 12);
            assert_eq!((error_code, partition), (0, 4));
            (leader_epoch, end_offset)
        };
        assert_eq!([end(-1), end(0), end(1)], [(-1, -1), (0, 12), (-1, -1)]);
    }
}
