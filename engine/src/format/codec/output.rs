//! `Output`: decompressed bytes, which may not be more than a limit.

use std::io::{self, Read};

use super::Undecodable;

/// Bytes made room for at a time, at least.
const STEP_MIN: usize = 16 << 10;

/// Grows with what is really there, to its limit.
pub(super) struct Output {
    bytes: Vec<u8>,
    max: usize,
}

impl Output {
    pub(super) fn new(max: usize) -> Output {
        Output { bytes: Vec::new(), max }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn too_large(&self) -> Undecodable {
        Undecodable::TooLarge { max: self.max }
    }

    /// How many bytes still fit.
    pub(super) fn room(&self) -> usize {
        self.max - self.bytes.len()
    }

    /// Appends bytes.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        if bytes.len() > self.room() {
            return Err(self.too_large());
        }
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends what `write` puts into the `len` bytes that it is given, which fit; it says how many it put.
    pub(super) fn fill<E>(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        assert!(len <= self.room(), "the caller asks for no more than fits");
        self.reserve(len);
        let begin = self.bytes.len();
        self.bytes.resize(begin + len, 0);
        let written = write(&mut self.bytes[begin..]);
        self.bytes.truncate(begin + *written.as_ref().unwrap_or(&0));
        written
    }

    /// Appends all that `reader` gives.
    pub(super) fn read_from(&mut self, mut reader: impl Read) -> Result<(), Undecodable> {
        while self.room() > 0 {
            // As much again as came so far, so that the copies of growing cost no more than the bytes.
            let step = self.bytes.len().max(STEP_MIN).min(self.room());
            if self.fill(step, |room| read_full(&mut reader, room)).map_err(Undecodable::damaged)? < step {
                return Ok(());
            }
        }
        match read_full(&mut reader, &mut [0]).map_err(Undecodable::damaged)? {
            0 => Ok(()),
            _ => Err(self.too_large()),
        }
    }

    /// Doubles, but never beyond the limit.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let capacity = needed.max(self.bytes.len() * 2).min(self.max);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }
}

/// Fills `room`, unless the reader ends before.
fn read_full(reader: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match reader.read(&mut room[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
