//! `SegmentWalk`: the batches of a segment's file one after the other, damaged ones too, through a window.

use std::io;

use logmill_engine::disk::OpenFile;
use logmill_engine::format::batch::{HEADER_LEN, LENGTH_END};
use logmill_engine::format::legacy::LegacyEntry;
use logmill_engine::format::{BatchHeader, BatchView};

/// Bytes read at a time, or those of a batch that is larger.
const WINDOW: usize = 1 << 20;
/// Where every version of the format says which it is.
const MAGIC_AT: usize = 16;

/// What stands at a position: as many bytes as its length says.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) position: u64,
    pub(crate) size: u64,
    pub(crate) batch: FoundBatch<'a>,
    /// What is wrong with it, its checksum for one.
    pub(crate) fault: Option<String>,
}

/// A batch of one of the versions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FoundBatch<'a> {
    Batch(BatchView<'a>),
    Legacy(LegacyEntry<'a>),
}

impl FoundBatch<'_> {
    /// Its first offset; of magic 0 and 1, which do not say it, the last one.
    pub(crate) fn base_offset(&self) -> i64 {
        match self {
            FoundBatch::Batch(batch) => batch.header.base_offset(),
            FoundBatch::Legacy(entry) => entry.last_offset(),
        }
    }

    pub(crate) fn last_offset(&self) -> i64 {
        match self {
            FoundBatch::Batch(batch) => {
                batch.header.base_offset().wrapping_add(batch.header.last_offset_delta().into())
            }
            FoundBatch::Legacy(entry) => entry.last_offset(),
        }
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        match self {
            FoundBatch::Batch(batch) => batch.header.max_timestamp(),
            FoundBatch::Legacy(entry) => entry.max_timestamp(),
        }
    }
}

/// Where the batches end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of the file.
    Whole,
    /// In front of bytes that are no batch, and why not. What is behind them cannot be told apart.
    Cut { position: u64, rest: u64, fault: String },
}

/// Walks a file.
pub(crate) struct SegmentWalk<'f> {
    file: &'f OpenFile,
    /// Of the next batch.
    position: u64,
    len: u64,
    window: Vec<u8>,
    window_from: u64,
    end: Option<End>,
}

impl<'f> SegmentWalk<'f> {
    /// From the beginning.
    pub(crate) fn new(file: &'f OpenFile) -> io::Result<SegmentWalk<'f>> {
        let len = file.len()?;
        Ok(SegmentWalk { file, position: 0, len, window: Vec::new(), window_from: 0, end: None })
    }

    /// The next batch; `None` at the end, of which [`SegmentWalk::end`] tells.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        if self.position == self.len && self.end.is_none() {
            self.end = Some(End::Whole);
        }
        if self.end.is_some() {
            return Ok(None);
        }
        let rest = self.len - self.position;
        let position = self.position;
        let head = self.bytes(HEADER_LEN)?;
        let size = match declared_size(head, rest) {
            Ok(size) => size,
            Err(fault) => {
                let fault = if self.is_zero_to_the_end()? { "zeros to the end".to_owned() } else { fault };
                self.end = Some(End::Cut { position, rest, fault });
                return Ok(None);
            }
        };
        self.position += size;
        self.position_in_window(position, size)
    }

    /// Where the batches end, once all were walked.
    pub(crate) fn end(&self) -> End {
        self.end.clone().unwrap_or(End::Whole)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn position_in_window(&mut self, position: u64, size: u64) -> io::Result<Option<Found<'_>>> {
        if self.bytes_at(position, size as usize)?.len() < size as usize {
            // It became shorter since it was opened.
            let rest = self.len - position;
            self.end = Some(End::Cut { position, rest, fault: "it is cut".to_owned() });
            return Ok(None);
        }
        let bytes = &self.window[(position - self.window_from) as usize..][..size as usize];
        if let Some((entry, _)) = LegacyEntry::split_first(bytes) {
            let fault = entry.check().err();
            return Ok(Some(Found { position, size, batch: FoundBatch::Legacy(entry), fault }));
        }
        let (batch, _) = BatchView::split_first(bytes).expect("its length was looked at");
        let fault = batch.check().err().or_else(|| offsets_fault(batch.header));
        Ok(Some(Found { position, size, batch: FoundBatch::Batch(batch), fault }))
    }

    /// Bytes from the next batch on, `wanted` if there are as many.
    fn bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        self.bytes_at(self.position, wanted)
    }

    fn bytes_at(&mut self, position: u64, wanted: usize) -> io::Result<&[u8]> {
        let skipped = (position - self.window_from) as usize;
        if self.window.len() < skipped + wanted {
            let kept = self.window.len().saturating_sub(skipped);
            if kept > 0 {
                self.window.copy_within(skipped.., 0);
            }
            let room = (wanted.max(WINDOW) as u64).min(self.len - position) as usize;
            self.window.resize(room.max(kept), 0);
            let read = self.file.read_at(&mut self.window[kept..], position + kept as u64)?;
            self.window.truncate(kept + read);
            self.window_from = position;
        }
        Ok(&self.window[(position - self.window_from) as usize..])
    }

    fn is_zero_to_the_end(&mut self) -> io::Result<bool> {
        let mut position = self.position;
        while position < self.len {
            let bytes = self.bytes_at(position, 1)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if bytes.is_empty() {
                break;
            }
            position += bytes.len() as u64;
        }
        Ok(true)
    }
}

/// The size that the batch at the beginning of `head` declares, if it can be one.
fn declared_size(head: &[u8], rest: u64) -> Result<u64, String> {
    let cut = || format!("{rest} bytes, too few for a batch");
    let length: [u8; 4] = head.get(8..LENGTH_END).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
    let magic = *head.get(MAGIC_AT).ok_or_else(cut)?;
    let least = match magic {
        0 => 14,
        1 => 22,
        2 => HEADER_LEN - LENGTH_END,
        other => return Err(format!("magic {}, expected 2", other.cast_signed())),
    };
    let length = i32::from_be_bytes(length);
    match u64::try_from(length) {
        Ok(size) if size >= least as u64 => {
            let size = size + LENGTH_END as u64;
            if size > rest {
                return Err(format!("a batch of {size} bytes in front of {rest}"));
            }
            Ok(size)
        }
        _ => Err(format!("a length of {length}, expected {least} at least")),
    }
}

fn offsets_fault(header: &BatchHeader) -> Option<String> {
    let (base, delta) = (header.base_offset(), header.last_offset_delta());
    let is_possible = base >= 0 && delta >= 0 && base.checked_add(delta.into()).is_some();
    (!is_possible).then(|| format!("impossible offsets: {delta} behind {base}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use logmill_engine::disk::read_only::ReadOnlyDisk;
    use logmill_engine::disk::{Disk, OpenMode};
    use logmill_engine::format::{BatchBuilder, NewRecord};

    use super::*;

    /// A batch of one record whose value has so many bytes.
    fn batch(offset: i64, value_len: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.push(&NewRecord { key: None, value: Some(&vec![1; value_len]), timestamp: 5, headers: &[] });
        let mut bytes = builder.finish().to_vec();
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        bytes
    }

    /// Offset and position of each batch, `!` where there is a fault, and the end.
    fn walked(content: &[u8]) -> (Vec<(i64, u64, bool)>, End) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let file = ReadOnlyDisk.open(file.path(), OpenMode::Existing).unwrap();
        let mut walk = SegmentWalk::new(&file).unwrap();
        let mut found = Vec::new();
        while let Some(at) = walk.next().unwrap() {
            found.push((at.batch.base_offset(), at.position, at.fault.is_some()));
        }
        (found, walk.end())
    }

    #[test]
    fn batches_of_every_size_are_found_also_behind_one_that_is_damaged() {
        // Smaller than the window, just at its end, and larger.
        let sizes = [10, WINDOW - 200, 100, WINDOW + 7, 3 * WINDOW, 1];
        let mut content = Vec::new();
        let mut expected = Vec::new();
        for (offset, size) in (0..).zip(sizes) {
            expected.push((offset, content.len() as u64, false));
            content.extend(batch(offset, size));
        }
        assert_eq!(walked(&content), (expected.clone(), End::Whole));
        let damaged = expected[3].1 as usize + 200;
        content[damaged] ^= 1;
        expected[3].2 = true;
        assert_eq!(walked(&content), (expected, End::Whole));
        assert_eq!(walked(&[]), (Vec::new(), End::Whole));
    }

    #[test]
    fn bytes_that_are_no_batch_end_the_walk_and_are_named() {
        let one = batch(7, 10);
        let cut = |behind: &[u8]| {
            let (found, end) = walked(&[&one[..], behind].concat());
            assert_eq!(found, [(7, 0, false)]);
            let End::Cut { position, rest, fault } = end else {
                panic!("whole, with {} bytes", behind.len())
            };
            assert_eq!((position, rest), (one.len() as u64, behind.len() as u64));
            fault
        };
        assert_eq!(cut(&[0; 5_000]), "zeros to the end");
        assert_eq!(cut(&[0; 3]), "zeros to the end");
        assert_eq!(cut(&[9; 3]), "3 bytes, too few for a batch");
        assert_eq!(cut(&[9; 100]), "magic 9, expected 2");
        let mut short = batch(8, 10);
        short.pop();
        assert_eq!(cut(&short), format!("a batch of {} bytes in front of {}", short.len() + 1, short.len()));
        short[8..12].copy_from_slice(&7i32.to_be_bytes());
        assert_eq!(cut(&short), "a length of 7, expected 49 at least");
    }
}
