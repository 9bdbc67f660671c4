//! Commit waves: one append of 4 KiB to each partition, until all of them are durable. They need the kernel's queues and
//! the disk, so they have times and no count of instructions; `--bench commit` puts them beside what they cost without
//! an engine.

use std::fs::{self, File};
use std::path::Path;

use criterion::{BenchmarkId, Criterion};
use logmill_engine::format::{BatchRules, TimestampRule};
use logmill_engine::journal::{JournalConfig, JournalName, SLOTS};
use logmill_engine::partition::{Ack, directory};
use logmill_engine::shard::{CommitLimits, Shard, ShardConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::partition::{NOW_MS, TOPIC, batch, disk, id, opened};

const RULES: BatchRules = BatchRules {
    size_max: 2 << 20,
    needs_keys: false,
    timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
    compression: None,
};
const APPEND_BYTES: usize = 4 << 10;
const JOURNAL_BYTES: u64 = 64 << 20;
/// Bytes of a partition after which its segment is begun anew, so that a run does not fill the disk.
const SEGMENTS_BYTES_MAX: u64 = 1 << 30;
/// Longest wait for a completion; there is one long before.
const COMPLETION_SECONDS_MAX: i64 = 120;

/// A wave for 1, 16 and 1,000 partitions.
pub(super) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wave");
    group.sample_size(10);
    for partitions in [1, 16, 1_000] {
        group.bench_function(BenchmarkId::from_parameter(partitions), |bencher| {
            let mut ground = Ground::new(partitions);
            bencher.iter(|| ground.wave());
        });
    }
    group.finish();
}

/// A shard with a journal in a directory of its own.
struct Ground {
    shard: Shard,
    dir: tempfile::TempDir,
    partitions: i32,
    appended: u64,
}

impl Ground {
    fn new(partitions: i32) -> Ground {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("target/ can be written to");
        let shard = shard(dir.path(), partitions);
        Ground { shard, dir, partitions, appended: 0 }
    }

    fn wave(&mut self) {
        let bytes = batch(APPEND_BYTES);
        self.appended += self.partitions as u64 * APPEND_BYTES as u64;
        if self.appended > SEGMENTS_BYTES_MAX {
            *self = Ground::new(self.partitions);
        }
        let mut last = 0;
        for index in 0..self.partitions {
            let (_, ticket) =
                self.shard.append(id(index), bytes.clone(), NOW_MS).expect("an append succeeds");
            last = ticket.expect("what is durable has a ticket").wave;
        }
        self.shard.submit();
        loop {
            self.await_completion();
            self.shard.reap();
            let progress = self.shard.take_progress();
            assert!(progress.failed.is_empty(), "{:?}", progress.failed);
            self.shard.submit();
            if progress.released.iter().any(|released| released.wave >= last) {
                return;
            }
        }
    }

    fn await_completion(&self) {
        let fd = self.shard.io_queue().completion_fd().expect("the kernel's queues have a descriptor");
        let long = Timespec { tv_sec: COMPLETION_SECONDS_MAX, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&long)) {
            Ok(0) => panic!("no completion in {COMPLETION_SECONDS_MAX} s in {}", self.dir.path().display()),
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(errno) => panic!("poll: {errno}"),
        }
    }
}

fn shard(dir: &Path, partitions: i32) -> Shard {
    let disk = disk();
    let file_bytes = JOURNAL_BYTES / SLOTS as u64;
    for slot in 0..SLOTS {
        let path = dir.join(JournalName { shard: 0, slot }.to_string());
        // Written, as they are after a broker's first turn.
        fs::write(&path, vec![0; file_bytes as usize]).expect("there is room");
        File::open(&path).and_then(|file| file.sync_all()).expect("it can be synced");
    }
    let journal = JournalConfig {
        log_dir: dir.to_owned(),
        shard: 0,
        file_bytes,
        nonce: 1,
        first_generation: 1,
        first_slot: 0,
    };
    let config = ShardConfig {
        log_dirs: vec![dir.to_owned()],
        journals: vec![journal],
        limits: CommitLimits::default(),
    };
    let mut shard = Shard::new(disk.clone(), config).expect("a shard starts");
    for index in 0..partitions {
        directory::create(&*disk, dir, TOPIC, id(index)).expect("a partition is made");
        shard.open(&opened(index, Ack::Durable, RULES), NOW_MS).expect("a partition opens");
    }
    shard.begin().expect("a journal begins");
    shard
}
