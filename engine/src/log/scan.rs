//! `Walk`: a segment's batches, one after the other, from its bytes alone.

use std::io;

use crate::disk::OpenFile;
use crate::format::BatchHeader;
use crate::format::batch::{CRC_FROM, HEADER_LEN, LENGTH_END};
use crate::format::legacy::{LegacyEntry, LegacyHead};

/// Where every version of the format says which it is.
const MAGIC_AT: usize = 16;

/// Bytes read at a time where only headers are looked at.
pub(crate) const HEADERS_WINDOW: usize = 4_096;
/// Bytes read where the wanted header should be the next one or two.
const NEAR_WINDOW: usize = 4 * HEADER_LEN;
const WHOLE_WINDOWS: [usize; 2] = [usize::MAX; 2];
/// Bytes read at a time where everything is looked at; in tests so few that a window does not hold all.
pub(crate) const RECORDS_WINDOW: usize = if cfg!(test) { 16 << 10 } else { 1 << 20 };

/// A batch as it lies in a file, or what stood for one before there were batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchAt {
    head: Head,
    pub(crate) position: u64,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, Copy)]
enum Head {
    Batch(BatchHeader),
    Legacy(LegacyHead),
}

impl BatchAt {
    pub(crate) fn new(header: BatchHeader, position: u64, size: u64) -> BatchAt {
        BatchAt { head: Head::Batch(header), position, size }
    }

    /// Its header; `None` of magic 0 and 1.
    pub(crate) fn header(&self) -> Option<&BatchHeader> {
        match &self.head {
            Head::Batch(header) => Some(header),
            Head::Legacy(_) => None,
        }
    }

    /// Position behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.size
    }

    /// Its first offset; of magic 0 and 1, which do not say it, the last one.
    pub(crate) fn base_offset(&self) -> i64 {
        match &self.head {
            Head::Batch(header) => header.base_offset(),
            Head::Legacy(head) => head.last_offset,
        }
    }

    pub(crate) fn last_offset(&self) -> i64 {
        match &self.head {
            Head::Batch(header) => header.last_offset(),
            Head::Legacy(head) => head.last_offset,
        }
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        match &self.head {
            Head::Batch(header) => header.max_timestamp(),
            Head::Legacy(head) => head.max_timestamp,
        }
    }

    /// All of its bytes; less when the file has become shorter.
    pub(crate) fn read(&self, file: &OpenFile) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size as usize];
        let read = file.read_at(&mut bytes, self.position)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// What stands at a position.
#[derive(Debug)]
pub(crate) enum Found {
    /// A batch whose header makes sense and whose bytes are all there.
    Batch(BatchAt),
    /// The end of the bytes.
    End,
    /// Bytes that are no batch, and why not.
    Nothing(String),
}

/// Batches from a position on, read through a window that the caller lends.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    file: &'a OpenFile,
    position: u64,
    end: u64,
    window: &'a mut [u8],
    window_from: u64,
    window_len: usize,
    /// The next two reads take so many bytes, if they are enough.
    next_lens: [usize; 2],
    bytes_read: u64,
}

impl<'a> Walk<'a> {
    /// From the batch at `position` on, in a file whose bytes end at `end`. The window holds a header at
    /// least.
    pub(crate) fn new(file: &'a OpenFile, position: u64, end: u64, window: &'a mut [u8]) -> Walk<'a> {
        assert!(window.len() >= HEADER_LEN, "a window holds a header");
        Walk {
            file,
            position,
            end,
            window,
            window_from: 0,
            window_len: 0,
            next_lens: WHOLE_WINDOWS,
            bytes_read: 0,
        }
    }

    /// The position of the next batch.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Goes on with the batch at `position`.
    pub(crate) fn go_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Goes on with the batch at `position`, to the one that probably begins `distance` behind it or a little later.
    /// Each page of the cache that is read costs as much as a read, and most of what is between two headers is
    /// not wanted.
    pub(crate) fn go_to_reach(&mut self, position: u64, distance: u64) {
        self.position = position;
        let distance = usize::try_from(distance).unwrap_or(usize::MAX);
        self.next_lens = [distance.saturating_add(HEADER_LEN), NEAR_WINDOW];
    }

    /// Ends the walk earlier.
    pub(crate) fn end_at(&mut self, end: u64) {
        self.end = end.min(self.end);
    }

    /// What stands at the position, without stepping over it.
    pub(crate) fn peek(&mut self) -> io::Result<Found> {
        if self.position >= self.end {
            return Ok(Found::End);
        }
        let (position, end) = (self.position, self.end);
        let wanted = (HEADER_LEN as u64).min(end - position) as usize;
        let header = self.bytes(position, wanted)?;
        Ok(batch_in(&header[..header.len().min(wanted)], position, end))
    }

    /// What stands at the position; the next call looks behind it.
    pub(crate) fn next(&mut self) -> io::Result<Found> {
        let found = self.peek()?;
        if let Found::Batch(batch) = &found {
            self.position = batch.end();
        }
        Ok(found)
    }

    /// What is wrong with a batch's checksum; `None` when nothing is.
    pub(crate) fn crc_fault(&mut self, batch: &BatchAt) -> io::Result<Option<String>> {
        let Some(header) = batch.header() else {
            let bytes = batch.read(self.file)?;
            let entry = LegacyEntry::split_first(&bytes).map(|(entry, _)| entry.check());
            return Ok(entry.unwrap_or_else(|| Err("it is cut".to_owned())).err());
        };
        let mut computed = 0;
        let mut position = batch.position + CRC_FROM as u64;
        while position < batch.end() {
            let left = batch.end() - position;
            let bytes = self.bytes(position, 1)?;
            if bytes.is_empty() {
                break;
            }
            let covered = (bytes.len() as u64).min(left) as usize;
            computed = crc32c::crc32c_append(computed, &bytes[..covered]);
            position += covered as u64;
        }
        let stored = header.crc();
        Ok((computed != stored).then(|| format!("crc {stored:#010x}, expected {computed:#010x}")))
    }

    /// What the window holds from `position` on: `wanted` bytes at least where the file has them.
    fn bytes(&mut self, position: u64, wanted: usize) -> io::Result<&[u8]> {
        let window_end = self.window_from + self.window_len as u64;
        if position < self.window_from || position + wanted as u64 > window_end {
            let [next_len, later_len] = self.next_lens;
            self.next_lens = [later_len, usize::MAX];
            let len_max = self.window.len().min(next_len).max(wanted);
            let len = (self.end - position).min(len_max as u64) as usize;
            self.window_len = self.file.read_at(&mut self.window[..len], position)?;
            self.window_from = position;
            self.bytes_read += self.window_len as u64;
        }
        let from = (position - self.window_from) as usize;
        Ok(&self.window[from..self.window_len])
    }
}

/// The batch whose header is `bytes`, at `position` of a file that ends at `end`.
fn batch_in(bytes: &[u8], position: u64, end: u64) -> Found {
    let magic = bytes.get(MAGIC_AT).copied();
    let (head, size) = match magic {
        Some(0 | 1) => match LegacyHead::read(bytes) {
            Some(head) => (Head::Legacy(head), head.size),
            None => return Found::Nothing("too short for a message of magic 0 or 1".to_owned()),
        },
        Some(2) => {
            let Some(header) = BatchHeader::view(bytes) else {
                return Found::Nothing(format!("{} bytes, expected a header of {HEADER_LEN}", bytes.len()));
            };
            let Some(size) = header.size() else {
                return Found::Nothing(format!("a length below {}", HEADER_LEN - LENGTH_END));
            };
            (Head::Batch(*header), size)
        }
        Some(magic) => return Found::Nothing(format!("magic {magic}, expected 2")),
        None => {
            return Found::Nothing(format!("{} bytes, expected a header of {HEADER_LEN}", bytes.len()));
        }
    };
    let batch = BatchAt { head, position, size: size as u64 };
    if batch.size > end - position {
        return Found::Nothing(format!("a batch of {size} bytes, {} are there", end - position));
    }
    let has_possible_offsets = match &batch.head {
        Head::Batch(header) => header.has_possible_offsets(),
        Head::Legacy(head) => (0..i64::MAX).contains(&head.last_offset),
    };
    if !has_possible_offsets {
        return Found::Nothing(format!("impossible offsets from {} on", batch.base_offset()));
    }
    Found::Batch(batch)
}
