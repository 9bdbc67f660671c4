//! DeleteRecords: readers are kept from the first records of partitions, for good once it is answered.

use std::collections::BTreeMap;

use logmill_engine::partition::PartitionId;
use logmill_engine::shard::DeleteBefore;

use super::errors::code_of;
use super::shares::Shares;
use super::{Answer, Call, Reply};
use crate::config::topic_name;
use crate::metadata::{Image, Order, ask};
use crate::net::conn::Ended;
use crate::shard::{Command, DeleteRecords};
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::wire::{ErrorCode, Text};

/// Stands for the high watermark in a request.
const HIGH_WATERMARK: i64 = -1;
/// Stands for the start of a log that was not told.
const UNKNOWN: i64 = -1;

pub(crate) fn handle(request: DeleteRecordsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

/// A partition as clients name it.
type Name = (Text, i32);

/// What is still to be done.
struct Deletion {
    name: Name,
    id: PartitionId,
    before: DeleteBefore,
}

/// Deletes in rounds: shards raise the starts, the controller writes them down. One round is enough but where
/// a sync behind the journal was under way, which holds the recovery point up, and the start with it.
async fn answer(request: DeleteRecordsRequest, call: Call) -> Answer {
    let expires_ms = call.expires_ms(request.timeout_ms);
    let mut outcomes = BTreeMap::new();
    let mut deletions = Vec::new();
    let image = call.shard.image();
    for (name, offset) in named(request) {
        match check(&name, &image, &call) {
            Ok(id) => deletions.push(Deletion { name, id, before: before(offset) }),
            Err(code) => drop(outcomes.insert(name, Err(code))),
        }
    }
    while !deletions.is_empty() {
        let raised = raise_starts(std::mem::take(&mut deletions), &mut outcomes, &call).await;
        if raised.is_empty() {
            break;
        }
        let written = ask(&call.shard, Order::WriteStarts).await.unwrap_or_default();
        let is_late = call.shard.host().clock.now_ms() >= expires_ms;
        for (Deletion { name, id, .. }, start) in raised {
            let outcome = match written.get(&id) {
                Some(written) if *written >= start => Ok(*written),
                Some(_) if is_late => Err(ErrorCode::RequestTimedOut),
                Some(_) => {
                    deletions.push(Deletion { name, id, before: DeleteBefore::Offset(start) });
                    continue;
                }
                None => Err(ErrorCode::KafkaStorageError),
            };
            outcomes.insert(name, outcome);
        }
    }
    call.answer(&respond(outcomes))
}

/// Of a partition that is named twice the last offset counts, as in Apache Kafka.
fn named(request: DeleteRecordsRequest) -> BTreeMap<Name, i64> {
    let topics = request.topics.into_iter();
    let partitions = topics.flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |one| ((name.clone(), one.partition_index), one.offset))
    });
    partitions.collect()
}

fn before(offset: i64) -> DeleteBefore {
    match offset {
        HIGH_WATERMARK => DeleteBefore::HighWatermark,
        offset => DeleteBefore::Offset(offset),
    }
}

fn check((topic, index): &Name, image: &Image, call: &Call) -> Result<PartitionId, ErrorCode> {
    let found = image.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let id = found.partition(*index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic_name::is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if found.is_only_compacted(&call.shard.broker().config) {
        return Err(ErrorCode::PolicyViolation);
    }
    Ok(id)
}

/// Has the owners raise the starts, and says where the logs begin then. What is refused has its outcome.
async fn raise_starts(
    deletions: Vec<Deletion>,
    outcomes: &mut BTreeMap<Name, Result<i64, ErrorCode>>,
    call: &Call,
) -> Vec<(Deletion, i64)> {
    let mut shares = Shares::new();
    let placed: Vec<_> = deletions
        .into_iter()
        .map(|deletion| (shares.add(&call.shard, deletion.id, (deletion.id, deletion.before)), deletion))
        .collect();
    let delete = |partitions, reply| Command::DeleteRecords(DeleteRecords { partitions, reply });
    let mut answers = shares.ask(&call.shard, delete).await.answers().await;
    let mut raised = Vec::with_capacity(placed.len());
    for (place, deletion) in placed {
        match answers.take(place).and_then(|answer| answer.map_err(|error| code_of(&error))) {
            Ok(answer) => raised.push((deletion, answer.start_offset)),
            Err(code) => drop(outcomes.insert(deletion.name, Err(code))),
        }
    }
    raised
}

fn respond(outcomes: BTreeMap<Name, Result<i64, ErrorCode>>) -> DeleteRecordsResponse {
    let mut topics: Vec<DeleteRecordsTopicResult> = Vec::new();
    for ((name, partition_index), outcome) in outcomes {
        let (low_watermark, error_code) = match outcome {
            Ok(start) => (start, 0),
            Err(code) => (UNKNOWN, code as i16),
        };
        let result = DeleteRecordsPartitionResult { partition_index, low_watermark, error_code };
        match topics.last_mut() {
            Some(topic) if topic.name == name => topic.partitions.push(result),
            _ => topics.push(DeleteRecordsTopicResult { name, partitions: vec![result] }),
        }
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}
