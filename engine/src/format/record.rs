//! `Record`: one record of a batch whose records are not compressed, or not any more.
//!
//! ```text
//! varint length | int8 attributes | varlong timestamp delta | varint offset delta
//!   | varint key length, key | varint value length, value
//!   | varint headers, of each: varint key length, key, varint value length, value
//! ```
//!
//! Varints are zig-zag encoded, of 5 bytes at most, a varlong of 10; a length of -1 stands for null. A record's
//! length tells where the next one begins, so nothing behind what is asked for is looked at.

use std::fmt;

/// A record's place among the offsets and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTime {
    /// Offsets behind the batch's first.
    pub offset_delta: i64,
    /// Milliseconds behind the batch's base timestamp.
    pub timestamp_delta: i64,
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub time: RecordTime,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; without one it deletes its key from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, which were found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    /// A name and its value.
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        header(&mut self.bytes)
    }
}

/// A record that is not what its batch promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRecord {
    /// Which one, from 0.
    pub index: i32,
    fault: &'static str,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.index, self.fault)
    }
}

impl std::error::Error for BadRecord {}

/// Walks the records of a batch. After one that cannot be read there are no more.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    index: i32,
    count: i32,
}

impl<'a> Records<'a> {
    /// The records in `bytes`, of which there are `count`.
    pub fn new(bytes: &'a [u8], count: i32) -> Records<'a> {
        Records { rest: bytes, index: 0, count }
    }

    fn end(&mut self, fault: &'static str) -> Option<Result<Record<'a>, BadRecord>> {
        let index = self.index;
        *self = Records::new(&[], 0);
        Some(Err(BadRecord { index, fault }))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return if self.rest.is_empty() { None } else { self.end("bytes behind the last record") };
        }
        let Some(mut body) = next_body(&mut self.rest) else {
            return self.end("it is cut, or its length lies");
        };
        let Some(record) = read_record(&mut body) else { return self.end("a length in it lies") };
        self.index += 1;
        Some(Ok(record))
    }
}

/// Walks the records behind a batch's header, looking at nothing behind the offset delta; `None` in it when
/// they are not what the header promised.
pub fn times(mut rest: &[u8]) -> impl Iterator<Item = Option<RecordTime>> + '_ {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = next_body(&mut rest).and_then(|mut body| read_time(&mut body));
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

/// Reads a record that takes all of `body`.
fn read_record<'a>(body: &mut &'a [u8]) -> Option<Record<'a>> {
    let time = read_time(body)?;
    let (key, value) = (nullable(body)?, nullable(body)?);
    let count = varint(body)?;
    let headers = Headers { bytes: body };
    for _ in 0..usize::try_from(count).ok()? {
        header(body)?;
    }
    body.is_empty().then_some(Record { time, key, value, headers })
}

fn read_time(body: &mut &[u8]) -> Option<RecordTime> {
    *body = body.get(1..)?;
    let timestamp_delta = varlong(body)?;
    let offset_delta = varint(body)?.into();
    Some(RecordTime { offset_delta, timestamp_delta })
}

/// A header, whose name is not null.
fn header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    Some((nullable(rest)??, nullable(rest)?))
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

/// One zig-zag varint of up to 32 bits.
fn varint(bytes: &mut &[u8]) -> Option<i32> {
    unsigned(bytes, 5).and_then(|value| i32::try_from(zig_zag(value)).ok())
}

/// One zig-zag varint of up to 64 bits.
fn varlong(bytes: &mut &[u8]) -> Option<i64> {
    unsigned(bytes, 10).map(zig_zag)
}

fn zig_zag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn unsigned(bytes: &mut &[u8], len_max: usize) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(len_max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

/// A record to be written, its place aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Writes a record behind what `out` holds.
pub(super) fn write(out: &mut Vec<u8>, time: RecordTime, content: Content<'_>) {
    let mut body = vec![0];
    write_varint(&mut body, time.timestamp_delta);
    write_varint(&mut body, time.offset_delta);
    write_nullable(&mut body, content.key);
    write_nullable(&mut body, content.value);
    write_varint(&mut body, content.headers.len() as i64);
    for (name, value) in content.headers {
        write_nullable(&mut body, Some(name.as_bytes()));
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
            headers: Headers { bytes: &[] },
        })
    }

    fn read(bytes: &[u8], count: i32) -> Vec<Result<Record<'_>, BadRecord>> {
        Records::new(bytes, count).collect()
    }

    fn faults(bytes: &[u8], count: i32) -> Vec<i32> {
        read(bytes, count).into_iter().filter_map(Result::err).map(|bad| bad.index).collect()
    }

    #[test]
    fn records_are_read_in_order() {
        assert_eq!(read(&TWO, 2), two().map(Ok));
        assert_eq!(times(&TWO).collect::<Vec<_>>(), two().map(|record| Some(record.time)));
    }

    #[test]
    fn records_are_written_as_they_are_read() {
        let mut out = Vec::new();
        for record in two() {
            write(&mut out, record.time, Content { key: record.key, value: record.value, headers: &[] });
        }
        assert_eq!(out, TWO);
    }

    #[test]
    fn numbers_of_every_size_nulls_and_headers_come_back() {
        let key = vec![7; 300];
        for delta in [0, 63, 64, -64, -65, 8_192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let time = RecordTime { offset_delta: 5, timestamp_delta: delta };
            let headers = [("trace", Some(&b"id"[..])), ("empty", None)];
            let mut out = Vec::new();
            write(&mut out, time, Content { key: Some(&key), value: None, headers: &headers });
            let [Ok(record)] = read(&out, 1)[..] else { panic!("one record, with a delta of {delta}") };
            assert_eq!((record.time, record.key, record.value), (time, Some(&key[..]), None));
            assert_eq!(
                record.headers.collect::<Vec<_>>(),
                headers.map(|(name, value)| (name.as_bytes(), value))
            );
        }
    }

    #[test]
    fn records_cut_anywhere_end_the_walk() {
        for len in 1..TWO.len() {
            let whole = len / 8;
            assert_eq!(faults(&TWO[..len], 2), [whole as i32], "cut at {len}");
            assert_eq!(read(&TWO[..len], 2).len(), whole + 1, "cut at {len}");
            let read: Vec<_> = times(&TWO[..len]).collect();
            assert_eq!(read.len(), whole + usize::from(len % 8 != 0), "cut at {len}");
            assert_eq!(read.iter().filter(|time| time.is_some()).count(), whole, "cut at {len}");
        }
    }

    #[test]
    fn a_count_that_lies_ends_the_walk() {
        assert_eq!(faults(&TWO, 1), [1]);
        assert_eq!(faults(&TWO, 3), [2]);
        assert_eq!(faults(&TWO, i32::MAX), [2]);
        assert_eq!(faults(&TWO, -1), [0]);
        assert_eq!(read(&[], 0), []);
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        for hostile in [vec![0xff; 20], vec![1, 0, 0, 0], vec![0xfe, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(times(&hostile).collect::<Vec<_>>(), [None], "{hostile:?}");
            assert_eq!(faults(&hostile, 1), [0], "{hostile:?}");
        }
        for (at, lengths) in [(5, [6, 3, 200]), (0, [12, 16, 1]), (7, [2, 1, 0x7e])] {
            for len in lengths {
                let mut record = TWO[..8].to_vec();
                record[at] = len;
                assert_eq!(faults(&record, 1), [0], "a length of {len} at {at}");
            }
        }
    }

    #[test]
    fn a_number_longer_than_its_kind_is_refused() {
        // A length of 7 in six bytes.
        let long = [&[0x8e, 0x80, 0x80, 0x80, 0x80, 0x00], &TWO[1..8]].concat();
        assert_eq!(faults(&long, 1), [0]);
        // The fifth byte has bits beyond the 32nd.
        let wide = [&[0x8e, 0x80, 0x80, 0x80, 0x70], &TWO[1..8]].concat();
        assert_eq!(faults(&wide, 1), [0]);
    }

    #[test]
    fn a_header_without_a_name_is_refused() {
        let record = [18, 0, 0, 0, 1, 2, b'a', 2, 1, 1];
        assert_eq!(faults(&record, 1), [0]);
    }
}
