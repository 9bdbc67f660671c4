//! How a start goes on in the middle of a segment: what a process says of the segment that grows, and what of
//! that the next one finds in its index files.

use std::io;

use super::cache::{Cache, Place};
use super::entry_file::{Entry, EntryFile};
use super::file_name::FileKind;
use super::log::{Log, LogEnd, TimedOffset};
use super::recovery::empty_if_there;
use super::scan::{HEADERS_WINDOW, Walk};
use super::segment::{Growth, Segment, corrupt, next_batch};
use super::time_index::TimeIndex;
use crate::disk::{OpenFile, OpenMode};
use crate::error::Error;
use crate::format::index_entry::entries;
use crate::format::{EntriesState, SegmentState};

/// A place that everything in front of is on the device, and what is true there of the segment it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumePoint {
    /// The place.
    pub end: LogEnd,
    /// What is true of the segment there.
    pub state: SegmentState,
}

impl Log {
    /// Hands the last segment's index entries to their files, and says what is true of it up to the log's end:
    /// a [`ResumePoint`], once all that [`Log::take_unsynced`] gives is on the device.
    pub fn segment_state(&mut self, cache: &Cache) -> Result<SegmentState, Error> {
        let active = self.segments.last_mut().expect("a log has a segment");
        let place = Place { log: self.key, dir: &self.dir, base_offset: active.base_offset };
        active.write_tails(cache, &place)?;
        let largest = active.known_largest();
        Ok(SegmentState {
            max_timestamp: largest.timestamp,
            max_timestamp_offset: largest.offset,
            bytes_since_entry: self.growth.bytes_since_entry,
            offsets: active.offsets.state(),
            times: active.times.entries.state(),
        })
    }
}

/// A segment as it was at a recovery point, how it grew, and how many bytes were read to know. Its index files
/// are believed when they hold what the state says; otherwise the batches in front of the point tell.
pub(super) fn resume(
    cache: &Cache,
    place: &Place<'_>,
    point: &ResumePoint,
    file: &OpenFile,
    interval: u64,
) -> Result<(Segment, Growth, u64), Error> {
    let ResumePoint { end, state } = point;
    let offsets = Confirmed::find(cache, place, &state.offsets);
    let times = Confirmed::find(cache, place, &state.times);
    match (offsets, times) {
        (Ok(offsets), Ok(times)) => {
            let bytes_read = offsets.bytes_read + times.bytes_read;
            let largest = TimedOffset { offset: state.max_timestamp_offset, timestamp: state.max_timestamp };
            let times = TimeIndex::going_on(times.entries, times.last.as_ref());
            let segment =
                Segment::going_on(place.base_offset, end.position, (offsets.entries, times), largest);
            Ok((segment, Growth::going_on(state.bytes_since_entry), bytes_read))
        }
        (Err(fault), _) | (_, Err(fault)) => {
            tracing::warn!("indexes of segment {place}: {fault}: built anew");
            index_anew(cache, place, end, file, interval)
        }
    }
}

fn index_anew(
    cache: &Cache,
    place: &Place<'_>,
    end: &LogEnd,
    file: &OpenFile,
    interval: u64,
) -> Result<(Segment, Growth, u64), Error> {
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
        empty_if_there(cache, place, kind)?;
    }
    let mut segment = Segment::unindexed(place.base_offset, 0);
    let mut growth = Growth::default();
    let mut window = [0; HEADERS_WINDOW];
    let mut walk = Walk::new(file, 0, end.position, &mut window);
    while let Some(batch) = next_batch(&mut walk, place, |_| true)? {
        segment.note(&batch, &mut growth, interval);
        if batch.last_offset() >= end.offset {
            let fault = format!("last offset {}, expected less than {}", batch.last_offset(), end.offset);
            return Err(corrupt(place, batch.position, &fault));
        }
    }
    Ok((segment, growth, walk.bytes_read()))
}

/// An index file that holds what a state says of it.
struct Confirmed<E> {
    entries: EntryFile<E>,
    last: Option<E>,
    bytes_read: u64,
}

impl<E: Entry> Confirmed<E> {
    /// The file, cut behind the entries of the state; or what is wrong with it. What the kernel has still to write
    /// of it counts: the sync of a roll or of a stop covers that.
    fn find(cache: &Cache, place: &Place<'_>, state: &EntriesState) -> Result<Confirmed<E>, String> {
        let EntriesState { synced, count, crc } = *state;
        let Some(last) = count.checked_sub(1) else {
            return Ok(Confirmed { entries: EntryFile::empty(), last: None, bytes_read: 0 });
        };
        // The last one is of use also where it is known to be there.
        let from = synced.min(last);
        let (file, bytes) = read_entries::<E>(cache, place, from, count)
            .map_err(|source| format!("{}: {source}", place.path(E::KIND).display()))?;
        let found = entries::<E>(&bytes);
        if found.len() != (count - from) as usize {
            return Err(format!("{} entries, expected {count}", from as usize + found.len()));
        }
        let behind_synced = (synced - from) as usize * size_of::<E>();
        let computed = crc32c::crc32c(&bytes[behind_synced..]);
        if computed != crc {
            return Err(format!("crc {computed:#010x} of entries {synced} to {count}, expected {crc:#010x}"));
        }
        let entries = EntryFile::in_state(state, file);
        Ok(Confirmed { entries, last: found.last().copied(), bytes_read: bytes.len() as u64 })
    }
}

/// The index file, and its entries from `from` on, behind `to` of which it ends. What the page cache has no need to
/// write is the device's: after a failed sync it may say something else.
fn read_entries<E: Entry>(
    cache: &Cache,
    place: &Place<'_>,
    from: u32,
    to: u32,
) -> io::Result<(OpenFile, Vec<u8>)> {
    let size = size_of::<E>() as u64;
    let file = cache.disk().open(&place.path(E::KIND), OpenMode::Existing)?;
    file.drop_cached()?;
    if file.len()? > u64::from(to) * size {
        file.set_len(u64::from(to) * size)?;
    }
    let mut bytes = vec![0; (to - from) as usize * size as usize];
    let read = file.read_at(&mut bytes, u64::from(from) * size)?;
    bytes.truncate(read);
    Ok((file, bytes))
}
