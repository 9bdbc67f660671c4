//! Looking an offset up in a log of many segments allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use logmill_engine::disk::os::OsDisk;
use logmill_engine::format::{Batch, BatchBuilder, NewRecord};
use logmill_engine::log::{Cache, CacheLimits, Log, LogLimits, Opening};

const SEGMENTS: usize = 100;
const NOW_MS: i64 = 1_700_000_000_000;
const OPENING: Opening<'_> = Opening {
    was_clean: true,
    recovery_point: 0,
    resume: None,
    replayed: &[],
    start_offset: 0,
    visit_from: 0,
    has_gaps: false,
};

/// Counts allocations of a thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches a cell of the
// thread, which is neither allocated nor dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A batch of one record of about a kilobyte.
fn batch() -> Batch {
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord { key: None, value: Some(&[7; 1_000]), timestamp: NOW_MS, headers: &[] });
    Batch::from_coordinator(builder.finish(), 1 << 20).expect("the batch is valid")
}

#[test]
fn a_lookup_in_a_hundred_segments_allocates_nothing() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = Arc::new(OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop)));
    let mut cache = Cache::new(disk.clone(), CacheLimits { files: 256, pages: 256 });
    let limits = LogLimits {
        segment_bytes: 100_000,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        index_bytes_max: 10 << 20,
        index_interval_bytes: 4_096,
    };
    Log::create(&*disk, dir.path()).unwrap();
    let (mut log, _) = Log::open(&mut cache, dir.path(), limits, &OPENING, &mut |_| Ok(())).unwrap();
    let batch = batch();
    while log.segment_bases().count() < SEGMENTS {
        log.append(&mut cache, &batch, 0, NOW_MS).unwrap();
    }
    let end = log.end();
    let mut look_up_all = || {
        for offset in (0..end.offset).step_by(37) {
            assert!(log.slice(&mut cache, offset, end, 1 << 20).unwrap().is_some());
        }
    };
    look_up_all();
    let before = ALLOCATIONS.get();
    look_up_all();
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
