//! `PointState`: what is true of a partition at its recovery point, as the journal has it beside that, so that
//! a start need not read what lies in front.
//!
//! ```text
//!  0     2        4            12           20           28                 40                 52
//! +-----+--------+------------+------------+------------+------------------+------------------+
//! | =1  | epochs | max        | its        | bytes      | .index           | .timeindex       |
//! |     |        | timestamp  | offset     | since entry|                  |                  |
//! +-----+--------+------------+------------+------------+------------------+------------------+
//!  52           60       64
//! +------------+--------+---------------------------+------------------+------------------------
//! | largest    | len    | epochs times: int32 epoch | len bytes as in  | the rest: as in a
//! | producer id|        | int64 its first offset    | a .snapshot      | .batches
//! +------------+--------+---------------------------+------------------+------------------------
//! of an index   int32 entries on the device | int32 entries written | int32 crc32c of those between the two
//! ```
//!
//! All integers are big-endian. The frame that it lies in has a checksum.

use zerocopy::byteorder::big_endian::{I32, I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checkpoint::EpochStart;
use super::index_entry::entries;
use super::{ProducerBatches, ProducerEntry, producer_batches, producer_snapshot};

const VERSION: u16 = 1;

/// What is true of a partition at its recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointState {
    /// The segment that holds the point.
    pub segment: SegmentState,
    /// The largest id of a producer that was ever seen.
    pub producer_id_max: Option<i64>,
    /// The leader epochs in front of it.
    pub epochs: Vec<EpochStart>,
    /// The producers in front of it.
    pub producers: Vec<ProducerEntry>,
    /// Their last batches.
    pub batches: Vec<ProducerBatches>,
}

/// What is true of a segment that grew up to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentState {
    /// Its largest timestamp.
    pub max_timestamp: i64,
    /// The last offset of the first batch that has it.
    pub max_timestamp_offset: i64,
    /// Bytes of batches since the last index entry.
    pub bytes_since_entry: u64,
    /// Its index by offset.
    pub offsets: EntriesState,
    /// Its index by time.
    pub times: EntriesState,
}

/// What is true of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntriesState {
    /// So many entries are on the device.
    pub synced: u32,
    /// So many were written, those included.
    pub count: u32,
    /// Checksum of the others.
    pub crc: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Stored {
    version: U16,
    epochs: U16,
    max_timestamp: I64,
    max_timestamp_offset: I64,
    bytes_since_entry: U64,
    offsets: StoredEntries,
    times: StoredEntries,
    producer_id_max: I64,
    snapshot_len: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StoredEntries {
    synced: U32,
    count: U32,
    crc: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StoredEpoch {
    epoch: I32,
    start: I64,
}

const _: () = assert!(size_of::<Stored>() == 64 && size_of::<StoredEpoch>() == 12);

/// Bytes of it.
pub fn write(state: &PointState) -> Vec<u8> {
    let PointState { segment, producer_id_max, epochs, producers, batches } = state;
    let (mut snapshot, mut beside) = (Vec::new(), Vec::new());
    if !producers.is_empty() {
        snapshot = producer_snapshot::write(producers);
        beside = producer_batches::write(batches);
    }
    let head = Stored {
        version: VERSION.into(),
        epochs: u16::try_from(epochs.len()).expect("a state has few epochs").into(),
        max_timestamp: segment.max_timestamp.into(),
        max_timestamp_offset: segment.max_timestamp_offset.into(),
        bytes_since_entry: segment.bytes_since_entry.into(),
        offsets: segment.offsets.into(),
        times: segment.times.into(),
        producer_id_max: producer_id_max.unwrap_or(-1).into(),
        snapshot_len: u32::try_from(snapshot.len()).expect("a state has few producers").into(),
    };
    let mut bytes = head.as_bytes().to_vec();
    for EpochStart { epoch, start } in epochs {
        let stored = StoredEpoch { epoch: (*epoch).into(), start: (*start).into() };
        bytes.extend(stored.as_bytes());
    }
    bytes.extend(snapshot);
    bytes.extend(beside);
    bytes
}

/// What the bytes say, or what is wrong with them.
pub fn read(bytes: &[u8]) -> Result<PointState, String> {
    let cut = || format!("a state of {} bytes is cut", bytes.len());
    let (head, rest) = Stored::ref_from_prefix(bytes).map_err(|_| cut())?;
    if head.version.get() != VERSION {
        return Err(format!("a state of version {}, expected {VERSION}", head.version));
    }
    let epochs_len = usize::from(head.epochs.get()) * size_of::<StoredEpoch>();
    let (epochs, rest) = rest.split_at_checked(epochs_len).ok_or_else(cut)?;
    let epoch = |stored: &StoredEpoch| EpochStart { epoch: stored.epoch.get(), start: stored.start.get() };
    let (snapshot, beside) = rest.split_at_checked(head.snapshot_len.get() as usize).ok_or_else(cut)?;
    let (mut producers, mut batches) = (Vec::new(), Vec::new());
    if !snapshot.is_empty() {
        producers = producer_snapshot::read(snapshot)?;
        batches = producer_batches::read(beside)?;
    }
    Ok(PointState {
        segment: SegmentState {
            max_timestamp: head.max_timestamp.get(),
            max_timestamp_offset: head.max_timestamp_offset.get(),
            bytes_since_entry: head.bytes_since_entry.get(),
            offsets: (&head.offsets).into(),
            times: (&head.times).into(),
        },
        producer_id_max: Some(head.producer_id_max.get()).filter(|id| *id >= 0),
        epochs: entries::<StoredEpoch>(epochs).iter().map(epoch).collect(),
        producers,
        batches,
    })
}

impl From<EntriesState> for StoredEntries {
    fn from(state: EntriesState) -> StoredEntries {
        StoredEntries { synced: state.synced.into(), count: state.count.into(), crc: state.crc.into() }
    }
}

impl From<&StoredEntries> for EntriesState {
    fn from(stored: &StoredEntries) -> EntriesState {
        EntriesState { synced: stored.synced.get(), count: stored.count.get(), crc: stored.crc.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::BatchNote;

    fn nobody() -> PointState {
        PointState {
            segment: SegmentState {
                max_timestamp: 0x0102_0304_0506_0708,
                max_timestamp_offset: 9,
                bytes_since_entry: 10,
                offsets: EntriesState { synced: 11, count: 12, crc: 13 },
                times: EntriesState { synced: 14, count: 15, crc: 0xfedc_ba98 },
            },
            producer_id_max: None,
            epochs: Vec::new(),
            producers: Vec::new(),
            batches: Vec::new(),
        }
    }

    fn somebody() -> PointState {
        let entry = ProducerEntry {
            producer_id: 1,
            epoch: 2,
            last_sequence: 3,
            last_offset: 4,
            offset_delta: 0,
            timestamp: 5,
            coordinator_epoch: -1,
            transaction_start: None,
        };
        let note = BatchNote { last_sequence: 3, last_offset: 4, offset_delta: 0, timestamp: 5 };
        let batches = ProducerBatches { producer_id: 1, epoch: 2, last_write_ms: 6, batches: vec![note] };
        PointState {
            producer_id_max: Some(7),
            epochs: vec![EpochStart { epoch: 0, start: 0 }, EpochStart { epoch: 3, start: 8 }],
            producers: vec![entry],
            batches: vec![batches],
            ..nobody()
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_partition_without_producers_takes_64_bytes() {
        assert_eq!(write(&nobody()).len(), 64);
        for state in [nobody(), somebody()] {
            assert_eq!(read(&write(&state)), Ok(state));
        }
    }

    #[test]
    fn numbers_stand_where_the_ruler_says() {
        let bytes = write(&somebody());
        assert_eq!(bytes[..4], [0, 1, 0, 2]);
        assert_eq!(bytes[4..12], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[28..40], [0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0, 13]);
        assert_eq!(bytes[48..52], [0xfe, 0xdc, 0xba, 0x98]);
        assert_eq!(bytes[52..64], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 56]);
        assert_eq!(bytes[64 + 12..][..12], [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 8]);
    }

    #[test]
    fn cut_ones_and_other_versions_are_refused() {
        let whole = write(&somebody());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "cut at {len}");
        }
        let mut other = whole;
        other[1] = 2;
        assert_eq!(read(&other), Err("a state of version 2, expected 1".to_owned()));
    }
}
