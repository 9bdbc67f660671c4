//! `Log`: the segments of one partition, the last of which grows.

use std::path::{Path, PathBuf};

use zerocopy::IntoBytes;

use super::scan::BatchAt;
use super::segment::{Segment, base_offset_of, file_name};
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
    /// Largest timestamp of the segment's batches in front of it, -1 without one.
    pub max_timestamp: i64,
}

/// An offset and the timestamp of its record.
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
    /// Bytes between two index entries.
    pub index_interval_bytes: u64,
}

/// Segments in rising order of base offset; there is always one, and the last is appended to.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    segments: Vec<Segment>,
    next_offset: i64,
    /// The directory, open, when a segment was made whose name no submitted sync covers. It is opened with
    /// the segment, because a failure then refuses one append and not a whole wave.
    new_name: Option<OpenFile>,
}

impl Log {
    /// Begins an empty log in a directory that is there. Its file's name is durable only after the
    /// directory's sync.
    pub fn create(disk: &dyn Disk, dir: &Path) -> Result<Log, Error> {
        let segments = vec![Segment::create(disk, dir, 0)?];
        Ok(Log { dir: dir.to_owned(), segments, next_offset: 0, new_name: None })
    }

    /// Opens what the directory holds, giving `see` each batch in order, and makes it durable before
    /// anybody reads it: the process before this one may have ended between a write and its sync.
    ///
    /// Where that process did not stop cleanly, the checksums of all batches are verified, and the log ends
    /// at the first one that is not whole: what is behind it was never acknowledged, because a wave syncs
    /// every segment that an append touched. After a clean stop such a batch is damage.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        limits: LogLimits,
        was_clean: bool,
        mut see: impl FnMut(&BatchHeader),
    ) -> Result<Log, Error> {
        let entries = disk.list(dir).map_err(Error::io(format_args!("listing {}", dir.display())))?;
        let bases: Vec<i64> = entries.iter().filter_map(|entry| base_offset_of(&entry.name)).collect();
        let mut log = Log { dir: dir.to_owned(), segments: Vec::new(), next_offset: 0, new_name: None };
        let mut is_cut = false;
        for base_offset in bases {
            if is_cut || (!log.segments.is_empty() && base_offset != log.next_offset) {
                log.drop_or_refuse(disk, base_offset, was_clean || base_offset < log.next_offset)?;
                is_cut = true;
                continue;
            }
            log.next_offset = base_offset;
            let interval = limits.index_interval_bytes;
            let (segment, cut) = Segment::open(disk, dir, base_offset, was_clean, interval, |header| {
                log.next_offset = header.last_offset() + 1;
                see(header);
            })?;
            log.segments.push(segment);
            is_cut = cut;
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(disk, dir, 0)?);
        }
        if !was_clean {
            let syncing = || Error::io(format!("syncing {}", dir.display()));
            log.segments.iter().try_for_each(|segment| segment.file.sync()).map_err(syncing())?;
            disk.sync_dir(dir).map_err(syncing())?;
        }
        Ok(log)
    }

    /// A segment that does not begin where the one before it ends.
    fn drop_or_refuse(&self, disk: &dyn Disk, base_offset: i64, is_damage: bool) -> Result<(), Error> {
        let path = self.dir.join(file_name(base_offset));
        let fault = format!(
            "segment {}: begins at offset {base_offset}, expected {}",
            path.display(),
            self.next_offset
        );
        if is_damage {
            return Err(Error::Corrupt(fault));
        }
        tracing::warn!("{fault}: removed, what it holds was never acknowledged");
        disk.remove_file(&path).map_err(Error::io(format_args!("removing {}", path.display())))
    }

    /// The first offset that is there.
    pub fn start_offset(&self) -> i64 {
        self.segments[0].base_offset
    }

    /// Behind the last batch.
    pub fn end(&self) -> LogEnd {
        let active = self.active();
        LogEnd {
            offset: self.next_offset,
            segment: active.base_offset,
            position: active.size,
            max_timestamp: active.max_timestamp,
        }
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
        let dir = disk
            .open(&self.dir, OpenMode::Directory)
            .map_err(Error::io(format_args!("opening {}", self.dir.display())))?;
        self.segments.push(Segment::create(disk, &self.dir, self.next_offset)?);
        self.new_name = Some(dir);
        Ok(())
    }

    /// Hands out everything that has to be synced for what is appended so far to be durable.
    pub fn take_unsynced(&mut self, mut sync: impl FnMut(OpenFile, SyncKind)) {
        if let Some(dir) = self.new_name.take() {
            sync(dir, SyncKind::Entries);
        }
        // Rolled segments stand right before the active one and are clean from some point on.
        for segment in
            self.segments.iter_mut().rev().take_while(|segment| segment.is_dirty || segment.size == 0)
        {
            if std::mem::take(&mut segment.is_dirty) {
                sync(segment.file.clone(), SyncKind::Data);
            }
        }
    }

    /// The bytes from the batch that holds `offset` on: of one segment, up to `end`, at most `len_max` of
    /// them, but never less than the first batch.
    pub fn slice(&self, offset: i64, end: LogEnd, len_max: u32) -> Result<Option<BatchSlice>, Error> {
        let from = self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        for segment in self.segments[from..].iter().take_while(|segment| segment.base_offset <= end.segment) {
            let limit = readable_bytes(segment, end);
            if let Some(first) = segment.find_offset(offset, limit)? {
                let len = u64::from(len_max).min(limit - first.position).max(first.size);
                let as_u32 = |len| u32::try_from(len).expect("a batch and a fetch are below 4 GiB");
                return Ok(Some(BatchSlice {
                    bytes: FileSlice {
                        file: segment.file.clone(),
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
        let before = self.segments.iter().take_while(|segment| segment.base_offset < end.segment);
        let max = before.map(|segment| segment.max_timestamp).fold(end.max_timestamp, i64::max);
        if max < 0 { Ok(None) } else { self.offset_at_time(max, end) }
    }

    /// Makes everything durable; waits. For a clean stop.
    pub fn sync_all(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        let dir = self.dir.clone();
        self.take_unsynced(|file, _| {
            if result.is_ok() {
                result = file.sync().map_err(Error::io(format_args!("syncing {}", dir.display())));
            }
        });
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
    // What the records say of themselves was never checked.
    let found = record::times(&records)
        .map_while(|time| {
            let time = time?;
            let offset = header.base_offset().checked_add(time.offset_delta)?;
            let timestamp = header.base_timestamp().checked_add(time.timestamp_delta)?;
            (header.base_offset()..=header.last_offset()).contains(&offset).then_some(())?;
            Some(TimedOffset { offset, timestamp })
        })
        .find(|found| found.timestamp >= timestamp);
    Ok(found.unwrap_or(first))
}
