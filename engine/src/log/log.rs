//! `Log`: the segments of one partition, the last of which grows.

use std::path::{Path, PathBuf};

use zerocopy::IntoBytes;

use super::scan::BatchAt;
use super::segment::{Segment, base_offset_of};
use crate::disk::{Disk, FileSlice, OpenFile, OpenMode, SyncKind};
use crate::error::Error;
use crate::format::{Batch, BatchHeader, record};

/// A place behind a batch: everything in front of it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The first offset that does not belong to it.
    pub offset: i64,
    /// Base offset of the segment it lies in.
    pub segment: i64,
    /// Position in that segment's file.
    pub position: u64,
}

/// An offset and the timestamp of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
}

/// What decides when a log rolls and how finely it is indexed.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// A segment takes no batch that would make it larger, unless it is empty.
    pub segment_bytes: u64,
    /// Bytes between two index entries.
    pub index_interval_bytes: u64,
}

/// Segments in rising order of base offset; there is always one, and the last is appended to.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    segments: Vec<Segment>,
    next_offset: i64,
    /// A segment was made whose name no submitted sync covers.
    has_new_name: bool,
}

impl Log {
    /// Begins an empty log in a directory that is there. Its file's name is durable only after the
    /// directory's sync.
    pub fn create(disk: &dyn Disk, dir: &Path) -> Result<Log, Error> {
        let segments = vec![Segment::create(disk, dir, 0)?];
        Ok(Log { dir: dir.to_owned(), segments, next_offset: 0, has_new_name: false })
    }

    /// Opens what the directory holds, giving `see` each batch in order, and makes it durable before
    /// anybody reads it: the process before this one may have ended between a write and its sync.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        limits: LogLimits,
        mut see: impl FnMut(&BatchHeader),
    ) -> Result<Log, Error> {
        let entries = disk.list(dir).map_err(Error::io(format_args!("listing {}", dir.display())))?;
        let bases: Vec<i64> = entries.iter().filter_map(|entry| base_offset_of(&entry.name)).collect();
        let mut log = Log { dir: dir.to_owned(), segments: Vec::new(), next_offset: 0, has_new_name: false };
        for (index, &base_offset) in bases.iter().enumerate() {
            if base_offset < log.next_offset {
                return Err(Error::Corrupt(format!(
                    "{}: a segment begins at offset {base_offset}, the one before it ends at {}",
                    dir.display(),
                    log.next_offset
                )));
            }
            log.next_offset = base_offset;
            let is_last = index + 1 == bases.len();
            let segment =
                Segment::open(disk, dir, base_offset, is_last, limits.index_interval_bytes, |header| {
                    log.next_offset = header.last_offset() + 1;
                    see(header);
                })?;
            log.segments.push(segment);
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(disk, dir, 0)?);
        }
        let syncing = || Error::io(format!("syncing {}", dir.display()));
        log.active().file.sync().map_err(syncing())?;
        disk.sync_dir(dir).map_err(syncing())?;
        Ok(log)
    }

    /// The first offset that is there.
    pub fn start_offset(&self) -> i64 {
        self.segments[0].base_offset
    }

    /// Behind the last batch.
    pub fn end(&self) -> LogEnd {
        let active = self.active();
        LogEnd { offset: self.next_offset, segment: active.base_offset, position: active.size }
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    /// Appends a batch at the next offset and says which offset that was.
    pub fn append(
        &mut self,
        disk: &dyn Disk,
        batch: &Batch,
        leader_epoch: i32,
        limits: LogLimits,
    ) -> Result<i64, Error> {
        self.roll_if_full(disk, batch.size() as u64, limits)?;
        let base_offset = self.next_offset;
        let (header, records) = batch.stamped(base_offset, leader_epoch);
        let active = self.segments.last_mut().expect("a log has a segment");
        active
            .append(&header, [header.as_bytes(), records], limits.index_interval_bytes)
            .map_err(Error::io(format_args!("appending to {} at {}", self.dir.display(), active.size)))?;
        self.next_offset = base_offset + batch.offsets();
        Ok(base_offset)
    }

    fn roll_if_full(&mut self, disk: &dyn Disk, size: u64, limits: LogLimits) -> Result<(), Error> {
        let active = self.active();
        if active.size == 0 || active.size + size <= limits.segment_bytes {
            return Ok(());
        }
        self.segments.push(Segment::create(disk, &self.dir, self.next_offset)?);
        self.has_new_name = true;
        Ok(())
    }

    /// Hands out everything that has to be synced for what is appended so far to be durable.
    pub fn take_unsynced(
        &mut self,
        disk: &dyn Disk,
        mut sync: impl FnMut(OpenFile, SyncKind),
    ) -> Result<(), Error> {
        if self.has_new_name {
            let dir = disk
                .open(&self.dir, OpenMode::Directory)
                .map_err(Error::io(format_args!("opening {}", self.dir.display())))?;
            sync(dir, SyncKind::Entries);
            self.has_new_name = false;
        }
        // Rolled segments stand right before the active one and are clean from some point on.
        for segment in
            self.segments.iter_mut().rev().take_while(|segment| segment.is_dirty || segment.size == 0)
        {
            if std::mem::take(&mut segment.is_dirty) {
                sync(segment.file.clone(), SyncKind::Data);
            }
        }
        Ok(())
    }

    /// The bytes from the batch that holds `offset` on: of one segment, up to `end`, at most `len_max` of
    /// them. The first batch comes whole or, unless `is_first_whole` asks for it, not at all.
    pub fn slice(
        &self,
        offset: i64,
        end: LogEnd,
        len_max: u32,
        is_first_whole: bool,
    ) -> Result<Option<FileSlice>, Error> {
        let from = self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        for segment in self.segments[from..].iter().take_while(|segment| segment.base_offset <= end.segment) {
            let limit = readable_bytes(segment, end);
            if let Some(first) = segment.find_offset(offset, limit)? {
                let len = u64::from(len_max).min(limit - first.position);
                let len = if len >= first.size {
                    len
                } else if is_first_whole {
                    first.size
                } else {
                    return Ok(None);
                };
                let len = u32::try_from(len).expect("a batch and a fetch are below 4 GiB");
                return Ok(Some(FileSlice { file: segment.file.clone(), position: first.position, len }));
            }
        }
        Ok(None)
    }

    /// The first record in front of `end` with a timestamp of `timestamp` or later.
    pub fn offset_at_time(&self, timestamp: i64, end: LogEnd) -> Result<Option<TimedOffset>, Error> {
        for segment in self.segments.iter().take_while(|segment| segment.base_offset <= end.segment) {
            if segment.max_timestamp < timestamp {
                continue;
            }
            if let Some(batch) = segment.find_timestamp(timestamp, readable_bytes(segment, end))? {
                return record_in(segment, &batch, timestamp).map(Some);
            }
        }
        Ok(None)
    }

    /// The first record in front of `end` with the largest timestamp of all.
    pub fn offset_of_max_timestamp(&self, end: LogEnd) -> Result<Option<TimedOffset>, Error> {
        let mut max = -1;
        for segment in self.segments.iter().take_while(|segment| segment.base_offset <= end.segment) {
            let limit = readable_bytes(segment, end);
            if limit == segment.size {
                max = max.max(segment.max_timestamp);
                continue;
            }
            // What is behind `end` may hold a larger one: only its batches in front can tell.
            while let Some(batch) = segment.find_timestamp(max + 1, limit)? {
                max = batch.header.max_timestamp();
            }
        }
        if max < 0 { Ok(None) } else { self.offset_at_time(max, end) }
    }

    /// Makes everything durable; waits. For a clean stop.
    pub fn sync_all(&mut self, disk: &dyn Disk) -> Result<(), Error> {
        let mut result = Ok(());
        let dir = self.dir.clone();
        self.take_unsynced(disk, |file, _| {
            if result.is_ok() {
                result = file.sync().map_err(Error::io(format_args!("syncing {}", dir.display())));
            }
        })?;
        result
    }
}

/// How many bytes of a segment lie in front of `end`.
fn readable_bytes(segment: &Segment, end: LogEnd) -> u64 {
    if segment.base_offset == end.segment { end.position } else { segment.size }
}

/// The first record of `batch` with a timestamp of `timestamp` or later.
///
/// Of a compressed batch only the header is read: its first offset is answered, which is never behind the
/// record that is asked for.
fn record_in(segment: &Segment, batch: &BatchAt, timestamp: i64) -> Result<TimedOffset, Error> {
    let header = &batch.header;
    let first = TimedOffset { offset: header.base_offset(), timestamp: header.max_timestamp() };
    if header.is_compressed() || header.is_log_append_time() {
        return Ok(first);
    }
    let records = batch.read_records(&segment.file).map_err(Error::io("reading a batch's records"))?;
    let found = record::times(&records)
        .map_while(|time| time)
        .map(|time| TimedOffset {
            offset: header.base_offset() + time.offset_delta,
            timestamp: header.base_timestamp() + time.timestamp_delta,
        })
        .find(|found| found.timestamp >= timestamp);
    Ok(found.unwrap_or(first))
}
