//! How a shard's appends become durable: which of them go through the journal and which where they lie, the
//! waves that carry them, and the syncs behind the journal.

use bytes::Bytes;

use super::behind::Done;
use super::flush::Unflushed;
use super::log_dir::LogDir;
use super::op::Op;
use super::shard::{Shard, Slot};
use super::wave::Ticket;
use crate::disk::{AlignedBuf, IoDone, IoQueue};
use crate::error::Error;
use crate::format::point_state;
use crate::journal::{Place, StateRecord};
use crate::log::{Cache, LogEnd};
use crate::partition::{Ack, Appended, PartitionId};
use crate::planted::{Bug, planted};

/// How a partition's appends of the open wave become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// By the journal, which has so many bytes of it.
    Journal(usize),
    /// By a sync of the segment that they lie in.
    Direct,
}

impl Default for Share {
    fn default() -> Share {
        Share::Journal(0)
    }
}

impl Shard {
    /// Appends what a producer sent for one partition. The answer may be acknowledged once the ticket's
    /// wave is released; without a ticket, at once.
    pub fn append(
        &mut self,
        id: PartitionId,
        bytes: Bytes,
        now_ms: i64,
    ) -> Result<(Appended, Option<Ticket>), Error> {
        let slot = self.partitions.get_mut(&id).ok_or(Error::UnknownPartition)?;
        let dir = &mut self.dirs[slot.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        let is_durable = slot.partition.ack() == Ack::Durable;
        let end_before = slot.partition.end();
        let (share, unmarked_bytes) = (&mut slot.share, &mut slot.unmarked_bytes);
        let appended = slot.partition.append(&mut self.cache, bytes, now_ms, |end, parts| {
            *unmarked_bytes += (parts[0].len() + parts[1].len()) as u64;
            if is_durable {
                dir.take_share(id, share, end, parts);
            }
        })?;
        let end = slot.partition.end();
        let is_new = end != end_before;
        let readable = slot.partition.bounds().readable;
        let wave = match slot.partition.ack() {
            // A repeated batch waits for the wave of the first one.
            Ack::Durable | Ack::Flushed(_) if !is_new => {
                let is_seen = appended.end_offset <= readable || planted(Bug::DuplicateAckedBeforeWave);
                if is_seen { None } else { dir.waves.covering(id) }
            }
            Ack::Durable => Some(dir.waves.enroll(id)),
            ack @ (Ack::PageCache | Ack::Flushed(_)) => {
                let records = end.offset - end_before.offset;
                let fills =
                    matches!(ack, Ack::Flushed(limits) if slot.unflushed.add(records, limits, now_ms));
                // The recovery point waits for a roll's sync, though nobody else does.
                if fills || end.segment != end_before.segment {
                    (slot.unflushed, slot.share) = (Unflushed::default(), Share::Direct);
                    dir.waves.enroll(id);
                }
                let wave = slot.flushing.wave_of((id, end, fills), readable, &dir.waves);
                if wave.is_none() && slot.partition.publish(end) {
                    self.progress.advanced.push(id);
                }
                wave
            }
        };
        Ok((appended, wave.map(|wave| Ticket { dir: slot.dir, wave })))
    }

    /// Starts a wave in every directory that has something to be written and none in flight, and syncs behind
    /// the journals.
    pub fn submit(&mut self) {
        for dir in 0..self.dirs.len() {
            if self.dirs[dir].is_offline {
                continue;
            }
            if let Err(error) = self.start_wave(dir).and_then(|()| self.sync_behind(dir)) {
                self.fail(dir, &error.to_string());
            }
        }
    }

    fn start_wave(&mut self, dir: usize) -> Result<(), Error> {
        let Some(mut dirty) = self.dirs[dir].take_dirty() else { return Ok(()) };
        let (mut ops, mut awaited) = (0, 0);
        let mut covered = self.dirs[dir].waves.new_covered();
        for id in dirty.drain(..) {
            // A partition that was closed since takes its appends with it.
            let Some(slot) = self.partitions.get_mut(&id) else { continue };
            if std::mem::take(&mut slot.share) == Share::Direct {
                ops += submit_syncs(slot, &mut *self.queue, Op::Wave { dir })?;
                // A sync that is on its way behind the journal may hold what the wave needs, and is not
                // submitted twice.
                awaited += usize::from(self.dirs[dir].behind.await_job_of(id));
                slot.direct = Some(slot.mark(id, &self.cache).0);
            }
            let end = slot.partition.end();
            if planted(Bug::DurableEndMovedEarly) {
                slot.partition.publish(end);
            }
            covered.push((id, end));
        }
        self.dirs[dir].waves.give_dirty_back(dirty);
        self.dirs[dir].counts.wave_syncs += ops as u64;
        if let Some(frame) = self.dirs[dir].take_frame() {
            let token = Op::Frame { dir }.token();
            self.queue
                .write(&frame.file, frame.buf, frame.position, token)
                .map_err(Error::io("submitting a write of the journal"))?;
            ops += 1;
        }
        self.syncs += ops as u64;
        self.dirs[dir].counts.waves += 1;
        let wave = self.dirs[dir].waves.started(ops + awaited, covered);
        if planted(Bug::AckBeforeSync) {
            self.progress.released.push(Ticket { dir, wave });
        }
        self.release_finished(dir);
        Ok(())
    }

    /// Makes durable where they lie what keeps the journal's oldest file from being written anew.
    fn sync_behind(&mut self, dir: usize) -> Result<(), Error> {
        while let Some(id) = self.next_behind(dir) {
            let Some(slot) = self.partitions.get_mut(&id) else { continue };
            let (mark, bytes) = slot.mark(id, &self.cache);
            let job = self.dirs[dir].behind.free_job();
            let syncs = submit_syncs(slot, &mut *self.queue, Op::Behind { dir, job })?;
            if syncs == 0 {
                self.became_durable(dir, mark);
            } else {
                slot.is_behind = true;
                self.syncs += syncs as u64;
                let log_dir = &mut self.dirs[dir];
                log_dir.behind.begin(mark, syncs);
                log_dir.counts.behind_syncs += syncs as u64;
                log_dir.counts.behind_bytes += bytes;
            }
        }
        Ok(())
    }

    fn next_behind(&mut self, dir: usize) -> Option<PartitionId> {
        let LogDir { journal: Some(journal), behind, limits, .. } = &mut self.dirs[dir] else { return None };
        behind.follow(journal, limits.free_files_min);
        // A partition's syncs may be with the wave in flight, or on their way already.
        behind.next(journal, limits.background_syncs_max, |id| {
            self.partitions.get(&id).is_some_and(|slot| slot.direct.is_some() || slot.is_behind)
        })
    }

    /// Takes up operations that have finished, and releases the waves that are whole.
    pub fn reap(&mut self) {
        let mut reaped = std::mem::take(&mut self.reaped);
        self.queue.reap(&mut reaped);
        for IoDone { token, result, buf } in reaped.drain(..) {
            let op = Op::of(token);
            match (op.dir(), result) {
                // Who sends finds out itself what the read has failed at.
                (None, _) => self.finished(op, buf),
                (Some(dir), _) if self.dirs[dir].is_offline => (),
                (Some(_), Ok(())) => self.finished(op, buf),
                // The kernel has nothing left to write, and says so.
                (Some(_), Err(_)) if op.is_sync() && planted(Bug::SyncRetried) => self.finished(op, buf),
                (Some(dir), Err(error)) => self.fail(dir, &failure(op, &error)),
            }
        }
        self.reaped = reaped;
    }

    fn finished(&mut self, op: Op, buf: Option<AlignedBuf>) {
        match op {
            Op::Wave { dir } => self.dirs[dir].waves.synced(),
            Op::Frame { dir } => {
                let journal = self.dirs[dir].journal.as_mut().expect("it wrote a frame");
                journal.written(buf.expect("a write gives its memory back"));
                self.dirs[dir].waves.synced();
            }
            Op::ReadIn { job } => self.was_read_in(job, buf),
            Op::Behind { dir, job } => {
                if let Some(Done { mark, is_awaited }) = self.dirs[dir].behind.synced(job) {
                    if is_awaited {
                        self.dirs[dir].waves.synced();
                    }
                    if let Some(slot) = self.partitions.get_mut(&mark.record.place.id) {
                        slot.is_behind = false;
                    }
                    self.became_durable(dir, mark);
                }
            }
        }
        if let Some(dir) = op.dir() {
            self.release_finished(dir);
        }
    }

    fn release_finished(&mut self, dir: usize) {
        let Some(mut finished) = self.dirs[dir].waves.take_finished() else { return };
        for (id, end) in finished.covered.drain(..) {
            let Some(slot) = self.partitions.get_mut(&id) else { continue };
            if slot.partition.publish(slot.flushing.released(end)) {
                self.progress.advanced.push(id);
            }
            if let Some(mark) = slot.direct.take() {
                self.became_durable(dir, mark);
            }
        }
        self.dirs[dir].waves.give_covered_back(finished.covered);
        self.progress.released.push(Ticket { dir, wave: finished.wave });
    }

    /// A partition is on the device up to the mark without the journal.
    fn became_durable(&mut self, dir: usize, mark: Mark) {
        let Some(slot) = self.partitions.get_mut(&mark.record.place.id) else { return };
        slot.partition.durable_to(mark.end);
        if let Some(journal) = &mut self.dirs[dir].journal {
            journal.set_state(mark.record);
        }
    }
}

/// How far a partition reaches when syncs of it are submitted: what is durable when they have returned.
#[derive(Debug)]
pub(super) struct Mark {
    end: LogEnd,
    pub(super) record: StateRecord,
}

impl Slot {
    /// What will be true once everything appended so far is synced, and how many bytes that are which no
    /// mark before it had.
    pub(super) fn mark(&mut self, id: PartitionId, cache: &Cache) -> (Mark, u64) {
        let end = self.partition.end();
        let place = Place { id, segment: end.segment, position: end.position, offset: end.offset };
        let state = self.partition.point_state(cache);
        let payload = state.as_ref().map(point_state::write).unwrap_or_default();
        let mark = Mark { end, record: StateRecord { place, payload } };
        (mark, std::mem::take(&mut self.unmarked_bytes))
    }
}

fn failure(op: Op, error: &std::io::Error) -> String {
    match op {
        Op::Wave { .. } => format!("a sync failed: {error}"),
        Op::Frame { .. } => format!("a write of the journal failed: {error}"),
        Op::Behind { .. } => format!("a sync behind the journal failed: {error}"),
        Op::ReadIn { .. } => format!("a read failed: {error}"),
    }
}

/// Submits what has to be synced for the partition to be durable up to its end, and says how many syncs that
/// takes.
fn submit_syncs(slot: &mut Slot, queue: &mut dyn IoQueue, op: Op) -> Result<usize, Error> {
    let mut result = Ok(());
    let mut syncs = 0;
    slot.partition.take_unsynced(|file, kind| {
        if result.is_ok() {
            result = queue.sync(&file, kind, op.token());
            syncs += 1;
        }
    });
    result.map_err(Error::io("submitting a sync"))?;
    Ok(syncs)
}

impl LogDir {
    /// Decides how an append becomes durable.
    fn take_share(&mut self, id: PartitionId, share: &mut Share, end: LogEnd, parts: [&[u8]; 2]) {
        let len = parts[0].len() + parts[1].len();
        let Share::Journal(bytes_before) = *share else {
            self.direct_bytes += len as u64;
            return;
        };
        let bytes = bytes_before + len;
        let position = end.position - len as u64;
        let place = Place { id, segment: end.segment, position, offset: end.offset };
        let pays = bytes < self.limits.direct_bytes_min || self.directs >= self.limits.direct_partitions_max;
        let is_taken = pays && self.journal.as_mut().is_some_and(|journal| journal.push_piece(place, parts));
        *share = if is_taken { Share::Journal(bytes) } else { Share::Direct };
        if !is_taken {
            self.directs += 1;
            self.direct_bytes += bytes as u64;
        }
    }
}
