//! `Trimmer`: gives back what a leg wrote long ago, so that a minute of it does not fill the disk.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::time::{ClockId, clock_gettime};

use super::ground::Ground;

/// Bytes of all partitions that stay: more than a kernel leaves dirty.
const KEPT_BYTES: u64 = 8 << 30;
/// Bytes of one file that are given back at once.
const PART_BYTES: u64 = 4 << 20;
/// How often it looks.
const EVERY: Duration = Duration::from_millis(50);

/// A thread that makes holes in segments. They keep their lengths and grow at their ends.
pub(crate) struct Trimmer {
    shared: Arc<Shared>,
    thread: JoinHandle<Duration>,
}

#[derive(Default)]
struct Shared {
    /// Bytes that each partition has.
    position: AtomicU64,
    is_over: AtomicBool,
}

impl Trimmer {
    /// For partitions that grow alike.
    pub(crate) fn start(ground: &Ground, partitions: i32) -> Trimmer {
        let open = |index| fs::OpenOptions::new().write(true).open(ground.segment(index));
        let files: Vec<fs::File> =
            (0..partitions).map(open).collect::<Result<_, _>>().expect("segments can be opened");
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let thread = std::thread::spawn(move || {
            trim(&files, &seen);
            let cpu = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32)
        });
        Trimmer { shared, thread }
    }

    /// Says how many bytes each partition has.
    pub(crate) fn at(&self, position: u64) {
        self.shared.position.store(position, Ordering::Relaxed);
    }

    /// Ends it, and says how much CPU it took.
    pub(crate) fn stop(self) -> Duration {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it makes holes and nothing else")
    }
}

fn trim(files: &[fs::File], shared: &Shared) {
    let kept = KEPT_BYTES / files.len() as u64;
    let mut trimmed = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        if shared.position.load(Ordering::Relaxed) < trimmed + PART_BYTES + kept {
            std::thread::sleep(EVERY);
            continue;
        }
        for file in files {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(file, flags, trimmed, PART_BYTES).expect("a hole can be made");
            if shared.is_over.load(Ordering::Relaxed) {
                return;
            }
        }
        trimmed += PART_BYTES;
    }
}
