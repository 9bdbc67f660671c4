//! `ProducerBatches`: the last batches of a producer, in a file of our own beside the snapshot of the same
//! offset, `%020d.batches`. Apache Kafka's snapshot has the last one only.
//!
//! ```text
//! 0     2        6        10
//! +-----+--------+--------+-----------------...
//! | =1  | crc32c | count  | count producers
//! +-----+--------+--------+-----------------...
//!
//! 0            8     10           18    19
//! +------------+-----+------------+-----+-----------------------------...
//! | producer   | ep. | last write | n   | n batches, 1 to 5, oldest first
//! | id         |     |            |     |
//! +------------+-----+------------+-----+-----------------------------...
//!
//! 0        4            12       16           24
//! +--------+------------+--------+------------+
//! | last   | last       | offset | timestamp  |
//! | seq.   | offset     | delta  |            |
//! +--------+------------+--------+------------+
//! ```
//!
//! The checksum covers byte 6 to the end. `last write` is the broker's time, which a batch's timestamp need
//! not be.

use zerocopy::byteorder::big_endian::{I16, I32, I64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Batches remembered of each producer: as many as a client may have in flight.
pub const BATCHES_MAX: usize = 5;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const CRC_FROM: usize = 6;
const HEAD_LEN: usize = 10;

/// The last batches of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerBatches {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch, which all the batches were written in.
    pub epoch: i16,
    /// When it wrote last, in milliseconds, by the broker's clock.
    pub last_write_ms: i64,
    /// At most [`BATCHES_MAX`], oldest first.
    pub batches: Vec<BatchNote>,
}

/// What is remembered of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchNote {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of that record.
    pub last_offset: i64,
    /// Offsets from its first record to its last.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: i64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StoredHead {
    producer_id: I64,
    epoch: I16,
    last_write_ms: I64,
    batches: u8,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StoredNote {
    last_sequence: I32,
    last_offset: I64,
    offset_delta: I32,
    timestamp: I64,
}

const _: () = assert!(size_of::<StoredHead>() == 19 && size_of::<StoredNote>() == 24);

/// The file's content.
pub fn write(producers: &[ProducerBatches]) -> Vec<u8> {
    let count =
        i32::try_from(producers.len()).expect("producers fit into memory, and their count into 31 bits");
    let producer_len = size_of::<StoredHead>() + BATCHES_MAX * size_of::<StoredNote>();
    let mut bytes = Vec::with_capacity(HEAD_LEN + producers.len() * producer_len);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; CRC_FROM - CRC_AT]);
    bytes.extend(count.to_be_bytes());
    for producer in producers {
        let count = producer.batches.len();
        assert!((1..=BATCHES_MAX).contains(&count), "{count} batches of producer {}", producer.producer_id);
        let head = StoredHead {
            producer_id: producer.producer_id.into(),
            epoch: producer.epoch.into(),
            last_write_ms: producer.last_write_ms.into(),
            batches: count as u8,
        };
        bytes.extend(head.as_bytes());
        producer.batches.iter().for_each(|note| bytes.extend(StoredNote::from(note).as_bytes()));
    }
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The batches that a file holds, or what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Vec<ProducerBatches>, String> {
    let Some((head, mut rest)) = bytes.split_at_checked(HEAD_LEN) else {
        return Err(format!("{} bytes, expected {HEAD_LEN} at least", bytes.len()));
    };
    let version = I16::read_from_bytes(&head[..CRC_AT]).expect("two bytes").get();
    if version != VERSION {
        return Err(format!("version {version}, expected {VERSION}"));
    }
    let crc = u32::from_be_bytes(head[CRC_AT..CRC_FROM].try_into().expect("four bytes"));
    let computed = crc32c::crc32c(&bytes[CRC_FROM..]);
    if crc != computed {
        return Err(format!("crc {crc:#010x}, expected {computed:#010x}"));
    }
    let count = i32::from_be_bytes(head[CRC_FROM..].try_into().expect("four bytes"));
    let mut producers = Vec::new();
    while !rest.is_empty() {
        let (producer, behind) = read_producer(rest)
            .ok_or_else(|| format!("position {}: no producer", bytes.len() - rest.len()))?;
        producers.push(producer);
        rest = behind;
    }
    if usize::try_from(count) != Ok(producers.len()) {
        return Err(format!("{count} producers declared, {} found", producers.len()));
    }
    Ok(producers)
}

fn read_producer(bytes: &[u8]) -> Option<(ProducerBatches, &[u8])> {
    let (head, bytes) = StoredHead::ref_from_prefix(bytes).ok()?;
    let count = usize::from(head.batches);
    if !(1..=BATCHES_MAX).contains(&count) {
        return None;
    }
    let (notes, bytes) = <[StoredNote]>::ref_from_prefix_with_elems(bytes, count).ok()?;
    let producer = ProducerBatches {
        producer_id: head.producer_id.get(),
        epoch: head.epoch.get(),
        last_write_ms: head.last_write_ms.get(),
        batches: notes.iter().map(BatchNote::from).collect(),
    };
    Some((producer, bytes))
}

impl From<&BatchNote> for StoredNote {
    fn from(note: &BatchNote) -> StoredNote {
        StoredNote {
            last_sequence: note.last_sequence.into(),
            last_offset: note.last_offset.into(),
            offset_delta: note.offset_delta.into(),
            timestamp: note.timestamp.into(),
        }
    }
}

impl From<&StoredNote> for BatchNote {
    fn from(stored: &StoredNote) -> BatchNote {
        BatchNote {
            last_sequence: stored.last_sequence.get(),
            last_offset: stored.last_offset.get(),
            offset_delta: stored.offset_delta.get(),
            timestamp: stored.timestamp.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(last_offset: i64) -> BatchNote {
        BatchNote { last_sequence: 7, last_offset, offset_delta: 3, timestamp: 0x0102_0304_0506_0708 }
    }

    fn two() -> Vec<ProducerBatches> {
        [(1, 5), (2, 1)]
            .map(|(producer_id, count)| ProducerBatches {
                producer_id,
                epoch: 9,
                last_write_ms: 10,
                batches: (0..count).map(note).collect(),
            })
            .into()
    }

    #[test]
    fn a_producer_is_19_bytes_and_24_for_each_batch() {
        let bytes = write(&two()[1..]);
        assert_eq!((&bytes[..2], &bytes[6..10]), (&[0, 1][..], &[0, 0, 0, 1][..]));
        let expected = [
            &[0, 0, 0, 0, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10, 1][..],
            &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8],
        ];
        assert_eq!(bytes[10..], expected.concat());
    }

    #[test]
    fn what_is_written_is_read() {
        for producers in [two(), Vec::new()] {
            assert_eq!(read(&write(&producers)), Ok(producers));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = write(&two());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit} is flipped");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_so_are_zeros() {
        let whole = write(&two());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "cut at {len}");
        }
        assert_eq!(read(&[0; 102]), Err("version 0, expected 1".to_owned()));
    }

    #[test]
    fn counts_that_lie_are_refused() {
        let sealed = |mut bytes: Vec<u8>| {
            let crc = crc32c::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            read(&bytes).unwrap_err()
        };
        for count in [-1, 0, 1, 3, i32::MAX] {
            let mut bytes = write(&two());
            bytes[6..10].copy_from_slice(&i32::to_be_bytes(count));
            assert_eq!(sealed(bytes), format!("{count} producers declared, 2 found"));
        }
        for batches in [0, 4, 6, 255] {
            let mut bytes = write(&two());
            bytes[10 + 18] = batches;
            assert!(sealed(bytes).ends_with(": no producer"), "{batches} batches");
        }
    }
}
