//! `Partition`: appends batches for producers, and answers readers from what they may see.

use std::path::Path;

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::aborted::Proof;
use super::bounds::{Bounds, Isolation};
use super::config::{Ack, PartitionConfig};
use super::epochs::EpochEnd;
use super::producer::Marker;
use super::state::{Journalled, Known, State, marker_of};
use crate::disk::{OpenFile, SyncKind};
use crate::error::{Error, Refusal};
use crate::format::{AbortedEntry, Batch, PointState, ProducerEntry, TimestampRule};
use crate::log::{BatchSlice, Cache, Guard, Log, LogEnd, Opened, Retention, TimedOffset};

/// How far a partition has come, as is written down from time to time for the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Everything in front of it is on the device.
    pub recovery_point: i64,
    /// Nobody reads in front of it. Never behind the recovery point.
    pub start: i64,
    /// Readers see so far.
    pub high_watermark: i64,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The broker's time, where the topic asks for it; of a repeated batch the first one's largest timestamp,
    /// which is what Apache Kafka answers.
    pub append_time_ms: Option<i64>,
    /// The first offset of the log.
    pub start_offset: i64,
    /// The first offset behind the batch: it may be acknowledged once readers see so far.
    pub end_offset: i64,
}

/// Bytes for a reader.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// From the batch that holds the offset asked for; `None` when there is nothing to see yet.
    pub slice: Option<BatchSlice>,
    /// For a reader of committed records, the aborted transactions that reach into the slice.
    pub aborted: Vec<AbortedEntry>,
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
    state: State,
    config: PartitionConfig,
    /// Readers stop here, so a batch is invisible until its wave returned, even though it has an offset.
    readable: LogEnd,
    /// Offsets may be missing, because the log is compacted.
    has_gaps: bool,
}

impl Partition {
    /// Opens a partition whose directory is there.
    pub fn open(
        cache: &mut Cache,
        dir: &Path,
        mut config: PartitionConfig,
        (known, journalled): (&Known, &Journalled<'_>),
        now_ms: i64,
    ) -> Result<(Partition, Opened), Error> {
        let expiration_ms = config.producer_expiration_ms;
        let (log, mut state, opened) =
            State::open(cache, dir, config.log, (known, journalled), expiration_ms, now_ms)?;
        let readable = log.end();
        state.producers.advance(readable.offset);
        // Where another broker has led it, epochs go on behind its own.
        config.leader_epoch = config.leader_epoch.max(state.epochs.latest().unwrap_or_default());
        Ok((Partition { log, state, config, readable, has_gaps: known.has_gaps }, opened))
    }

    /// Checks a producer's bytes and appends them, and tells `written` what went in front of which end of the
    /// log. Readers see them after [`Partition::publish`].
    pub fn append(
        &mut self,
        cache: &mut Cache,
        bytes: Bytes,
        now_ms: i64,
        written: impl FnOnce(LogEnd, [&[u8]; 2]),
    ) -> Result<Appended, Error> {
        let rules = &self.config.batch;
        let batch = Batch::from_producer(bytes, rules, now_ms)?;
        let append_time_ms = (rules.timestamps == TimestampRule::Append).then_some(now_ms);
        if let Some(sequence) = batch.header().producer()
            && let Some(stored) = self.state.producers.check(sequence, batch.header().is_transactional())?
        {
            return Ok(Appended {
                base_offset: stored.base_offset,
                append_time_ms: Some(stored.timestamp),
                start_offset: self.log.start_offset(),
                end_offset: stored.last_offset + 1,
            });
        }
        let base_offset = self.write(cache, &batch, None, now_ms, written)?;
        Ok(self.appended(base_offset, append_time_ms))
    }

    /// Appends what a coordinator of this broker writes: its own records, those of a transaction, or the marker
    /// that ends one. When the disk fails behind a marker it may be in the log all the same: the caller serves
    /// nothing more from that log directory.
    pub fn append_of_coordinator(
        &mut self,
        cache: &mut Cache,
        bytes: Bytes,
        now_ms: i64,
        written: impl FnOnce(LogEnd, [&[u8]; 2]),
    ) -> Result<Appended, Error> {
        let batch = Batch::from_coordinator(bytes, self.config.batch.size_max)?;
        let header = batch.header();
        let marker = if header.is_control() {
            marker_of(header, batch.records()).map_err(Refusal::Invalid)?
        } else {
            None
        };
        match (&marker, header.producer()) {
            (Some(marker), _) => self.state.producers.check_marker(marker)?,
            (None, Some(sequence)) => self.state.producers.check_epoch(sequence.id, sequence.epoch)?,
            (None, None) => (),
        }
        let base_offset = self.write(cache, &batch, marker, now_ms, written)?;
        Ok(self.appended(base_offset, None))
    }

    fn write(
        &mut self,
        cache: &mut Cache,
        batch: &Batch,
        marker: Option<Marker>,
        now_ms: i64,
        written: impl FnOnce(LogEnd, [&[u8]; 2]),
    ) -> Result<i64, Error> {
        let leader_epoch = self.config.leader_epoch;
        let base_offset = self.log.append(cache, batch, leader_epoch, now_ms)?;
        if let Some(rolled) = self.log.take_rolled() {
            self.write_state(cache, rolled);
        }
        self.state.epochs.assign(leader_epoch, base_offset);
        let (header, records) = batch.stamped(base_offset, leader_epoch);
        written(self.log.end(), [header.as_bytes(), records]);
        let Some(marker) = marker else {
            self.state.producers.note(&header, now_ms);
            return Ok(base_offset);
        };
        if let Some(entry) = self.state.note_marker(&marker, &header, now_ms)
            && self.state.aborted.append(cache.disk(), self.log.end().segment, &entry)?
        {
            self.log.sync_with_wave(self.state.open_dir(cache.disk())?, SyncKind::Entries);
        }
        Ok(base_offset)
    }

    fn appended(&self, base_offset: i64, append_time_ms: Option<i64>) -> Appended {
        Appended {
            base_offset,
            append_time_ms,
            start_offset: self.log.start_offset(),
            end_offset: self.log.end().offset,
        }
    }

    /// A roll writes down what is known beside the batches, so that a start reads only what is behind. What
    /// cannot be written is read from the log instead.
    fn write_state(&mut self, cache: &Cache, offset: i64) {
        match self.state.write(cache.disk(), offset) {
            // The sync of the directory, which has a new segment, covers their names.
            Ok(files) => files.into_iter().for_each(|file| self.log.sync_with_wave(file, SyncKind::Data)),
            Err(error) => tracing::warn!("the next start will take longer: {error}"),
        }
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
        let (start, readable) = (self.log.start_offset(), self.readable.offset);
        let unstable = self.state.producers.first_unstable().unwrap_or(readable);
        Bounds { start, readable, stable: unstable.max(start).min(readable) }
    }

    /// Everything in front of it is on the device, and an opening reads nothing in front of the segment that
    /// holds it.
    pub fn recovery_point(&self) -> i64 {
        self.log.recovery_point()
    }

    /// Lets readers see up to `end`. True when that is more than they saw.
    pub fn publish(&mut self, end: LogEnd) -> bool {
        let is_more = end.offset > self.readable.offset;
        if is_more {
            self.readable = end;
            self.state.producers.advance(end.offset);
        }
        is_more
    }

    /// Takes note that what was handed out by [`Partition::take_unsynced`] when the log ended at `end` is on the
    /// device.
    pub fn durable_to(&mut self, end: LogEnd) {
        self.log.durable_to(end);
    }

    /// What a start needs to know beside the log, were everything up to its end durable: a [`PointState`]. None
    /// where it has to read the last segment from its beginning.
    pub fn point_state(&mut self, cache: &Cache) -> Option<PointState> {
        let end = self.log.end();
        if end.position == 0 {
            return None;
        }
        match self.log.segment_state(cache) {
            Ok(segment) => self.state.at_end(&end, segment),
            Err(error) => {
                tracing::warn!("the next start will take longer: {error}");
                None
            }
        }
    }

    /// Hands out what has to be synced for [`Partition::end`] to be durable.
    pub fn take_unsynced(&mut self, mut sync: impl FnMut(OpenFile, SyncKind)) {
        self.state.aborted.take_unsynced(|file| sync(file, SyncKind::Data));
        self.log.take_unsynced(sync);
    }

    /// The bytes from `offset` on, at most `len_max` but never less than the first batch.
    pub fn fetch(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        len_max: u32,
        isolation: Isolation,
    ) -> Result<Fetched, Error> {
        let bounds = self.bounds();
        if offset < bounds.start || offset > self.log.end().offset {
            return Err(Error::OutOfRange { offset, start: bounds.start, end: bounds.readable });
        }
        let visible = bounds.visible(isolation);
        if offset >= visible {
            return Ok(Fetched { slice: None, aborted: Vec::new(), bounds });
        }
        let end = self.end_at(cache, visible)?;
        let slice = self.log.slice(cache, offset, end, len_max)?;
        let aborted = match (&slice, isolation) {
            (Some(slice), Isolation::Committed) if self.state.aborted.has_from(slice.segment) => {
                let until = visible.min(self.log.bound_of(cache, slice)?);
                self.confirm_aborted(cache, slice.segment, until)?;
                self.state.aborted.find_between(cache.disk(), slice.segment, offset, until)?
            }
            _ => Vec::new(),
        };
        Ok(Fetched { slice, aborted, bounds })
    }

    /// Compares indexes of aborted transactions with the log, before a reader of what is in front of `until` leaves
    /// out what they say. The batch at either end of a transaction is enough: the other one may be damaged, and a
    /// reader who does not come there need not know.
    fn confirm_aborted(&mut self, cache: &mut Cache, segment: i64, until: i64) -> Result<(), Error> {
        // Compaction takes the records of aborted transactions, and in the end their markers.
        if self.has_gaps || !self.state.aborted.has_unconfirmed(segment) {
            return Ok(());
        }
        let disk = cache.shared_disk();
        let log = &mut self.log;
        let begin = log.segment_bases().next().expect("a log has a segment");
        self.state.aborted.confirm(&*disk, segment, until, |entry| {
            let mut is_at = |offset: i64, is_control: bool| -> Result<Option<bool>, Error> {
                let header = match log.header_at(cache, offset) {
                    Err(Error::Corrupt(_)) => return Ok(None),
                    header => header?,
                };
                Ok(Some(header.is_some_and(|header| {
                    header.base_offset() == offset
                        && header.producer_id() == entry.producer_id()
                        && header.is_transactional()
                        && header.is_control() == is_control
                })))
            };
            let ends = is_at(entry.last_offset(), true)?;
            let first = entry.first_offset();
            let begins = if first < begin { None } else { is_at(first, false)? };
            Ok(match (begins, ends) {
                (Some(false), _) | (_, Some(false)) => Proof::Wrong,
                (Some(true), _) | (_, Some(true)) => Proof::There,
                (None, None) => Proof::Unreadable,
            })
        })
    }

    /// The place in front of the batch that holds `visible`, where readers stop.
    fn end_at(&mut self, cache: &mut Cache, visible: i64) -> Result<LogEnd, Error> {
        if visible == self.readable.offset {
            return Ok(self.readable);
        }
        let behind = self.log.slice(cache, visible, self.readable, 0)?;
        let behind = behind.expect("the batch lies in front of what readers see");
        Ok(LogEnd {
            offset: visible,
            segment: behind.segment,
            position: behind.bytes.position,
            ..self.readable
        })
    }

    /// The offset that stands at a time, among what such a reader sees.
    pub fn offset_at(
        &mut self,
        cache: &mut Cache,
        query: TimeQuery,
        isolation: Isolation,
    ) -> Result<Option<TimedOffset>, Error> {
        let found = match query {
            TimeQuery::From(timestamp) => self.log.offset_at_time(cache, timestamp, self.readable)?,
            TimeQuery::Max => self.log.offset_of_max_timestamp(cache, self.readable)?,
        };
        let visible = self.bounds().visible(isolation);
        Ok(found.filter(|found| found.offset < visible))
    }

    /// Where a leader epoch ends, as far as readers see; `None` where nothing is known of it.
    pub fn end_of_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        let end = self.readable.offset;
        match self.state.epochs.end_of(epoch, end) {
            // The leader's own epoch is known before the first batch of it.
            None if (0..=self.config.leader_epoch).contains(&epoch) => Some(EpochEnd { epoch, end }),
            // A newer epoch begins where no reader has come yet.
            found => found.map(|found| EpochEnd { end: found.end.min(end), ..found }),
        }
    }

    /// The leader epoch that the record at `offset` was written in, or the next one will be; `None` where nothing
    /// is known of it.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let is_empty = self.log.start_offset() == self.log.end().offset;
        self.state.epochs.at(offset).or(is_empty.then_some(self.config.leader_epoch))
    }

    /// The idempotent producers that are known, by id.
    pub fn producers(&mut self, now_ms: i64) -> Vec<ProducerEntry> {
        self.state.producers.forget_idle(now_ms);
        self.state.producers.entries()
    }

    /// The largest id of a producer that was found at the opening or has written since.
    pub fn producer_id_max(&self) -> Option<i64> {
        self.state.producers.id_max()
    }

    /// Keeps readers from what lies in front of `offset`, as a client has asked for. Once the start that this
    /// returns is written down durably, the client may be told, and [`Partition::delete_below_start`] follows.
    pub fn delete_records_before(&mut self, offset: i64) -> Result<i64, Error> {
        let Bounds { start, readable, .. } = self.bounds();
        if offset < 0 || offset > readable {
            return Err(Error::OutOfRange { offset, start, end: readable });
        }
        self.raise_start(offset);
        Ok(self.log.start_offset())
    }

    /// How far it has come. The start does not pass the recovery point: a start of the process reads what lies
    /// between them, for the producers' sake.
    pub fn marks(&self) -> Marks {
        let recovery_point = self.log.recovery_point();
        Marks {
            recovery_point,
            start: self.log.start_offset().min(recovery_point),
            high_watermark: self.readable.offset,
        }
    }

    /// Whether its start waits for the recovery point to be written down.
    pub fn start_needs_sync(&self) -> bool {
        self.log.start_offset() > self.log.recovery_point()
    }

    /// Gives up what its settings do not keep, as far as readers see, and removes files whose time has come.
    pub fn upkeep(&mut self, cache: &mut Cache, now_ms: i64) -> Result<(), Error> {
        self.expire(cache, self.config.retention, now_ms)?;
        self.remove_due(cache, now_ms)
    }

    /// Keeps readers from what need not be kept any more. `Some`: the start, which is to be written down
    /// durably before [`Partition::delete_below_start`].
    pub fn expire(
        &mut self,
        cache: &mut Cache,
        retention: Retention,
        now_ms: i64,
    ) -> Result<Option<i64>, Error> {
        self.state.producers.forget_idle(now_ms);
        let start = self.log.expired_below(cache, retention, now_ms, self.readable.offset)?;
        start.into_iter().for_each(|start| self.raise_start(start));
        Ok(start)
    }

    fn raise_start(&mut self, offset: i64) {
        self.log.raise_start(offset);
        self.state.advance_start(&self.log);
    }

    /// Deletes the segments in front of a start that was written down durably: those for which the wave has returned that
    /// covers the snapshot behind them. Their files are gone when [`Partition::remove_due`] is called at `due_ms`
    /// or later. Says how many segments that were.
    ///
    /// Where the start is the log's end it rolls, and a wave and another call are needed for the last segment.
    pub fn delete_below_start(
        &mut self,
        cache: &mut Cache,
        written: i64,
        now_ms: i64,
        due_ms: i64,
    ) -> Result<usize, Error> {
        let start = self.log.start_offset().min(written);
        if start >= self.log.end().offset {
            self.log.roll(cache, now_ms)?;
        }
        if let Some(rolled) = self.log.take_rolled() {
            self.write_state(cache, rolled);
        }
        let below = self.state.written_up_to(start.min(self.log.recovery_segment()));
        let deleted = self.log.delete_below(cache, below, &Guard::default(), now_ms, due_ms)?;
        if deleted > 0 {
            self.state.forget_segments(cache, &self.log)?;
        }
        Ok(deleted)
    }

    /// Removes files of deleted segments whose time has come.
    pub fn remove_due(&mut self, cache: &Cache, now_ms: i64) -> Result<(), Error> {
        self.log.remove_due(cache, now_ms)
    }

    /// Moves the recovery point back to where [`Partition::truncate_to`] of `offset` leaves it, and says where
    /// that is. It has to be durable before anything is taken back.
    pub fn recede_to(&mut self, cache: &mut Cache, offset: i64) -> Result<LogEnd, Error> {
        self.log.recede_to(cache, offset)
    }

    /// Takes back everything from `offset` on, with what is known of it.
    pub fn truncate_to(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        now_ms: i64,
        due_ms: i64,
    ) -> Result<(), Error> {
        if offset >= self.log.end().offset {
            return Ok(());
        }
        self.log.truncate_to(cache, offset, &Guard::default(), due_ms)?;
        self.state.truncate(cache, &mut self.log, now_ms)?;
        let end = self.log.end();
        if end.offset < self.readable.offset {
            self.readable = end;
        }
        self.state.producers.advance(self.readable.offset);
        Ok(())
    }

    /// Lets go of what the shard keeps at hand for it.
    pub fn close(self, cache: &mut Cache) {
        self.log.close(cache);
    }

    /// Bytes of its records.
    pub fn log_bytes(&self) -> u64 {
        self.log.size()
    }

    /// Its settings.
    pub fn config(&self) -> &PartitionConfig {
        &self.config
    }

    /// What an acknowledgement of an append to it means.
    pub fn ack(&self) -> Ack {
        self.config.ack
    }

    /// Makes all of it durable and its indexes exact, and writes down what the next start wants to know; waits.
    /// For a clean stop.
    pub fn stop(&mut self, cache: &mut Cache) -> Result<(), Error> {
        self.state.aborted.take_unsynced(|file| self.log.sync_with_wave(file, SyncKind::Data));
        for file in self.state.write(cache.disk(), self.log.end().offset)? {
            self.log.sync_with_wave(file, SyncKind::Data);
        }
        self.log.stop(cache)
    }
}
