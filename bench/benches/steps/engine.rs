//! What the engine does with batches, and with directories at a start.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use logmill_engine::disk::os::OsDisk;
use logmill_engine::format::{Batch, BatchRules, TimestampRule};
use logmill_engine::log::{Cache, CacheLimits, Log, LogLimits, Opening};
use logmill_engine::partition::{Ack, Isolation, directory};
use logmill_engine::shard::{CommitLimits, Shard, ShardConfig};

use super::partition::{NOW_MS, TOPIC, batch, id, opened};
use super::{Step, Work};

/// What a topic with default settings asks of a batch.
const RULES: BatchRules = BatchRules {
    size_max: 2 << 20,
    needs_keys: false,
    timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
    compression: None,
};
const LIMITS: LogLimits = LogLimits {
    segment_bytes: 1 << 20,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_bytes_max: 10 << 20,
    index_interval_bytes: 4_096,
};
const CACHE: CacheLimits = CacheLimits { files: 1_024, pages: 2_048 };
const PARTITIONS: i32 = 16;
const BATCH_BYTES: usize = 16 << 10;
/// Batches of each partition that is read.
const BACKLOG: usize = 256;
/// Appends to one set of files before they are begun anew, so that a run does not fill the disk.
const APPENDS: usize = 4_096;
/// Batches of a log that is opened: 4 MiB in five segments.
const OPENED: usize = 256;
/// What a fetch asks for of each partition.
const FETCH_BYTES: u32 = 1 << 20;

pub(super) fn steps() -> Vec<Step> {
    vec![
        Step { name: "batch/check and stamp 1 KiB", make: || check(1 << 10) },
        Step { name: "batch/check and stamp 16 KiB", make: || check(16 << 10) },
        Step { name: "batch/check and stamp 1 MiB", make: || check(1 << 20) },
        Step { name: "append/16 KiB to one of 16 partitions", make: append },
        Step { name: "lookup/an offset among 256 batches", make: lookup },
        Step { name: "fetch/plan 16 partitions of 1 MiB", make: plan },
        Step { name: "recovery/4 MiB, nothing known", make: || open_log(false, false) },
        Step { name: "recovery/4 MiB, after a clean stop", make: || open_log(true, false) },
        Step { name: "recovery/index rebuild of 4 MiB", make: || open_log(true, true) },
    ]
}

/// Of the kernel's files without rings and threads: instructions are to be the same each time.
fn plain_disk() -> Arc<OsDisk> {
    Arc::new(OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop)))
}

fn new_dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("target/ can be written to")
}

fn check(size: usize) -> Work {
    let bytes = batch(size);
    Box::new(move || {
        let batch = Batch::from_producer(bytes.clone(), &RULES, NOW_MS).expect("the batch is valid");
        black_box(batch.stamped(7, 0));
    })
}

/// A shard with empty partitions in a directory of its own.
fn shard(partitions: i32) -> (Shard, tempfile::TempDir) {
    let (dir, disk) = (new_dir(), plain_disk());
    let config = ShardConfig {
        log_dirs: vec![dir.path().to_owned()],
        journals: Vec::new(),
        limits: CommitLimits::default(),
    };
    let mut shard = Shard::new(disk.clone(), config).expect("a shard starts");
    for index in 0..partitions {
        directory::create(&*disk, dir.path(), TOPIC, id(index)).expect("a partition is made");
        shard.open(&opened(index, Ack::PageCache, RULES), NOW_MS).expect("a partition opens");
    }
    (shard, dir)
}

fn append() -> Work {
    let bytes = batch(BATCH_BYTES);
    let (mut ground, mut count) = (shard(PARTITIONS), 0);
    Box::new(move || {
        if count == APPENDS {
            (ground, count) = (shard(PARTITIONS), 0);
        }
        let partition = id((count % PARTITIONS as usize) as i32);
        ground.0.append(partition, bytes.clone(), NOW_MS).expect("an append succeeds");
        count += 1;
    })
}

/// A shard whose partitions have a backlog.
fn filled(partitions: i32) -> (Shard, tempfile::TempDir) {
    let bytes = batch(BATCH_BYTES);
    let (mut shard, dir) = shard(partitions);
    for index in 0..partitions {
        for _ in 0..BACKLOG {
            shard.append(id(index), bytes.clone(), NOW_MS).expect("an append succeeds");
        }
    }
    (shard, dir)
}

fn lookup() -> Work {
    let (mut shard, dir) = filled(1);
    let mut offset = 0;
    Box::new(move || {
        let _alive = &dir;
        offset = (offset + 97) % BACKLOG as i64;
        let found = shard.fetch(id(0), offset, 1, Isolation::Uncommitted);
        black_box(found.expect("the offset is there"));
    })
}

/// What a fetch of all partitions asks of the engine: bounds, and a slice of each.
fn plan() -> Work {
    let (mut shard, dir) = filled(PARTITIONS);
    let mut offset = 0;
    Box::new(move || {
        let _alive = &dir;
        offset = (offset + 61) % BACKLOG as i64;
        for index in 0..PARTITIONS {
            let found = shard.fetch(id(index), offset, FETCH_BYTES, Isolation::Uncommitted);
            black_box(found.expect("the offset is there"));
        }
    })
}

/// Opens a log: with everything to be verified, after a clean stop, or after one that lost its indexes.
fn open_log(was_clean: bool, loses_indexes: bool) -> Work {
    let (disk, dir) = (plain_disk(), new_dir());
    Log::create(&*disk, dir.path()).expect("a log is made");
    let mut cache = Cache::new(disk.clone(), CACHE);
    let opening = Opening {
        was_clean,
        recovery_point: 0,
        resume: None,
        replayed: &[],
        start_offset: 0,
        visit_from: i64::MAX,
        has_gaps: false,
    };
    let open = move |cache: &mut Cache, dir: &Path| {
        Log::open(cache, dir, LIMITS, &opening, &mut |_| Ok(())).expect("the log opens").0
    };
    let first = Opening { was_clean: true, ..opening };
    let mut log = Log::open(&mut cache, dir.path(), LIMITS, &first, &mut |_| Ok(())).expect("it opens").0;
    let bytes = batch(BATCH_BYTES);
    let one = Batch::from_producer(bytes, &RULES, NOW_MS).expect("the batch is valid");
    for _ in 0..OPENED {
        log.append(&mut cache, &one, 0, NOW_MS).expect("an append succeeds");
    }
    log.stop(&mut cache).expect("it stops");
    Box::new(move || {
        if loses_indexes {
            lose_indexes(dir.path());
        }
        black_box(open(&mut Cache::new(disk.clone(), CACHE), dir.path()));
    })
}

fn lose_indexes(dir: &Path) {
    for entry in fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("its entries can be read").path();
        if path.extension().is_some_and(|suffix| suffix == "index" || suffix == "timeindex") {
            fs::remove_file(path).expect("its files can be removed");
        }
    }
}
