//! `AlignedBuf`: memory that begins and ends where direct I/O wants it, filled and emptied many times.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the position, the length and the memory of direct I/O are multiples of. Devices ask for their
/// sector, which is 512 or 4,096 bytes.
pub const DIRECT_ALIGN: usize = 4_096;

/// Bytes whose first one lies at a multiple of [`DIRECT_ALIGN`].
#[derive(Default)]
pub struct AlignedBuf {
    blocks: Vec<Block>,
    /// Bytes in use, at most those of all blocks.
    len: usize,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(4096))]
struct Block([u8; DIRECT_ALIGN]);

const _: () = assert!(align_of::<Block>() == DIRECT_ALIGN && size_of::<Block>() == DIRECT_ALIGN);

impl AlignedBuf {
    /// An empty buffer that takes `capacity` bytes before it grows.
    pub fn with_capacity(capacity: usize) -> AlignedBuf {
        let mut buf = AlignedBuf::default();
        buf.grow(capacity);
        buf
    }

    /// So many zeros.
    pub fn zeroed(len: usize) -> AlignedBuf {
        let mut buf = AlignedBuf::with_capacity(len);
        buf.len = len;
        buf
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes are in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it holds without growing.
    pub fn capacity(&self) -> usize {
        self.blocks.len() * DIRECT_ALIGN
    }

    /// Makes it so many bytes long; those that are added hold anything.
    pub fn set_len(&mut self, len: usize) {
        if len > self.capacity() {
            self.grow(len);
        }
        self.len = len;
    }

    /// Forgets the bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds bytes at the end.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.grow(end);
        self.blocks.as_mut_bytes()[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Makes it `len` bytes long; what is added is zeros.
    pub fn resize(&mut self, len: usize) {
        self.grow(len);
        if len > self.len {
            // The memory may hold bytes of an earlier use.
            self.blocks.as_mut_bytes()[self.len..len].fill(0);
        }
        self.len = len;
    }

    /// Adds zeros up to a whole number of [`DIRECT_ALIGN`] blocks.
    pub fn pad(&mut self) {
        self.resize(self.len.next_multiple_of(DIRECT_ALIGN));
    }

    /// The bytes in use.
    pub fn as_slice(&self) -> &[u8] {
        &self.blocks.as_bytes()[..self.len]
    }

    /// The bytes in use.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.blocks.as_mut_bytes()[..self.len]
    }

    fn grow(&mut self, capacity: usize) {
        let missing = capacity.div_ceil(DIRECT_ALIGN).saturating_sub(self.blocks.len());
        if missing > 0 {
            // At least doubled, so that filling it piece by piece copies each byte a bounded number of times.
            let added = if self.blocks.is_empty() { missing } else { missing.max(self.blocks.len()) };
            self.blocks.resize_with(self.blocks.len() + added, || Block([0; DIRECT_ALIGN]));
        }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len).field("capacity", &self.capacity()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_at_a_block_however_the_buffer_grew() {
        let mut buf = AlignedBuf::default();
        let mut expected = Vec::new();
        for round in 0..200u8 {
            let part = vec![round; 77];
            buf.extend_from_slice(&part);
            expected.extend_from_slice(&part);
            assert_eq!(buf.as_slice().as_ptr().addr() % DIRECT_ALIGN, 0);
        }
        assert_eq!(buf.as_slice(), expected);
    }

    #[test]
    fn what_is_padded_is_zeros_although_the_memory_was_used_before() {
        let mut buf = AlignedBuf::with_capacity(2 * DIRECT_ALIGN);
        buf.extend_from_slice(&[9; 2 * DIRECT_ALIGN]);
        buf.clear();
        buf.extend_from_slice(&[7; 10]);
        buf.pad();
        assert_eq!(buf.len(), DIRECT_ALIGN);
        assert_eq!(buf.capacity(), 2 * DIRECT_ALIGN);
        assert!(buf.as_slice()[..10].iter().all(|byte| *byte == 7));
        assert!(buf.as_slice()[10..].iter().all(|byte| *byte == 0));
    }
}
