//! What the engine does with a batch: check it, append it, and find it.

mod partition;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logmill_engine::disk::sim::SimDisk;
use logmill_engine::disk::{Disk, OpenMode};
use logmill_engine::format::batch::CRC_FROM;
use logmill_engine::format::{Batch, BatchRules, TimestampRule};
use logmill_engine::partition::{Ack, Isolation, directory};
use logmill_engine::shard::{CommitLimits, Shard, ShardConfig};
use partition::{NOW_MS, TOPIC, batch, disk, id, opened};

const BATCH_BYTES: usize = 16 * 1024;
/// Appends to one set of files before they are begun anew, so that a run does not fill the disk.
const APPENDS: usize = 1_000;
/// What a topic with default settings asks of a batch.
const RULES: BatchRules = BatchRules {
    size_max: 1 << 20,
    needs_keys: false,
    timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: 3_600_000 },
    compression: None,
};
/// Bytes of one turn of a ratio, and turns.
const RATIO_BYTES: usize = 16 << 20;
const RATIO_TURNS: usize = 101;

/// A shard with so many empty partitions in a directory of its own.
fn shard(partitions: i32, ack: Ack) -> (Shard, tempfile::TempDir) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("target/ can be written to");
    let disk = disk();
    let config = ShardConfig {
        log_dirs: vec![dir.path().to_owned()],
        journals: Vec::new(),
        limits: CommitLimits::default(),
    };
    let mut shard = Shard::new(disk.clone(), config).expect("a shard starts");
    for index in 0..partitions {
        directory::create(&*disk, dir.path(), TOPIC, id(index)).expect("a partition is made");
        shard.open(&opened(index, ack, RULES), NOW_MS).expect("a partition opens");
    }
    (shard, dir)
}

/// Beside each other: what a batch of these sizes costs, and what its checksum alone costs.
fn check_and_stamp(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch");
    for size in [1_024, BATCH_BYTES, 1 << 20] {
        let bytes = batch(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("checksum alone", size), &bytes, |b, bytes| {
            b.iter(|| black_box(crc32c::crc32c(&bytes[CRC_FROM..])));
        });
        group.bench_with_input(BenchmarkId::new("check and stamp", size), &bytes, |b, bytes| {
            b.iter(|| check_once(bytes));
        });
    }
    group.finish();
    for size in [1_024, BATCH_BYTES, 1 << 20] {
        print_ratio(&batch(size));
    }
}

fn check_once(bytes: &Bytes) {
    let batch = Batch::from_producer(bytes.clone(), &RULES, NOW_MS).expect("the batch is valid");
    black_box(batch.stamped(7, 0));
}

/// The two in turns, so that a machine that slows down slows both: the ratio of their medians.
fn print_ratio(bytes: &Bytes) {
    let calls = (RATIO_BYTES / bytes.len()) as u32;
    let time = |work: &dyn Fn()| {
        let begin = Instant::now();
        (0..calls).for_each(|_| work());
        begin.elapsed() / calls
    };
    let (mut crc, mut check) = (Vec::new(), Vec::new());
    for _ in 0..RATIO_TURNS {
        crc.push(time(&|| {
            black_box(crc32c::crc32c(&black_box(bytes)[CRC_FROM..]));
        }));
        check.push(time(&|| check_once(bytes)));
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (crc, check) = (median(&mut crc), median(&mut check));
    let ratio = check.as_secs_f64() / crc.as_secs_f64();
    println!("batch of {} bytes: checksum {crc:?}, check and stamp {check:?}, ratio {ratio:.3}", bytes.len());
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    let bytes = batch(BATCH_BYTES);
    group.throughput(Throughput::Bytes((APPENDS * BATCH_BYTES) as u64)).sample_size(10);
    group.bench_function("16 KiB to the page cache, 16 partitions", |b| {
        b.iter_batched_ref(
            || shard(16, Ack::PageCache),
            |(shard, _dir)| {
                for append in 0..APPENDS {
                    let partition = id((append % 16) as i32);
                    shard.append(partition, bytes.clone(), NOW_MS).expect("an append succeeds");
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    let (mut shard, _dir) = shard(1, Ack::PageCache);
    let bytes = batch(1_024);
    for _ in 0..100_000 {
        shard.append(id(0), bytes.clone(), NOW_MS).expect("an append succeeds");
    }
    let mut offset = 0;
    group.bench_function("a slice of a megabyte among 100,000 batches", |b| {
        b.iter(|| {
            offset = (offset + 7_919) % 100_000;
            black_box(
                shard.fetch(id(0), offset, 1 << 20, Isolation::Uncommitted).expect("the offset is there"),
            )
        });
    });
    group.finish();
}

/// What one crash point costs the simulated disk itself: the rest is recovery's.
fn crash(c: &mut Criterion) {
    const FILES: usize = 20;
    let disk = SimDisk::new(1);
    let dir = Path::new("/data");
    disk.create_dir_all(dir).expect("a directory is made");
    let paths: Vec<_> = (0..FILES).map(|number| dir.join(format!("file-{number}"))).collect();
    let files: Vec<_> =
        paths.iter().map(|path| disk.open(path, OpenMode::CreateNew).expect("a file is made")).collect();
    for file in &files {
        file.write_all_at([&[1; 8_192], &[]], 0).expect("a write succeeds");
    }
    disk.settle();
    for file in &files[..4] {
        file.write_all_at([&[2; 1_000], &[]], 8_192).expect("a write succeeds");
    }
    let mut seed = 0;
    c.bench_function("crash/a power cut with 20 files of 8 KiB, all read", |b| {
        b.iter(|| {
            seed += 1;
            let left = disk.after_crash(seed);
            for path in &paths {
                black_box(left.read(path).expect("its name is durable"));
            }
        });
    });
}

criterion_group!(benches, check_and_stamp, append, find, crash);
criterion_main!(benches);
