//! `State`: what a partition knows beside its batches, and the files that say it again after a start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aborted::AbortedTransactions;
use super::epochs::LeaderEpochs;
use super::producer::Marker;
use super::producers::Producers;
use super::snapshots::{Loaded, Snapshots};
use crate::disk::{DirEntry, Disk, OpenFile, OpenMode, SyncKind};
use crate::error::Error;
use crate::format::control::ControlRecord;
use crate::format::record::Records;
use crate::format::{AbortedEntry, BatchHeader, PointState, SegmentState};
use crate::log::{
    Cache, FileKind, Log, LogEnd, LogLimits, LogPiece, Opened, Opening, ResumePoint, Visit, base_of,
};
use crate::planted::{Bug, planted};

/// How far in front of a snapshot of Apache Kafka's the other batches of its producers are looked for: it has
/// the last one of each only.
const LOOK_BACK_OFFSETS_MAX: i64 = 1 << 18;
/// How far the first look goes; each one that does not find all goes twice as far.
const LOOK_BACK_OFFSETS_FIRST: i64 = 1 << 12;

/// What the caller knows of a partition before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The process before this one stopped cleanly, or the partition is new.
    pub was_clean: bool,
    /// Everything in front of it is on the device.
    pub recovery_point: i64,
    /// Nobody reads in front of it.
    pub start_offset: i64,
    /// Offsets may be missing, because the log is compacted.
    pub has_gaps: bool,
}

/// Producers of a partition that a [`PointState`] has room for, and leader epochs: where there are more, a start
/// finds them in the snapshot in front of the segment, and behind that in the log.
const POINT_PRODUCERS_MAX: usize = 64;
const POINT_EPOCHS_MAX: usize = 16;

/// What a journal has of a partition.
#[derive(Debug, Clone, Default)]
pub struct Journalled<'a> {
    /// Its newest recovery point, and what is true there.
    pub point: Option<(LogEnd, PointState)>,
    /// Its batches behind that, which were replayed.
    pub replayed: &'a [LogPiece<'a>],
}

/// What a partition knows beside its batches.
#[derive(Debug)]
pub(super) struct State {
    dir: PathBuf,
    pub(super) producers: Producers,
    pub(super) epochs: LeaderEpochs,
    pub(super) aborted: AbortedTransactions,
    snapshots: Snapshots,
    expiration_ms: i64,
}

impl State {
    /// Opens a log and finds out what is known beside it: from the newest snapshot that can be believed, and
    /// from the batches behind that.
    ///
    /// After a clean stop every file is believed. Otherwise only those in front of the segment that holds the
    /// recovery point, and the later ones are written anew; where a journal says what is true at the point, only
    /// what is behind it is read.
    pub(super) fn open(
        cache: &mut Cache,
        dir: &Path,
        limits: LogLimits,
        (known, journalled): (&Known, &Journalled<'_>),
        expiration_ms: i64,
        now_ms: i64,
    ) -> Result<(Log, State, Opened), Error> {
        let disk = cache.shared_disk();
        let entries = disk.list(dir).map_err(Error::io(format_args!("listing {}", dir.display())))?;
        // A segment that a start was naming anew counts, and so does its snapshot.
        let entries = Log::settle_names(cache, dir, entries)?;
        let mut snapshots = Snapshots::find(&*disk, dir, &entries)?;
        let point = journalled.point.as_ref().filter(|(end, _)| is_where_to_begin(known, end, &entries));
        let believed_to = match point {
            _ if known.was_clean => i64::MAX,
            Some((end, _)) => end.segment,
            None => {
                let point = known.recovery_point.max(known.start_offset);
                let holds_point = bases_of(&entries).filter(|base| *base <= point).max();
                // Where there is no segment, a log that was cut to nothing begins anew where it began.
                holds_point.unwrap_or(known.start_offset)
            }
        };
        let loaded = match point {
            Some(_) => None,
            None if known.was_clean => snapshots.load(&*disk, believed_to)?,
            None => {
                snapshots.settle(&*disk, believed_to, known.recovery_point)?;
                snapshots.load_whole(&*disk, believed_to)?
            }
        };
        // Where another broker wrote last, older snapshots have ids that this one never gave out.
        let is_ours = loaded.as_ref().is_some_and(|loaded| !loaded.batches.is_empty());
        let id_max = match point {
            Some((_, state)) => state.producer_id_max,
            None if is_ours => None,
            None => snapshots.producer_id_max(&*disk)?,
        };
        let from = loaded.as_ref().map_or(0, |loaded| loaded.offset);
        let from = point.map_or(from, |(end, _)| end.offset);
        let epochs = LeaderEpochs::load(&*disk, dir)?;
        let visit_from = if epochs.is_some() || point.is_some() { from } else { 0 };
        let (producers, epochs) = match point {
            None => (producers_of(loaded.as_ref(), expiration_ms, now_ms), epochs.unwrap_or_default()),
            Some((_, state)) => (
                Producers::load(expiration_ms, &state.producers, &state.batches, now_ms),
                LeaderEpochs::known(&state.epochs, epochs),
            ),
        };
        let aborted = AbortedTransactions::find(dir, &entries);
        let mut state = State { dir: dir.to_owned(), producers, epochs, aborted, snapshots, expiration_ms };
        id_max.into_iter().for_each(|id| state.producers.see_id(id));
        if !known.was_clean {
            state.snapshots.remove_behind(&*disk, believed_to)?;
            state.aborted.remove_from(&*disk, believed_to)?;
        }
        let opening = Opening {
            was_clean: known.was_clean,
            recovery_point: known.recovery_point,
            resume: point.map(|(end, state)| ResumePoint { end: *end, state: state.segment }),
            replayed: journalled.replayed,
            start_offset: known.start_offset,
            visit_from,
            has_gaps: known.has_gaps,
        };
        // What a snapshot lacks is in front of it, and has to be known before what is behind.
        let lacks = loaded.as_ref().is_some_and(Loaded::lacks_batches);
        let segment = point.map_or(from, |(end, _)| end.segment);
        let mut replay = Replay { disk: disk.clone(), believed_to, segment, written: Vec::new(), now_ms };
        let (mut log, opened) = Log::open(cache, dir, limits, &opening, &mut |visit| {
            state.epochs.note_replayed(visit.header.leader_epoch(), visit.header.base_offset());
            if lacks || visit.header.last_offset() < from {
                return Ok(());
            }
            replay.take_up(&mut state, &visit)
        })?;
        state.settle(&*disk, &log)?;
        let end = log.end();
        if from > end.offset {
            tracing::warn!(
                "{}: a snapshot at offset {from} of a log that ends at {}: read anew from the log",
                dir.display(),
                end.offset
            );
            replay.written.extend(state.rebuild(cache, &mut log, now_ms)?);
        } else if lacks {
            replay.written.extend(state.look_back(cache, &mut log, from)?);
            log.walk(cache, from, end.offset, &mut |visit| replay.take_up(&mut state, &visit))?;
        }
        // Of an empty segment no batch tells.
        if end.segment == end.offset {
            replay.begin_segment(&mut state, end.segment)?;
        }
        let mut written = replay.written;
        if !known.was_clean || !written.is_empty() {
            state.aborted.take_unsynced(|file| written.push(file));
            let syncing = || Error::io(format!("syncing {}", dir.display()));
            let has_new = !written.is_empty();
            written.into_iter().try_for_each(|file| file.sync()).map_err(syncing())?;
            state.epochs.write_durably(&*disk, dir, log.end().segment)?;
            if has_new {
                disk.sync_dir(dir).map_err(syncing())?;
            }
        }
        Ok((log, state, opened))
    }

    /// What is true at the log's end, where it is small enough to be written down often.
    pub(super) fn at_end(&self, end: &LogEnd, segment: SegmentState) -> Option<PointState> {
        let is_small =
            self.producers.len() <= POINT_PRODUCERS_MAX && self.epochs.starts().len() <= POINT_EPOCHS_MAX;
        (is_small && !self.aborted.has_of_segment(end.segment)).then(|| PointState {
            segment,
            producer_id_max: self.producers.id_max(),
            epochs: self.epochs.starts().to_vec(),
            producers: self.producers.entries(),
            batches: self.producers.all_batches(),
        })
    }

    /// Drops what says more than the log holds.
    fn settle(&mut self, disk: &dyn Disk, log: &Log) -> Result<(), Error> {
        let bases: Vec<i64> = log.segment_bases().collect();
        self.snapshots.remove_behind(disk, log.end().offset)?;
        self.snapshots.remove_strays(disk, &bases)?;
        self.aborted.remove_strays(disk, &bases)?;
        self.epochs.truncate_from_end(log.end().offset);
        self.epochs.truncate_from_start(log.start_offset());
        Ok(())
    }

    /// Takes up a batch that is in the log. `Some`: the aborted transaction that it ends.
    fn replay(&mut self, visit: &Visit<'_>, now_ms: i64) -> Result<Option<AbortedEntry>, Error> {
        let header = visit.header;
        if !header.is_control() {
            if !planted(Bug::ProducerStateLost) {
                self.producers.note(header, now_ms);
            }
            return Ok(None);
        }
        let marker = marker_of(header, visit.records.unwrap_or_default()).map_err(|fault| {
            Error::Corrupt(format!(
                "{}: batch at offset {}: {fault}",
                self.dir.display(),
                header.base_offset()
            ))
        })?;
        Ok(marker.and_then(|marker| self.note_marker(&marker, header, now_ms)))
    }

    /// Takes up a marker that is in the log. `Some`: the aborted transaction that it ends.
    pub(super) fn note_marker(
        &mut self,
        marker: &Marker,
        header: &BatchHeader,
        now_ms: i64,
    ) -> Option<AbortedEntry> {
        self.producers.note_marker(marker, header.base_offset(), header.max_timestamp(), now_ms)
    }

    /// Looks in front of a snapshot for the batches that it lacks, in larger and larger pieces of the log, and
    /// puts them beside it: the segments that they were found in may go. Returns files that have to be synced.
    fn look_back(&mut self, cache: &mut Cache, log: &mut Log, snapshot: i64) -> Result<Vec<OpenFile>, Error> {
        let begin = log.segment_bases().next().expect("a log has a segment");
        let first = begin.max(snapshot - LOOK_BACK_OFFSETS_MAX);
        let (mut until, mut piece) = (snapshot, LOOK_BACK_OFFSETS_FIRST);
        while until > first && self.producers.lack_batches() {
            let from = first.max(until - piece);
            let mut headers = Vec::new();
            log.walk(cache, from, until, &mut |visit| {
                if visit.header.producer().is_some() {
                    headers.push(*visit.header);
                }
                Ok(())
            })?;
            headers.iter().rev().for_each(|header| self.producers.note_earlier(header));
            (until, piece) = (from, piece * 2);
        }
        self.snapshots.write(cache.disk(), snapshot, &self.producers)
    }

    /// Finds out anew what is known of producers, up to the log's end. Indexes of aborted transactions are
    /// right already. Returns files that have to be synced.
    fn rebuild(&mut self, cache: &mut Cache, log: &mut Log, now_ms: i64) -> Result<Vec<OpenFile>, Error> {
        let end = log.end().offset;
        let loaded = self.snapshots.load(cache.disk(), end)?;
        let id_max = self.producers.id_max();
        self.producers = producers_of(loaded.as_ref(), self.expiration_ms, now_ms);
        id_max.into_iter().for_each(|id| self.producers.see_id(id));
        let mut written = Vec::new();
        // Batches in front of the log's start are no less their producers' last ones.
        let mut from = log.segment_bases().next().expect("a log has a segment");
        if let Some(loaded) = &loaded {
            from = loaded.offset;
            if loaded.lacks_batches() {
                written = self.look_back(cache, log, from)?;
            }
        }
        log.walk(cache, from, end, &mut |visit| self.replay(&visit, now_ms).map(drop))?;
        Ok(written)
    }

    /// The log was cut: what is known is as if nothing behind its end had ever been there.
    pub(super) fn truncate(&mut self, cache: &mut Cache, log: &mut Log, now_ms: i64) -> Result<(), Error> {
        let disk = cache.shared_disk();
        let end = log.end().offset;
        self.snapshots.remove_behind(&*disk, end)?;
        self.forget_segments(cache, log)?;
        self.aborted.truncate(&*disk, end)?;
        self.epochs.truncate_from_end(end);
        for file in self.rebuild(cache, log, now_ms)? {
            log.sync_with_wave(file, SyncKind::Data);
        }
        Ok(())
    }

    /// The log begins later.
    pub(super) fn advance_start(&mut self, log: &Log) {
        self.epochs.truncate_from_start(log.start_offset());
    }

    /// The newest offset up to `offset` for which all that is known was written down: what lies in front of it
    /// may go.
    pub(super) fn written_up_to(&self, offset: i64) -> i64 {
        self.snapshots.newest_at(offset).unwrap_or(0)
    }

    /// Lets go of what belonged to segments that are gone.
    pub(super) fn forget_segments(&mut self, cache: &Cache, log: &Log) -> Result<(), Error> {
        let bases: Vec<i64> = log.segment_bases().collect();
        self.snapshots.remove_strays(cache.disk(), &bases)?;
        self.aborted.remove_strays(cache.disk(), &bases)
    }

    /// The directory, open to be synced.
    pub(super) fn open_dir(&self, disk: &dyn Disk) -> Result<OpenFile, Error> {
        disk.open(&self.dir, OpenMode::Directory)
            .map_err(Error::io(format_args!("opening {}", self.dir.display())))
    }

    /// Writes down what is known at `offset`, the log's end, without waiting. The files have to be synced, and
    /// then the directory.
    pub(super) fn write(&mut self, disk: &dyn Disk, offset: i64) -> Result<Vec<OpenFile>, Error> {
        let mut files = self.snapshots.write(disk, offset, &self.producers)?;
        files.extend(self.epochs.write(disk, &self.dir)?);
        Ok(files)
    }
}

/// Taking up what lies behind a snapshot, and writing down what is known where segments begin.
struct Replay {
    disk: Arc<dyn Disk>,
    /// Indexes of aborted transactions of segments in front of it are right already.
    believed_to: i64,
    /// The last offset at which all that is known was written down.
    segment: i64,
    /// Files that have to be synced.
    written: Vec<OpenFile>,
    now_ms: i64,
}

impl Replay {
    fn take_up(&mut self, state: &mut State, visit: &Visit<'_>) -> Result<(), Error> {
        self.begin_segment(state, visit.segment)?;
        if let Some(entry) = state.replay(visit, self.now_ms)?
            && visit.segment >= self.believed_to
        {
            state.aborted.append(&*self.disk, visit.segment, &entry)?;
        }
        Ok(())
    }

    fn begin_segment(&mut self, state: &mut State, base: i64) -> Result<(), Error> {
        if base > self.segment {
            self.segment = base;
            self.written.extend(state.snapshots.write(&*self.disk, base, &state.producers)?);
        }
        Ok(())
    }
}

fn bases_of(entries: &[DirEntry]) -> impl Iterator<Item = i64> + '_ {
    entries.iter().filter_map(|entry| base_of(&entry.name, FileKind::Log))
}

/// Whether a start can begin at a point of which a journal tells: its segment is there, and no later one is known
/// to be on the device, but for one that begins just there.
fn is_where_to_begin(known: &Known, end: &LogEnd, entries: &[DirEntry]) -> bool {
    let point = known.recovery_point.max(known.start_offset);
    let is_later = |base: i64| base > end.segment && base <= point && point > end.offset;
    !known.was_clean && bases_of(entries).any(|base| base == end.segment) && !bases_of(entries).any(is_later)
}

/// The producers that a snapshot knows.
fn producers_of(loaded: Option<&Loaded>, expiration_ms: i64, now_ms: i64) -> Producers {
    match loaded {
        Some(Loaded { entries, batches, .. }) => Producers::load(expiration_ms, entries, batches, now_ms),
        None => Producers::new(expiration_ms),
    }
}

/// What the record of a control batch says of a transaction; `None` where it says nothing: it belongs to the
/// metadata log, or compaction has taken it.
pub(super) fn marker_of(header: &BatchHeader, records: &[u8]) -> Result<Option<Marker>, String> {
    if header.producer_id() < 0 {
        return Ok(None);
    }
    let Some(record) = Records::new(records, header.record_count()).next() else { return Ok(None) };
    let record = record.map_err(|bad| bad.to_string())?;
    let (coordinator_epoch, is_commit) = match ControlRecord::read(&record)? {
        ControlRecord::Abort { coordinator_epoch } => (coordinator_epoch, false),
        ControlRecord::Commit { coordinator_epoch } => (coordinator_epoch, true),
        ControlRecord::Other(_) => return Ok(None),
    };
    let (producer_id, epoch) = (header.producer_id(), header.producer_epoch());
    Ok(Some(Marker { producer_id, epoch, coordinator_epoch, is_commit }))
}
