//! What a log costs beside the system calls that it cannot do without: appending, finding an offset in many
//! segments, and opening a directory of many.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use logmill_engine::disk::os::OsDisk;
use logmill_engine::disk::{Disk, OpenMode};
use logmill_engine::format::batch::HEADER_LEN;
use logmill_engine::format::{Batch, BatchBuilder, NewRecord};
use logmill_engine::log::{Cache, CacheLimits, Log, LogLimits, Opening};

const NOW_MS: i64 = 1_700_000_000_000;
const LIMITS: LogLimits = LogLimits {
    segment_bytes: 1 << 30,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_bytes_max: 10 << 20,
    index_interval_bytes: 4_096,
};
const CACHE: CacheLimits = CacheLimits { files: 1_024, pages: 2_048 };
const OPENING: Opening<'_> = Opening {
    was_clean: true,
    recovery_point: 0,
    resume: None,
    replayed: &[],
    start_offset: 0,
    visit_from: i64::MAX,
    has_gaps: false,
};
/// Turns of a ratio, and appends of one turn.
const TURNS: usize = 31;
const APPENDS: usize = 2_000;

/// A batch of one record, of about so many bytes.
fn batch(size: usize) -> Batch {
    let value = vec![7; size - HEADER_LEN - 16];
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord { key: None, value: Some(&value), timestamp: NOW_MS, headers: &[] });
    Batch::from_coordinator(builder.finish(), 1 << 20).expect("the batch is valid")
}

fn disk() -> Arc<OsDisk> {
    Arc::new(OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop)))
}

fn new_dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("target/ can be written to")
}

fn open(cache: &mut Cache, dir: &Path, limits: LogLimits) -> Log {
    Log::open(cache, dir, limits, &OPENING, &mut |_| Ok(())).expect("the log opens").0
}

fn new_log(disk: &Arc<OsDisk>, dir: &Path, limits: LogLimits) -> (Cache, Log) {
    Log::create(&**disk, dir).expect("a log is made");
    let mut cache = Cache::new(disk.clone(), CACHE);
    let log = open(&mut cache, dir, limits);
    (cache, log)
}

fn append_turn(disk: &Arc<OsDisk>, batch: &Batch) -> Duration {
    let dir = new_dir();
    let (mut cache, mut log) = new_log(disk, dir.path(), LIMITS);
    let begin = Instant::now();
    for _ in 0..APPENDS {
        log.append(&mut cache, batch, 0, NOW_MS).expect("an append succeeds");
    }
    begin.elapsed()
}

fn pwritev_turn(disk: &Arc<OsDisk>, batch: &Batch) -> Duration {
    let dir = new_dir();
    let file = disk.open(&dir.path().join("file"), OpenMode::CreateNew).expect("a file is made");
    let (_, records) = batch.stamped(0, 0);
    let header = [0; HEADER_LEN];
    let begin = Instant::now();
    for turn in 0..APPENDS {
        file.write_all_at([&header, records], (turn * batch.size()) as u64).expect("a write succeeds");
    }
    begin.elapsed()
}

/// The two in turns, so that a machine that slows down slows both: the ratio of their medians.
fn append(_: &mut Criterion) {
    let disk = disk();
    let batch = batch(16 << 10);
    let (mut appends, mut writes) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        appends.push(append_turn(&disk, &batch) / APPENDS as u32);
        writes.push(pwritev_turn(&disk, &batch) / APPENDS as u32);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (append, write) = (median(&mut appends), median(&mut writes));
    let ratio = append.as_secs_f64() / write.as_secs_f64();
    println!("log/append of 16 KiB: {append:?}, the bare pwritev {write:?}, ratio {ratio:.3}");
}

fn find(c: &mut Criterion) {
    let (disk, dir) = (disk(), new_dir());
    let limits = LogLimits { segment_bytes: 4 << 20, ..LIMITS };
    let (mut cache, mut log) = new_log(&disk, dir.path(), limits);
    let batch = batch(1_024);
    while log.segment_bases().count() <= 100 {
        log.append(&mut cache, &batch, 0, NOW_MS).expect("an append succeeds");
    }
    let end = log.end();
    let mut offset = 0;
    c.bench_function("log/an offset among 100 segments", |b| {
        b.iter(|| {
            offset = (offset + 104_729) % end.offset;
            black_box(log.slice(&mut cache, offset, end, 1 << 20).expect("the offset is there"))
        });
    });
}

fn start(c: &mut Criterion) {
    let (disk, dir) = (disk(), new_dir());
    let limits = LogLimits { segment_bytes: 16 << 10, ..LIMITS };
    let (mut cache, mut log) = new_log(&disk, dir.path(), limits);
    let batch = batch(1_024);
    while log.segment_bases().count() < 1_000 {
        log.append(&mut cache, &batch, 0, NOW_MS).expect("an append succeeds");
    }
    log.stop(&mut cache).expect("it stops");
    c.bench_function("log/a clean start with 1,000 segments", |b| {
        b.iter(|| black_box(open(&mut Cache::new(disk.clone(), CACHE), dir.path(), limits)));
    });
}

criterion_group!(benches, append, find, start);
criterion_main!(benches);
