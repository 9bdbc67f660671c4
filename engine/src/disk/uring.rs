//! `UringQueue`: a shard's own io_uring, beside its runtime, for syncs that make progress under load.
//!
//! A runtime's ring is submitted to when the runtime parks, which a busy shard never does. This one is
//! submitted to at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;

use super::{OpenFile, SyncDone, SyncKind, SyncQueue};

/// Syncs that one call hands to the kernel; more take several calls.
const ENTRIES: u32 = 256;

/// Whether the kernel grants this process a ring: a container's seccomp profile often does not, and a
/// locked-memory limit can be used up.
pub fn is_granted() -> bool {
    IoUring::new(2).is_ok()
}

/// A ring and the files whose syncs are in flight on it.
pub struct UringQueue {
    ring: IoUring,
    /// An entry's index is its operation's user data. The file is held so that its descriptor stays open
    /// until the kernel is done with it.
    in_flight: Vec<Option<(OpenFile, u64)>>,
    free: Vec<usize>,
}

impl UringQueue {
    /// A ring of this thread's own.
    pub fn new() -> io::Result<UringQueue> {
        // Completions wait for the thread's next system call instead of interrupting it.
        let ring = IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(ENTRIES)?;
        Ok(UringQueue { ring, in_flight: Vec::new(), free: Vec::new() })
    }

    fn hold(&mut self, file: &OpenFile, token: u64) -> usize {
        let held = Some((file.clone(), token));
        match self.free.pop() {
            Some(index) => {
                self.in_flight[index] = held;
                index
            }
            None => {
                self.in_flight.push(held);
                self.in_flight.len() - 1
            }
        }
    }
}

impl SyncQueue for UringQueue {
    fn submit(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        let fd = types::Fd(file.as_fd().expect("the kernel's files have descriptors").as_raw_fd());
        let flags = match kind {
            SyncKind::Data => types::FsyncFlags::DATASYNC,
            SyncKind::Entries => types::FsyncFlags::empty(),
        };
        let index = self.hold(file, token);
        let entry = opcode::Fsync::new(fd).flags(flags).build().user_data(index as u64);
        // SAFETY: the entry names a descriptor and no memory; `in_flight` keeps the descriptor open.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("every push is submitted before the next one");
        loop {
            match self.ring.submit() {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => (),
                Err(error) => return Err(error),
            }
        }
    }

    fn reap(&mut self, done: &mut Vec<SyncDone>) {
        for entry in self.ring.completion() {
            let index = entry.user_data() as usize;
            let (_, token) = self.in_flight[index].take().expect("an operation completes once");
            self.free.push(index);
            let result = match entry.result() {
                0.. => Ok(()),
                errno => Err(io::Error::from_raw_os_error(-errno)),
            };
            done.push(SyncDone { token, result });
        }
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        Some(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) })
    }
}
