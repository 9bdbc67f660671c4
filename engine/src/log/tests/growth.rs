//! When a log rolls, and what it leaves in the files.

use super::*;

#[test]
fn a_segment_takes_no_batch_that_would_make_it_too_large() {
    let bench = Bench::with_batches(8);
    assert_eq!(batch_len() * 3, 204, "three batches fit into a segment");
    assert_eq!(bench.bases(), [0, 6, 12]);
}

#[test]
fn a_batch_larger_than_a_segment_has_one_of_its_own() {
    let mut bench = Bench::new(LogLimits { segment_bytes: 10, ..LIMITS });
    for _ in 0..3 {
        bench.append(2);
    }
    assert_eq!(bench.bases(), [0, 2, 4]);
}

#[test]
fn a_segment_rolls_when_a_batch_is_too_much_later_than_its_first_one() {
    let mut bench = Bench::new(LogLimits { segment_ms: 100, segment_bytes: 1 << 20, ..LIMITS });
    for timestamp in [1_000, 1_100, 1_101, 900, 1_201, 1_202] {
        bench.append_at(1, timestamp);
    }
    assert_eq!(bench.bases(), [0, 2, 5]);
}

#[test]
fn without_timestamps_a_segment_rolls_by_the_callers_time() {
    let mut bench = Bench::new(LogLimits { segment_ms: 100, segment_bytes: 1 << 20, ..LIMITS });
    let bytes = sample_with(1, b"payload", |header| header.set_times(-1, -1));
    for now_ms in [NOW_MS, NOW_MS + 100, NOW_MS + 101, NOW_MS + 102] {
        let batch = Batch::from_coordinator(bytes.clone().into(), 1 << 20).unwrap();
        bench.log.append(&mut bench.cache, &batch, 0, now_ms).unwrap();
    }
    assert_eq!(bench.bases(), [0, 2]);
}

#[test]
fn after_a_restart_a_segment_still_rolls_by_its_first_batch() {
    let limits = LogLimits { segment_ms: 100, segment_bytes: 1 << 20, ..LIMITS };
    for opening in [CLEAN, FROM_THE_START] {
        let mut bench = Bench::new(limits);
        bench.append_at(1, 1_000);
        bench.append_at(1, 1_050);
        let disk = bench.stop();
        let mut bench = Bench::open(&disk, limits, opening).unwrap();
        bench.append_at(1, 1_101);
        assert_eq!(bench.bases(), [0, 2]);
    }
}

#[test]
fn jitter_makes_segments_roll_earlier_each_by_its_own_measure() {
    let limits =
        LogLimits { segment_ms: 100_000, segment_jitter_ms: 50_000, segment_bytes: 1 << 20, ..LIMITS };
    let mut bench = Bench::new(limits);
    let mut timestamp = 0;
    while bench.bases().len() < 20 {
        bench.append_at(1, timestamp);
        timestamp += 1_000;
    }
    let bases = bench.bases();
    let lives: Vec<i64> = bases.windows(2).map(|pair| (pair[1] - pair[0]) * 1_000).collect();
    assert!(lives.iter().all(|ms| (50_000..=101_000).contains(ms)), "{lives:?}");
    assert!(lives.iter().any(|ms| *ms != lives[0]), "{lives:?}");
}

#[test]
fn a_segment_rolls_when_an_index_is_full() {
    // Room for three entries of the offset index: the first batch has none.
    let mut bench = Bench::new(LogLimits { index_bytes_max: 24, segment_bytes: 1 << 20, ..LIMITS });
    for _ in 0..9 {
        bench.append_at(1, -1);
    }
    assert_eq!(bench.bases(), [0, 4, 8]);
    // The time index has room for three too, of which one is kept for the roll.
    let mut bench = Bench::new(LogLimits { index_bytes_max: 36, segment_bytes: 1 << 20, ..LIMITS });
    for _ in 0..7 {
        bench.append(1);
    }
    assert_eq!(bench.bases(), [0, 3, 6]);
}

#[test]
fn a_segment_rolls_when_an_offset_is_too_far_from_its_first() {
    let disk = Bench::with_batches(1).stop();
    let mut file = content(&disk, "00000000000000000000.log");
    let far = i64::from(i32::MAX) - 3;
    let mut second = file.clone();
    second[..8].copy_from_slice(&far.to_be_bytes());
    file.extend(second);
    put(&disk, "00000000000000000000.log", &file);
    let mut bench = Bench::open(&disk, LIMITS, Opening { has_gaps: true, ..FROM_THE_START }).unwrap();
    assert_eq!(bench.append(2), far + 2);
    assert_eq!(bench.append(1), far + 4);
    assert_eq!(bench.bases(), [0, far + 4]);
}

/// Entries of an offset index.
fn offset_entries(bytes: &[u8]) -> Vec<(i32, i32)> {
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap());
    bytes.chunks(8).map(|entry| (number(&entry[..4]), number(&entry[4..]))).collect()
}

/// Entries of a time index.
fn time_entries(bytes: &[u8]) -> Vec<(i64, i32)> {
    bytes
        .chunks(12)
        .map(|entry| {
            let timestamp = i64::from_be_bytes(entry[..8].try_into().unwrap());
            (timestamp, i32::from_be_bytes(entry[8..].try_into().unwrap()))
        })
        .collect()
}

#[test]
fn indexes_are_apache_kafkas() {
    // An entry for a batch when more than 100 bytes lie in front of it since the last one: every second
    // batch of 68 bytes, beginning with the third.
    let limits = LogLimits { segment_bytes: 68 * 8, index_interval_bytes: 100, ..LIMITS };
    let mut bench = Bench::new(limits);
    for timestamp in [500, 400, 300, 600, 700, 100, 200, 700, 50] {
        bench.append_at(2, timestamp);
    }
    assert_eq!(bench.bases(), [0, 16]);
    let disk = bench.stop();
    let index = content(&disk, "00000000000000000000.index");
    assert_eq!(offset_entries(&index), [(5, 136), (9, 272), (13, 408)]);
    // With those entries the largest timestamp so far where it has grown, by the last offset of its batch.
    let times = content(&disk, "00000000000000000000.timeindex");
    assert_eq!(time_entries(&times), [(500, 1), (700, 9)]);
    assert_eq!(content(&disk, "00000000000000000016.index"), []);
    assert_eq!(time_entries(&content(&disk, "00000000000000000016.timeindex")), [(50, 1)]);
}

#[test]
fn a_roll_adds_the_largest_timestamp_as_a_last_entry() {
    let limits = LogLimits { segment_bytes: 68 * 3, index_interval_bytes: 1_000, ..LIMITS };
    let mut bench = Bench::new(limits);
    for timestamp in [10, 30, 20, 5] {
        bench.append_at(1, timestamp);
    }
    let disk = bench.disk.clone();
    assert_eq!(content(&disk, "00000000000000000000.index"), []);
    assert_eq!(time_entries(&content(&disk, "00000000000000000000.timeindex")), [(30, 1)]);
}

#[test]
fn index_entries_reach_the_file_in_blocks_and_no_lookup_misses_them() {
    let limits = LogLimits { segment_bytes: 1 << 20, ..LIMITS };
    let mut bench = Bench::new(limits);
    for _ in 0..1_300 {
        bench.append(1);
    }
    let in_file = content(&bench.disk, "00000000000000000000.index").len() / 8;
    assert_eq!(in_file, 1_024, "two blocks of 512");
    for offset in (0..1_300).step_by(7) {
        let end = bench.log.end();
        let slice = bench.log.slice(&mut bench.cache, offset, end, 1).unwrap().unwrap();
        assert_eq!(slice.bytes.position, offset as u64 * batch_len());
    }
    let built = content(
        &Bench::open(&bench.disk, limits, FROM_THE_START).unwrap().stop(),
        "00000000000000000000.index",
    );
    assert_eq!(content(&bench.stop(), "00000000000000000000.index"), built);
}

#[test]
fn what_a_roll_leaves_is_handed_out_once_and_the_recovery_point_passes_it_when_it_is_durable() {
    let mut bench = Bench::with_batches(4);
    assert_eq!(bench.log.take_rolled(), Some(6));
    assert_eq!(bench.log.take_rolled(), None);
    let mut kinds = Vec::new();
    bench.log.take_unsynced(|_, kind| kinds.push(kind));
    use crate::disk::SyncKind::{Data, Entries};
    assert_eq!(kinds, [Data, Data, Data, Data, Entries], "log, two indexes, the new log, the directory");
    let end = bench.log.end();
    bench.append(2);
    assert_eq!(bench.log.recovery_point(), 0);
    bench.log.durable_to(end);
    assert_eq!(bench.log.recovery_point(), 8);
    let mut handed_out = 0;
    bench.log.take_unsynced(|_, _| handed_out += 1);
    assert_eq!(handed_out, 1, "the segment that grew");
}

#[test]
fn open_files_are_bounded_however_many_segments_are_read() {
    let mut bench = Bench::with_batches(100);
    assert_eq!(bench.offsets(), every_second(200));
    assert!(bench.cache.open_files() <= 3);
}
