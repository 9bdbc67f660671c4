//! Record batches on the wire: what of one is patched when it is sent, and what is read of it when it comes back.
//!
//! ```text
//! 0   base offset i64 | length i32 (of what follows) | leader epoch i32 | magic i8 | crc32c u32 (of what follows)
//! 21  attributes i16 | last offset delta i32 | base timestamp i64 | max timestamp i64
//! 43  producer id i64 | producer epoch i16 | base sequence i32 | count i32
//! 61  records, each: length | attributes i8 | timestamp delta | offset delta | key length, key | value length, value
//! ```
//!
//! When a message was due stands in the first eight bytes of its value, in microseconds of Unix time. Where the
//! value is shorter, or compressed ahead of time, the batch says it of its first message: the timestamp of its
//! records in milliseconds, and the sixteenth of one in how far they lie behind the base timestamp.

/// Length of a batch without records.
pub(super) const HEADER: usize = 61;
/// Of the timestamps in values.
pub(super) const STAMP: usize = 8;
/// Parts of a millisecond that the header tells apart.
pub(super) const CODES: u64 = 16;

const LENGTH_AT: usize = 8;
const LENGTH_COUNTS_FROM: usize = 12;
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;
const LAST_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

const CODEC_BITS: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 0b1000;
const CONTROL: i16 = 0b10_0000;

/// What makes a batch this producer's next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) count: u32,
    /// Id and epoch; none without idempotence.
    pub(super) producer: Option<(i64, i16)>,
    pub(super) sequence: i32,
    /// When its first message was due.
    pub(super) first_unix_us: u64,
    /// Whether the records' timestamps lie behind the base timestamp, to tell the parts of a millisecond.
    pub(super) is_coded: bool,
}

/// Which part of its millisecond a moment lies in.
pub(super) fn code(unix_us: u64) -> u64 {
    unix_us % 1000 * CODES / 1000
}

impl Stamp {
    /// Writes it into a batch that is otherwise whole, and the checksum over all.
    pub(super) fn write(&self, batch: &mut [u8]) {
        let code = if self.is_coded { code(self.first_unix_us) } else { 0 };
        let timestamp = self.first_unix_us / 1000;
        let (id, epoch) = self.producer.unwrap_or((-1, -1));
        let sequence = if self.producer.is_some() { self.sequence } else { -1 };
        put(batch, LENGTH_AT, ((batch.len() - LENGTH_COUNTS_FROM) as i32).to_be_bytes());
        put(batch, LAST_DELTA_AT, (self.count as i32 - 1).to_be_bytes());
        put(batch, BASE_TIMESTAMP_AT, ((timestamp - code) as i64).to_be_bytes());
        put(batch, MAX_TIMESTAMP_AT, (timestamp as i64).to_be_bytes());
        put(batch, PRODUCER_ID_AT, id.to_be_bytes());
        put(batch, PRODUCER_EPOCH_AT, epoch.to_be_bytes());
        put(batch, SEQUENCE_AT, sequence.to_be_bytes());
        put(batch, COUNT_AT, (self.count as i32).to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        put(batch, CRC_AT, crc.to_be_bytes());
    }
}

/// Writes bytes at a position.
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has that length")
}

/// A batch that was read, whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchView<'a> {
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch in front; none when it is not there to its end, as the last of a response may not be.
    pub(super) fn first_of(bytes: &'a [u8]) -> Option<BatchView<'a>> {
        if bytes.len() < HEADER {
            return None;
        }
        let len = LENGTH_COUNTS_FROM + u32::from_be_bytes(get(bytes, LENGTH_AT)) as usize;
        (len >= HEADER).then_some(())?;
        Some(BatchView { bytes: bytes.get(..len)? })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The offset behind its last record.
    pub(super) fn next_offset(&self) -> i64 {
        let base = i64::from_be_bytes(get(self.bytes, 0));
        base + i64::from(i32::from_be_bytes(get(self.bytes, LAST_DELTA_AT))) + 1
    }

    /// Records of clients; a control batch has none.
    pub(super) fn messages(&self) -> u64 {
        match self.attributes() & CONTROL {
            0 => i32::from_be_bytes(get(self.bytes, COUNT_AT)).max(0) as u64,
            _ => 0,
        }
    }

    /// The checksum that it bears, and that of its bytes.
    pub(super) fn checksums(&self) -> (u32, u32) {
        (u32::from_be_bytes(get(self.bytes, CRC_AT)), crc32c::crc32c(&self.bytes[CRC_COVERS_FROM..]))
    }

    /// When its messages were due, in Unix time, and how many at a time; nothing where the broker put its own time
    /// in. `in_values`: whether values say it.
    pub(super) fn due_times(&self, in_values: bool, mut each: impl FnMut(u64, u64)) {
        let attributes = self.attributes();
        if in_values && attributes & CODEC_BITS == 0 {
            let mut records = &self.bytes[HEADER..];
            while let Some(stamp) = next_stamp(&mut records) {
                each(u64::from_be_bytes(stamp), 1);
            }
        } else if attributes & LOG_APPEND_TIME == 0 {
            let base = i64::from_be_bytes(get(self.bytes, BASE_TIMESTAMP_AT));
            let max = i64::from_be_bytes(get(self.bytes, MAX_TIMESTAMP_AT)).max(0) as u64;
            let code = max.saturating_sub(base.max(0) as u64).min(CODES - 1);
            each(max * 1000 + code * 1000 / CODES, self.messages());
        }
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes(get(self.bytes, CRC_COVERS_FROM))
    }
}

/// Takes a record; says what its value begins with. None at the end, or where a value is too short.
fn next_stamp(records: &mut &[u8]) -> Option<[u8; STAMP]> {
    let len = varint(records)?;
    let (mut record, rest) = records.split_at_checked(usize::try_from(len).ok()?)?;
    *records = rest;
    record = record.get(1..)?;
    varint(&mut record)?;
    varint(&mut record)?;
    let key = varint(&mut record)?;
    record = record.get(key.max(0) as usize..)?;
    varint(&mut record)?;
    record.first_chunk().copied()
}

/// Takes a zigzag varint.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
        shift += 7;
        (shift < 64).then_some(())?;
    }
}
