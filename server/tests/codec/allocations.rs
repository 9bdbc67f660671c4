//! Counts what a thread allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

/// What a piece of work allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocated {
    /// The largest single allocation, in bytes.
    pub(crate) largest: usize,
    /// All of them together, whatever was freed meanwhile.
    pub(crate) total: usize,
}

/// Runs `work` and counts what it allocates on this thread.
pub(crate) fn allocated_by<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    LARGEST.set(0);
    TOTAL.set(0);
    let done = work();
    (done, Allocated { largest: LARGEST.get(), total: TOTAL.get() })
}

fn count(size: usize) {
    LARGEST.set(LARGEST.get().max(size));
    TOTAL.set(TOTAL.get() + size);
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches two cells of the
// thread, which are neither allocated nor dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
