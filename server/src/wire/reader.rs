//! `Reader`: a position in a frame that never passes its end.

use bytes::Bytes;

use super::read_error::{ReadError, Reason};
use super::text::Text;

/// The most bytes of a request that are not records. Records stay where they are; names and numbers take more
/// memory once they are read than they took on the wire.
pub const NOT_RECORDS_BYTES_MAX: usize = 8 << 20;
/// The most memory that the lists of a request take. An element can be fifty times as large in memory as on the
/// wire, and the bytes on the wire are all that the room for requests counts.
pub const LIST_BYTES_MAX: usize = 4 * NOT_RECORDS_BYTES_MAX;

/// Reads the protocol's primitives out of one frame. Fails where the bytes end, and allocates nothing.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    /// What has not been read: up to the frame's end, or that of the tagged field being read.
    rest: &'a [u8],
    /// How many of the bytes read were records.
    records_read: usize,
    /// How many others there may be.
    not_records_max: usize,
    /// Memory that lists may still take.
    list_bytes_left: usize,
    /// Struct and field that the first failure was met in.
    failed_at: Option<(&'static str, &'static str)>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `frame`, the four bytes of its length not included.
    ///
    /// Slices of it are taken without allocating when the frame is shared already, as one split off a
    /// `BytesMut` is; a `Bytes` made from a `Vec` allocates a counter at the first slice.
    pub fn new(frame: &'a Bytes) -> Reader<'a> {
        Reader {
            frame,
            rest: frame,
            records_read: 0,
            not_records_max: usize::MAX,
            list_bytes_left: usize::MAX,
            failed_at: None,
        }
    }

    /// The same for a request, of which a stranger decides how much there is of what: it is read as far as
    /// [`NOT_RECORDS_BYTES_MAX`] and [`LIST_BYTES_MAX`] allow.
    pub fn of_request(frame: &'a Bytes) -> Reader<'a> {
        Reader {
            not_records_max: NOT_RECORDS_BYTES_MAX,
            list_bytes_left: LIST_BYTES_MAX,
            ..Reader::new(frame)
        }
    }

    /// How many bytes are left to read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes of the frame have been read.
    pub fn position(&self) -> usize {
        self.rest.as_ptr().addr() - self.frame.as_ptr().addr()
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.truncated(N)),
        }
    }

    /// The next `len` bytes as a slice of the frame.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<Bytes, Reason> {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(self.frame.slice_ref(bytes))
            }
            None => Err(self.truncated(len)),
        }
    }

    /// The next `len` bytes as records.
    #[inline]
    pub fn records(&mut self, len: usize) -> Result<Bytes, Reason> {
        let records = self.bytes(len)?;
        self.records_read += len;
        Ok(records)
    }

    /// Fails when more bytes that are not records were read than a request may have.
    #[inline]
    pub(super) fn check_size(&self) -> Result<(), Reason> {
        let read = self.position() - self.records_read;
        if read > self.not_records_max { Err(Reason::TooMuch(saturated(read))) } else { Ok(()) }
    }

    /// For how many of a list's `missing` elements to make room: no more memory than there are bytes left in
    /// the frame, or than the elements take that did arrive. An element can be larger in memory than on the
    /// wire (an empty compact string is one byte), so an announced length alone would be a lever.
    pub(super) fn room_for<T>(&mut self, missing: usize, arrived: usize) -> Result<usize, Reason> {
        let backed = self.remaining() / size_of::<T>();
        let allowed = self.list_bytes_left / size_of::<T>();
        let more = missing.min(backed.max(arrived).max(1)).min(allowed);
        if more == 0 {
            return Err(Reason::TooManyElements(saturated(arrived)));
        }
        self.list_bytes_left -= more * size_of::<T>();
        Ok(more)
    }

    /// The next `len` bytes as a string, a slice of the frame.
    #[inline]
    pub fn text(&mut self, len: usize) -> Result<Text, Reason> {
        if len > Text::BYTES_MAX {
            return Err(Reason::TooLong(saturated(len)));
        }
        Text::from_frame(self.bytes(len)?).map_err(|_| Reason::Utf8)
    }

    /// An unsigned varint of up to 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, Reason> {
        match self.array()? {
            [byte] if byte < 0x80 => Ok(u32::from(byte)),
            [byte] => self.long_uvarint(byte),
        }
    }

    /// The varint that begins with `first` and goes on.
    fn long_uvarint(&mut self, first: u8) -> Result<u32, Reason> {
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                return Err(Reason::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// A length of the compact form; `None` stands for null. What it counts has at least one byte each, so
    /// a length above what is left is refused here, before anybody makes room for it.
    #[inline]
    pub fn compact_len(&mut self) -> Result<Option<usize>, Reason> {
        match self.uvarint()?.checked_sub(1) {
            Some(len) => self.believable(len as usize).map(Some),
            None => Ok(None),
        }
    }

    /// A length of the old form, four bytes or, of a string, two; otherwise as [`Reader::compact_len`].
    #[inline]
    pub fn signed_len(&mut self, len: i32) -> Result<Option<usize>, Reason> {
        match len {
            -1 => Ok(None),
            len => match usize::try_from(len) {
                Ok(len) => self.believable(len).map(Some),
                Err(_) => Err(Reason::NegativeLength(len)),
            },
        }
    }

    #[inline]
    fn believable(&self, len: usize) -> Result<usize, Reason> {
        if len > self.remaining() { Err(self.truncated(len)) } else { Ok(len) }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> Reason {
        Reason::Truncated { needed: saturated(needed), left: saturated(self.remaining()) }
    }

    /// The tagged fields at the end of a struct. `known` reads the value of a tag it knows and says whether
    /// it did; others are skipped.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Reader<'a>, u32) -> Result<bool, Reason>,
    ) -> Result<(), Reason> {
        // A count is not a length: it reserves nothing, and each field takes two bytes at least.
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let Some((value, behind)) = self.rest.split_at_checked(size) else {
                return Err(self.truncated(size));
            };
            self.rest = value;
            if known(self, tag)? && !self.rest.is_empty() {
                return Err(Reason::TagSize { tag, left: saturated(self.remaining()) });
            }
            self.rest = behind;
        }
        Ok(())
    }

    /// Notes where reading failed. The innermost field is met first and stays.
    #[cold]
    pub fn fail(&mut self, structure: &'static str, field: &'static str, reason: Reason) -> Reason {
        self.failed_at.get_or_insert((structure, field));
        reason
    }

    /// The whole story of a failure, for the message that was being read.
    #[cold]
    pub fn error(&self, message: &'static str, version: i16, reason: Reason) -> ReadError {
        let (structure, field) = self.failed_at.unwrap_or((message, ""));
        ReadError { message, version, structure, field, position: self.position(), reason }
    }
}

/// A frame has less than 2^31 bytes; what is announced may be more than 2^32 only by the four bits that
/// nobody needs to see.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    #[test]
    fn a_varint_of_more_than_32_bits_is_refused() {
        assert_eq!(Reader::new(&frame(&[0xff, 0xff, 0xff, 0xff, 0x0f])).uvarint(), Ok(u32::MAX));
        assert_eq!(Reader::new(&frame(&[0xff, 0xff, 0xff, 0xff, 0x1f])).uvarint(), Err(Reason::Varint));
        assert_eq!(Reader::new(&frame(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00])).uvarint(), Err(Reason::Varint));
        assert_eq!(Reader::new(&frame(&[0x80])).uvarint(), Err(Reason::Truncated { needed: 1, left: 0 }));
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused_before_it_is_used() {
        assert_eq!(Reader::new(&frame(&[9, 0])).compact_len(), Err(Reason::Truncated { needed: 8, left: 1 }));
        assert_eq!(Reader::new(&frame(&[0])).signed_len(2), Err(Reason::Truncated { needed: 2, left: 1 }));
        assert_eq!(Reader::new(&frame(&[])).signed_len(-2), Err(Reason::NegativeLength(-2)));
    }

    #[test]
    fn a_tagged_field_cannot_read_past_its_size() {
        let read =
            Reader::new(&frame(&[1, 7, 1, 0xaa, 0xbb])).tagged_fields(|r, _| r.array::<2>().map(|_| true));
        assert_eq!(read, Err(Reason::Truncated { needed: 2, left: 1 }));
    }

    #[test]
    fn a_tagged_field_must_use_all_of_its_size() {
        let read =
            Reader::new(&frame(&[1, 7, 2, 0xaa, 0xbb])).tagged_fields(|r, _| r.array::<1>().map(|_| true));
        assert_eq!(read, Err(Reason::TagSize { tag: 7, left: 1 }));
    }

    #[test]
    fn unknown_tagged_fields_are_skipped() {
        let frame = frame(&[2, 7, 2, 0xaa, 0xbb, 8, 0, 0xcc]);
        let mut bytes = Reader::new(&frame);
        assert_eq!(bytes.tagged_fields(|_, _| Ok(false)), Ok(()));
        assert_eq!(bytes.remaining(), 1);
    }

    #[test]
    fn a_string_longer_than_the_protocol_allows_is_refused() {
        let long = vec![b'a'; Text::BYTES_MAX + 1];
        assert_eq!(Reader::new(&frame(&long)).text(long.len()), Err(Reason::TooLong(32_768)));
    }
}
