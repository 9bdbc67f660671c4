//! Opening a log: what its directory holds, what of that has to be verified, and where it ends.
//!
//! | segment | after a clean stop | otherwise |
//! |---|---|---|
//! | wholly in front of the recovery point | its files' lengths are looked at | the same |
//! | any other sealed one | its files' lengths are looked at | verified, indexed anew, synced |
//! | the last one | its end is looked at, from the last index entry on | verified, indexed anew, synced |
//!
//! Where it is known what is true at the recovery point, the segment with it is verified and indexed from there
//! on only.
//!
//! A batch that is not whole is an append that was under way when the process ended, where it lies behind
//! the recovery point and the stop was not clean: the log ends in front of it. Anywhere else it is damage,
//! and the opening is refused.

use std::path::Path;

use super::cache::{Cache, Place};
use super::deletion::Guard;
use super::entry_file::EntryFile;
use super::leftovers::{self, FileLens};
use super::log::{Log, LogLimits};
use super::recovery::{self, Cut, Recovery};
use super::replay::LogPiece;
use super::resume::ResumePoint;
use super::scan::{BatchAt, Found, HEADERS_WINDOW};
use super::segment::{Segment, corrupt, reading};
use crate::disk::OpenFile;
use crate::error::Error;
use crate::format::BatchHeader;
use crate::format::batch::HEADER_LEN;
use crate::format::index_entry::{OffsetEntry, TimeEntry};
use crate::planted::{Bug, planted};

/// What the caller knows of a log before it is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The process before this one stopped cleanly.
    pub was_clean: bool,
    /// Everything in front of it is known to be on the device.
    pub recovery_point: i64,
    /// Where the segment with the recovery point is verified from; from its beginning without one.
    pub resume: Option<ResumePoint>,
    /// Batches that [`Log::replay`] found or wrote, in order: they are not read again.
    pub replayed: &'a [LogPiece<'a>],
    /// Nobody reads in front of it.
    pub start_offset: i64,
    /// Batches that end in front of it are not visited.
    pub visit_from: i64,
    /// Offsets may be missing, as compaction leaves them.
    pub has_gaps: bool,
}

/// A batch that is there, of magic 2.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Its header.
    pub header: &'a BatchHeader,
    /// Where it begins in its segment's file.
    pub position: u64,
    /// Base offset of the segment it lies in.
    pub segment: i64,
    /// What lies behind the header, of a control batch.
    pub records: Option<&'a [u8]>,
}

/// What an opening found.
#[derive(Debug)]
pub struct Opened {
    /// Bytes that were cut off, and why.
    pub cut: Option<Cut>,
    /// How many bytes of segments were read.
    pub bytes_read: u64,
}

/// Takes up each batch that is visited.
pub type Visitor<'a> = dyn FnMut(Visit<'_>) -> Result<(), Error> + 'a;

impl Log {
    /// Opens what the directory holds, giving `visit` each batch in order. What was verified is durable
    /// before anybody reads it: the process before this one may have ended between a write and its sync.
    pub fn open(
        cache: &mut Cache,
        dir: &Path,
        limits: LogLimits,
        opening: &Opening<'_>,
        visit: &mut Visitor<'_>,
    ) -> Result<(Log, Opened), Error> {
        let key = cache.new_log();
        let found = leftovers::settle(cache, key, dir)?;
        let mut unindexed = Vec::new();
        let mut segments = Vec::with_capacity(found.len().max(1));
        for (index, (base_offset, lens)) in found.into_iter().enumerate() {
            segments.push(from_lens(base_offset, lens).unwrap_or_else(|| {
                unindexed.push(index);
                Segment::unindexed(base_offset, lens.log.unwrap_or_default())
            }));
        }
        if segments.is_empty() {
            let place = Place { log: key, dir, base_offset: opening.start_offset };
            let log =
                Log::of((key, dir), limits, vec![Segment::create(cache, &place)?], opening.start_offset);
            sync_dir(cache, dir)?;
            return checked(log, Opened { cut: None, bytes_read: 0 }, opening);
        }
        let sealed = if opening.was_clean {
            segments.len() - 1
        } else {
            let resumed = opening.resume.and_then(|point| {
                segments.iter().position(|segment| segment.base_offset == point.end.segment)
            });
            let first = opening.recovery_point.max(opening.start_offset);
            let holds_point = || segments.partition_point(|segment| segment.base_offset <= first);
            resumed.unwrap_or_else(|| holds_point().saturating_sub(1))
        };
        let mut log = Log::of((key, dir), limits, segments, 0);
        let looked_at = if opening.was_clean { log.segments.len() } else { sealed };
        unindexed.retain(|index| *index < looked_at);
        let mut bytes_read = log.index_anew(cache, &unindexed)?;
        bytes_read += log.visit_sealed(cache, sealed, opening, visit)?;
        let cut = if opening.was_clean {
            bytes_read += log.find_end(cache, opening, visit)?;
            None
        } else {
            let recovery = Recovery::new(opening);
            let recovered = recovery.run(&mut log, cache, sealed, visit)?;
            bytes_read += recovered.bytes_read;
            recovered.cut
        };
        log.recovery_point = log.end();
        if log.next_offset < opening.start_offset && !opening.was_clean {
            tracing::warn!(
                "{}: ends at offset {}, in front of its start {}: begun anew there",
                dir.display(),
                log.next_offset,
                opening.start_offset
            );
            log.restart_at(cache, opening.start_offset, &Guard::default(), i64::MIN)?;
            log.remove_due(cache, i64::MAX)?;
            sync_dir(cache, dir)?;
        }
        checked(log, Opened { cut, bytes_read }, opening)
    }

    /// Builds the indexes of segments that have none, or pieces of them.
    fn index_anew(&mut self, cache: &mut Cache, unindexed: &[usize]) -> Result<u64, Error> {
        let interval = self.limits.index_interval_bytes;
        let mut bytes_read = 0;
        for index in unindexed {
            let (segment, place) = self.segment(*index);
            segment.rebuild(cache, &place, interval, "a file is missing, or no whole number of entries")?;
            bytes_read += segment.size;
        }
        Ok(bytes_read)
    }

    /// Visits what is asked for of the first `sealed` segments.
    fn visit_sealed(
        &mut self,
        cache: &mut Cache,
        sealed: usize,
        opening: &Opening<'_>,
        visit: &mut Visitor<'_>,
    ) -> Result<u64, Error> {
        let mut bytes_read = 0;
        for index in self.segment_of(opening.visit_from)..sealed {
            bytes_read += self.visit_segment(cache, index, opening.visit_from, visit, |_| ())?;
        }
        Ok(bytes_read)
    }

    /// Walks a segment's headers from the batch that holds `from` on, or from the index entry in front of
    /// that, which `see` is told of too.
    fn visit_segment(
        &mut self,
        cache: &mut Cache,
        index: usize,
        from: i64,
        visit: &mut Visitor<'_>,
        mut see: impl FnMut(&BatchAt),
    ) -> Result<u64, Error> {
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(index);
        let file = segment.file(cache, &place)?;
        let mut window = [0; HEADERS_WINDOW];
        let mut walk = segment.walk_to(cache, &place, interval, from, (&file, &mut window))?;
        loop {
            match walk.next().map_err(reading(&place))? {
                Found::End => return Ok(walk.bytes_read()),
                Found::Nothing(fault) => return Err(corrupt(&place, walk.position(), &fault)),
                Found::Batch(batch) => {
                    see(&batch);
                    if batch.last_offset() >= from {
                        visit_batch(&batch, &file, &place, visit)?;
                    }
                }
            }
        }
    }

    /// Visits the batches that end at `from` or behind it and begin in front of `until`.
    pub fn walk(
        &mut self,
        cache: &mut Cache,
        from: i64,
        until: i64,
        visit: &mut Visitor<'_>,
    ) -> Result<(), Error> {
        let interval = self.limits.index_interval_bytes;
        for index in self.segment_of(from)..self.segments.len() {
            let (segment, place) = self.segment(index);
            if segment.base_offset >= until {
                break;
            }
            let file = segment.file(cache, &place)?;
            let mut window = [0; HEADERS_WINDOW];
            let mut walk = segment.walk_to(cache, &place, interval, from, (&file, &mut window))?;
            loop {
                match walk.next().map_err(reading(&place))? {
                    Found::Batch(batch) if batch.base_offset() < until => {
                        if batch.last_offset() >= from {
                            visit_batch(&batch, &file, &place, visit)?;
                        }
                    }
                    Found::Batch(_) | Found::End => break,
                    Found::Nothing(fault) => return Err(corrupt(&place, walk.position(), &fault)),
                }
            }
        }
        Ok(())
    }

    /// After a clean stop: the last segment's batches from its last index entry on, or from where visits are
    /// asked for.
    fn find_end(
        &mut self,
        cache: &mut Cache,
        opening: &Opening<'_>,
        visit: &mut Visitor<'_>,
    ) -> Result<u64, Error> {
        let last = self.segments.len() - 1;
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(last);
        segment.largest(cache, &place, interval)?;
        segment.hold(recovery::open(cache, &place)?);
        let mut next_offset = segment.base_offset;
        // An index has no entry at i64::MAX: the walk begins at the last one.
        let mut bytes_read = self.visit_segment(cache, last, i64::MAX, &mut |_| Ok(()), |batch| {
            next_offset = batch.last_offset() + 1;
        })?;
        if opening.visit_from < next_offset {
            bytes_read += self.visit_segment(cache, last, opening.visit_from, visit, |_| ())?;
        }
        self.next_offset = next_offset;
        Ok(bytes_read)
    }
}

/// A log that lacks what the caller knows to be on the device is refused.
fn checked(mut log: Log, opened: Opened, opening: &Opening) -> Result<(Log, Opened), Error> {
    let durable = opening.recovery_point.max(opening.start_offset);
    if log.next_offset < durable && !planted(Bug::TailCutBelowDurableEnd) {
        return Err(Error::Corrupt(format!(
            "log {}: ends at offset {}, expected at least {}: so much was on the device",
            log.dir.display(),
            log.next_offset,
            durable
        )));
    }
    log.start_offset = log.segments[0].base_offset.max(opening.start_offset);
    Ok((log, opened))
}

/// `None` when its indexes have to be built.
fn from_lens(base_offset: i64, lens: FileLens) -> Option<Segment> {
    let size = lens.log.unwrap_or_default();
    if size == 0 {
        return Some(Segment::unindexed(base_offset, 0));
    }
    let offsets = lens.offsets.and_then(EntryFile::<OffsetEntry>::count)?;
    let times = lens.times.and_then(EntryFile::<TimeEntry>::count)?;
    Some(Segment::indexed(base_offset, size, offsets, times))
}

fn sync_dir(cache: &Cache, dir: &Path) -> Result<(), Error> {
    cache.disk().sync_dir(dir).map_err(Error::io(format_args!("syncing {}", dir.display())))
}

/// Shows a batch to the visitor, with its records where they say what became of a transaction.
pub(super) fn visit_batch(
    batch: &BatchAt,
    file: &OpenFile,
    place: &Place<'_>,
    visit: &mut Visitor<'_>,
) -> Result<(), Error> {
    // Before there were batches there were neither producers nor transactions.
    let Some(header) = batch.header() else { return Ok(()) };
    let bytes = header.is_control().then(|| batch.read(file)).transpose().map_err(reading(place))?;
    visit(Visit {
        header,
        position: batch.position,
        segment: place.base_offset,
        records: bytes.as_deref().and_then(|bytes| bytes.get(HEADER_LEN..)),
    })
}
