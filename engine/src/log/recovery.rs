//! `Recovery`: verifies what may have been under way when the process ended.

use std::path::Path;

use super::cache::{Cache, Place};
use super::file_name::{FileKind, KINDS, NAMING};
use super::log::Log;
use super::opening::{Opening, Visitor, visit_batch};
use super::resume::{ResumePoint, resume};
use super::scan::{BatchAt, Found, RECORDS_WINDOW, Walk};
use super::segment::{Growth, Segment, corrupt, reading};
use crate::disk::{Disk, OpenFile, OpenMode, with_suffix};
use crate::error::Error;
use crate::format::BatchHeader;
use crate::planted::{Bug, planted};

/// Bytes that were taken off a log's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Base offset of the segment that was cut.
    pub segment: i64,
    /// Its length now.
    pub position: u64,
    /// Its length before.
    pub len_before: u64,
    /// What was found at the position.
    pub fault: String,
}

/// What a recovery did.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) cut: Option<Cut>,
    pub(super) bytes_read: u64,
}

/// One pass over the segments from the one that holds the recovery point on.
pub(super) struct Recovery<'a> {
    opening: &'a Opening<'a>,
    /// How many of the replayed batches are behind the walk.
    replayed: usize,
    window: Vec<u8>,
    /// What the next batch's base offset is, or where it has to be at least.
    next_offset: i64,
}

impl<'a> Recovery<'a> {
    pub(super) fn new(opening: &'a Opening<'a>) -> Recovery<'a> {
        Recovery { opening, replayed: 0, window: vec![0; RECORDS_WINDOW], next_offset: 0 }
    }

    /// Verifies the segments of `log` from `first` on, and leaves them indexed and on the device.
    pub(super) fn run(
        mut self,
        log: &mut Log,
        cache: &mut Cache,
        first: usize,
        visit: &mut Visitor<'_>,
    ) -> Result<Recovered, Error> {
        let mut recovered = Recovered::default();
        self.next_offset = log.segments[first].base_offset;
        let mut index = first;
        while index < log.segments.len() {
            let base_offset = log.segments[index].base_offset;
            if index > first && !self.continues(log, index)? {
                drop_from(log, cache, index)?;
                // The one in front of the hole grows again.
                let (segment, place) = log.segment(index - 1);
                segment.hold(open(cache, &place)?);
                break;
            }
            self.next_offset = base_offset;
            let cut = self.segment(log, cache, index, &mut recovered, visit)?;
            if cut.is_some() {
                recovered.cut = cut;
                break;
            }
            index += 1;
        }
        let is_reused = planted(Bug::OffsetReused) && self.next_offset > log.end().segment;
        log.next_offset = self.next_offset - i64::from(is_reused);
        Ok(recovered)
    }

    /// Whether a segment begins where the one before it ends. Where it does not, the end of that one was
    /// lost: nothing behind the hole was acknowledged, because a wave covers every segment that was written.
    fn continues(&self, log: &Log, index: usize) -> Result<bool, Error> {
        let base_offset = log.segments[index].base_offset;
        if base_offset == self.next_offset || (base_offset > self.next_offset && self.opening.has_gaps) {
            return Ok(true);
        }
        let place = Place { log: log.key, dir: &log.dir, base_offset };
        let fault = format!("segment {place}: begins at offset {base_offset}, expected {}", self.next_offset);
        if base_offset < self.next_offset || self.ends_below_durable() {
            return Err(Error::Corrupt(fault));
        }
        tracing::warn!("{fault}: removed, what it holds was never acknowledged");
        Ok(false)
    }

    /// Verifies one segment.
    fn segment(
        &mut self,
        log: &mut Log,
        cache: &mut Cache,
        index: usize,
        recovered: &mut Recovered,
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Cut>, Error> {
        let interval = log.limits.index_interval_bytes;
        let (segment, place) = log.segment(index);
        let len = segment.size;
        let file = open(cache, &place)?;
        // What the process before this one left in the page cache is not always what the device has: after a
        // failed sync the kernel counts pages as written that are not. So what can still be written is, and
        // everything is read from the device.
        if !planted(Bug::ReplayNotSynced) {
            file.sync().map_err(syncing(&place))?;
        }
        if !planted(Bug::RecoveryFromPageCache) {
            file.drop_cached().map_err(syncing(&place))?;
        }
        let is_here = |point: &ResumePoint| {
            let is_cut = planted(Bug::TailCutBelowDurableEnd) && len < point.end.position;
            point.end.segment == place.base_offset && !is_cut
        };
        let point = self.opening.resume.filter(is_here);
        let (mut built, mut growth) = match &point {
            None => (Segment::unindexed(place.base_offset, 0), Growth::default()),
            Some(point) => {
                let (segment, growth, bytes_read) =
                    self.go_on(cache, &place, point, (&file, len), interval)?;
                recovered.bytes_read += bytes_read;
                (segment, growth)
            }
        };
        let mut window = std::mem::take(&mut self.window);
        let mut walk = Walk::new(&file, built.size, len, &mut window);
        let fault = loop {
            match self.next(&mut walk, &place).map_err(reading(&place))? {
                Found::End => break None,
                Found::Nothing(fault) => break Some(fault),
                Found::Batch(batch) => {
                    self.check_gap(&batch, &place)?;
                    self.next_offset = batch.last_offset() + 1;
                    built.note(&batch, &mut growth, interval);
                    if batch.last_offset() >= self.opening.visit_from {
                        visit_batch(&batch, &file, &place, visit)?;
                    }
                }
            }
        };
        recovered.bytes_read += walk.bytes_read();
        self.window = window;
        let cut = match fault {
            None => None,
            Some(fault) if self.ends_below_durable() => {
                let fault = format!(
                    "{fault}; everything up to offset {} was on the device",
                    self.opening.recovery_point
                );
                return Err(corrupt(&place, built.size, &fault));
            }
            Some(fault) => {
                tracing::warn!(
                    "segment {place}: cut from {len} to {} bytes, batch at position {}: {fault}",
                    built.size,
                    built.size
                );
                let base_offset = place.base_offset;
                drop_from(log, cache, index + 1)?;
                let cut = file.set_len(built.size).and_then(|()| file.sync());
                cut.map_err(syncing(&log.segment(index).1))?;
                Some(Cut { segment: base_offset, position: built.size, len_before: len, fault })
            }
        };
        let is_last = index + 1 == log.segments.len();
        self.finish(log, cache, index, (built, file, growth), is_last)?;
        Ok(cut)
    }

    /// Whether bytes are missing that were on the device.
    fn ends_below_durable(&self) -> bool {
        self.next_offset < self.opening.recovery_point && !planted(Bug::TailCutBelowDurableEnd)
    }

    /// The segment as it was at the recovery point.
    fn go_on(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        point: &ResumePoint,
        (file, len): (&OpenFile, u64),
        interval: u64,
    ) -> Result<(Segment, Growth, u64), Error> {
        let position = point.end.position;
        if len < position {
            let fault =
                format!("the segment ends there, expected {position} bytes: so much was on the device");
            return Err(corrupt(place, len, &fault));
        }
        cache.forget(place);
        self.next_offset = point.end.offset;
        resume(cache, place, point, file, interval)
    }

    /// The batch at the walk's position, when it was compared with the file already, or written to it.
    fn replayed(&mut self, walk: &Walk<'_>, place: &Place<'_>) -> Option<BatchAt> {
        let at = (place.base_offset, walk.position());
        let left = &self.opening.replayed[self.replayed..];
        self.replayed += left.iter().take_while(|piece| (piece.segment, piece.position) < at).count();
        let piece = self.opening.replayed.get(self.replayed)?;
        let header = BatchHeader::view(piece.bytes)?;
        let is_here = (piece.segment, piece.position) == at && header.size() == Some(piece.bytes.len());
        is_here.then(|| BatchAt::new(*header, piece.position, piece.bytes.len() as u64))
    }

    /// The next batch, whole, or what is wrong with it.
    fn next(&mut self, walk: &mut Walk<'_>, place: &Place<'_>) -> std::io::Result<Found> {
        let replayed = self.replayed(walk, place);
        let found = match replayed {
            Some(batch) => Found::Batch(batch),
            None => walk.peek()?,
        };
        let Found::Batch(batch) = found else { return Ok(found) };
        if batch.base_offset() < self.next_offset {
            let fault =
                format!("base offset {}, expected at least {}", batch.base_offset(), self.next_offset);
            return Ok(Found::Nothing(fault));
        }
        if replayed.is_none()
            && let Some(fault) = walk.crc_fault(&batch)?
            && !planted(Bug::CrcNotChecked)
        {
            return Ok(Found::Nothing(fault));
        }
        if batch.last_offset() - place.base_offset > i64::from(i32::MAX) {
            let fault = format!("last offset {}, expected at most {} more", batch.last_offset(), i32::MAX);
            return Ok(Found::Nothing(fault));
        }
        walk.go_to(batch.end());
        Ok(Found::Batch(batch))
    }

    /// A whole batch that leaves offsets out is no append that was cut short: base offsets carry no checksum,
    /// so this one was changed, or the batch in front of it is gone.
    fn check_gap(&self, batch: &BatchAt, place: &Place<'_>) -> Result<(), Error> {
        let is_legacy = batch.header().is_none();
        if is_legacy || self.opening.has_gaps || batch.base_offset() == self.next_offset {
            return Ok(());
        }
        let fault = format!("base offset {}, expected {}", batch.base_offset(), self.next_offset);
        Err(corrupt(place, batch.position, &fault))
    }

    /// Puts a verified segment in its place, its files on the device.
    fn finish(
        &self,
        log: &mut Log,
        cache: &mut Cache,
        index: usize,
        (mut built, file, mut growth): (Segment, OpenFile, Growth),
        is_last: bool,
    ) -> Result<(), Error> {
        let (segment, place) = log.segment(index);
        let is_resumed = self.opening.resume.is_some_and(|point| point.end.segment == place.base_offset);
        if !is_resumed {
            cache.forget(&place);
        }
        built.hold(file);
        if is_last && !is_resumed {
            // Its index grows in memory: what the file holds is no part of it.
            for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
                empty_if_there(cache, &place, kind)?;
            }
        } else if !is_last {
            built.complete(cache, &place, &mut growth)?;
            built.take_indexes().try_for_each(|file| file.sync()).map_err(syncing(&place))?;
            built.seal();
        }
        *segment = built;
        // The name of a segment with bytes in front of the recovery point is on the device.
        if place.base_offset >= self.opening.recovery_point {
            name_again(cache.disk(), &place.path(FileKind::Log))?;
        }
        if is_last {
            log.growth = growth;
        }
        // The name of a segment with a recovery point is on the device.
        if is_last && !is_resumed {
            let dir = &log.dir;
            cache.disk().sync_dir(dir).map_err(Error::io(format_args!("syncing {}", dir.display())))?;
        }
        Ok(())
    }
}

/// Removes the segments from `from` on, durably: they are gone before the one in front of them is cut, so
/// that a crash in between finds the same fault again.
fn drop_from(log: &mut Log, cache: &mut Cache, from: usize) -> Result<(), Error> {
    while log.segments.len() > from {
        let (_, place) = log.segment(log.segments.len() - 1);
        for kind in KINDS {
            let path = place.path(kind);
            match cache.disk().remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format_args!("removing {}", path.display()))(error));
                }
                _ => (),
            }
        }
        cache.forget(&place);
        log.segments.pop();
    }
    let dir = &log.dir;
    cache.disk().sync_dir(dir).map_err(Error::io(format_args!("syncing {}", dir.display())))
}

/// Has the directory's next sync cover the name of a segment's file, also when an earlier sync of it has failed:
/// the kernel may show a name that the device does not have, and take it for written. A crash in between leaves
/// another name, which [`Log::settle_names`] takes for this one.
pub(crate) fn name_again(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let aside = with_suffix(path, NAMING);
    disk.rename(path, &aside)
        .and_then(|()| disk.rename(&aside, path))
        .map_err(Error::io(format_args!("renaming {}", path.display())))
}

/// A segment's batches, in a file of their own: not the cache's, which may close it.
pub(super) fn open(cache: &Cache, place: &Place<'_>) -> Result<OpenFile, Error> {
    cache.disk().open(&place.path(FileKind::Log), OpenMode::Existing).map_err(reading(place))
}

pub(super) fn empty_if_there(cache: &Cache, place: &Place<'_>, kind: FileKind) -> Result<(), Error> {
    let path = place.path(kind);
    match cache.disk().open(&path, OpenMode::Existing) {
        Ok(file) => file.set_len(0).map_err(Error::io(format_args!("emptying {}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format_args!("opening {}", path.display()))(error)),
    }
}

fn syncing<'p>(place: &'p Place<'_>) -> impl FnOnce(std::io::Error) -> Error + 'p {
    move |source| Error::io(format_args!("syncing segment {place}"))(source)
}
