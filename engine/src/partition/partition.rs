//! `Partition`: appends batches for producers, and answers readers from what they may see.

use std::path::Path;

use bytes::Bytes;

use super::producers::Producers;
use crate::disk::{OpenFile, SyncKind};
use crate::error::Error;
use crate::format::{Batch, BatchRules, TimestampRule, Uuid};
use crate::log::{BatchSlice, Cache, Log, LogEnd, LogLimits, Opening, TimedOffset};

/// Which partition of which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic's id. A topic that is made again with an old name has another one.
    pub topic: Uuid,
    /// The partition's number, from 0.
    pub index: i32,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// The bytes survive a power cut.
    Durable,
    /// The kernel has the bytes: Apache Kafka's meaning.
    PageCache,
}

/// What a topic's settings mean to the engine.
#[derive(Debug, Clone, Copy)]
pub struct PartitionConfig {
    /// What a batch has to be, and is made.
    pub batch: BatchRules,
    /// When a log rolls and how finely it is indexed.
    pub log: LogLimits,
    /// Epoch of the partition's leader, which every batch is stamped with.
    pub leader_epoch: i32,
    /// What an acknowledgement means.
    pub ack: Ack,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The broker's time, where the topic asks for it.
    pub append_time_ms: Option<i64>,
    /// The first offset of the log.
    pub start_offset: i64,
    /// The first offset behind the batch: it may be acknowledged once readers see so far.
    pub end_offset: i64,
}

/// How far a partition reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset.
    pub start: i64,
    /// The first offset that readers do not see yet.
    pub readable: i64,
}

/// Bytes for a reader.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// From the batch that holds the offset asked for; `None` when there is nothing to see yet.
    pub slice: Option<BatchSlice>,
    /// How far the partition reaches.
    pub bounds: Bounds,
}

/// What a reader may ask of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeQuery {
    /// The first record of this timestamp or later.
    From(i64),
    /// The record with the largest timestamp.
    Max,
}

/// One partition, owned by one shard.
#[derive(Debug)]
pub struct Partition {
    log: Log,
    config: PartitionConfig,
    producers: Producers,
    /// Readers stop here, so a batch is invisible until its wave returned, even though it has an offset.
    readable: LogEnd,
}

impl Partition {
    /// Opens a partition whose directory is there; `was_clean` when the process before this one stopped
    /// cleanly.
    pub fn open(
        cache: &mut Cache,
        dir: &Path,
        config: PartitionConfig,
        was_clean: bool,
        now_ms: i64,
    ) -> Result<Partition, Error> {
        let mut producers = Producers::new();
        let opening =
            Opening { was_clean, recovery_point: 0, start_offset: 0, visit_from: 0, has_gaps: false };
        let (log, _) = Log::open(cache, dir, config.log, &opening, &mut |visit| {
            if let Some(sequence) = visit.header.producer() {
                let (first, last) = (visit.header.base_offset(), visit.header.last_offset());
                producers.note(sequence, first, last, now_ms);
            }
            Ok(())
        })?;
        let readable = log.end();
        Ok(Partition { log, config, producers, readable })
    }

    /// Checks a producer's bytes and appends them. Readers see them after [`Partition::publish`].
    pub fn append(&mut self, cache: &mut Cache, bytes: Bytes, now_ms: i64) -> Result<Appended, Error> {
        let rules = &self.config.batch;
        let batch = Batch::from_producer(bytes, rules, now_ms)?;
        let append_time_ms = (rules.timestamps == TimestampRule::Append).then_some(now_ms);
        let sequence = batch.header().producer();
        if let Some(sequence) = sequence
            && let Some(stored) = self.producers.check(sequence)?
        {
            return Ok(Appended {
                base_offset: stored.base_offset,
                append_time_ms,
                start_offset: self.log.start_offset(),
                end_offset: stored.last_offset + 1,
            });
        }
        let base_offset = self.log.append(cache, &batch, self.config.leader_epoch, now_ms)?;
        let end_offset = self.log.end().offset;
        if let Some(sequence) = sequence {
            self.producers.note(sequence, base_offset, end_offset - 1, now_ms);
        }
        Ok(Appended { base_offset, append_time_ms, start_offset: self.log.start_offset(), end_offset })
    }

    /// Behind the last batch, seen by readers or not.
    pub fn end(&self) -> LogEnd {
        self.log.end()
    }

    /// Behind the last batch that readers see.
    pub fn readable_end(&self) -> LogEnd {
        self.readable
    }

    /// How far it reaches.
    pub fn bounds(&self) -> Bounds {
        Bounds { start: self.log.start_offset(), readable: self.readable.offset }
    }

    /// Lets readers see up to `end`. True when that is more than they saw.
    pub fn publish(&mut self, end: LogEnd) -> bool {
        let is_more = end.offset > self.readable.offset;
        if is_more {
            self.readable = end;
            self.log.durable_to(end);
        }
        is_more
    }

    /// Hands out what has to be synced for [`Partition::end`] to be durable.
    pub fn take_unsynced(&mut self, sync: impl FnMut(OpenFile, SyncKind)) {
        self.log.take_unsynced(sync);
    }

    /// The bytes from `offset` on, at most `len_max` but never less than the first batch.
    pub fn fetch(&mut self, cache: &mut Cache, offset: i64, len_max: u32) -> Result<Fetched, Error> {
        let bounds = self.bounds();
        if offset < bounds.start || offset > self.log.end().offset {
            return Err(Error::OutOfRange { offset, start: bounds.start, end: bounds.readable });
        }
        let slice = if offset >= bounds.readable {
            None
        } else {
            self.log.slice(cache, offset, self.readable, len_max)?
        };
        Ok(Fetched { slice, bounds })
    }

    /// The offset that stands at a time, among what readers see.
    pub fn offset_at(&mut self, cache: &mut Cache, query: TimeQuery) -> Result<Option<TimedOffset>, Error> {
        match query {
            TimeQuery::From(timestamp) => self.log.offset_at_time(cache, timestamp, self.readable),
            TimeQuery::Max => self.log.offset_of_max_timestamp(cache, self.readable),
        }
    }

    /// Lets go of what the shard keeps at hand for it.
    pub fn close(self, cache: &mut Cache) {
        self.log.close(cache);
    }

    /// What an acknowledgement of an append to it means.
    pub fn ack(&self) -> Ack {
        self.config.ack
    }

    /// Makes all of it durable and its indexes exact; waits. For a clean stop.
    pub fn stop(&mut self, cache: &mut Cache) -> Result<(), Error> {
        self.log.stop(cache)
    }
}
