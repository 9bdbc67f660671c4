//! `Command`: all that one shard can ask of another, one message for each request and shard.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::format::ProducerEntry;
use logmill_engine::log::LogEnd;
use logmill_engine::partition::{Appended, Fetched, Isolation, PartitionId, TimeQuery};
use logmill_engine::shard::{DeleteBefore, OpenPartition, PartitionMarks};
use tokio::sync::{Notify, oneshot};

use super::reply::{Answer, Reply};
use crate::group::{Commit, FetchedTopic, GroupCommand, Query};
use crate::metadata::{Image, Order};
use crate::metrics::Counts;
use crate::wire::{ErrorCode, Few};

/// A message to a shard. Applying one never waits; a reply never waits for room.
#[derive(Debug)]
pub(crate) enum Command {
    /// Append batches, and answer when they may be acknowledged.
    Append(Append),
    /// Look for bytes that readers may see.
    Read(Read),
    /// Wake a reader that waits for bytes.
    Watch(Watch),
    /// Say how far partitions reach, or what offset stands at a time.
    FindOffsets(FindOffsets),
    /// Keep readers from old records, and answer when their deletion may be written down.
    DeleteRecords(DeleteRecords),
    /// Say which idempotent producers partitions know.
    FindProducers(FindProducers),
    /// Commit a group's offsets.
    CommitOffsets(CommitOffsets),
    /// Say what groups have committed.
    FetchOffsets(FetchOffsets),
    /// A request about groups or by their members.
    Group(GroupCommand),
    /// Take partitions in.
    Open(Open),
    /// Let partitions go.
    Close(Close),
    /// Say the largest id of a producer that logs and snapshots tell of.
    FindProducerIdMax(oneshot::Sender<Option<i64>>),
    /// Say how far partitions have come.
    FindMarks(FindMarks),
    /// These marks are on the device.
    MarksWritten(Arc<Vec<PartitionMarks>>),
    /// Use this picture of the topics from here on.
    Publish(Publish),
    /// Serve nothing from a log directory any more.
    FailDir(usize),
    /// Say what was counted.
    Measure(oneshot::Sender<Counts>),
    /// Change the topics. Only the controller's shard gets these.
    Order(Order),
}

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) partitions: Few<(PartitionId, Bytes)>,
    /// One result for each partition, in their order.
    pub(crate) reply: Reply<Few<AppendResult>>,
}

pub(crate) type AppendResult = Result<Appended, Error>;

#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) isolation: Isolation,
    pub(crate) partitions: Few<ReadPartition>,
    pub(crate) reply: Reply<Few<Result<ReadAnswer, Error>>>,
}

#[derive(Debug)]
pub(crate) struct ReadPartition {
    pub(crate) id: PartitionId,
    pub(crate) offset: i64,
    pub(crate) len_max: u32,
}

#[derive(Debug)]
pub(crate) struct ReadAnswer {
    pub(crate) fetched: Fetched,
    /// What readers see ends here: a watch counts from it.
    pub(crate) end: LogEnd,
}

/// Wakes once, when readers see `missing` bytes more of these partitions than they did at the ends given.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) partitions: Vec<WatchedPartition>,
    pub(crate) missing: u64,
    /// Gone when nobody waits any more.
    pub(crate) wake: Weak<Notify>,
}

#[derive(Debug, Clone)]
pub(crate) struct WatchedPartition {
    pub(crate) id: PartitionId,
    pub(crate) seen: LogEnd,
}

#[derive(Debug)]
pub(crate) struct FindOffsets {
    pub(crate) isolation: Isolation,
    pub(crate) partitions: Few<(PartitionId, OffsetQuery)>,
    pub(crate) reply: Reply<Few<OffsetAnswer>>,
}

/// `None`: no record stands there.
pub(crate) type OffsetAnswer = Result<Option<FoundOffset>, Error>;

/// Which offset is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OffsetQuery {
    Start,
    End,
    Time(TimeQuery),
    EndOfEpoch(i32),
}

/// An offset, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundOffset {
    pub(crate) offset: i64,
    /// -1 for starts and ends.
    pub(crate) timestamp: i64,
    /// The leader epoch that it belongs to, or -1.
    pub(crate) epoch: i32,
}

#[derive(Debug)]
pub(crate) struct DeleteRecords {
    pub(crate) partitions: Few<(PartitionId, DeleteBefore)>,
    /// One result for each partition, in their order: where the log begins from here on.
    pub(crate) reply: Reply<Few<AppendResult>>,
}

#[derive(Debug)]
pub(crate) struct FindProducers {
    pub(crate) partitions: Few<PartitionId>,
    pub(crate) reply: Reply<Few<Result<Vec<ProducerEntry>, Error>>>,
}

#[derive(Debug)]
pub(crate) struct CommitOffsets {
    /// The partition of `__consumer_offsets` that the group belongs to.
    pub(crate) coordinator: PartitionId,
    pub(crate) commit: Commit,
    /// A code for each offset, in their order.
    pub(crate) reply: oneshot::Sender<Result<Held<Vec<ErrorCode>>, ErrorCode>>,
}

#[derive(Debug)]
pub(crate) struct FetchOffsets {
    /// Partitions of `__consumer_offsets`, and what to ask of the groups that belong to them.
    pub(crate) queries: Few<(PartitionId, Query)>,
    /// One answer for each query, in their order.
    pub(crate) reply: Reply<Few<FetchedOffsets>>,
}

pub(crate) type FetchedOffsets = Result<Held<Vec<FetchedTopic>>, ErrorCode>;

/// An answer that must not leave before what it rests on is durable.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) answer: T,
    pub(crate) durable: Answer<Few<AppendResult>>,
}

impl<T> Held<T> {
    /// Waits for that. When it fails nobody shall know the answer, and this is not the coordinator any more.
    pub(crate) async fn release(self) -> Result<T, ErrorCode> {
        match self.durable.await {
            Some(results) if results.iter().all(Result::is_ok) => Ok(self.answer),
            Some(_) | None => Err(ErrorCode::NotCoordinator),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) partitions: Vec<OpenPartition>,
    pub(crate) reply: oneshot::Sender<Result<(), Error>>,
}

#[derive(Debug)]
pub(crate) struct Close {
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) reply: oneshot::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct FindMarks {
    /// Give up old records first.
    pub(crate) with_upkeep: bool,
    pub(crate) reply: oneshot::Sender<Vec<PartitionMarks>>,
}

#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) image: Arc<Image>,
    pub(crate) reply: oneshot::Sender<()>,
}
