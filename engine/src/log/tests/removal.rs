//! What is given up: by age, by size, by request, from either end.

use super::*;

const DUE_MS: i64 = NOW_MS + 60_000;

fn delete_below(bench: &mut Bench, offset: i64, guard: &Guard) -> usize {
    bench.log.raise_start(offset);
    bench.log.delete_below(&mut bench.cache, offset, guard, NOW_MS, DUE_MS).unwrap()
}

fn expired(bench: &mut Bench, ms: Option<i64>, bytes: Option<u64>, now_ms: i64) -> Option<i64> {
    let end = bench.log.end().offset;
    bench.log.expired_below(&mut bench.cache, Retention { ms, bytes }, now_ms, end).unwrap()
}

#[test]
fn segments_in_front_of_the_start_are_renamed_and_removed_when_their_time_has_come() {
    let mut bench = Bench::with_batches(10);
    assert_eq!(delete_below(&mut bench, 13, &Guard::default()), 2);
    assert_eq!((bench.log.start_offset(), bench.bases()), (13, vec![12, 18]));
    let deleted = |disk: &SimDisk| names(disk).iter().filter(|name| name.ends_with(".deleted")).count();
    assert_eq!(deleted(&bench.disk), 6);
    bench.log.remove_due(&bench.cache, DUE_MS - 1).unwrap();
    assert_eq!(deleted(&bench.disk), 6);
    bench.log.remove_due(&bench.cache, DUE_MS).unwrap();
    assert_eq!(deleted(&bench.disk), 0);
    assert_eq!(bench.offsets(), [12, 14, 16, 18]);
}

#[test]
fn a_log_that_gives_up_everything_begins_at_its_end() {
    let mut bench = Bench::with_batches(4);
    assert_eq!(delete_below(&mut bench, 8, &Guard::default()), 2);
    assert_eq!((bench.bases(), bench.append(2)), (vec![8], 8));
    let mut again = Bench::open(&bench.stop(), LIMITS, Opening { start_offset: 8, ..CLEAN }).unwrap();
    assert_eq!(again.offsets(), [8]);
}

#[test]
fn what_frames_cover_is_not_deleted() {
    let mut bench = Bench::with_batches(10);
    let guard = Guard { covered: Some(8..20) };
    assert_eq!(delete_below(&mut bench, 18, &guard), 1, "the segment that ends in front of the frames");
    assert_eq!(bench.bases(), [6, 12, 18]);
}

#[test]
fn old_segments_expire_by_their_largest_timestamp() {
    // Segments end with the timestamps 1,020, 1,050, 1,080, and the last one has 1,090.
    let disk = Bench::with_batches(10).stop();
    let mut bench = Bench::open(&disk, LIMITS, CLEAN).unwrap();
    for (now_ms, expected) in
        [(1_120, None), (1_121, Some(6)), (1_151, Some(12)), (1_181, Some(18)), (1_191, Some(20))]
    {
        assert_eq!(expired(&mut bench, Some(100), None, now_ms), expected, "at {now_ms}");
    }
    assert_eq!(expired(&mut bench, None, None, i64::MAX), None);
}

#[test]
fn records_without_a_time_expire_when_their_file_was_not_modified_for_long() {
    let mut bench = Bench::new(LIMITS);
    (0..6).for_each(|_| _ = bench.append_at(2, -1));
    let disk = bench.stop();
    let mut bench = Bench::open(&disk, LIMITS, CLEAN).unwrap();
    assert_eq!(expired(&mut bench, Some(100), None, i64::MAX), None, "modified at the end of time");
    disk.set_modified(&path("00000000000000000000.log"), 1_000).unwrap();
    assert_eq!(expired(&mut bench, Some(100), None, 1_100), None);
    assert_eq!(expired(&mut bench, Some(100), None, 1_101), Some(6));
}

#[test]
fn nothing_behind_the_limit_expires() {
    let mut bench = Bench::with_batches(10);
    let retention = Retention { ms: Some(0), bytes: Some(0) };
    let below = bench.log.expired_below(&mut bench.cache, retention, i64::MAX, 13).unwrap();
    assert_eq!(below, Some(12));
}

#[test]
fn the_oldest_segments_expire_while_the_others_have_enough_bytes() {
    let mut bench = Bench::with_batches(10);
    let (segment, all) = (3 * batch_len(), 10 * batch_len());
    for (bytes, expected) in [
        (all, None),
        (all - segment + 1, None),
        (all - segment, Some(6)),
        (all - 2 * segment, Some(12)),
        (1, Some(18)),
        (0, Some(20)),
    ] {
        assert_eq!(expired(&mut bench, None, Some(bytes), 0), expected, "{bytes} bytes are kept");
    }
}

#[test]
fn records_without_a_time_are_not_too_old() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..4 {
        bench.append_at(1, -1);
    }
    assert_eq!(expired(&mut bench, Some(0), None, i64::MAX), None);
}

#[test]
fn truncation_takes_back_whole_batches_and_the_log_goes_on_there() {
    for offset in 0..=20 {
        let mut bench = Bench::with_batches(10);
        bench.log.truncate_to(&mut bench.cache, offset, &Guard::default(), DUE_MS).unwrap();
        let kept = offset - offset % 2;
        assert_eq!(bench.log.end().offset, kept, "truncated to {offset}");
        assert!(bench.log.recovery_point() <= kept);
        assert_eq!(bench.append(2), kept);
        assert_eq!(bench.append(2), kept + 2);
        assert_eq!(bench.offsets(), every_second(kept + 4));
        let end = bench.log.end();
        let max = bench.log.offset_of_max_timestamp(&mut bench.cache, end).unwrap().unwrap();
        assert_eq!(max.timestamp, 1_000 + (kept + 2) * 5);
        for opening in [FROM_THE_START, CLEAN] {
            let disk = bench.disk.after_kill();
            if opening.was_clean {
                bench.log.stop(&mut bench.cache).unwrap();
            }
            let mut again = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap();
            assert_eq!(again.offsets(), every_second(kept + 4), "truncated to {offset}");
        }
    }
}

#[test]
#[should_panic(expected = "what frames cover is not truncated")]
fn what_frames_cover_is_not_truncated() {
    let mut bench = Bench::with_batches(10);
    let guard = Guard { covered: Some(8..20) };
    drop(bench.log.truncate_to(&mut bench.cache, 18, &guard, DUE_MS));
}

#[test]
fn a_log_that_restarts_elsewhere_has_nothing_of_what_it_was() {
    for offset in [0, 6, 100] {
        let mut bench = Bench::with_batches(10);
        bench.log.restart_at(&mut bench.cache, offset, &Guard::default(), DUE_MS).unwrap();
        assert_eq!((bench.log.start_offset(), bench.log.end().offset), (offset, offset));
        assert_eq!(bench.append(2), offset);
        assert_eq!(bench.offsets(), [offset]);
        let disk = bench.stop();
        let mut again = Bench::open(&disk, LIMITS, Opening { start_offset: offset, ..CLEAN }).unwrap();
        assert_eq!(again.offsets(), [offset]);
    }
}
