//! Offsets and times are found, whatever the index says.

use super::*;
use crate::log::scan::BatchAt;
use crate::log::segment::next_batch;

#[test]
fn every_offset_is_found_in_every_segment_whatever_is_asked_for() {
    let disk = Bench::with_batches(20).stop();
    for opening in [CLEAN, FROM_THE_START] {
        let mut bench = Bench::open(&disk, LIMITS, opening).unwrap();
        for len_max in [1, 50, 100, 1_000_000] {
            assert_eq!(base_offsets(&bench.read(0, len_max).unwrap()), every_second(40), "at most {len_max}");
        }
        for offset in 0..40 {
            let first = base_offsets(&bench.read(offset, 1).unwrap())[0];
            assert_eq!(first, offset - offset % 2);
        }
        assert_eq!(bench.read(40, 100).unwrap(), []);
    }
}

#[test]
fn a_reader_stops_at_the_end_that_it_is_given() {
    let mut bench = Bench::with_batches(2);
    let end = bench.log.end();
    for _ in 0..5 {
        bench.append(2);
    }
    let slice = bench.log.slice(&mut bench.cache, 0, end, 1_000).unwrap().unwrap();
    assert_eq!(u64::from(slice.bytes.len), 2 * batch_len());
    assert!(bench.log.slice(&mut bench.cache, 4, end, 1_000).unwrap().is_none());
    let late = bench.log.offset_at_time(&mut bench.cache, 1_020, end).unwrap();
    assert_eq!(late, None);
    let max = bench.log.offset_of_max_timestamp(&mut bench.cache, end).unwrap();
    assert_eq!(max.unwrap().timestamp, 1_010);
}

#[test]
fn a_lookup_reads_as_far_as_the_batch_that_it_finds() {
    let interval = 1_000;
    let mut bench =
        Bench::new(LogLimits { segment_bytes: 1 << 20, index_interval_bytes: interval, ..LIMITS });
    bench.append_some(200);
    // Behind the first index entry and in front of the last one.
    for offset in 40..340 {
        let (segment, place) = bench.log.segment(0);
        let file = segment.file(&mut bench.cache, &place).unwrap();
        let mut window = [0; 4_096];
        let lent = (&file, &mut window[..]);
        let mut walk = segment.walk_to(&mut bench.cache, &place, interval, offset, lent).unwrap();
        let is_wanted = |batch: &BatchAt| batch.last_offset() >= offset;
        let found = next_batch(&mut walk, &place, is_wanted).unwrap().unwrap();
        assert_eq!((found.base_offset(), found.position), (offset / 2 * 2, offset as u64 / 2 * batch_len()));
        let between_entries = interval + batch_len();
        assert!(walk.bytes_read() <= between_entries + 5 * 61, "offset {offset}: {}", walk.bytes_read());
    }
}

#[test]
fn batches_of_few_and_many_records_are_found_wherever_they_were_expected() {
    let limits = LogLimits { segment_bytes: 20_000, index_interval_bytes: 600, ..LIMITS };
    let mut bench = Bench::new(limits);
    let mut batches = Vec::new();
    let mut random = 1u32;
    for _ in 0..1_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let records = if random >> 29 == 0 { 1 + (random >> 16) as i32 % 500 } else { 1 };
        batches.push((bench.append(records), records));
    }
    let disk = bench.stop();
    let mut bench = Bench::open(&disk, limits, CLEAN).unwrap();
    for (base, records) in batches {
        for offset in [base, base + i64::from(records) / 2, base + i64::from(records) - 1] {
            assert_eq!(base_offsets(&bench.read_one(offset)), [base], "offset {offset}");
        }
    }
}

/// Two records each, by hand: the second one's timestamp is 3 ms behind the first one's.
const RECORDS: [u8; 16] = [14, 0, 0, 0, 1, 2, b'a', 0, 14, 0, 6, 2, 1, 2, b'b', 0];

fn with_times(bases: &[i64]) -> Bench {
    let mut bench = Bench::new(LIMITS);
    for base in bases {
        bench.append_bytes(sample_with(2, &RECORDS, |header| header.set_times(*base, base + 3))).unwrap();
    }
    bench
}

#[test]
fn times_are_found_as_apache_kafka_finds_them() {
    let disk = with_times(&[100, 300, 200, 50, 300, 400, 10, 20, 30, 500]).stop();
    let found = |offset, timestamp| Some(TimedOffset { offset, timestamp });
    for opening in [CLEAN, FROM_THE_START] {
        let mut bench = Bench::open(&disk, LIMITS, opening).unwrap();
        assert!(bench.bases().len() > 3);
        let end = bench.log.end();
        for (timestamp, expected) in [
            (0, found(0, 100)),
            (101, found(1, 103)),
            (104, found(2, 300)),
            (303, found(3, 303)),
            (304, found(10, 400)),
            (404, found(18, 500)),
            (503, found(19, 503)),
            (504, None),
        ] {
            let at = bench.log.offset_at_time(&mut bench.cache, timestamp, end).unwrap();
            assert_eq!(at, expected, "timestamp {timestamp}");
        }
        let max = bench.log.offset_of_max_timestamp(&mut bench.cache, end).unwrap();
        assert_eq!(max, found(19, 503));
    }
}

#[test]
fn what_lies_in_front_of_the_start_is_not_found_by_time() {
    let mut bench = with_times(&[100, 300, 200]);
    bench.log.raise_start(3);
    let end = bench.log.end();
    let at = bench.log.offset_at_time(&mut bench.cache, 0, end).unwrap();
    assert_eq!(at, Some(TimedOffset { offset: 3, timestamp: 303 }));
}

#[test]
fn a_walk_visits_what_overlaps_the_offsets() {
    let mut bench = Bench::with_batches(10);
    for (from, until, expected) in [(0, 20, 0..20), (3, 9, 2..9), (6, 6, 6..6), (17, 100, 16..20)] {
        let mut seen = Vec::new();
        let mut visit = |visit: Visit<'_>| {
            seen.push(visit.header.base_offset());
            Ok(())
        };
        bench.log.walk(&mut bench.cache, from, until, &mut visit).unwrap();
        assert_eq!(seen, expected.step_by(2).collect::<Vec<i64>>(), "from {from} until {until}");
    }
}

#[test]
fn a_log_without_records_has_no_times() {
    let mut bench = Bench::new(LIMITS);
    let end = bench.log.end();
    assert_eq!(bench.log.offset_at_time(&mut bench.cache, 0, end).unwrap(), None);
    assert_eq!(bench.log.offset_of_max_timestamp(&mut bench.cache, end).unwrap(), None);
}
