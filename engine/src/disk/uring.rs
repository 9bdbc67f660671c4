//! `UringQueue`: a shard's own io_uring, beside its runtime, for what must make progress under load.
//!
//! A runtime's ring is submitted to when the runtime parks, which a busy shard never does. This one is
//! submitted to at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;

use super::{AlignedBuf, IoDone, IoQueue, OpenFile, SyncKind, WRITE_ATTEMPTS_MAX, short_write};

/// Operations in flight; more wait in the queue. The ring of completions has twice as many entries and so
/// never overflows: what overflows it would only be seen by a call that asks for it.
const IN_FLIGHT_MAX: usize = 256;

/// Whether the kernel grants this process rings of the kind that a shard needs: one of its own, and the
/// runtime's. A container's seccomp profile often does not, and a limit of locked memory can be used up.
pub fn is_granted() -> bool {
    UringQueue::new().and_then(|_own| IoUring::new(IN_FLIGHT_MAX as u32)).is_ok()
}

/// A ring and what is in flight on it.
pub struct UringQueue {
    ring: IoUring,
    /// An entry's index is its operation's user data. What the kernel works with is held here until it is
    /// done: the descriptor must stay open and the memory in its place.
    in_flight: Vec<Option<Operation>>,
    free: Vec<usize>,
    waiting: VecDeque<Operation>,
    /// Set when the kernel takes nothing any more.
    is_broken: bool,
}

struct Operation {
    file: OpenFile,
    token: u64,
    /// What a write writes or a read fills, and where in the file.
    memory: Option<(AlignedBuf, u64)>,
    step: Step,
    /// How often the step may still be submitted.
    attempts_left: u32,
    /// Its failure was told when the ring broke; the kernel may still be at work.
    is_told: bool,
}

/// What the kernel is asked for.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    ReadIn,
    Sync(SyncKind),
}

impl UringQueue {
    /// A ring of this thread's own.
    pub fn new() -> io::Result<UringQueue> {
        Ok(UringQueue {
            ring: build_ring()?,
            in_flight: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            is_broken: false,
        })
    }

    fn submit(&mut self, operation: Operation) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the ring takes nothing any more"));
        }
        match self.start(operation) {
            Ok(()) => self.enter(),
            Err(waiting) => {
                self.waiting.push_back(*waiting);
                Ok(())
            }
        }
    }

    /// Starts an operation if another may be in flight; gives it back if not.
    fn start(&mut self, operation: Operation) -> Result<(), Box<Operation>> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.in_flight.len() < IN_FLIGHT_MAX => {
                self.in_flight.push(None);
                self.in_flight.len() - 1
            }
            None => return Err(Box::new(operation)),
        };
        let held = self.in_flight[index].insert(operation);
        let entry = held.entry().user_data(index as u64);
        // SAFETY: the entry names a descriptor, which the held file keeps open, and memory, which the held
        // buffer keeps in its place; both are held until the operation completes, or forgotten.
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

    /// Which operation has completed, and the kernel's answer.
    fn next_completion(&mut self) -> Option<(usize, i32)> {
        self.ring.completion().next().map(|entry| (entry.user_data() as usize, entry.result()))
    }

    /// Takes up a completion: the operation goes on with its next step, or is done.
    fn complete(&mut self, index: usize, result: i32, done: &mut Vec<IoDone>) {
        let mut operation = self.in_flight[index].take().expect("an operation completes once");
        self.free.push(index);
        if operation.is_told {
            return;
        }
        match operation.advance(result) {
            Some(result) => done.push(operation.into_done(result)),
            None => {
                let started = self.start(operation);
                debug_assert!(started.is_ok(), "its own entry was just freed");
            }
        }
    }

    /// Tells of every operation that it has failed, and keeps what the kernel may still be working with.
    fn break_down(&mut self, error: &io::Error, done: &mut Vec<IoDone>) {
        self.is_broken = true;
        let failed = || Err(io::Error::new(error.kind(), error.to_string()));
        for held in self.in_flight.iter_mut().flatten().filter(|held| !held.is_told) {
            held.is_told = true;
            done.push(IoDone { token: held.token, result: failed(), buf: None });
        }
        done.extend(self.waiting.drain(..).map(|waiting| waiting.into_done(failed())));
    }
}

/// The newest kind of ring that the kernel has: completions wait for the thread's next system call instead
/// of interrupting it (Linux 5.19), and the kernel knows that one thread submits (6.0).
fn build_ring() -> io::Result<IoUring> {
    let entries = IN_FLIGHT_MAX as u32;
    match IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(entries) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => IoUring::new(entries),
        built => built,
    }
}

impl Operation {
    fn entry(&mut self) -> squeue::Entry {
        let fd = types::Fd(self.file.as_fd().expect("the kernel's files have descriptors").as_raw_fd());
        match (self.step, &mut self.memory) {
            (Step::Write, Some((buf, position))) => {
                let len = u32::try_from(buf.len()).expect("a write is below 4 GiB");
                opcode::Write::new(fd, buf.as_slice().as_ptr(), len).offset(*position).build()
            }
            (Step::ReadIn, Some((buf, position))) => {
                let len = u32::try_from(buf.len()).expect("a read is below 4 GiB");
                opcode::Read::new(fd, buf.as_mut_slice().as_mut_ptr(), len).offset(*position).build()
            }
            (Step::Write | Step::ReadIn, None) => unreachable!("a write and a read have memory"),
            (Step::Sync(SyncKind::Data), _) => {
                opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build()
            }
            (Step::Sync(SyncKind::Entries), _) => opcode::Fsync::new(fd).build(),
        }
    }

    /// What the kernel's answer means: the operation's result, or `None` when it goes on.
    fn advance(&mut self, result: i32) -> Option<io::Result<()>> {
        self.attempts_left -= 1;
        match (self.step, &self.memory) {
            (Step::ReadIn, _) if result < 0 && is_passing(result) && self.attempts_left > 0 => None,
            (Step::Write, Some((buf, position))) => match usize::try_from(result) {
                Ok(written) if written < buf.len() => Some(Err(short_write(written, buf.len(), *position))),
                Ok(_) if self.file.is_direct() => Some(Ok(())),
                Ok(_) => {
                    self.step = Step::Sync(SyncKind::Data);
                    self.attempts_left = 1;
                    None
                }
                // The same bytes go to the same place again; no sync was asked for, or the bytes passed the
                // page cache, so none can have been lost from it.
                Err(_) if is_passing(result) && self.attempts_left > 0 => None,
                Err(_) => Some(Err(io::Error::from_raw_os_error(-result))),
            },
            _ if result < 0 => Some(Err(io::Error::from_raw_os_error(-result))),
            _ => Some(Ok(())),
        }
    }

    fn into_done(self, result: io::Result<()>) -> IoDone {
        IoDone { token: self.token, result, buf: self.memory.map(|(buf, _)| buf) }
    }
}

/// Whether the kernel was interrupted or short of something.
fn is_passing(result: i32) -> bool {
    matches!(Errno::from_raw_os_error(-result), Errno::INTR | Errno::AGAIN)
}

impl IoQueue for UringQueue {
    fn sync(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        let (file, step) = (file.clone(), Step::Sync(kind));
        self.submit(Operation { file, token, memory: None, step, attempts_left: 1, is_told: false })
    }

    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        super::assert_whole_blocks(&buf, position);
        self.submit(Operation {
            file: file.clone(),
            token,
            memory: Some((buf, position)),
            step: Step::Write,
            attempts_left: WRITE_ATTEMPTS_MAX,
            is_told: false,
        })
    }

    fn read_in(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        self.submit(Operation {
            file: file.clone(),
            token,
            memory: Some((buf, position)),
            step: Step::ReadIn,
            attempts_left: WRITE_ATTEMPTS_MAX,
            is_told: false,
        })
    }

    fn reap(&mut self, done: &mut Vec<IoDone>) {
        while let Some((index, result)) = self.next_completion() {
            self.complete(index, result, done);
        }
        while let Some(operation) = self.waiting.pop_front() {
            if let Err(waiting) = self.start(operation) {
                self.waiting.push_front(*waiting);
                break;
            }
        }
        if !self.is_broken
            && !self.ring.submission().is_empty()
            && let Err(error) = self.enter()
        {
            self.break_down(&error, done);
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        loop {
            match self.ring.submit_and_wait(1) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INTR) => (),
                waited => return waited.map(drop),
            }
        }
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        Some(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) })
    }
}

impl Drop for UringQueue {
    /// The kernel works with the memory of a write or read until that is done, also when the ring is gone: waits for
    /// it, and where that cannot be done leaves the memory behind.
    fn drop(&mut self) {
        while self.in_kernel() > 0 && self.in_flight.iter().flatten().any(|held| held.memory.is_some()) {
            while let Some((index, _)) = self.next_completion() {
                self.in_flight[index] = None;
                self.free.push(index);
            }
            let is_waiting = self.in_kernel() > 0;
            match if is_waiting { self.ring.submitter().submit_and_wait(1) } else { Ok(0) } {
                Err(error) if Errno::from_io_error(&error) != Some(Errno::INTR) => {
                    std::mem::forget(std::mem::take(&mut self.in_flight));
                    return;
                }
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::disk::os::OsDisk;
    use crate::disk::{DIRECT_ALIGN, Disk, OpenMode};

    fn reap_all(queue: &mut UringQueue, count: usize) -> Vec<IoDone> {
        let deadline = Instant::now() + Duration::from_secs(300);
        let mut done = Vec::new();
        while done.len() < count && Instant::now() < deadline {
            queue.reap(&mut done);
            std::thread::yield_now();
        }
        done
    }

    #[test]
    fn more_operations_than_the_ring_has_entries_all_finish_once() {
        if !is_granted() {
            // Kernels that grant no ring are served by the helper queue.
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::with_uring().open(&dir.path().join("file"), OpenMode::CreateNew).unwrap();
        let mut queue = UringQueue::new().unwrap();
        let count = 4 * IN_FLIGHT_MAX as u64;
        for token in 0..count {
            if token % 8 == 0 {
                let buf = AlignedBuf::zeroed(DIRECT_ALIGN);
                queue.write(&file, buf, token * DIRECT_ALIGN as u64, token).unwrap();
            } else {
                queue.sync(&file, SyncKind::Data, token).unwrap();
            }
        }
        let done = reap_all(&mut queue, count as usize);
        let mut tokens: Vec<u64> = done.iter().map(|done| done.token).collect();
        tokens.sort_unstable();
        assert!(done.iter().all(|done| done.result.is_ok()), "{done:?}");
        assert!(done.iter().all(|done| done.buf.is_some() == (done.token % 8 == 0)));
        assert_eq!(tokens, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn a_queue_that_is_dropped_waits_for_its_writes() {
        if !is_granted() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::with_uring().open(&dir.path().join("file"), OpenMode::CreateNew).unwrap();
        let mut queue = UringQueue::new().unwrap();
        let len = 16 * DIRECT_ALIGN;
        for round in 0..IN_FLIGHT_MAX as u64 {
            let mut buf = AlignedBuf::zeroed(len);
            buf.as_mut_slice().fill(7);
            queue.write(&file, buf, round * len as u64, round).unwrap();
        }
        drop(queue);
        assert_eq!(Arc::strong_count(&file), 1, "nothing is held any more");
        let mut read = vec![0; IN_FLIGHT_MAX * len];
        assert_eq!(file.read_at(&mut read, 0).unwrap(), read.len());
        assert!(read.iter().all(|byte| *byte == 7));
    }

    /// What becomes of an operation when the kernel answers so, one answer after the other.
    fn outcome(write: bool, answers: &[i32]) -> Option<Result<(), io::ErrorKind>> {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk::with_uring().open(&dir.path().join("file"), OpenMode::CreateNew).unwrap();
        let (memory, step, attempts_left) = if write {
            (Some((AlignedBuf::zeroed(DIRECT_ALIGN), 0)), Step::Write, WRITE_ATTEMPTS_MAX)
        } else {
            (None, Step::Sync(SyncKind::Data), 1)
        };
        let mut operation = Operation { file, token: 0, memory, step, attempts_left, is_told: false };
        let mut answers = answers.iter();
        loop {
            if let Some(result) = operation.advance(*answers.next()?) {
                assert!(answers.next().is_none(), "done before the last answer");
                return Some(result.map_err(|error| error.kind()));
            }
        }
    }

    #[test]
    fn a_write_is_done_after_its_sync_and_a_sync_is_never_repeated() {
        let whole = DIRECT_ALIGN as i32;
        let [eintr, eagain, eio] = [Errno::INTR, Errno::AGAIN, Errno::IO].map(|errno| -errno.raw_os_error());
        assert_eq!(outcome(true, &[whole]), None, "the bytes are only in the page cache");
        assert_eq!(outcome(true, &[whole, 0]), Some(Ok(())));
        assert_eq!(outcome(true, &[eintr, eagain, whole, 0]), Some(Ok(())));
        assert_eq!(outcome(true, &[whole - 1]), Some(Err(io::ErrorKind::WriteZero)));
        assert_eq!(outcome(true, &[0]), Some(Err(io::ErrorKind::WriteZero)));
        for failed in [eintr, eagain, eio] {
            assert!(matches!(outcome(true, &[whole, failed]), Some(Err(_))), "{failed}");
            assert!(matches!(outcome(false, &[failed]), Some(Err(_))), "{failed}");
        }
        let always = [eagain; WRITE_ATTEMPTS_MAX as usize];
        assert_eq!(outcome(true, &always), Some(Err(io::ErrorKind::WouldBlock)));
    }
}
