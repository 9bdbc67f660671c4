//! `AlignedBuf`: memory that begins and ends where direct I/O wants it, filled and emptied many times.

use std::fmt;

/// What the position, the length and the memory of direct I/O are multiples of. Devices ask for their
/// sector, which is 512 or 4,096 bytes.
pub const DIRECT_ALIGN: usize = 4_096;

/// Bytes whose first one lies at a multiple of [`DIRECT_ALIGN`].
#[derive(Default)]
pub struct AlignedBuf {
    /// Zeroed by the allocator, which for much memory is the kernel when it is first touched.
    memory: Vec<u8>,
    /// Where the first block begins in it.
    offset: usize,
    /// Bytes in use, at most those of whole blocks.
    len: usize,
    /// Behind so many bytes there are only zeros.
    used: usize,
}

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
        buf.set_len(len);
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
        (self.memory.len() - self.offset) / DIRECT_ALIGN * DIRECT_ALIGN
    }

    /// Makes it so many bytes long; those that are added hold anything.
    pub fn set_len(&mut self, len: usize) {
        self.grow(len);
        self.len = len;
        self.used = self.used.max(len);
    }

    /// Forgets the bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds bytes at the end.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.grow(end);
        self.memory[self.offset..][self.len..end].copy_from_slice(bytes);
        self.set_len(end);
    }

    /// Makes it `len` bytes long; what is added is zeros.
    pub fn resize(&mut self, len: usize) {
        self.grow(len);
        let of_earlier_use = self.len..len.min(self.used);
        if !of_earlier_use.is_empty() {
            self.memory[self.offset..][of_earlier_use].fill(0);
        }
        self.set_len(len);
    }

    /// Adds zeros up to a whole number of [`DIRECT_ALIGN`] blocks.
    pub fn pad(&mut self) {
        self.resize(self.len.next_multiple_of(DIRECT_ALIGN));
    }

    /// The bytes in use.
    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.offset..][..self.len]
    }

    /// The bytes in use.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.offset..][..self.len]
    }

    fn grow(&mut self, capacity: usize) {
        if capacity <= self.capacity() {
            return;
        }
        // At least doubled, so that filling it piece by piece copies each byte a bounded number of times.
        let capacity = capacity.max(self.capacity() * 2).next_multiple_of(DIRECT_ALIGN);
        let mut memory = vec![0; capacity + DIRECT_ALIGN - 1];
        let offset = memory.as_ptr().align_offset(DIRECT_ALIGN);
        memory[offset..][..self.len].copy_from_slice(self.as_slice());
        (self.memory, self.offset, self.used) = (memory, offset, self.len);
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
