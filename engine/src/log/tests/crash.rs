//! The power is cut in the middle of every step, and again in the middle of every step of the opening after it.

use super::*;

/// What a crash may take nothing of, from a step on.
#[derive(Debug, Clone, Copy)]
struct Promise {
    from_step: u64,
    /// Everything in front of it was synced.
    durable: i64,
    /// The log's start, as somebody wrote it down durably.
    start: i64,
    /// What is true of the last segment there.
    point: Option<ResumePoint>,
}

impl Promise {
    fn opening(&self) -> Opening<'static> {
        let (recovery_point, start_offset) = (self.durable, self.start);
        Opening { recovery_point, start_offset, resume: self.point, ..FROM_THE_START }
    }
}

/// Syncs what a wave would, and says how far the log is durable.
fn wave(bench: &mut Bench, promises: &mut Vec<Promise>) {
    if let Ok(point) = bench.wave() {
        let last = promises[promises.len() - 1];
        let (from_step, durable) = (bench.disk.steps(), point.end.offset);
        promises.push(Promise { from_step, durable, point: Some(point), ..last });
    }
}

/// Appends, rolls, waves, retention and removal.
fn workload() -> (Bench, Vec<Promise>) {
    let mut bench = Bench::new(LIMITS);
    bench.disk.settle();
    bench.disk.keep_crash_points();
    let mut promises = vec![Promise { from_step: 0, durable: 0, start: 0, point: None }];
    for round in 0..24 {
        bench.append(2);
        if round % 2 == 0 {
            wave(&mut bench, &mut promises);
        }
        if round % 9 == 8 {
            let start = bench.log.recovery_point() - 5;
            bench.log.raise_start(start);
            let last = promises[promises.len() - 1];
            promises.push(Promise { from_step: bench.disk.steps(), start, ..last });
            bench.log.delete_below(&mut bench.cache, start, &Guard::default(), NOW_MS, NOW_MS).unwrap();
        }
        if round % 5 == 4 {
            bench.log.remove_due(&bench.cache, NOW_MS).unwrap();
        }
    }
    (bench, promises)
}

/// Opens the disk after a crash and compares what is there with what was promised and what was written.
fn check(disk: &SimDisk, promise: Promise, written: &[u8], what: &str) -> Bench {
    let mut bench =
        Bench::open(disk, LIMITS, promise.opening()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(bench.log.end().offset >= promise.durable, "{what}: lost from {}", bench.log.end().offset);
    let read = bench.read(promise.start, 1_000).unwrap();
    let expected = base_offsets(&read);
    let first = (promise.start - promise.start % 2) as usize;
    let batches = (bench.log.end().offset as usize - first) / 2;
    assert_eq!(expected.len(), batches, "{what}: {expected:?}");
    let len = batch_len() as usize;
    let from = first / 2 * len;
    assert_eq!(read, written[from..from + read.len()], "{what}");
    bench
}

/// A clean stop after a start leaves the indexes that it would have left without a crash.
fn check_indexes(disk: &SimDisk, promise: Promise, what: &str) {
    let bench = Bench::open(disk, LIMITS, promise.opening()).unwrap();
    let (bases, end) = (bench.bases(), bench.log.end().offset);
    let stopped = bench.stop();
    let expected = Bench::with_batches(end / 2).stop();
    for base in bases.into_iter().filter(|base| *base < end) {
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            let name = file_name(base, kind);
            assert_eq!(content(&stopped, &name), content(&expected, &name), "{what}: {name}");
        }
    }
}

#[test]
fn nothing_that_was_synced_is_lost_and_nothing_appears_that_was_not_written() {
    let written = Bench::with_batches(24).read(0, 1_000).unwrap();
    let (bench, promises) = workload();
    let points = bench.disk.take_crash_points();
    assert!(points.len() > 100, "{} steps", points.len());
    for (step, disk) in points {
        let promise = *promises.iter().rfind(|promise| promise.from_step <= step.number).unwrap();
        check(&disk.after_kill(), promise, &written, &format!("killed at {step}"));
        check_indexes(&disk.after_kill(), promise, &format!("killed at {step}"));
        for seed in 0..8 {
            let disk = disk.after_crash(seed);
            check_indexes(&disk.after_kill(), promise, &format!("crashed at {step}, seed {seed}"));
            disk.keep_crash_points();
            let what = format!("crashed at {step}, seed {seed}");
            check(&disk, promise, &written, &what);
            for (again, disk) in disk.take_crash_points() {
                let what = format!("{what}, then at {again}");
                let mut bench = check(&disk.after_crash(seed + 1), promise, &written, &what);
                bench.append(2);
                wave(&mut bench, &mut vec![promise]);
            }
        }
    }
}

#[test]
fn what_an_opening_showed_survives_the_next_crash() {
    let (bench, promises) = workload();
    for (step, disk) in bench.disk.take_crash_points() {
        let promise = *promises.iter().rfind(|promise| promise.from_step <= step.number).unwrap();
        let opening = promise.opening();
        // Killed, not crashed: what was never synced can be read.
        let disk = disk.after_kill();
        let mut shown = Bench::open(&disk, LIMITS, opening).unwrap();
        let read = shown.read(promise.start, 1_000).unwrap();
        let recovery_point = shown.log.recovery_point();
        let again = Opening { recovery_point, resume: None, ..opening };
        let mut after = Bench::open(&disk.after_crash(step.number), LIMITS, again).unwrap();
        assert_eq!(after.read(promise.start, 1_000).unwrap(), read, "{step}");
    }
}

#[test]
fn a_compaction_is_completed_wherever_its_completion_is_interrupted() {
    let disk = Bench::with_batches(10).stop();
    let (first, second) =
        (content(&disk, "00000000000000000000.log"), content(&disk, "00000000000000000006.log"));
    put(&disk, "00000000000000000000.log.swap", &[&first[..2 * batch_len() as usize], &second].concat());
    disk.settle();
    disk.keep_crash_points();
    let opening = Opening { has_gaps: true, ..CLEAN };
    drop(Bench::open(&disk, LIMITS, opening).unwrap());
    let points = disk.take_crash_points();
    assert!(points.len() > 5, "{points:?}");
    for (step, disk) in points {
        for seed in 0..20 {
            let disk = if seed == 0 { disk.after_kill() } else { disk.after_crash(seed) };
            let mut bench = Bench::open(&disk, LIMITS, opening).unwrap();
            assert_eq!(bench.offsets(), [0, 2, 6, 8, 10, 12, 14, 16, 18], "{step}, seed {seed}");
        }
    }
}
