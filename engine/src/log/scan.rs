//! Walking a segment's batches from its bytes alone.

use std::io;

use crate::disk::OpenFile;
use crate::format::BatchHeader;
use crate::format::batch::{CRC_FROM, HEADER_LEN, LENGTH_END};

/// A batch as it lies in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchAt {
    pub(crate) header: BatchHeader,
    pub(crate) position: u64,
    pub(crate) size: u64,
}

impl BatchAt {
    /// Position behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.size
    }

    /// The bytes behind its header.
    pub(crate) fn read_records(&self, file: &OpenFile) -> io::Result<Vec<u8>> {
        let mut records = vec![0; self.size as usize - HEADER_LEN];
        let read = file.read_at(&mut records, self.position + HEADER_LEN as u64)?;
        records.truncate(read);
        Ok(records)
    }

    /// What is wrong with the checksum; `None` when nothing is.
    pub(crate) fn crc_fault(&self, file: &OpenFile) -> io::Result<Option<String>> {
        let mut covered = vec![0; self.size as usize - CRC_FROM];
        let read = file.read_at(&mut covered, self.position + CRC_FROM as u64)?;
        let computed = crc32c::crc32c(&covered[..read]);
        let stored = self.header.crc();
        Ok((computed != stored).then(|| format!("crc {stored:#010x}, expected {computed:#010x}")))
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

/// Looks at the batch that begins at `position`, in a file whose bytes end at `end`.
pub(crate) fn batch_at(file: &OpenFile, position: u64, end: u64) -> io::Result<Found> {
    if position >= end {
        return Ok(Found::End);
    }
    let mut bytes = [0u8; HEADER_LEN];
    let wanted = HEADER_LEN.min((end - position) as usize);
    let read = file.read_at(&mut bytes[..wanted], position)?;
    let Some(header) = BatchHeader::view(&bytes[..read]) else {
        return Ok(Found::Nothing(format!("{read} bytes, expected a header of {HEADER_LEN}")));
    };
    if header.magic() != 2 {
        return Ok(Found::Nothing(format!("magic {}, expected 2", header.magic())));
    }
    let Some(size) = header.size() else {
        return Ok(Found::Nothing(format!("a length below {}", HEADER_LEN - LENGTH_END)));
    };
    let size = size as u64;
    if size > end - position {
        return Ok(Found::Nothing(format!("a batch of {size} bytes, {} are there", end - position)));
    }
    if !header.has_possible_offsets() {
        return Ok(Found::Nothing(format!("impossible offsets from {} on", header.base_offset())));
    }
    Ok(Found::Batch(BatchAt { header: *header, position, size }))
}
