//! Fetch: what readers may see, sent from the segments' files; or a wait until there is enough of it.

use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::format::{AbortedEntry, Uuid};
use logmill_engine::log::BatchSlice;
use logmill_engine::partition::{Isolation, PartitionId};
use tokio::sync::Notify;

use super::errors::{code_of, code_of_epoch};
use super::isolation::isolation_of;
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::net::conn::Ended;
use crate::shard::{Command, Read, ReadAnswer, ReadPartition, Watch, WatchedPartition};
use crate::wire::MESSAGE_BYTES_MAX;
use crate::wire::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use crate::wire::{ErrorCode, Records, Text};

/// From this version on topics are named by id.
const TOPIC_ID_FROM: i16 = 13;
/// Offsets and bounds that are not known.
const UNKNOWN: i64 = -1;
/// Most bytes of batches in an answer, whatever the client and `fetch.max.bytes` say: with all that stands
/// around them they still are a frame.
const BYTES_MAX: u32 = 1 << 30;
const _: () = assert!(BYTES_MAX as usize + MESSAGE_BYTES_MAX <= i32::MAX as usize);
/// Longest wait, whatever the client says: nobody looks for the end of a connection while as many requests
/// as it may have in flight wait behind a fetch.
const WAIT_MS_MAX: u64 = 300_000;

/// Answers at once when there is enough, later otherwise. Nothing of a fetch has to happen in order.
pub(crate) fn handle(request: FetchRequest, call: Call) -> Result<Reply, Ended> {
    // A session would be answered with its id. Without one every fetch names all its partitions.
    if request.session_id != 0 {
        let error_code = ErrorCode::FetchSessionIdNotFound as i16;
        return call.now(&FetchResponse { error_code, ..FetchResponse::default() });
    }
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: FetchRequest, call: Call) -> Answer {
    let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0).min(WAIT_MS_MAX);
    // An answer never has more than its budget, and nobody shall wait for that.
    let bytes_min = u64::try_from(request.min_bytes).unwrap_or(0).min(Budget::new(&request, &call).left);
    let mut collected = collect(&request, &call).await;
    if !collected.is_enough(bytes_min) && wait_ms > 0 {
        let mut time_is_up = call.shard.host().runtime.sleep(wait_ms);
        while !collected.is_enough(bytes_min) {
            let wake = Arc::new(Notify::new());
            watch(&collected, bytes_min - collected.bytes, &wake, &call).await;
            let is_woken = tokio::select! {
                biased;
                () = wake.notified() => true,
                () = &mut time_is_up => false,
                () = call.shard.stopping() => false,
            };
            collected = collect(&request, &call).await;
            if !is_woken {
                break;
            }
        }
    }
    call.answer(&collected.response)
}

/// What one look at all partitions found.
struct Collected {
    response: FetchResponse,
    /// Bytes of batches in it.
    bytes: u64,
    /// It is answered at once, however little it has: with an error, when a later segment has what this one
    /// lacks, when the next batch does not go in.
    is_final: bool,
    /// By shard, how far each partition could be seen.
    seen: Shares<WatchedPartition>,
}

impl Collected {
    /// Of no partition nothing will ever come.
    fn is_enough(&self, bytes_min: u64) -> bool {
        self.is_final || self.bytes >= bytes_min || self.seen.iter().next().is_none()
    }
}

async fn collect(request: &FetchRequest, call: &Call) -> Collected {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut places = Vec::new();
    for topic in &request.topics {
        let (found, unknown) = if call.version >= TOPIC_ID_FROM {
            (image.by_id(topic.topic_id), ErrorCode::UnknownTopicId)
        } else {
            (image.by_name(&topic.topic), ErrorCode::UnknownTopicOrPartition)
        };
        for partition in &topic.partitions {
            let place = match found.map(|topic| topic.partition(partition.partition)) {
                None => Place::Refused(unknown),
                Some(None) => Place::Refused(ErrorCode::UnknownTopicOrPartition),
                Some(Some(id)) => match code_of_epoch(partition.current_leader_epoch) {
                    Some(code) => Place::Refused(code),
                    None => shares.add(&call.shard, id, read_of(id, partition)),
                },
            };
            let id = found.map(|topic| PartitionId { topic: topic.id, index: partition.partition });
            places.push((place, id));
        }
    }
    let isolation = isolation_of(request.isolation_level);
    let read = |partitions, reply| Command::Read(Read { isolation, partitions, reply });
    let asked = shares.ask(&call.shard, read).await;
    let mut answers = asked.answers().await;
    let mut budget = Budget::new(request, call);
    let mut collected =
        Collected { response: FetchResponse::default(), bytes: 0, is_final: false, seen: Shares::new() };
    let mut places = places.into_iter();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| {
            let (place, id) = places.next().expect("every partition has a place");
            let answer = answers.take(place).and_then(|answer| answer.map_err(|error| told(&error)));
            if let (Ok(answer), Some(id)) = (&answer, id) {
                collected.seen.add(&call.shard, id, WatchedPartition { id, seen: answer.end });
            }
            collected.is_final |= answer.as_ref().map_or(true, ends_in_older_segment);
            partition_data(partition, answer, isolation, &mut budget)
        });
        let partitions = partitions.collect();
        collected.response.responses.push(topic_response(&topic.topic, topic.topic_id, partitions));
    }
    collected.bytes = budget.spent;
    collected.is_final |= budget.is_full;
    collected
}

/// A read ends where its segment does. What is missing lies behind that, and a watch, which counts from the
/// readable end, would wait for more of it.
fn ends_in_older_segment(answer: &ReadAnswer) -> bool {
    answer.fetched.slice.as_ref().is_some_and(|slice| slice.segment != answer.end.segment)
}

fn read_of(id: PartitionId, partition: &FetchPartition) -> ReadPartition {
    let len_max = u32::try_from(partition.partition_max_bytes).unwrap_or(0);
    ReadPartition { id, offset: partition.fetch_offset, len_max }
}

fn told(error: &Error) -> ErrorCode {
    let code = code_of(error);
    if code == ErrorCode::KafkaStorageError {
        tracing::error!("a fetch failed: {error}");
    }
    code
}

/// What the request still takes.
struct Budget {
    left: u64,
    spent: u64,
    /// Something was left out because there was no room.
    is_full: bool,
}

impl Budget {
    fn new(request: &FetchRequest, call: &Call) -> Budget {
        let asked = u32::try_from(request.max_bytes).unwrap_or(0);
        Budget::of(asked.min(call.shard.broker().config.fetch_max_bytes))
    }

    fn of(bytes: u32) -> Budget {
        Budget { left: bytes.min(BYTES_MAX).into(), spent: 0, is_full: false }
    }

    /// As much of the slice as goes in. The first batch of the whole response always does, so that a
    /// reader gets past one that is larger than all its limits.
    fn take(&mut self, mut slice: BatchSlice, len_max: u64) -> Option<BatchSlice> {
        let room = self.left.min(len_max);
        let first = u64::from(slice.first_len);
        let len = if room >= first {
            room.min(slice.bytes.len.into())
        } else if self.spent == 0 {
            first
        } else {
            self.is_full |= self.left < first;
            return None;
        };
        slice.bytes.len = len as u32;
        self.spent += len;
        self.left = self.left.saturating_sub(len);
        Some(slice)
    }
}

fn partition_data(
    partition: &FetchPartition,
    answer: Result<ReadAnswer, ErrorCode>,
    isolation: Isolation,
    budget: &mut Budget,
) -> PartitionData {
    let partition_index = partition.partition;
    // Readers of all records are not told of any.
    let list = |aborted: &[AbortedEntry]| {
        (isolation == Isolation::Committed).then(|| aborted.iter().map(aborted_transaction).collect())
    };
    let fetched = match answer {
        Ok(answer) => answer.fetched,
        Err(code) => {
            return PartitionData {
                partition_index,
                error_code: code as i16,
                high_watermark: UNKNOWN,
                last_stable_offset: UNKNOWN,
                log_start_offset: UNKNOWN,
                aborted_transactions: list(&[]),
                records: Records::Bytes(bytes::Bytes::new()),
                ..PartitionData::default()
            };
        }
    };
    let len_max = u64::try_from(partition.partition_max_bytes).unwrap_or(0);
    let slice = fetched.slice.and_then(|slice| budget.take(slice, len_max));
    PartitionData {
        partition_index,
        high_watermark: fetched.bounds.readable,
        last_stable_offset: fetched.bounds.stable,
        log_start_offset: fetched.bounds.start,
        aborted_transactions: list(&fetched.aborted),
        records: Records::Slices(slice.into_iter().map(|slice| slice.bytes).collect()),
        ..PartitionData::default()
    }
}

fn aborted_transaction(entry: &AbortedEntry) -> AbortedTransaction {
    AbortedTransaction { producer_id: entry.producer_id(), first_offset: entry.first_offset() }
}

fn topic_response(topic: &Text, topic_id: Uuid, partitions: Vec<PartitionData>) -> FetchableTopicResponse {
    FetchableTopicResponse { topic: topic.clone(), topic_id, partitions }
}

/// Asks each shard to wake this fetch. Several shards do not add up what they have: each wakes at its part
/// of what is missing, because when all is there one of them has that much.
async fn watch(collected: &Collected, missing: u64, wake: &Arc<Notify>, call: &Call) {
    let shards = collected.seen.iter().count() as u64;
    for share in collected.seen.iter() {
        let watch = Watch {
            partitions: share.items.clone(),
            missing: missing.div_ceil(shards),
            wake: Arc::downgrade(wake),
        };
        call.shard.send(share.shard, Command::Watch(watch)).await;
    }
}

#[cfg(test)]
mod tests {
    use logmill_engine::disk::sim::SimDisk;
    use logmill_engine::disk::{Disk, FileSlice, OpenMode};

    use super::*;

    /// Bytes of a file that nobody reads, the first batch of them so long.
    fn slice(first_len: u32, len: u32) -> BatchSlice {
        let disk = SimDisk::default();
        disk.create_dir_all("/data".as_ref()).unwrap();
        let file = disk.open("/data/f".as_ref(), OpenMode::Replace).unwrap();
        BatchSlice { bytes: FileSlice { file, position: 0, len }, first_len, segment: 0 }
    }

    /// How many bytes of the slice go in.
    fn taken(budget: &mut Budget, slice: BatchSlice, len_max: u64) -> Option<u32> {
        budget.take(slice, len_max).map(|slice| slice.bytes.len)
    }

    #[test]
    fn a_budget_ends_far_below_the_longest_frame() {
        let mut budget = Budget::of(i32::MAX as u32);
        assert_eq!(taken(&mut budget, slice(1, u32::MAX), u64::MAX), Some(BYTES_MAX));
        assert_eq!(taken(&mut budget, slice(1, u32::MAX), u64::MAX), None);
    }

    #[test]
    fn a_budget_is_full_when_a_batch_does_not_go_in_and_not_when_its_partition_wants_less() {
        let mut budget = Budget::of(1_000);
        assert_eq!(taken(&mut budget, slice(600, 600), 10_000), Some(600));
        assert_eq!(taken(&mut budget, slice(100, 400), 50), None);
        assert!(!budget.is_full);
        assert_eq!(taken(&mut budget, slice(500, 500), 10_000), None);
        assert!(budget.is_full);
    }
}
