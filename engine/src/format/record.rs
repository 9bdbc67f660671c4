//! `Record`: one record of an uncompressed batch.
//!
//! ```text
//! varint length | int8 attributes | varlong timestamp delta | varint offset delta
//!   | varint key length, key | varint value length, value
//!   | varint headers, of each: varint key length, key, varint value length, value
//! ```
//!
//! Varints are zig-zag encoded; a length of -1 stands for null. A record's length tells where the next one
//! begins, so nothing behind what is asked for is looked at.

/// A record's place among the offsets and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTime {
    /// Offsets behind the batch's first.
    pub offset_delta: i64,
    /// Milliseconds behind the batch's base timestamp.
    pub timestamp_delta: i64,
}

/// What a record holds, its headers aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub time: RecordTime,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; without one it deletes its key from a compacted topic.
    pub value: Option<&'a [u8]>,
}

/// Walks the records behind a batch's header; `None` in it when they are not what the header promised.
pub fn records(records: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    walk(records, |body| {
        let time = read_time(body)?;
        Some(Record { time, key: nullable(body)?, value: nullable(body)? })
    })
}

/// The same, looking at nothing behind the offset delta.
pub fn times(records: &[u8]) -> impl Iterator<Item = Option<RecordTime>> + '_ {
    walk(records, read_time)
}

fn walk<'a, T: 'a>(
    mut rest: &'a [u8],
    read: impl Fn(&mut &'a [u8]) -> Option<T> + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = next_body(&mut rest).and_then(|mut body| read(&mut body));
        if read.is_none() {
            rest = &[];
        }
        Some(read)
    })
}

fn next_body<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint(rest)?).ok()?;
    let (body, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(body)
}

fn read_time(body: &mut &[u8]) -> Option<RecordTime> {
    *body = body.get(1..)?;
    let timestamp_delta = varint(body)?;
    let offset_delta = varint(body)?;
    Some(RecordTime { offset_delta, timestamp_delta })
}

/// Bytes that may be null; `None` when they are not there.
fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = varint(rest)?;
    if len == -1 {
        return Some(None);
    }
    let (bytes, behind) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = behind;
    Some(Some(bytes))
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

/// Writes a record behind what `out` holds.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, headers: &[(&str, Option<&[u8]>)]) {
    let mut body = vec![0];
    write_varint(&mut body, record.time.timestamp_delta);
    write_varint(&mut body, record.time.offset_delta);
    write_nullable(&mut body, record.key);
    write_nullable(&mut body, record.value);
    write_varint(&mut body, headers.len() as i64);
    for (key, value) in headers {
        write_nullable(&mut body, Some(key.as_bytes()));
        write_nullable(&mut body, *value);
    }
    write_nullable(out, Some(&body));
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    write_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two records by hand: deltas (0, 0) with value "a", and (1, -3) with value "b".
    const TWO: [u8; 16] = [
        14, 0, 0, 0, 1, 2, b'a', 0, //
        14, 0, 5, 2, 1, 2, b'b', 0,
    ];

    fn two() -> [Record<'static>; 2] {
        [(0, 0, b"a"), (1, -3, b"b")].map(|(offset_delta, timestamp_delta, value)| Record {
            time: RecordTime { offset_delta, timestamp_delta },
            key: None,
            value: Some(value),
        })
    }

    #[test]
    fn records_are_read_in_order() {
        assert_eq!(records(&TWO).collect::<Vec<_>>(), two().map(Some));
        assert_eq!(times(&TWO).collect::<Vec<_>>(), two().map(|record| Some(record.time)));
    }

    #[test]
    fn records_are_written_as_they_are_read() {
        let mut out = Vec::new();
        two().iter().for_each(|record| write(&mut out, record, &[]));
        assert_eq!(out, TWO);
    }

    #[test]
    fn numbers_of_every_size_and_nulls_come_back() {
        let key = vec![7; 300];
        for delta in [0, 63, 64, -64, -65, 8_192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let time = RecordTime { offset_delta: 5, timestamp_delta: delta };
            let record = Record { time, key: Some(&key), value: None };
            let mut out = Vec::new();
            write(&mut out, &record, &[("trace", Some(b"id")), ("empty", None)]);
            assert_eq!(records(&out).collect::<Vec<_>>(), [Some(record)]);
        }
    }

    #[test]
    fn records_cut_anywhere_end_the_walk() {
        for len in 1..TWO.len() {
            let read: Vec<_> = records(&TWO[..len]).collect();
            let whole = len / 8;
            assert_eq!(read.len(), whole + usize::from(len % 8 != 0), "cut at {len}");
            assert_eq!(read.iter().filter(|record| record.is_some()).count(), whole, "cut at {len}");
        }
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        for hostile in [vec![0xff; 20], vec![1, 0, 0, 0], vec![0xfe, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(times(&hostile).collect::<Vec<_>>(), [None], "{hostile:?}");
            assert_eq!(records(&hostile).collect::<Vec<_>>(), [None], "{hostile:?}");
        }
        for value_len in [6, 3, 200] {
            let mut record = TWO[..8].to_vec();
            record[5] = value_len;
            assert_eq!(records(&record).collect::<Vec<_>>(), [None], "a value's length of {value_len}");
        }
    }
}
