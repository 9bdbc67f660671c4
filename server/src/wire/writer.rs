//! `Writer`: the protocol's primitives into a buffer, and file slices between them without a copy.

use logmill_engine::disk::FileSlice;

use super::value::Value;

/// Most bytes in memory that one message may have. Few bytes of a request can ask for very many, by naming
/// the same thing again and again.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Writes behind what the buffer holds. File slices are remembered with the place where they belong.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut Vec<u8>,
    slices: Vec<(usize, FileSlice)>,
    is_cut: bool,
    is_error: bool,
}

impl<'a> Writer<'a> {
    /// Writes to the end of `buf`.
    pub fn new(buf: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { buf, slices: Vec::new(), is_cut: false, is_error: false }
    }

    /// Bytes as they are, or none of them when the message would get too long.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        if self.buf.len() + bytes.len() > MESSAGE_BYTES_MAX {
            self.is_cut = true;
            return;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// Whether the message is of no use, because bytes of it were left out.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Takes note of a field that says what went wrong.
    #[inline]
    pub fn note_error(&mut self, code: &impl Value) {
        self.is_error |= code.is_error();
    }

    /// Whether the message, or a part of it, says that something went wrong.
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// A run of a file. It takes no room in the buffer.
    pub fn put_slice(&mut self, slice: &FileSlice) {
        // A send of nothing looks like the end of the file.
        if slice.len > 0 {
            self.slices.push((self.buf.len(), slice.clone()));
        }
    }

    /// An unsigned varint.
    #[inline]
    pub fn uvarint(&mut self, value: u32) {
        if value < 0x80 {
            self.buf.push(value as u8);
        } else {
            let (bytes, len) = uvarint_bytes(value);
            self.put(&bytes[..len]);
        }
    }

    /// A length of the compact form; `None` stands for null.
    #[inline]
    pub fn compact_len(&mut self, len: Option<usize>) {
        self.uvarint(len.map_or(0, |len| wire_len(len) as u32 + 1));
    }

    /// A length of the old form in four bytes; `None` stands for null.
    #[inline]
    pub fn signed_len(&mut self, len: Option<usize>) {
        self.buf.extend_from_slice(&len.map_or(-1, wire_len).to_be_bytes());
    }

    /// One tagged field: tag, size, value. The size is known only afterwards; most fit the one byte that is
    /// kept free for it, for others the value moves.
    pub fn tagged(&mut self, tag: u32, value: impl FnOnce(&mut Self)) {
        self.uvarint(tag);
        let at = self.buf.len();
        let slices = self.slices.len();
        self.buf.push(0);
        value(self);
        assert_eq!(slices, self.slices.len(), "no tagged field of Kafka's holds records");
        let size = self.buf.len() - at - 1;
        let (prefix, prefix_len) = uvarint_bytes(wire_len(size) as u32);
        if prefix_len > 1 {
            self.buf.resize(self.buf.len() + prefix_len - 1, 0);
            self.buf.copy_within(at + 1..at + 1 + size, at + prefix_len);
        }
        self.buf[at..at + prefix_len].copy_from_slice(&prefix[..prefix_len]);
    }

    /// The file slices, each with the length that the buffer had when it was written.
    pub fn finish(self) -> Vec<(usize, FileSlice)> {
        self.slices
    }
}

/// The varint of `value`, and how many of the bytes it has.
#[inline]
fn uvarint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let (mut bytes, mut len) = ([0; 5], 0);
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}

/// Lengths of the protocol have 31 bits.
#[inline]
fn wire_len(len: usize) -> i32 {
    i32::try_from(len).expect("a response is bounded by fetch.max.bytes, far below 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_takes_seven_bits_a_byte() {
        for (value, bytes) in
            [(0, &[0][..]), (127, &[0x7f]), (128, &[0x80, 1]), (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f])]
        {
            let mut buf = Vec::new();
            Writer::new(&mut buf).uvarint(value);
            assert_eq!(&buf[..], bytes);
        }
    }

    #[test]
    fn the_size_of_a_tagged_field_may_take_more_than_a_byte() {
        for len in [0usize, 127, 128, 16_384] {
            let mut buf = b"before".to_vec();
            let value: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut writer = Writer::new(&mut buf);
            writer.tagged(3, |w| w.put(&value));
            writer.put(b"after");

            let mut expected = b"before\x03".to_vec();
            Writer::new(&mut expected).uvarint(len as u32);
            expected.extend_from_slice(&value);
            expected.extend_from_slice(b"after");
            assert_eq!(buf, expected);
        }
    }
}
