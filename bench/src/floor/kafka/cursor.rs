//! `Cursor`: fields of a request, as far as they have arrived.

/// Reads forward; `None` where the bytes end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned number in groups of seven bits.
    pub(super) fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.array::<1>()?[0];
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(value)
    }

    /// The length of a compact array or string; null counts as none.
    pub(super) fn compact_len(&mut self) -> Option<u32> {
        self.varint().map(|len| len.saturating_sub(1))
    }

    pub(super) fn compact_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.compact_len()?;
        self.take(len as usize)
    }

    /// A string with two bytes of length, which may be null.
    pub(super) fn nullable_string(&mut self) -> Option<&'a [u8]> {
        let len = self.i16()?;
        self.take(usize::try_from(len).unwrap_or(0))
    }

    pub(super) fn skip_tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let len = self.varint()?;
            self.take(len as usize)?;
        }
        Some(())
    }
}

/// Appends an unsigned number in groups of seven bits.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_when_they_are_whole_and_not_before() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
        bytes.extend(7i32.to_be_bytes());
        // A string of two bytes, and two tags of one and no byte.
        bytes.extend([3, b'a', b'b', 2, 0, 1, 9, 1, 0]);
        let read = |bytes: &[u8]| {
            let mut cursor = Cursor::new(bytes);
            let fields = (cursor.varint()?, cursor.i32()?, cursor.compact_bytes()?.to_vec());
            cursor.skip_tags()?;
            Some((fields, cursor.position()))
        };
        assert_eq!(read(&bytes), Some(((300, 7, b"ab".to_vec()), bytes.len())));
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), None, "{len} of {} bytes", bytes.len());
        }
    }
}
