//! Fetch: what readers may see, sent from the segments' files; or a wait until there is enough of it.

use std::sync::Arc;

use logmill_engine::format::{AbortedEntry, Uuid};
use logmill_engine::log::BatchSlice;
use logmill_engine::partition::{Isolation, PartitionId};
use tokio::sync::Notify;

use super::errors::{code_of, code_of_epoch};
use super::fetch_sessions::{Answered, Asked, Context, TopicKey};
use super::isolation::isolation_of;
use super::node::Node;
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::metadata::LEADER_EPOCH;
use crate::net::conn::Ended;
use crate::shard::{Command, Read, ReadAnswer, ReadPartition, Watch, WatchedPartition};
use crate::wire::MESSAGE_BYTES_MAX;
use crate::wire::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::{ErrorCode, Records, Text};

/// From this version on topics are named by id.
const TOPIC_ID_FROM: i16 = 13;
/// From this version on answers say where a leader is that the client does not know.
const ENDPOINTS_FROM: i16 = 16;
/// Offsets and bounds that are not known.
const UNKNOWN: i64 = -1;
/// Most bytes of batches in an answer, whatever the client and `fetch.max.bytes` say: with all that stands
/// around them they still are a frame.
const BYTES_MAX: u32 = 1 << 30;
const _: () = assert!(BYTES_MAX as usize + MESSAGE_BYTES_MAX <= i32::MAX as usize);
/// Longest wait, whatever the client says: nobody looks for the end of a connection while as many requests
/// as it may have in flight wait behind a fetch.
const WAIT_MS_MAX: u64 = 300_000;

/// Answers at once when there is enough, later otherwise. Only the session has to be asked in order.
pub(crate) fn handle(request: FetchRequest, call: Call) -> Result<Reply, Ended> {
    let has_ids = call.version >= TOPIC_ID_FROM;
    let now_ms = call.shard.host().clock.now_ms();
    let begun = call.shard.fetch_sessions().borrow_mut().begin(&request, has_ids, now_ms);
    match begun {
        Ok((asked, context)) => {
            let fetch = Fetch { limits: Limits::of(&request, &call), asked, context, has_ids };
            Ok(Reply::Later(Box::pin(answer(fetch, call))))
        }
        Err(code) => call.now(&failed(code)),
    }
}

/// What is left of a request once its partitions are known.
struct Fetch {
    limits: Limits,
    asked: Vec<Asked>,
    context: Context,
    has_ids: bool,
}

#[derive(Clone, Copy)]
struct Limits {
    wait_ms: u64,
    bytes_min: u64,
    bytes_max: u32,
    isolation: Isolation,
}

impl Limits {
    fn of(request: &FetchRequest, call: &Call) -> Limits {
        let asked = u32::try_from(request.max_bytes).unwrap_or(0);
        let bytes_max = asked.min(call.shard.broker().config.fetch_max_bytes);
        Limits {
            wait_ms: u64::try_from(request.max_wait_ms).unwrap_or(0).min(WAIT_MS_MAX),
            // An answer never has more than its budget, and nobody shall wait for that.
            bytes_min: u64::try_from(request.min_bytes).unwrap_or(0).min(Budget::of(bytes_max).left),
            bytes_max,
            isolation: isolation_of(request.isolation_level),
        }
    }
}

fn failed(code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code: code as i16, ..FetchResponse::default() }
}

async fn answer(fetch: Fetch, call: Call) -> Answer {
    let Limits { wait_ms, bytes_min, .. } = fetch.limits;
    let mut collected = collect(&fetch, &call).await;
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
            collected = collect(&fetch, &call).await;
            if !is_woken {
                break;
            }
        }
    }
    respond(fetch, collected.answered, &call)
}

/// Tells the client what its session does not know yet.
fn respond(fetch: Fetch, mut answered: Vec<Answered>, call: &Call) -> Answer {
    let Fetch { asked, context, has_ids, .. } = fetch;
    let host = call.shard.host();
    let sessions = call.shard.fetch_sessions();
    let now_ms = host.clock.now_ms();
    let finished =
        sessions.borrow_mut().finish(context, has_ids, asked, &mut answered, now_ms, &*host.random);
    match finished {
        Ok(session_id) => {
            let node_endpoints = hint_at_leader(&mut answered, call);
            let responses = by_topic(answered);
            call.answer(&FetchResponse { session_id, responses, node_endpoints, ..FetchResponse::default() })
        }
        Err(code) => call.answer(&failed(code)),
    }
}

/// A client that knows an older leader is told the one there is, and where it is.
fn hint_at_leader(answered: &mut [Answered], call: &Call) -> Vec<NodeEndpoint> {
    let is_outdated = |answered: &&mut Answered| {
        call.version >= ENDPOINTS_FROM && answered.data.error_code == ErrorCode::FencedLeaderEpoch as i16
    };
    let mut endpoints = Vec::new();
    for outdated in answered.iter_mut().filter(is_outdated) {
        let Node { id: node_id, host, port, rack } = Node::of(call.shard.broker(), call.listener);
        outdated.data.current_leader = LeaderIdAndEpoch { leader_id: node_id, leader_epoch: LEADER_EPOCH };
        if endpoints.is_empty() {
            endpoints.push(NodeEndpoint { node_id, host, port, rack });
        }
    }
    endpoints
}

/// Partitions of one topic that follow each other are answered together.
fn by_topic(answered: Vec<Answered>) -> Vec<FetchableTopicResponse> {
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut last = None;
    for Answered { topic, data } in answered {
        match responses.last_mut() {
            Some(response) if last.as_ref() == Some(&topic) => response.partitions.push(data),
            _ => {
                let (name, topic_id) = match &topic {
                    TopicKey::Id(id) => (Text::EMPTY, *id),
                    TopicKey::Name(name) => (name.clone(), Uuid::ZERO),
                };
                responses.push(FetchableTopicResponse { topic: name, topic_id, partitions: vec![data] });
                last = Some(topic);
            }
        }
    }
    responses
}

/// What one look at all partitions found.
struct Collected {
    answered: Vec<Answered>,
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

async fn collect(fetch: &Fetch, call: &Call) -> Collected {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut places = Vec::with_capacity(fetch.asked.len());
    for Asked { topic, partition } in &fetch.asked {
        let (found, unknown) = match topic {
            TopicKey::Id(id) => (image.by_id(*id), ErrorCode::UnknownTopicId),
            TopicKey::Name(name) => (image.by_name(name), ErrorCode::UnknownTopicOrPartition),
        };
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
    let isolation = fetch.limits.isolation;
    let read = |partitions, reply| Command::Read(Read { isolation, partitions, reply });
    let asked = shares.ask(&call.shard, read).await;
    let mut answers = asked.answers().await;
    let mut budget = Budget::of(fetch.limits.bytes_max);
    let mut answered = Vec::with_capacity(fetch.asked.len());
    let mut is_final = false;
    let mut seen = Shares::new();
    for (Asked { topic, partition }, (place, id)) in fetch.asked.iter().zip(places) {
        let answer = answers.take(place).and_then(|answer| answer.map_err(|error| code_of(&error)));
        if let (Ok(answer), Some(id)) = (&answer, id) {
            seen.add(&call.shard, id, WatchedPartition { id, seen: answer.end });
        }
        is_final |= answer.as_ref().map_or(true, ends_in_older_segment);
        let data = partition_data(partition, answer, isolation, &mut budget);
        answered.push(Answered { topic: topic.clone(), data });
    }
    Collected { answered, bytes: budget.spent, is_final: is_final | budget.is_full, seen }
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

/// What the request still takes.
struct Budget {
    left: u64,
    spent: u64,
    /// Something was left out because there was no room.
    is_full: bool,
}

impl Budget {
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
    let fetched = match answer {
        Ok(answer) => answer.fetched,
        Err(code) => {
            return PartitionData {
                partition_index,
                error_code: code as i16,
                high_watermark: UNKNOWN,
                last_stable_offset: UNKNOWN,
                log_start_offset: UNKNOWN,
                aborted_transactions: None,
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
        // Readers of all records are not told of any.
        aborted_transactions: (isolation == Isolation::Committed)
            .then(|| fetched.aborted.iter().map(aborted_transaction).collect()),
        records: Records::Slices(slice.into_iter().map(|slice| slice.bytes).collect()),
        ..PartitionData::default()
    }
}

fn aborted_transaction(entry: &AbortedEntry) -> AbortedTransaction {
    AbortedTransaction { producer_id: entry.producer_id(), first_offset: entry.first_offset() }
}

/// Asks each shard to wake this fetch. Several shards do not add up what they have: each wakes at its part
/// of what is missing, because when all is there one of them has that much.
async fn watch(collected: &Collected, missing: u64, wake: &Arc<Notify>, call: &Call) {
    let shards = collected.seen.iter().count() as u64;
    for share in collected.seen.iter() {
        let watch = Watch {
            partitions: share.items.to_vec(),
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
