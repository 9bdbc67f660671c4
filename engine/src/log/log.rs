//! `Log`: the segments of one partition, the last of which grows.

use std::path::{Path, PathBuf};

use zerocopy::IntoBytes;

use super::cache::{Cache, LogKey, Place};
use super::deletion::Deletions;
use super::file_name::{FileKind, file_path};
use super::scan::BatchAt;
use super::segment::{Growth, NO_TIMESTAMP, RollQuestion, Segment};
use crate::disk::{Disk, FileSlice, OpenFile, OpenMode, SyncKind};
use crate::error::Error;
use crate::format::{Batch, BatchHeader};
use crate::planted::{Bug, planted};

/// A place behind a batch: everything in front of it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The first offset that does not belong to it.
    pub offset: i64,
    /// Base offset of the segment it lies in.
    pub segment: i64,
    /// Position in that segment's file.
    pub position: u64,
    /// Largest timestamp of the segment's batches in front of it, -1 without one.
    pub max_timestamp: i64,
}

/// An offset and a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
}

/// Bytes that begin with a whole batch; the last one may be cut.
#[derive(Debug, Clone)]
pub struct BatchSlice {
    /// Where they lie.
    pub bytes: FileSlice,
    /// Bytes of the first batch: less than that is of no use to a reader.
    pub first_len: u32,
    /// The segment that they lie in, as [`LogEnd::segment`] names it.
    pub segment: i64,
}

/// What decides when a log rolls and how finely it is indexed.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// A segment takes no batch that would make it larger, unless it is empty.
    pub segment_bytes: u64,
    /// A segment takes no batch that is so much later than its first one.
    pub segment_ms: i64,
    /// Each segment rolls up to so much earlier than `segment_ms` says, so that many do not roll at once.
    pub segment_jitter_ms: i64,
    /// Largest index file.
    pub index_bytes_max: u32,
    /// Bytes between two index entries.
    pub index_interval_bytes: u64,
}

impl Default for LogLimits {
    /// Segments of a gibibyte, however old they get.
    fn default() -> LogLimits {
        LogLimits {
            segment_bytes: 1 << 30,
            segment_ms: i64::MAX,
            segment_jitter_ms: 0,
            index_bytes_max: 10 << 20,
            index_interval_bytes: 4_096,
        }
    }
}

/// Segments in rising order of base offset; there is always one, and the last is appended to.
#[derive(Debug)]
pub struct Log {
    pub(super) key: LogKey,
    pub(super) dir: PathBuf,
    pub(super) limits: LogLimits,
    pub(super) segments: Vec<Segment>,
    /// Of the last segment.
    pub(super) growth: Growth,
    pub(super) next_offset: i64,
    /// Nobody reads in front of it, also where there are bytes.
    pub(super) start_offset: i64,
    /// Everything in front of it is on the device, and so is what an opening takes for granted there.
    pub(super) recovery_point: LogEnd,
    /// Files of sealed segments, and those that go with them, that no submitted sync covers.
    pub(super) unsynced: Vec<(OpenFile, SyncKind)>,
    /// The directory, open, when a segment was made whose name no submitted sync covers. It is opened with
    /// the segment, because a failure then refuses one append and not a whole wave.
    pub(super) new_name: Option<OpenFile>,
    rolled: Option<i64>,
    pub(super) deletions: Deletions,
}

impl Log {
    /// Begins an empty log in a directory that is there. Its file's name is durable only after the
    /// directory's sync.
    pub fn create(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let path = file_path(dir, 0, FileKind::Log);
        disk.open(&path, OpenMode::CreateNew)
            .map(drop)
            .map_err(Error::io(format_args!("creating {}", path.display())))
    }

    /// A log of these segments, whose last one ends in front of `next_offset`.
    pub(super) fn of(
        (key, dir): (LogKey, &Path),
        limits: LogLimits,
        segments: Vec<Segment>,
        next_offset: i64,
    ) -> Log {
        let first = segments[0].base_offset;
        Log {
            key,
            dir: dir.to_owned(),
            limits,
            segments,
            growth: Growth::default(),
            next_offset,
            start_offset: first,
            recovery_point: LogEnd {
                offset: first,
                segment: first,
                position: 0,
                max_timestamp: NO_TIMESTAMP,
            },
            unsynced: Vec::new(),
            new_name: None,
            rolled: None,
            deletions: Deletions::default(),
        }
    }

    /// The first offset that may be read.
    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Keeps readers from what lies in front of `offset`. Its segments stay until [`Log::delete_below`].
    pub fn raise_start(&mut self, offset: i64) {
        assert!(offset <= self.next_offset, "a log begins at its end at the latest");
        self.start_offset = self.start_offset.max(offset);
    }

    /// Behind the last batch.
    pub fn end(&self) -> LogEnd {
        let active = self.active();
        LogEnd {
            offset: self.next_offset,
            segment: active.base_offset,
            position: active.size,
            max_timestamp: active.known_largest().timestamp,
        }
    }

    /// Everything in front of it is on the device, indexes of sealed segments included: an opening reads
    /// nothing in front of the segment that holds it.
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point.offset
    }

    /// Takes note that what [`Log::take_unsynced`] handed out when the log ended at `end` is on the device.
    pub fn durable_to(&mut self, end: LogEnd) {
        let point = self.recovery_point;
        if (end.offset, end.segment) > (point.offset, point.segment) {
            self.recovery_point = end;
        }
    }

    /// Base offset of the segment that holds the recovery point: what stands in front of it, and the snapshot
    /// there, is on the device.
    pub fn recovery_segment(&self) -> i64 {
        self.recovery_point.segment
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// The first offset of each segment, rising.
    pub fn segment_bases(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.segments.iter().map(|segment| segment.base_offset)
    }

    /// Where a file of a segment lies, or would.
    pub fn path(&self, base_offset: i64, kind: FileKind) -> PathBuf {
        file_path(&self.dir, base_offset, kind)
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    /// The segment at `index`, and how its files are found.
    pub(super) fn segment(&mut self, index: usize) -> (&mut Segment, Place<'_>) {
        let segment = &mut self.segments[index];
        let place = Place { log: self.key, dir: &self.dir, base_offset: segment.base_offset };
        (segment, place)
    }

    /// The last segment that begins at `offset` or in front of it; the first one where there is none.
    pub(super) fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// Appends a batch at the next offset and says which offset that was. It may roll first, which
    /// [`Log::take_rolled`] tells.
    pub fn append(
        &mut self,
        cache: &mut Cache,
        batch: &Batch,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<i64, Error> {
        let base_offset = self.next_offset;
        let (header, records) = batch.stamped(base_offset, leader_epoch);
        let size = batch.size() as u64;
        let last = self.segments.len() - 1;
        let place = Place { log: self.key, dir: &self.dir, base_offset: self.segments[last].base_offset };
        self.growth.begin(&self.segments[last], cache, &place, now_ms)?;
        let question = RollQuestion {
            size,
            last_offset: base_offset + batch.offsets() - 1,
            max_timestamp: header.max_timestamp(),
            now_ms,
        };
        let jitter_ms = self.jitter_ms(place.base_offset);
        if self.segments[last].must_roll(&self.growth, &self.limits, jitter_ms, &question) {
            self.roll(cache, now_ms)?;
        }
        let active = self.segments.last_mut().expect("a log has a segment");
        let place = Place { log: self.key, dir: &self.dir, base_offset: active.base_offset };
        active.write_gathered(cache, &place)?;
        let at = BatchAt::new(header, active.size, size);
        let parts = [header.as_bytes(), records];
        active
            .append(&at, parts, &mut self.growth, self.limits.index_interval_bytes)
            .map_err(|source| Error::io(format_args!("appending to {place} at {}", at.position))(source))?;
        self.next_offset = base_offset + batch.offsets();
        Ok(base_offset)
    }

    /// A number below the jitter that differs from segment to segment, and is the same for one.
    fn jitter_ms(&self, base_offset: i64) -> i64 {
        if self.limits.segment_jitter_ms <= 0 {
            return 0;
        }
        let of_dir = crc32c::crc32c(self.dir.as_os_str().as_encoded_bytes());
        let mixed = crc32c::crc32c_append(of_dir, &base_offset.to_be_bytes());
        i64::from(mixed) % self.limits.segment_jitter_ms
    }

    /// Seals the segment that grows and begins the next one, unless it is empty.
    pub fn roll(&mut self, cache: &mut Cache, now_ms: i64) -> Result<(), Error> {
        if self.active().size == 0 {
            return Ok(());
        }
        let dir = cache
            .disk()
            .open(&self.dir, OpenMode::Directory)
            .map_err(Error::io(format_args!("opening {}", self.dir.display())))?;
        let (next_offset, key) = (self.next_offset, self.key);
        let active = self.segments.last_mut().expect("a log has a segment");
        let place = Place { log: key, dir: &self.dir, base_offset: active.base_offset };
        active.complete(cache, &place, &mut self.growth)?;
        let new = Segment::create(cache, &Place { base_offset: next_offset, ..place })?;
        let written = active.take_appended(&mut self.growth).into_iter().chain(active.take_indexes());
        self.unsynced.extend(written.map(|file| (file, SyncKind::Data)));
        active.seal();
        self.segments.push(new);
        self.growth = Growth::since(now_ms);
        self.new_name = Some(dir);
        self.rolled = Some(next_offset);
        Ok(())
    }

    /// The base offset of the newest segment, when it was begun since the last call.
    pub fn take_rolled(&mut self) -> Option<i64> {
        self.rolled.take()
    }

    /// Has a file synced with the next wave: the recovery point does not pass it before.
    pub fn sync_with_wave(&mut self, file: OpenFile, kind: SyncKind) {
        self.unsynced.push((file, kind));
    }

    /// Hands out what has to be synced for [`Log::end`] to be durable. It counts as on its way: a failure is
    /// final anyway.
    pub fn take_unsynced(&mut self, mut sync: impl FnMut(OpenFile, SyncKind)) {
        self.unsynced.drain(..).for_each(|(file, kind)| sync(file, kind));
        let active = self.segments.last_mut().expect("a log has a segment");
        // Its index is built anew should the process end: only at a roll or a stop does it have to last.
        if let Some(file) = active.take_appended(&mut self.growth) {
            sync(file, SyncKind::Data);
        }
        if let Some(dir) = self.new_name.take()
            && !planted(Bug::DirectoryNotSynced)
        {
            sync(dir, SyncKind::Entries);
        }
    }

    /// The bytes from the batch that holds `offset` on: of one segment, up to `end`, at most `len_max` of
    /// them, but never less than the first batch.
    pub fn slice(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        end: LogEnd,
        len_max: u32,
    ) -> Result<Option<BatchSlice>, Error> {
        let interval = self.limits.index_interval_bytes;
        for index in self.segment_of(offset)..self.segments.len() {
            let (segment, place) = self.segment(index);
            if segment.base_offset > end.segment {
                break;
            }
            let limit = readable_bytes(segment, end);
            if let Some(first) = segment.find_offset(cache, &place, interval, offset, limit)? {
                let len = u64::from(len_max).min(limit - first.position).max(first.size);
                let as_u32 = |len| u32::try_from(len).expect("a batch and a fetch are below 4 GiB");
                return Ok(Some(BatchSlice {
                    bytes: FileSlice {
                        file: segment.file(cache, &place)?,
                        position: first.position,
                        len: as_u32(len),
                    },
                    first_len: as_u32(first.size),
                    segment: segment.base_offset,
                }));
            }
        }
        Ok(None)
    }

    /// An offset that no batch of a slice reaches, not far behind its last one: what Apache Kafka takes for the end
    /// of a fetch when it looks for the transactions that concern it.
    pub fn bound_of(&mut self, cache: &mut Cache, slice: &BatchSlice) -> Result<i64, Error> {
        let next_offset = self.next_offset;
        let index = self.segment_of(slice.segment);
        let (segment, place) = self.segment(index);
        let behind = slice.bytes.position + u64::from(slice.bytes.len);
        let bound = segment.bound_at(cache, &place, behind)?;
        let next_segment = || self.segments.get(index + 1).map_or(next_offset, |next| next.base_offset);
        Ok(bound.unwrap_or_else(next_segment))
    }

    /// The header of the batch that holds `offset`; `None` where there is none, of magic 2.
    pub(crate) fn header_at(&mut self, cache: &mut Cache, offset: i64) -> Result<Option<BatchHeader>, Error> {
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(self.segment_of(offset));
        let found = segment.find_offset(cache, &place, interval, offset, segment.size)?;
        let header = found.and_then(|batch| batch.header().copied());
        Ok(header.filter(|header| header.base_offset() <= offset))
    }

    /// Makes indexes exact and everything durable; waits. For a clean stop.
    pub fn stop(&mut self, cache: &mut Cache) -> Result<(), Error> {
        let last = self.segments.len() - 1;
        let mut growth = std::mem::take(&mut self.growth);
        let (active, place) = self.segment(last);
        let completed = active.complete(cache, &place, &mut growth);
        self.growth = growth;
        completed?;
        let mut files: Vec<OpenFile> = self.unsynced.drain(..).map(|(file, _)| file).collect();
        for index in 0..=last {
            let (segment, place) = self.segment(index);
            // Of a sealed one only what was built anew is not in its file yet.
            if segment.lacks_entries() {
                segment.write_indexes(cache, &place)?;
            }
            files.extend(segment.take_indexes());
        }
        files.extend(self.segments[last].take_appended(&mut self.growth));
        let syncing = || Error::io(format!("syncing {}", self.dir.display()));
        files.into_iter().try_for_each(|file| file.sync()).map_err(syncing())?;
        // The index files may be new.
        cache.disk().sync_dir(&self.dir).map_err(syncing())?;
        self.new_name = None;
        self.recovery_point = self.end();
        Ok(())
    }

    /// Lets go of what a shard keeps at hand for it.
    pub fn close(self, cache: &mut Cache) {
        cache.forget_log(self.key);
    }
}

/// How many bytes of a segment lie in front of `end`.
pub(super) fn readable_bytes(segment: &Segment, end: LogEnd) -> u64 {
    if segment.base_offset == end.segment { end.position } else { segment.size }
}
