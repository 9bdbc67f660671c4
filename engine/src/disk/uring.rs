//! `UringQueue`: a shard's own io_uring, beside its runtime, for syncs that make progress under load.
//!
//! A runtime's ring is submitted to when the runtime parks, which a busy shard never does. This one is
//! submitted to at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;

use super::{OpenFile, SyncDone, SyncKind, SyncQueue};

/// Syncs in flight; more wait in the queue. The ring of completions has twice as many entries and so never
/// overflows: what overflows it would only be seen by a call that asks for it.
const IN_FLIGHT_MAX: usize = 256;

/// Whether the kernel grants this process rings of the kind that a shard needs: one of its own, and the
/// runtime's. A container's seccomp profile often does not, old kernels lack the flags, and a limit of
/// locked memory can be used up.
pub fn is_granted() -> bool {
    UringQueue::new().and_then(|_own| IoUring::new(IN_FLIGHT_MAX as u32)).is_ok()
}

/// A ring and the files whose syncs are in flight on it.
pub struct UringQueue {
    ring: IoUring,
    /// An entry's index is its operation's user data. The file is held so that its descriptor stays open
    /// until the kernel is done with it.
    in_flight: Vec<Option<(OpenFile, u64)>>,
    free: Vec<usize>,
    waiting: VecDeque<(OpenFile, SyncKind, u64)>,
}

impl UringQueue {
    /// A ring of this thread's own.
    pub fn new() -> io::Result<UringQueue> {
        // Completions wait for the thread's next system call instead of interrupting it.
        let ring =
            IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(IN_FLIGHT_MAX as u32)?;
        Ok(UringQueue { ring, in_flight: Vec::new(), free: Vec::new(), waiting: VecDeque::new() })
    }

    /// Starts a sync if another may be in flight; gives it back if not.
    fn start(&mut self, file: OpenFile, kind: SyncKind, token: u64) -> Result<(), (OpenFile, SyncKind, u64)> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.in_flight.len() < IN_FLIGHT_MAX => {
                self.in_flight.push(None);
                self.in_flight.len() - 1
            }
            None => return Err((file, kind, token)),
        };
        let fd = types::Fd(file.as_fd().expect("the kernel's files have descriptors").as_raw_fd());
        let flags = match kind {
            SyncKind::Data => types::FsyncFlags::DATASYNC,
            SyncKind::Entries => types::FsyncFlags::empty(),
        };
        let entry = opcode::Fsync::new(fd).flags(flags).build().user_data(index as u64);
        self.in_flight[index] = Some((file, token));
        // SAFETY: the entry names a descriptor and no memory; `in_flight` keeps the descriptor open.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("the ring has an entry for every operation in flight");
        Ok(())
    }

    /// Hands to the kernel what was started.
    fn enter(&mut self) -> io::Result<()> {
        loop {
            match self.ring.submit() {
                Ok(_) => return Ok(()),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => (),
                    // Short of memory: it is handed over again when something in flight has finished.
                    Some(Errno::AGAIN | Errno::BUSY) if self.in_kernel() > 0 => return Ok(()),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Operations that will complete without another call.
    fn in_kernel(&mut self) -> usize {
        let started = self.in_flight.len() - self.free.len();
        started - self.ring.submission().len()
    }
}

impl SyncQueue for UringQueue {
    fn submit(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        match self.start(file.clone(), kind, token) {
            Ok(()) => self.enter(),
            Err(waiting) => {
                self.waiting.push_back(waiting);
                Ok(())
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
        while let Some((file, kind, token)) = self.waiting.pop_front() {
            if let Err(waiting) = self.start(file, kind, token) {
                self.waiting.push_front(waiting);
                break;
            }
        }
        if !self.ring.submission().is_empty()
            && let Err(error) = self.enter()
        {
            // Nothing that was started will finish: each of them has failed.
            for held in &mut self.in_flight {
                let failed = held.take().map(|(_, token)| token);
                let result = || Err(io::Error::new(error.kind(), error.to_string()));
                done.extend(failed.map(|token| SyncDone { token, result: result() }));
            }
        }
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        Some(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::disk::os::OsDisk;
    use crate::disk::{Disk, OpenMode};

    #[test]
    fn more_syncs_than_the_ring_has_entries_all_finish_once() {
        if !is_granted() {
            // Kernels that grant no ring are served by the helper queue.
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::with_uring().open(&dir.path().join("file"), OpenMode::CreateNew).unwrap();
        let mut queue = UringQueue::new().unwrap();
        let syncs = 4 * IN_FLIGHT_MAX as u64;
        for token in 0..syncs {
            file.write_all_at([b"x", b""], token).unwrap();
            queue.submit(&file, SyncKind::Data, token).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(300);
        let mut done = Vec::new();
        while done.len() < syncs as usize && Instant::now() < deadline {
            queue.reap(&mut done);
            std::thread::yield_now();
        }
        let mut tokens: Vec<u64> = done.iter().map(|done| done.token).collect();
        tokens.sort_unstable();
        assert!(done.iter().all(|done| done.result.is_ok()));
        assert_eq!(tokens, (0..syncs).collect::<Vec<_>>());
    }
}
