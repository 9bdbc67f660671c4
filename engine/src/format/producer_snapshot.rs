//! `ProducerEntry`: a producer in the snapshot that stands beside a segment, `%020d.snapshot`.
//!
//! ```text
//! 0     2        6        10
//! +-----+--------+--------+-----------------...
//! | =1  | crc32c | count  | count entries
//! +-----+--------+--------+-----------------...
//!
//! 0            8     10       14           22       26           34       38           46
//! +------------+-----+--------+------------+--------+------------+--------+------------+
//! | producer   | ep. | last   | last       | offset | timestamp  | coord. | first      |
//! | id         |     | seq.   | offset     | delta  |            | epoch  | offset of  |
//! |            |     |        |            |        |            |        | open txn   |
//! +------------+-----+--------+------------+--------+------------+--------+------------+
//! ```
//!
//! The checksum covers byte 6 to the end. An entry has a producer's last batch only, which `last_seq`,
//! `last_offset` and `offset_delta` describe.

use zerocopy::byteorder::big_endian::{I16, I32, I64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::index_entry::entries;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const CRC_FROM: usize = 6;
const HEAD_LEN: usize = 10;

/// What is known of a producer at the snapshot's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the last record of its last batch; -1 when there is no batch.
    pub last_sequence: i32,
    /// Offset of that record; -1 when there is no batch.
    pub last_offset: i64,
    /// Offsets from the batch's first record to its last.
    pub offset_delta: i32,
    /// Timestamp of the last write, in milliseconds.
    pub timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker; -1 when there was none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_start: Option<i64>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Stored {
    producer_id: I64,
    epoch: I16,
    last_sequence: I32,
    last_offset: I64,
    offset_delta: I32,
    timestamp: I64,
    coordinator_epoch: I32,
    transaction_start: I64,
}

const ENTRY_LEN: usize = size_of::<Stored>();
const _: () = assert!(ENTRY_LEN == 46);

/// The file's content.
pub fn write(producers: &[ProducerEntry]) -> Vec<u8> {
    let count =
        i32::try_from(producers.len()).expect("producers fit into memory, and their count into 31 bits");
    let mut bytes = Vec::with_capacity(HEAD_LEN + producers.len() * ENTRY_LEN);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; CRC_FROM - CRC_AT]);
    bytes.extend(count.to_be_bytes());
    for producer in producers {
        bytes.extend(Stored::from(producer).as_bytes());
    }
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The producers that a file holds, or what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Vec<ProducerEntry>, String> {
    let Some((head, stored)) = bytes.split_at_checked(HEAD_LEN) else {
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
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_LEN)) != Some(stored.len()) {
        return Err(format!("{count} producers of {ENTRY_LEN} bytes in {} bytes", stored.len()));
    }
    Ok(entries::<Stored>(stored).iter().map(ProducerEntry::from).collect())
}

impl From<&ProducerEntry> for Stored {
    fn from(entry: &ProducerEntry) -> Stored {
        Stored {
            producer_id: entry.producer_id.into(),
            epoch: entry.epoch.into(),
            last_sequence: entry.last_sequence.into(),
            last_offset: entry.last_offset.into(),
            offset_delta: entry.offset_delta.into(),
            timestamp: entry.timestamp.into(),
            coordinator_epoch: entry.coordinator_epoch.into(),
            transaction_start: entry.transaction_start.unwrap_or(-1).into(),
        }
    }
}

impl From<&Stored> for ProducerEntry {
    fn from(stored: &Stored) -> ProducerEntry {
        ProducerEntry {
            producer_id: stored.producer_id.get(),
            epoch: stored.epoch.get(),
            last_sequence: stored.last_sequence.get(),
            last_offset: stored.last_offset.get(),
            offset_delta: stored.offset_delta.get(),
            timestamp: stored.timestamp.get(),
            coordinator_epoch: stored.coordinator_epoch.get(),
            transaction_start: Some(stored.transaction_start.get()).filter(|start| *start >= 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: ProducerEntry = ProducerEntry {
        producer_id: 0x0102_0304_0506_0708,
        epoch: 9,
        last_sequence: 10,
        last_offset: 11,
        offset_delta: 12,
        timestamp: 13,
        coordinator_epoch: -1,
        transaction_start: None,
    };

    fn two() -> [ProducerEntry; 2] {
        [IDLE, ProducerEntry { producer_id: 2, coordinator_epoch: 7, transaction_start: Some(0), ..IDLE }]
    }

    #[test]
    fn an_entry_is_46_bytes_in_this_order() {
        let bytes = write(&[IDLE]);
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[6..10], [0, 0, 0, 1]);
        let expected = [
            &[1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 11][..],
            &[0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 13, 255, 255, 255, 255],
            &[255; 8],
        ];
        assert_eq!(bytes[10..], expected.concat());
    }

    #[test]
    fn what_is_written_is_read() {
        for producers in [&two()[..], &[]] {
            assert_eq!(read(&write(producers)).as_deref(), Ok(producers));
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
    fn a_count_that_lies_is_refused_and_names_both_values() {
        for count in [-1, 0, 1, 3, i32::MAX] {
            let mut bytes = write(&two());
            bytes[6..10].copy_from_slice(&i32::to_be_bytes(count));
            let crc = crc32c::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            assert_eq!(read(&bytes), Err(format!("{count} producers of 46 bytes in 92 bytes")));
        }
    }
}
