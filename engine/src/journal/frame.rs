//! `Frame`: what one wave writes to the journal. `FrameBuilder` makes one where the device can take it from.
//!
//! ```text
//!  0       4     6     8        12       16            24            32            40            48       52
//! +-------+-----+-----+--------+--------+-------------+-------------+-------------+-------------+--------+
//! | magic | ver | =0  | crc32c | length | nonce       | generation  | sequence    | oldest      | items  |
//! | LMJF  | =1  |     |        |        |             |             |             | generation  |        |
//! +-------+-----+-----+--------+--------+-------------+-------------+-------------+-------------+--------+
//! ```
//!
//! then `items` times an item header and so many bytes:
//!
//! ```text
//!  0     4      8               24       28      32           40           48           56
//! +-----+------+---------------+--------+-------+------------+------------+------------+--------...
//! |kind | len  | topic id      | parti- | =0    | segment    | position   | offset     | len
//! |     |      |               | tion   |       |            |            |            | bytes
//! +-----+------+---------------+--------+-------+------------+------------+------------+--------...
//! ```
//!
//! All integers are big-endian. `length` counts header and items without the zeros behind them; the checksum
//! covers byte 12 to `length`. A frame is one only if its generation is that of its file's first frame, its
//! sequence follows that of the frame before it, and its nonce is theirs: behind the newest frame of a file
//! stands what producers once sent, and it may look like a frame. No producer knows the nonce.

use std::fmt;

use zerocopy::byteorder::big_endian::{I32, I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::disk::{AlignedBuf, DIRECT_ALIGN};
use crate::format::{PartitionId, Uuid};

/// Longest frame, zeros included: what a wave takes into memory for the journal.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

const MAGIC: u32 = u32::from_be_bytes(*b"LMJF");
const VERSION: u16 = 1;
/// The first byte that the checksum covers.
const CRC_FROM: usize = 12;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FrameHeader {
    magic: U32,
    version: U16,
    reserved: U16,
    crc: U32,
    length: U32,
    nonce: U64,
    generation: U64,
    sequence: U64,
    oldest_generation: U64,
    items: U32,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ItemHeader {
    kind: U32,
    len: U32,
    topic: [u8; 16],
    partition: I32,
    reserved: U32,
    segment: I64,
    position: U64,
    offset: I64,
}

const HEADER_LEN: usize = size_of::<FrameHeader>();
const ITEM_HEADER_LEN: usize = size_of::<ItemHeader>();
const _: () = assert!(HEADER_LEN == 52);
const _: () = assert!(ITEM_HEADER_LEN == 56);
const _: () = assert!(FRAME_BYTES_MAX.is_multiple_of(DIRECT_ALIGN));

/// What an item says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// These bytes belong at this position of this segment.
    Piece,
    /// The partition is durable up to this position of this segment without the journal; the payload is what
    /// a start needs to know of it besides.
    State,
    /// As a state, and no piece of the partition in front of this counts: the log is about to be cut.
    Cut,
}

impl ItemKind {
    const fn code(self) -> u32 {
        match self {
            ItemKind::Piece => 1,
            ItemKind::State => 2,
            ItemKind::Cut => 3,
        }
    }
}

/// What an item speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub id: PartitionId,
    /// Base offset of the segment.
    pub segment: i64,
    /// Position in the segment's file: of a piece's first byte, or of the recovery point.
    pub position: u64,
    /// The first offset behind a piece, or the recovery point.
    pub offset: i64,
}

/// One item of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// What it says.
    pub kind: ItemKind,
    /// Of what.
    pub place: Place,
    /// The bytes that belong there, or the partition's state.
    pub payload: &'a [u8],
}

/// What a frame is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameNumbers {
    /// Drawn at random by each process.
    pub nonce: u64,
    /// Of the file that it lies in; every use of a file has a larger one.
    pub generation: u64,
    /// Rises by one with each frame of a journal.
    pub sequence: u64,
    /// Files of a smaller generation hold nothing that is needed.
    pub oldest_generation: u64,
}

/// A frame in the making.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    buf: AlignedBuf,
    items: u32,
}

impl FrameBuilder {
    /// Begins a frame in a buffer whose content is of no use any more.
    pub(super) fn new(mut buf: AlignedBuf) -> FrameBuilder {
        buf.clear();
        buf.resize(HEADER_LEN);
        FrameBuilder { buf, items: 0 }
    }

    /// Bytes on the device, if a payload of so many bytes came in.
    pub(super) fn len_with(&self, payload: usize) -> usize {
        self.len_with_all(1, payload)
    }

    /// The same of so many items, with so many bytes of payloads together.
    pub(super) fn len_with_all(&self, items: usize, payloads: usize) -> usize {
        (self.buf.len() + items * ITEM_HEADER_LEN + payloads).next_multiple_of(DIRECT_ALIGN)
    }

    /// Bytes on the device.
    pub(super) fn len(&self) -> usize {
        self.buf.len().next_multiple_of(DIRECT_ALIGN)
    }

    /// Adds an item, whose payload comes in two parts.
    pub(super) fn push(&mut self, kind: ItemKind, place: Place, parts: [&[u8]; 2]) {
        let Place { id, segment, position, offset } = place;
        let len = parts[0].len() + parts[1].len();
        let header = ItemHeader {
            kind: kind.code().into(),
            len: (len as u32).into(),
            topic: id.topic.0,
            partition: id.index.into(),
            reserved: 0.into(),
            segment: segment.into(),
            position: position.into(),
            offset: offset.into(),
        };
        self.buf.extend_from_slice(header.as_bytes());
        self.buf.extend_from_slice(parts[0]);
        self.buf.extend_from_slice(parts[1]);
        self.items += 1;
    }

    /// The whole frame, ready for the device.
    pub(super) fn seal(mut self, numbers: FrameNumbers) -> AlignedBuf {
        let length = self.buf.len();
        assert!(self.len() <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        let mut header = FrameHeader {
            magic: MAGIC.into(),
            version: VERSION.into(),
            reserved: 0.into(),
            crc: 0.into(),
            length: (length as u32).into(),
            nonce: numbers.nonce.into(),
            generation: numbers.generation.into(),
            sequence: numbers.sequence.into(),
            oldest_generation: numbers.oldest_generation.into(),
            items: self.items.into(),
        };
        let bytes = self.buf.as_mut_slice();
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        header.crc = crc32c::crc32c(&bytes[CRC_FROM..]).into();
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        self.buf.resize(length.next_multiple_of(DIRECT_ALIGN));
        self.buf
    }
}

/// Bytes on the device of a frame with so many items, and so many bytes of payloads together.
pub(super) fn frame_len(items: usize, payloads: usize) -> usize {
    (HEADER_LEN + items * ITEM_HEADER_LEN + payloads).next_multiple_of(DIRECT_ALIGN)
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadFrame {
    /// Another beginning, an impossible length, or a checksum of other bytes: what stands where no frame was
    /// written whole.
    NotWhole(String),
    /// A whole frame of another version of Logmill.
    Version(u16),
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadFrame::NotWhole(why) => f.write_str(why),
            BadFrame::Version(version) => {
                write!(f, "a journal frame of version {version}, this Logmill reads version {VERSION}")
            }
        }
    }
}

/// A frame as it lies in memory, found whole.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What it is told apart by.
    pub numbers: FrameNumbers,
    items: u32,
    /// Items and their payloads.
    body: &'a [u8],
    /// Bytes on the device.
    pub len: usize,
}

impl<'a> Frame<'a> {
    /// The length that the frame at the beginning of `bytes` declares, zeros included, if it can be one.
    pub(super) fn declared_len(bytes: &[u8]) -> Option<usize> {
        let (header, _) = FrameHeader::ref_from_prefix(bytes).ok()?;
        let length = header.length.get() as usize;
        let is_possible = header.magic.get() == MAGIC && (HEADER_LEN..=FRAME_BYTES_MAX).contains(&length);
        is_possible.then(|| length.next_multiple_of(DIRECT_ALIGN))
    }

    /// The generation that the frame at the beginning of `bytes` declares, whole or not.
    pub(super) fn declared_generation(bytes: &[u8]) -> Option<u64> {
        let (header, _) = FrameHeader::ref_from_prefix(bytes).ok()?;
        (header.magic.get() == MAGIC).then(|| header.generation.get())
    }

    /// The frame at the beginning of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Frame<'a>, BadFrame> {
        let not_whole = |why: String| BadFrame::NotWhole(why);
        let (header, _) = FrameHeader::ref_from_prefix(bytes)
            .map_err(|_| not_whole(format!("{} bytes, expected a header of {HEADER_LEN}", bytes.len())))?;
        if header.magic.get() != MAGIC {
            return Err(not_whole(format!("magic {:#010x}, expected {MAGIC:#010x}", header.magic.get())));
        }
        let length = header.length.get() as usize;
        if !(HEADER_LEN..=FRAME_BYTES_MAX.min(bytes.len())).contains(&length) {
            return Err(not_whole(format!("a length of {length}, {} bytes are there", bytes.len())));
        }
        let computed = crc32c::crc32c(&bytes[CRC_FROM..length]);
        if computed != header.crc.get() {
            return Err(not_whole(format!("crc {:#010x}, expected {computed:#010x}", header.crc.get())));
        }
        if header.version.get() != VERSION {
            return Err(BadFrame::Version(header.version.get()));
        }
        let frame = Frame::known(bytes).ok_or_else(|| not_whole("it is cut".to_owned()))?;
        if frame.items().count() == frame.items as usize {
            Ok(frame)
        } else {
            Err(not_whole(format!("{} items, expected {}", frame.items().count(), frame.items)))
        }
    }

    /// The frame at the beginning of `bytes`, which was found whole before; `None` where not all of it is there.
    pub(super) fn known(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let (header, _) = FrameHeader::ref_from_prefix(bytes).ok()?;
        let length = header.length.get() as usize;
        let numbers = FrameNumbers {
            nonce: header.nonce.get(),
            generation: header.generation.get(),
            sequence: header.sequence.get(),
            oldest_generation: header.oldest_generation.get(),
        };
        let len = length.next_multiple_of(DIRECT_ALIGN);
        Some(Frame { numbers, items: header.items.get(), body: bytes.get(HEADER_LEN..length)?, len })
    }

    /// Its items, in the order in which they were pushed.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let (header, behind) = ItemHeader::ref_from_prefix(rest).ok()?;
            let payload = behind.get(..header.len.get() as usize)?;
            rest = &behind[payload.len()..];
            let kind = [ItemKind::Piece, ItemKind::State, ItemKind::Cut]
                .into_iter()
                .find(|kind| kind.code() == header.kind.get())?;
            let place = Place {
                id: PartitionId { topic: Uuid(header.topic), index: header.partition.get() },
                segment: header.segment.get(),
                position: header.position.get(),
                offset: header.offset.get(),
            };
            Some(Item { kind, place, payload })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: FrameNumbers =
        FrameNumbers { nonce: 3, generation: 7, sequence: 41, oldest_generation: 5 };

    const LENGTH: usize = HEADER_LEN + 4 * ITEM_HEADER_LEN + 11 + 5 + 5_000;

    fn place(index: i32, segment: i64, position: u64, offset: i64) -> Place {
        Place { id: PartitionId { topic: Uuid([9; 16]), index }, segment, position, offset }
    }

    fn sample() -> AlignedBuf {
        let mut frame = FrameBuilder::new(AlignedBuf::with_capacity(DIRECT_ALIGN));
        frame.push(ItemKind::Piece, place(0, 1_024, 8_192, 1_030), [b"head", b"records"]);
        frame.push(ItemKind::State, place(1, 0, 77, 5), [b"state", b""]);
        frame.push(ItemKind::Cut, place(1, 0, 40, 3), [b"", b""]);
        frame.push(ItemKind::Piece, place(2, 3, 0, 4), [&[7; 5_000], b""]);
        assert_eq!(frame.len(), 2 * DIRECT_ALIGN);
        frame.seal(NUMBERS)
    }

    #[test]
    fn what_is_pushed_is_read_in_its_order() {
        let sealed = sample();
        let frame = Frame::read(sealed.as_slice()).unwrap();
        assert_eq!((frame.numbers, frame.len), (NUMBERS, sealed.len()));
        assert_eq!(Frame::declared_len(sealed.as_slice()), Some(sealed.len()));
        let items: Vec<Item<'_>> = frame.items().collect();
        let expected = [
            (ItemKind::Piece, place(0, 1_024, 8_192, 1_030), &b"headrecords"[..]),
            (ItemKind::State, place(1, 0, 77, 5), b"state"),
            (ItemKind::Cut, place(1, 0, 40, 3), b""),
            (ItemKind::Piece, place(2, 3, 0, 4), &[7; 5_000]),
        ];
        assert_eq!(items, expected.map(|(kind, place, payload)| Item { kind, place, payload }));
    }

    #[test]
    fn every_flipped_bit_in_front_of_the_zeros_is_noticed() {
        let sealed = sample();
        for byte in 0..LENGTH {
            let mut bytes = sealed.as_slice().to_vec();
            bytes[byte] ^= 1 << (byte % 8);
            // The two that nobody looks at and no checksum covers.
            let is_reserved = (6..8).contains(&byte);
            // The version is looked at last, and not covered either: a frame of an unknown version is no less whole.
            assert_eq!(Frame::read(&bytes).is_ok(), is_reserved, "byte {byte}");
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_none() {
        let sealed = sample();
        for len in 0..LENGTH {
            let cut = Frame::read(&sealed.as_slice()[..len]);
            assert!(matches!(cut, Err(BadFrame::NotWhole(_))), "{len} bytes: {cut:?}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = sample().as_slice().to_vec();
        bytes[5] = 9;
        assert_eq!(Frame::read(&bytes).unwrap_err(), BadFrame::Version(9));
    }
}
