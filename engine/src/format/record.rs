//! The offset and timestamp of each record of an uncompressed batch.
//!
//! ```text
//! varint length | int8 attributes | varlong timestamp delta | varint offset delta | key, value, headers
//! ```
//!
//! Varints are zig-zag encoded. A record's length tells where the next one begins, so nothing behind the
//! offset delta is looked at.

/// A record's place among the offsets and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTime {
    /// Offsets behind the batch's first.
    pub offset_delta: i64,
    /// Milliseconds behind the batch's base timestamp.
    pub timestamp_delta: i64,
}

/// Walks the records behind a batch's header; `None` in it when they are not what the header promised.
pub fn times(records: &[u8]) -> impl Iterator<Item = Option<RecordTime>> + '_ {
    let mut rest = records;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let time = next_time(&mut rest);
        if time.is_none() {
            rest = &[];
        }
        Some(time)
    })
}

fn next_time(rest: &mut &[u8]) -> Option<RecordTime> {
    let len = usize::try_from(varint(rest)?).ok()?;
    let (mut record, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    record = record.get(1..)?;
    let timestamp_delta = varint(&mut record)?;
    let offset_delta = varint(&mut record)?;
    Some(RecordTime { offset_delta, timestamp_delta })
}

/// One zig-zag varint of up to 64 bits.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = bytes.split_first()?;
        *bytes = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two records by hand: deltas (0, 0) with value "a", and (1, -3) with value "b".
    const TWO: [u8; 16] = [
        14, 0, 0, 0, 1, 2, b'a', 0, //
        14, 0, 5, 2, 1, 2, b'b', 0,
    ];

    #[test]
    fn deltas_are_read_in_order() {
        let read: Vec<_> = times(&TWO).collect();
        let expected = [(0, 0), (1, -3)]
            .map(|(offset_delta, timestamp_delta)| Some(RecordTime { offset_delta, timestamp_delta }));
        assert_eq!(read, expected);
    }

    #[test]
    fn records_cut_anywhere_end_the_walk() {
        for len in 1..TWO.len() {
            let read: Vec<_> = times(&TWO[..len]).collect();
            let whole = len / 8;
            assert_eq!(read.len(), whole + usize::from(len % 8 != 0), "cut at {len}");
            assert_eq!(read.iter().filter(|time| time.is_some()).count(), whole, "cut at {len}");
        }
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        for hostile in [vec![0xff; 20], vec![1, 0, 0, 0], vec![0xfe, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(times(&hostile).collect::<Vec<_>>(), [None], "{hostile:?}");
        }
    }
}
