//! `LegacyEntry`: messages of magic 0 and 1, which directories that Apache Kafka upgraded still hold. Read only.
//!
//! ```text
//! 0        8        12       16 17 18                26          (magic 1; in magic 0 the key's length is at 18)
//! +--------+--------+--------+--+--+-----------------+--------+-----+--------+-------+
//! | offset | size   | crc32  |m |at| timestamp       | key    | key | value  | value |
//! |        | of rest|        |  |  |                 | length |     | length |       |
//! +--------+--------+--------+--+--+-----------------+--------+-----+--------+-------+
//! ```
//!
//! Integers are big-endian, a length of -1 stands for null. `at`: bits 0 to 2 codec (none, gzip, snappy, lz4), 3
//! the timestamp is the broker's. The checksum covers byte 16 to the end. A compressed entry's value is a
//! message set itself, of the same magic and not compressed; the entry's offset and time are those of its last
//! message and its largest one. Offsets in it are absolute in magic 0, and count from the first message in
//! magic 1.

use super::codec::{Codec, decompress_oldest};

/// Bytes in front of what `size` counts.
const SIZE_END: usize = 12;
const CRC_FROM: usize = 16;
const MAGIC_AT: usize = 16;
/// Where the fields begin that depend on the magic.
const FIELDS_FROM: usize = 18;
/// The smallest entries: without key and value.
const LEN_MIN: [usize; 2] = [26, 34];

const CODEC_MASK: u8 = 0b111;
const LOG_APPEND_TIME: u8 = 1 << 3;
/// Stands for a message without a time, as all of magic 0 are.
const NO_TIMESTAMP: i64 = -1;

/// One entry of a message set, with all its bytes there.
#[derive(Debug, Clone, Copy)]
pub struct LegacyEntry<'a> {
    bytes: &'a [u8],
}

/// What the first bytes of an entry say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyHead {
    /// Bytes of the whole entry.
    pub size: usize,
    /// Offset of its last message.
    pub last_offset: i64,
    /// Largest time of its messages, -1 without one.
    pub max_timestamp: i64,
}

/// Bytes that [`LegacyHead::read`] looks at. Every entry has so many.
pub const HEAD_LEN: usize = LEN_MIN[0];

impl LegacyHead {
    /// Reads the head of an entry whose rest may be missing; `None` when it is not of magic 0 or 1, or too
    /// short to be one.
    pub fn read(bytes: &[u8]) -> Option<LegacyHead> {
        let bytes = bytes.get(..HEAD_LEN)?;
        let size = SIZE_END + usize::try_from(int32(bytes, 8)).ok()?;
        let magic = usize::from(bytes[MAGIC_AT]);
        let max_timestamp = if magic == 0 { NO_TIMESTAMP } else { int64(bytes, FIELDS_FROM) };
        (size >= *LEN_MIN.get(magic)?).then_some(LegacyHead {
            size,
            last_offset: int64(bytes, 0),
            max_timestamp,
        })
    }
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyMessage<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds, -1 without one.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

impl<'a> LegacyEntry<'a> {
    /// The first entry of `bytes` and what lies behind it; `None` when not all of it is there, or it is not of
    /// magic 0 or 1.
    pub fn split_first(bytes: &'a [u8]) -> Option<(LegacyEntry<'a>, &'a [u8])> {
        let magic = usize::from(*bytes.get(MAGIC_AT)?);
        let size = usize::try_from(int32(bytes, 8)).ok()?;
        let (entry, behind) = bytes.split_at_checked(SIZE_END.checked_add(size)?)?;
        (entry.len() >= *LEN_MIN.get(magic)?).then_some((LegacyEntry { bytes: entry }, behind))
    }

    /// Its version: 0 or 1.
    pub fn magic(&self) -> u8 {
        self.bytes[MAGIC_AT]
    }

    /// Bytes of the whole entry.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of its last message.
    pub fn last_offset(&self) -> i64 {
        int64(self.bytes, 0)
    }

    /// Largest time of its messages, -1 without one.
    pub fn max_timestamp(&self) -> i64 {
        if self.magic() == 0 { NO_TIMESTAMP } else { int64(self.bytes, FIELDS_FROM) }
    }

    /// Whether its value is a compressed message set.
    pub fn is_compressed(&self) -> bool {
        self.attributes() & CODEC_MASK != 0
    }

    /// Whether these are the bytes that somebody wrote as an entry.
    pub fn check(&self) -> Result<(), String> {
        let crc = int32(self.bytes, 12) as u32;
        let mut computed = flate2::Crc::new();
        computed.update(&self.bytes[CRC_FROM..]);
        if crc != computed.sum() {
            return Err(format!("crc {crc:#010x}, expected {:#010x}", computed.sum()));
        }
        self.key_and_value().map(drop)
    }

    /// Hands its messages to `see`, one for an entry that is not compressed; of a compressed one at most
    /// `bytes_max` are decompressed. Fails where an entry is damaged, this one or one in it.
    pub fn messages(&self, bytes_max: usize, mut see: impl FnMut(LegacyMessage<'_>)) -> Result<(), String> {
        self.check()?;
        if !self.is_compressed() {
            see(self.message()?);
            return Ok(());
        }
        let (_, value) = self.key_and_value()?;
        let id = self.attributes() & CODEC_MASK;
        // zstd came with magic 2.
        let codec = Codec::from_id(id).filter(|codec| *codec != Codec::Zstd);
        let codec = codec.ok_or_else(|| format!("codec {id} in a message of magic {}", self.magic()))?;
        let value = value.ok_or("a compressed message set without a value")?;
        let set = match self.magic() {
            0 => decompress_oldest(codec, value, bytes_max),
            _ => super::codec::decompress(codec, value, bytes_max),
        }
        .map_err(|error| error.to_string())?;
        self.inner(&set, see)
    }

    fn inner(&self, set: &[u8], mut see: impl FnMut(LegacyMessage<'_>)) -> Result<(), String> {
        let mut last = None;
        for entry in entries(set) {
            let entry = entry?;
            if entry.magic() != self.magic() || entry.is_compressed() {
                return Err(format!(
                    "a message of magic {} and attributes {:#04x} in a compressed one of magic {}",
                    entry.magic(),
                    entry.attributes(),
                    self.magic()
                ));
            }
            last = Some(entry.last_offset());
        }
        let last = last.ok_or("a compressed message set without a message")?;
        let first = match self.magic() {
            0 => 0,
            // What some producers sent has an offset of 0, whatever it holds.
            _ if self.last_offset() == 0 => 0,
            _ => self
                .last_offset()
                .checked_sub(last)
                .filter(|first| *first >= 0)
                .ok_or_else(|| format!("message {last} in a set that ends at {}", self.last_offset()))?,
        };
        for entry in entries(set) {
            let mut message = entry?.message()?;
            message.offset = first
                .checked_add(message.offset)
                .ok_or_else(|| format!("message {} in a set from {first} on", message.offset))?;
            if self.magic() == 1 && self.attributes() & LOG_APPEND_TIME != 0 {
                message.timestamp = self.max_timestamp();
            }
            see(message);
        }
        Ok(())
    }

    fn message(&self) -> Result<LegacyMessage<'a>, String> {
        let (key, value) = self.key_and_value()?;
        Ok(LegacyMessage { offset: self.last_offset(), timestamp: self.max_timestamp(), key, value })
    }

    fn attributes(&self) -> u8 {
        self.bytes[MAGIC_AT + 1]
    }

    fn key_and_value(&self) -> Result<(Nullable<'a>, Nullable<'a>), String> {
        let from = if self.magic() == 0 { FIELDS_FROM } else { FIELDS_FROM + 8 };
        let mut rest = &self.bytes[from..];
        let (key, value) = (nullable(&mut rest)?, nullable(&mut rest)?);
        match rest.len() {
            0 => Ok((key, value)),
            len => Err(format!("{len} bytes behind the value")),
        }
    }
}

/// Bytes, or null.
type Nullable<'a> = Option<&'a [u8]>;

/// The entries of a message set, each undamaged.
fn entries(mut set: &[u8]) -> impl Iterator<Item = Result<LegacyEntry<'_>, String>> {
    std::iter::from_fn(move || {
        if set.is_empty() {
            return None;
        }
        let Some((entry, behind)) = LegacyEntry::split_first(set) else {
            let len = std::mem::take(&mut set).len();
            return Some(Err(format!("{len} bytes that are no message")));
        };
        set = behind;
        Some(entry.check().map(|()| entry))
    })
}

fn nullable<'a>(rest: &mut &'a [u8]) -> Result<Nullable<'a>, String> {
    let len = rest.first_chunk().map(|len| i32::from_be_bytes(*len)).ok_or("a length is cut")?;
    *rest = &rest[4..];
    if len == -1 {
        return Ok(None);
    }
    let (bytes, behind) = usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len))
        .ok_or_else(|| format!("a length of {len} in front of {} bytes", rest.len()))?;
    *rest = behind;
    Ok(Some(bytes))
}

/// The integer at a place where there is one.
fn int32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn int64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::codec::{Compression, compress};

    const MAX: usize = 1 << 20;

    /// An entry with a right size and checksum.
    fn entry(magic: u8, offset: i64, attributes: u8, timestamp: i64, value: &[u8]) -> Vec<u8> {
        let mut fields = vec![magic, attributes];
        if magic == 1 {
            fields.extend(timestamp.to_be_bytes());
        }
        fields.extend([0, 0, 0, 1, b'k']);
        fields.extend((value.len() as i32).to_be_bytes());
        fields.extend(value);
        let mut crc = flate2::Crc::new();
        crc.update(&fields);
        let size = 4 + fields.len() as i32;
        [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.sum().to_be_bytes(), &fields].concat()
    }

    fn compressed(magic: u8, offset: i64, flags: u8, compression: Compression, set: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        compress(compression, set, &mut value);
        entry(magic, offset, flags | compression.codec().id(), 900, &value)
    }

    /// Offset, time and value of every message.
    fn read(bytes: &[u8]) -> Result<Vec<(i64, i64, String)>, String> {
        let (entry, behind) = LegacyEntry::split_first(bytes).ok_or("no entry")?;
        assert!(behind.is_empty());
        let mut messages = Vec::new();
        entry.messages(MAX, |message| {
            assert_eq!(message.key, Some(&b"k"[..]));
            let value = String::from_utf8(message.value.unwrap().to_vec()).unwrap();
            messages.push((message.offset, message.timestamp, value));
        })?;
        Ok(messages)
    }

    fn expect(messages: [(i64, i64); 2]) -> Vec<(i64, i64, String)> {
        messages
            .into_iter()
            .zip(["a", "b"])
            .map(|((offset, time), value)| (offset, time, value.into()))
            .collect()
    }

    #[test]
    fn messages_of_both_versions_are_read() {
        assert_eq!(read(&entry(0, 7, 0, 0, b"a")), Ok(vec![(7, -1, "a".to_owned())]));
        assert_eq!(read(&entry(1, 7, 0, 500, b"a")), Ok(vec![(7, 500, "a".to_owned())]));
    }

    #[test]
    fn an_entry_is_these_bytes() {
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 22, 0x72, 0x2a, 0xa0, 0xe7, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xf4, 0,
            0, 0, 0, 0xff, 0xff, 0xff, 0xff,
        ];
        let (entry, _) = LegacyEntry::split_first(&bytes).unwrap();
        assert_eq!((entry.last_offset(), entry.max_timestamp(), entry.size()), (7, 500, 34));
        let expected = LegacyMessage { offset: 7, timestamp: 500, key: Some(&[]), value: None };
        entry.messages(MAX, |message| assert_eq!(message, expected)).unwrap();
    }

    #[test]
    fn compressed_sets_have_offsets_of_their_own_or_count_from_the_first() {
        for compression in [Compression::Gzip { level: -1 }, Compression::Snappy, Compression::Lz4] {
            let set = [entry(0, 40, 0, 0, b"a"), entry(0, 42, 0, 0, b"b")].concat();
            let bytes = compressed(0, 42, 0, compression, &set);
            assert_eq!(read(&bytes), Ok(expect([(40, -1), (42, -1)])), "{compression:?}");
            let set = [entry(1, 0, 0, 800, b"a"), entry(1, 1, 0, 900, b"b")].concat();
            let bytes = compressed(1, 42, 0, compression, &set);
            assert_eq!(read(&bytes), Ok(expect([(41, 800), (42, 900)])), "{compression:?}");
            let bytes = compressed(1, 42, LOG_APPEND_TIME, compression, &set);
            assert_eq!(read(&bytes), Ok(expect([(41, 900), (42, 900)])), "{compression:?}");
        }
    }

    #[test]
    fn every_flipped_bit_under_the_checksum_is_noticed() {
        for magic in [0, 1] {
            let set = [entry(magic, 0, 0, 5, b"a"), entry(magic, 1, 0, 5, b"b")].concat();
            for whole in [entry(magic, 7, 0, 5, b"a"), compressed(magic, 7, 0, Compression::Snappy, &set)] {
                for bit in 12 * 8..whole.len() * 8 {
                    let mut bytes = whole.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    assert!(read(&bytes).is_err(), "magic {magic}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn entries_cut_anywhere_or_with_a_size_that_lies_are_none() {
        let whole = entry(1, 7, 0, 5, b"a");
        for len in 0..whole.len() {
            assert!(LegacyEntry::split_first(&whole[..len]).is_none(), "cut at {len}");
        }
        for size in [i32::MIN, -1, 0, 14, 21, i32::MAX] {
            let mut bytes = whole.clone();
            bytes[8..12].copy_from_slice(&size.to_be_bytes());
            assert!(LegacyEntry::split_first(&bytes).is_none(), "size {size}");
        }
        let mut newer = whole;
        newer[16] = 2;
        assert!(LegacyEntry::split_first(&newer).is_none());
    }

    #[test]
    fn sets_that_break_a_rule_are_refused() {
        let inner = entry(1, 3, 0, 5, b"a");
        let deep = compressed(1, 3, 0, Compression::Snappy, &inner);
        for (bytes, word) in [
            (compressed(1, 9, 0, Compression::Snappy, &deep), "attributes 0x02"),
            (compressed(0, 9, 0, Compression::Snappy, &inner), "of magic 1"),
            (compressed(1, 2, 0, Compression::Snappy, &inner), "message 3 in a set that ends at 2"),
            (compressed(1, 9, 0, Compression::Snappy, &[]), "without a message"),
            (compressed(1, 9, 0, Compression::Snappy, &inner[..20]), "20 bytes that are no message"),
            (compressed(1, 9, 0, Compression::Zstd { level: 3 }, &inner), "codec 4"),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    }
}
