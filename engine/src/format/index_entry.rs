//! Entries of the three indexes beside a segment, viewed in the bytes where they lie.
//!
//! ```text
//! .index        0            4            8
//!               +------------+------------+
//!               | relative   | position   |
//!               | offset     |            |
//!               +------------+------------+
//!
//! .timeindex    0                         8            12
//!               +-------------------------+------------+
//!               | timestamp               | relative   |
//!               |                         | offset     |
//!               +-------------------------+------------+
//!
//! .txnindex     0     2            10           18           26           34
//!               +-----+------------+------------+------------+------------+
//!               | =0  | producer   | first      | last       | last       |
//!               |     | id         | offset     | offset     | stable     |
//!               +-----+------------+------------+------------+------------+
//! ```
//!
//! A relative offset counts from the segment's base offset. None of them carries a checksum: an entry is
//! believed when the batch that it points to confirms it.

use zerocopy::byteorder::big_endian::{I16, I32, I64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where a batch begins in the segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct OffsetEntry {
    relative_offset: I32,
    position: I32,
}

/// Which batch has the largest timestamp so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TimeEntry {
    timestamp: I64,
    relative_offset: I32,
}

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct AbortedEntry {
    version: I16,
    producer_id: I64,
    first_offset: I64,
    last_offset: I64,
    last_stable_offset: I64,
}

const _: () = assert!(size_of::<OffsetEntry>() == 8);
const _: () = assert!(size_of::<TimeEntry>() == 12);
const _: () = assert!(size_of::<AbortedEntry>() == 34);

/// The only version of [`AbortedEntry`].
const ABORTED_VERSION: i16 = 0;

/// The whole entries at the beginning of `bytes`. What is left behind them, a piece of an entry, is not
/// looked at.
pub fn entries<E>(bytes: &[u8]) -> &[E]
where
    E: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let (entries, _) = <[E]>::ref_from_prefix_with_elems(bytes, bytes.len() / size_of::<E>())
        .expect("so many entries fit, wherever they begin");
    entries
}

impl OffsetEntry {
    /// The entry for a batch at `position` whose last record has `last_offset`. `None` when one of the two
    /// does not fit: the segment has to roll.
    pub fn new(base_offset: i64, last_offset: i64, position: u64) -> Option<OffsetEntry> {
        let position = i32::try_from(position).ok()?;
        let relative_offset = relative(base_offset, last_offset)?;
        Some(OffsetEntry { relative_offset: relative_offset.into(), position: position.into() })
    }

    /// Offset of the last record of the batch; `None` when it is no offset of this segment.
    pub fn last_offset(&self, base_offset: i64) -> Option<i64> {
        absolute(base_offset, self.relative_offset)
    }

    /// Where the batch begins; `None` when it is no position.
    pub fn position(&self) -> Option<u64> {
        u64::try_from(self.position.get()).ok()
    }
}

impl TimeEntry {
    /// The entry for the batch with the largest timestamp so far, whose last record has `last_offset`.
    /// `None` when the offset does not fit: the segment has to roll.
    pub fn new(base_offset: i64, timestamp: i64, last_offset: i64) -> Option<TimeEntry> {
        let relative_offset = relative(base_offset, last_offset)?;
        Some(TimeEntry { timestamp: timestamp.into(), relative_offset: relative_offset.into() })
    }

    /// The largest timestamp up to the batch.
    pub fn timestamp(&self) -> i64 {
        self.timestamp.get()
    }

    /// Offset of the last record of the batch; `None` when it is no offset of this segment.
    pub fn last_offset(&self, base_offset: i64) -> Option<i64> {
        absolute(base_offset, self.relative_offset)
    }
}

impl AbortedEntry {
    /// An aborted transaction of a producer: from its first record to the marker that ended it, and what the
    /// last stable offset was then.
    pub fn new(
        producer_id: i64,
        first_offset: i64,
        last_offset: i64,
        last_stable_offset: i64,
    ) -> AbortedEntry {
        AbortedEntry {
            version: ABORTED_VERSION.into(),
            producer_id: producer_id.into(),
            first_offset: first_offset.into(),
            last_offset: last_offset.into(),
            last_stable_offset: last_stable_offset.into(),
        }
    }

    /// The rules that the bytes of every entry follow; without them it was not written as one.
    pub fn check(&self) -> Result<(), String> {
        if self.version.get() != ABORTED_VERSION {
            return Err(format!("version {}, expected {ABORTED_VERSION}", self.version));
        }
        if self.producer_id.get() < 0 {
            return Err(format!("producer id {}, expected 0 or more", self.producer_id));
        }
        let (first, last) = (self.first_offset.get(), self.last_offset.get());
        if first < 0 || last < first {
            return Err(format!("offsets {first} to {last}, expected a range from 0 or more"));
        }
        Ok(())
    }

    /// Whose transaction it was.
    pub fn producer_id(&self) -> i64 {
        self.producer_id.get()
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> i64 {
        self.first_offset.get()
    }

    /// Offset of the marker that aborted it.
    pub fn last_offset(&self) -> i64 {
        self.last_offset.get()
    }

    /// The last stable offset when it was aborted.
    pub fn last_stable_offset(&self) -> i64 {
        self.last_stable_offset.get()
    }
}

fn relative(base_offset: i64, offset: i64) -> Option<i32> {
    let relative = offset.checked_sub(base_offset)?;
    i32::try_from(relative).ok().filter(|relative| *relative >= 0)
}

fn absolute(base_offset: i64, relative: I32) -> Option<i64> {
    let relative = relative.get();
    if relative < 0 { None } else { base_offset.checked_add(relative.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_entry_is_relative_offset_and_position() {
        let entry = OffsetEntry::new(1_000, 1_258, 0x0102_0304).unwrap();
        assert_eq!(entry.as_bytes(), [0, 0, 1, 2, 1, 2, 3, 4]);
        assert_eq!((entry.last_offset(1_000), entry.position()), (Some(1_258), Some(0x0102_0304)));
    }

    #[test]
    fn a_time_entry_is_timestamp_and_relative_offset() {
        let entry = TimeEntry::new(1_000, 0x0102_0304_0506_0708, 1_005).unwrap();
        assert_eq!(entry.as_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5]);
        assert_eq!((entry.timestamp(), entry.last_offset(1_000)), (0x0102_0304_0506_0708, Some(1_005)));
    }

    #[test]
    fn an_aborted_transaction_is_five_numbers() {
        let entry = AbortedEntry::new(1, 2, 3, 4);
        let expected = [0, 0]
            .into_iter()
            .chain([1, 2, 3, 4].into_iter().flat_map(|number: u8| [0, 0, 0, 0, 0, 0, 0, number]))
            .collect::<Vec<u8>>();
        assert_eq!(entry.as_bytes(), expected);
        assert_eq!(
            (entry.producer_id(), entry.first_offset(), entry.last_offset(), entry.last_stable_offset()),
            (1, 2, 3, 4)
        );
        assert_eq!(entry.check(), Ok(()));
    }

    #[test]
    fn entries_are_seen_where_they_lie_and_a_piece_of_one_is_not() {
        let two = [OffsetEntry::new(0, 9, 0).unwrap(), OffsetEntry::new(0, 19, 500).unwrap()];
        let bytes = two.as_bytes();
        for len in 0..=bytes.len() {
            // One byte further: entries need no alignment.
            let shifted = [&[0], &bytes[..len]].concat();
            assert_eq!(entries::<OffsetEntry>(&shifted[1..]), &two[..len / 8], "cut at {len}");
        }
    }

    #[test]
    fn what_does_not_fit_an_entry_is_not_squeezed_into_it() {
        let far = i64::from(i32::MAX) + 1;
        assert_eq!(OffsetEntry::new(5, 5 + far, 0), None);
        assert_eq!(OffsetEntry::new(5, 4, 0), None);
        assert_eq!(OffsetEntry::new(i64::MIN, i64::MAX, 0), None);
        assert_eq!(OffsetEntry::new(5, 5, far as u64), None);
        assert_eq!(TimeEntry::new(5, 0, 5 + far), None);
        assert!(OffsetEntry::new(5, 4 + far, far as u64 - 1).is_some());
    }

    #[test]
    fn damaged_numbers_are_no_offsets() {
        let bytes = [0xff; 12];
        let [entry] = entries::<OffsetEntry>(&bytes) else { panic!("one entry") };
        assert_eq!((entry.last_offset(0), entry.position()), (None, None));
        let [entry] = entries::<TimeEntry>(&bytes) else { panic!("one entry") };
        assert_eq!(entry.last_offset(0), None);
        assert_eq!(OffsetEntry::new(0, 1, 0).unwrap().last_offset(i64::MAX), None);
    }

    #[test]
    fn a_damaged_aborted_transaction_names_both_values() {
        let damage = |at: usize, byte: u8| {
            let mut bytes = [0; 34];
            bytes.copy_from_slice(AbortedEntry::new(1, 200, 300, 4).as_bytes());
            bytes[at] = byte;
            entries::<AbortedEntry>(&bytes)[0].check().unwrap_err()
        };
        assert_eq!(damage(1, 7), "version 7, expected 0");
        assert!(damage(2, 0x80).starts_with("producer id -"));
        assert!(damage(10, 0x80).starts_with("offsets -"));
        assert_eq!(damage(24, 0), "offsets 200 to 44, expected a range from 0 or more");
    }
}
