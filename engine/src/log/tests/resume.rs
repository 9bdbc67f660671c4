//! A start in the middle of a segment.

use super::*;

/// One segment takes all.
const LARGE: LogLimits = LogLimits { segment_bytes: 1 << 20, ..LIMITS };
const LOG: &str = "00000000000000000000.log";
const INDEXES: [&str; 2] = ["00000000000000000000.index", "00000000000000000000.timeindex"];

fn with_batches(count: i64) -> Bench {
    let mut bench = Bench::new(LARGE);
    bench.disk.settle();
    bench.append_some(count);
    bench
}

/// A log of twenty batches that was killed, and what was true of it when it had twelve.
fn killed() -> (SimDisk, ResumePoint) {
    let mut bench = with_batches(12);
    let point = bench.wave().unwrap();
    bench.append_some(8);
    (bench.disk.after_kill(), point)
}

fn resuming(point: ResumePoint) -> Opening<'static> {
    let Opening { recovery_point, visit_from, .. } = FROM_THE_START;
    let recovery_point = recovery_point.max(point.end.offset);
    Opening {
        recovery_point,
        visit_from: visit_from.max(point.end.offset),
        resume: Some(point),
        ..FROM_THE_START
    }
}

/// A clean stop leaves what it would have left without a crash, and so does one after more appends.
#[track_caller]
fn check_goes_on(disk: &SimDisk, point: ResumePoint, batches: i64) {
    for more in [0, 3] {
        let mut bench = Bench::open(&disk.after_kill(), LARGE, resuming(point)).unwrap();
        assert_eq!(bench.offsets(), every_second(batches * 2));
        bench.append_some(more);
        let (stopped, expected) = (bench.stop(), with_batches(batches + more).stop());
        for name in INDEXES.into_iter().chain([LOG]) {
            assert_eq!(content(&stopped, name), content(&expected, name), "{name} with {more} more");
        }
    }
}

#[test]
fn what_lies_in_front_of_the_point_is_not_read() {
    let (disk, point) = killed();
    let mut visited = Vec::new();
    let opening = resuming(point);
    let (bench, opened) =
        Bench::visiting(&disk, LARGE, opening, |visit| visited.push(visit.header.base_offset())).unwrap();
    assert_eq!(visited, every_second(40)[12..]);
    assert_eq!(bench.log.end().offset, 40);
    let behind = 8 * batch_len();
    let indexes: usize = INDEXES.iter().map(|name| content(&disk, name).len()).sum();
    assert!(opened.bytes_read <= behind + indexes as u64, "{} bytes", opened.bytes_read);
    // Damage in front of the point is found by whoever reads it.
    flip(&disk, LOG, 20);
    let mut bench = Bench::open(&disk, LARGE, resuming(point)).unwrap();
    assert_eq!(bench.log.end().offset, 40);
    flip(&disk, LOG, 16);
    let error = bench.read(0, 1_000).unwrap_err().to_string();
    assert!(error.contains("position 0"), "{error}");
}

#[test]
fn indexes_go_on_as_if_there_had_been_no_crash() {
    let (disk, point) = killed();
    check_goes_on(&disk, point, 20);
    check_goes_on(&disk.after_crash(7), point, point_end(&disk.after_crash(7), point));
}

/// How many batches are there after a start.
fn point_end(disk: &SimDisk, point: ResumePoint) -> i64 {
    Bench::open(&disk.after_kill(), LARGE, resuming(point)).unwrap().log.end().offset / 2
}

#[test]
fn index_files_that_are_not_what_they_were_are_built_anew() {
    let (disk, point) = killed();
    for name in INDEXES {
        let whole = content(&disk, name);
        for at in 0..whole.len() {
            let disk = disk.after_kill();
            flip(&disk, name, at);
            check_goes_on(&disk, point, 20);
        }
        for len in 0..whole.len() {
            let disk = disk.after_kill();
            put(&disk, name, &whole[..len]);
            check_goes_on(&disk, point, 20);
        }
        let disk = disk.after_kill();
        disk.remove_file(&path(name)).unwrap();
        check_goes_on(&disk, point, 20);
        put(&disk, name, &[&whole[..], &[7; 100]].concat());
        check_goes_on(&disk, point, 20);
    }
}

#[test]
fn after_a_clean_stop_only_later_entries_are_looked_at() {
    let disk = with_batches(12).stop();
    let mut bench = Bench::open(&disk, LARGE, CLEAN).unwrap();
    bench.append_some(4);
    let point = bench.wave().unwrap();
    assert_eq!((point.state.offsets.synced, point.state.offsets.count), (11, 14));
    let disk = bench.disk.after_kill();
    let expected = bench.stop();
    for damaged in [false, true] {
        let disk = disk.after_kill();
        if damaged {
            flip(&disk, INDEXES[0], 12 * 8);
        }
        let (mut again, opened) = Bench::visiting(&disk, LARGE, resuming(point), |_| ()).unwrap();
        assert_eq!((again.offsets(), opened.bytes_read > 1_000), (every_second(32), damaged));
        if !damaged {
            assert_eq!(content(&again.stop(), INDEXES[0]), content(&expected, INDEXES[0]));
        }
    }
}

#[test]
fn a_segment_that_ends_in_front_of_the_point_is_refused() {
    let (disk, point) = killed();
    put(&disk, LOG, &content(&disk, LOG)[..point.end.position as usize - 1]);
    let error = Bench::open(&disk, LARGE, resuming(point)).err().unwrap().to_string();
    for part in
        [LOG, &format!("position {}", point.end.position - 1), &format!("{} bytes", point.end.position)]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn batches_that_were_replayed_are_not_read_again() {
    let (disk, point) = killed();
    let log = content(&disk, LOG);
    let len = batch_len() as usize;
    let positions = (point.end.position as usize..log.len()).step_by(len);
    let pieces: Vec<LogPiece<'_>> =
        positions.map(|at| LogPiece { segment: 0, position: at as u64, bytes: &log[at..at + len] }).collect();
    let mut cache = Cache::new(Arc::new(disk.clone()), CacheLimits { files: 3, pages: 4 });
    let replayed = Log::replay(&mut cache, Path::new(DIR), &pieces).unwrap();
    assert_eq!(
        (replayed.bytes_written, replayed.bytes_read),
        (0, log.len() as u64),
        "one window, from a block on"
    );
    let opening = Opening { replayed: &pieces, ..resuming(point) };
    let (bench, opened) = Bench::visiting(&disk, LARGE, opening, |_| ()).unwrap();
    assert_eq!(bench.log.end().offset, 40);
    let indexes: usize = INDEXES.iter().map(|name| content(&disk, name).len()).sum();
    assert!(opened.bytes_read <= indexes as u64, "{} bytes", opened.bytes_read);
}
