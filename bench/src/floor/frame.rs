//! The floor's frames, all integers little endian.
//!
//! ```text
//! frame  | length u32 | verb u32 | body: length bytes          |
//! put    body: batches one after the other, each
//!        | file u32 | length u32 | crc32c u32 | length bytes   |
//! get    body:
//!        | file u32 | length u32 | position u64 |
//! ```
//!
//! A put is answered by four zero bytes, a get by the bytes that it asked for.

use std::io;

/// Length of a frame's head.
pub(super) const FRAME_HEAD_LEN: usize = 8;
/// Length of a batch's head.
pub(super) const BATCH_HEAD_LEN: usize = 12;
/// Length of a get's body.
pub(super) const GET_LEN: usize = 16;
/// Length of the answer to a put.
pub(super) const ACK_LEN: usize = 4;
/// The largest batch: a receive buffer holds one, whatever lies before it.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// The most files that a thread appends to.
pub(super) const FILES_MAX: u32 = 4096;

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Append batches.
    Put,
    /// Send a run of a file.
    Get,
}

/// The first bytes of every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes behind the head.
    pub length: u32,
    pub verb: Verb,
}

impl FrameHead {
    /// The head at the front of `bytes`; `None` until all of it is there.
    pub(super) fn read(bytes: &[u8]) -> io::Result<Option<FrameHead>> {
        let Some(&head) = bytes.first_chunk::<FRAME_HEAD_LEN>() else { return Ok(None) };
        let length = u32_at(&head, 0);
        match u32_at(&head, 4) {
            0 if length > 0 => Ok(Some(FrameHead { length, verb: Verb::Put })),
            1 if length as usize == GET_LEN => Ok(Some(FrameHead { length, verb: Verb::Get })),
            verb => Err(refused(format!("frame: verb {verb} with a body of {length} bytes"))),
        }
    }

    pub(super) fn write(self, out: &mut [u8]) {
        out[0..4].copy_from_slice(&self.length.to_le_bytes());
        out[4..8].copy_from_slice(&(self.verb as u32).to_le_bytes());
    }
}

/// What stands before a batch's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub file: u32,
    pub length: u32,
    pub crc: u32,
}

impl BatchHead {
    /// The head at the front of `bytes`; `None` until all of it is there.
    pub(super) fn read(bytes: &[u8]) -> io::Result<Option<BatchHead>> {
        let Some(&head) = bytes.first_chunk::<BATCH_HEAD_LEN>() else { return Ok(None) };
        let batch = BatchHead { file: u32_at(&head, 0), length: u32_at(&head, 4), crc: u32_at(&head, 8) };
        if batch.file >= FILES_MAX || batch.length as usize > BATCH_BYTES_MAX {
            return Err(refused(format!("batch of {} bytes for file {}", batch.length, batch.file)));
        }
        Ok(Some(batch))
    }

    pub(super) fn write(self, out: &mut [u8]) {
        out[0..4].copy_from_slice(&self.file.to_le_bytes());
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..12].copy_from_slice(&self.crc.to_le_bytes());
    }

    /// Bytes that the batch takes in a frame.
    pub(super) fn framed_len(self) -> usize {
        BATCH_HEAD_LEN + self.length as usize
    }
}

/// A run of a file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Get {
    pub file: u32,
    pub length: u32,
    pub position: u64,
}

impl Get {
    /// The body of a get at the front of `bytes`; `None` until all of it is there.
    pub(super) fn read(bytes: &[u8]) -> Option<Get> {
        let &body = bytes.first_chunk::<GET_LEN>()?;
        let position = u64::from(u32_at(&body, 8)) | u64::from(u32_at(&body, 12)) << 32;
        Some(Get { file: u32_at(&body, 0), length: u32_at(&body, 4), position })
    }

    pub(super) fn write(self, out: &mut [u8]) {
        out[0..4].copy_from_slice(&self.file.to_le_bytes());
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..16].copy_from_slice(&self.position.to_le_bytes());
    }
}

/// What the connection is closed with when a frame makes no sense.
pub(super) fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_read_back_as_written_and_only_when_whole() {
        let mut bytes = [0; 16];
        let frame = FrameHead { length: 70_000, verb: Verb::Put };
        frame.write(&mut bytes);
        assert_eq!(FrameHead::read(&bytes).unwrap(), Some(frame));
        assert_eq!(FrameHead::read(&bytes[..7]).unwrap(), None);
        let batch = BatchHead { file: 3, length: 16_000, crc: 0xdead_beef };
        batch.write(&mut bytes);
        assert_eq!(BatchHead::read(&bytes).unwrap(), Some(batch));
        assert_eq!(BatchHead::read(&bytes[..11]).unwrap(), None);
        let get = Get { file: 1, length: 2, position: 1 << 40 | 7 };
        get.write(&mut bytes);
        assert_eq!(Get::read(&bytes), Some(get));
        assert_eq!(Get::read(&bytes[..15]), None);
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        let mut bytes = [0; BATCH_HEAD_LEN];
        BatchHead { file: 0, length: BATCH_BYTES_MAX as u32 + 1, crc: 0 }.write(&mut bytes);
        assert!(BatchHead::read(&bytes).is_err());
        BatchHead { file: FILES_MAX, length: 1, crc: 0 }.write(&mut bytes);
        assert!(BatchHead::read(&bytes).is_err());
    }
}
