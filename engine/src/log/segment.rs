//! `Segment`: one file of a log, and what is known of it without reading it.

use std::path::Path;

use super::index::{IndexEntry, SparseIndex};
use super::scan::{BatchAt, Found, batch_at};
use crate::disk::{Disk, OpenFile, OpenMode};
use crate::error::Error;
use crate::format::BatchHeader;

/// What the last part of a segment's name is.
const SUFFIX: &str = ".log";
/// Digits in front of it.
const NAME_DIGITS: usize = 20;

/// A file of batches with rising offsets.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) file: OpenFile,
    /// Bytes of whole batches. What lies behind them in the file is the rest of an append that failed, and
    /// the next append writes over it.
    pub(crate) size: u64,
    /// Largest timestamp of its batches, -1 without one.
    pub(crate) max_timestamp: i64,
    /// Bytes were appended that no submitted sync covers.
    pub(crate) is_dirty: bool,
    index: SparseIndex,
}

/// The file name of the segment that begins at `base_offset`.
pub(crate) fn file_name(base_offset: i64) -> String {
    format!("{base_offset:0NAME_DIGITS$}{SUFFIX}")
}

/// The base offset that a segment's file name says; `None` for other files.
pub(crate) fn base_offset_of(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// Makes the file. Its name is durable only after the directory's sync.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, base_offset: i64) -> Result<Segment, Error> {
        let path = dir.join(file_name(base_offset));
        let file = disk
            .open(&path, OpenMode::CreateNew)
            .map_err(Error::io(format_args!("creating {}", path.display())))?;
        Ok(Segment::empty(base_offset, file))
    }

    fn empty(base_offset: i64, file: OpenFile) -> Segment {
        Segment {
            base_offset,
            file,
            size: 0,
            max_timestamp: -1,
            is_dirty: false,
            index: SparseIndex::default(),
        }
    }

    /// Opens the file and walks its headers, giving `see` each batch. True with it: the file was cut.
    ///
    /// After a clean stop a batch that is not whole is damage. Otherwise the checksums are verified too, and
    /// the file is cut at the first such batch: an append was under way when the process ended.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        base_offset: i64,
        was_clean: bool,
        index_interval: u64,
        mut see: impl FnMut(&BatchHeader),
    ) -> Result<(Segment, bool), Error> {
        let path = dir.join(file_name(base_offset));
        let reading = || format!("reading {}", path.display());
        let file = disk.open(&path, OpenMode::Existing).map_err(Error::io(reading()))?;
        let len = file.len().map_err(Error::io(reading()))?;
        let mut segment = Segment::empty(base_offset, file);
        let mut next_offset = base_offset;
        let fault = loop {
            match batch_at(&segment.file, segment.size, len).map_err(Error::io(reading()))? {
                Found::End => break None,
                Found::Nothing(fault) => break Some(fault),
                Found::Batch(batch) if batch.header.base_offset() < next_offset => {
                    break Some(format!(
                        "base offset {}, expected at least {next_offset}",
                        batch.header.base_offset()
                    ));
                }
                Found::Batch(batch) => {
                    if !was_clean {
                        let fault = batch.crc_fault(&segment.file).map_err(Error::io(reading()))?;
                        if let Some(fault) = fault {
                            break Some(fault);
                        }
                    }
                    next_offset = batch.header.last_offset() + 1;
                    see(&batch.header);
                    segment.note(&batch, index_interval);
                }
            }
        };
        match fault {
            None => Ok((segment, false)),
            Some(fault) if !was_clean => {
                segment.cut(&path, len, &fault)?;
                Ok((segment, true))
            }
            Some(fault) => Err(Error::Corrupt(format!(
                "segment {}: batch at position {}: {fault}",
                path.display(),
                segment.size
            ))),
        }
    }

    fn cut(&self, path: &Path, len: u64, fault: &str) -> Result<(), Error> {
        tracing::warn!(
            "segment {}: cut from {len} to {} bytes, batch at position {}: {fault}",
            path.display(),
            self.size,
            self.size
        );
        self.file.set_len(self.size).map_err(Error::io(format_args!("cutting {}", path.display())))
    }

    /// Writes a batch behind the last one.
    pub(crate) fn append(
        &mut self,
        header: &BatchHeader,
        parts: [&[u8]; 2],
        index_interval: u64,
    ) -> std::io::Result<()> {
        self.file.write_all_at(parts, self.size)?;
        let size = (parts[0].len() + parts[1].len()) as u64;
        self.note(&BatchAt { header: *header, position: self.size, size }, index_interval);
        self.is_dirty = true;
        Ok(())
    }

    fn note(&mut self, batch: &BatchAt, index_interval: u64) {
        let entry = IndexEntry {
            offset: batch.header.base_offset(),
            position: batch.position,
            max_timestamp_before: self.max_timestamp,
        };
        self.index.note(entry, batch.size, index_interval);
        self.size = batch.end();
        self.max_timestamp = self.max_timestamp.max(batch.header.max_timestamp());
    }

    /// The batch that holds `offset`, or the first one behind it, among the first `end` bytes.
    pub(crate) fn find_offset(&self, offset: i64, end: u64) -> Result<Option<BatchAt>, Error> {
        self.find(self.index.position_before_offset(offset), end, |header| header.last_offset() >= offset)
    }

    /// The first batch with a timestamp of `timestamp` or later among the first `end` bytes.
    pub(crate) fn find_timestamp(&self, timestamp: i64, end: u64) -> Result<Option<BatchAt>, Error> {
        let from = self.index.position_before_timestamp(timestamp);
        self.find(from, end, |header| header.max_timestamp() >= timestamp)
    }

    fn find(
        &self,
        from: u64,
        end: u64,
        is_wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<BatchAt>, Error> {
        let name = || format!("segment {}", file_name(self.base_offset));
        let mut position = from;
        loop {
            match batch_at(&self.file, position, end).map_err(Error::io(name()))? {
                Found::End => return Ok(None),
                Found::Batch(batch) if is_wanted(&batch.header) => return Ok(Some(batch)),
                Found::Batch(batch) => position = batch.end(),
                Found::Nothing(fault) => {
                    return Err(Error::Corrupt(format!("{}: batch at position {position}: {fault}", name())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apache_kafkas() {
        assert_eq!(file_name(1_024), "00000000000000001024.log");
        assert_eq!(base_offset_of("00000000000000001024.log"), Some(1_024));
        for other in ["1024.log", "00000000000000001024.index", "0000000000000000102x.log", ".log"] {
            assert_eq!(base_offset_of(other), None, "{other}");
        }
        assert_eq!(base_offset_of("99999999999999999999.log"), None, "larger than an offset can be");
    }
}
