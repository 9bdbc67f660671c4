//! `HelperQueue`: syncs, durable writes and reads done by threads beside the shard, for kernels that grant no ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::{AlignedBuf, IoDone, IoQueue, OpenFile, SyncKind, WRITE_ATTEMPTS_MAX, short_write};

/// Threads of one queue. A shard has at most two syncs in flight behind its journal, and two reads; what a wave
/// waits for always finds a thread beside those.
const HELPERS: usize = 6;

/// Spawns a thread that runs the work to its end: the engine itself spawns nothing.
pub type SpawnHelper = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// A channel to the helper threads and what they have finished. The threads end when the queue is dropped.
pub struct HelperQueue {
    requests: Sender<Request>,
    finished: Arc<Finished>,
}

struct Request {
    file: OpenFile,
    token: u64,
    work: Work,
}

enum Work {
    Sync(SyncKind),
    Write(AlignedBuf, u64),
    ReadIn(AlignedBuf, u64),
}

struct Finished {
    done: Mutex<Vec<IoDone>>,
    /// Readable while `done` may hold something.
    ready: OwnedFd,
}

impl HelperQueue {
    /// A queue with helpers of its own.
    pub fn new(spawn: SpawnHelper) -> io::Result<HelperQueue> {
        let (requests, work) = mpsc::channel();
        let work = Arc::new(Mutex::new(work));
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let finished = Arc::new(Finished { done: Mutex::new(Vec::new()), ready });
        for _ in 0..HELPERS {
            let (work, finished) = (work.clone(), finished.clone());
            spawn(Box::new(move || do_all(&work, &finished)))?;
        }
        Ok(HelperQueue { requests, finished })
    }

    fn submit(&mut self, file: &OpenFile, token: u64, work: Work) -> io::Result<()> {
        self.requests
            .send(Request { file: file.clone(), token, work })
            .map_err(|_| io::Error::other("the helper threads of the disk have ended"))
    }
}

fn do_all(work: &Mutex<Receiver<Request>>, finished: &Finished) {
    loop {
        // The lock is held while waiting: the others wait behind it, and one request wakes one of them.
        let next = work.lock().expect("no holder of the lock panics").recv();
        let Ok(Request { file, token, work }) = next else { return };
        let (result, buf) = match work {
            Work::Sync(kind) => (sync(&file, kind), None),
            Work::Write(buf, position) => (write(&file, buf.as_slice(), position), Some(buf)),
            Work::ReadIn(mut buf, position) => {
                (file.read_at(buf.as_mut_slice(), position).map(drop), Some(buf))
            }
        };
        drop(file);
        finished.done.lock().expect("no holder of the lock panics").push(IoDone { token, result, buf });
        // Fails only when the counter is full, and then the descriptor is readable anyway.
        let _ = rustix::io::write(&finished.ready, &1u64.to_ne_bytes());
    }
}

/// Never repeated, also when it was interrupted: after a failure the next one may answer `Ok` for bytes that
/// are gone.
fn sync(file: &OpenFile, kind: SyncKind) -> io::Result<()> {
    let fd = file.as_fd().expect("the kernel's files have descriptors");
    match kind {
        SyncKind::Data => rustix::fs::fdatasync(fd)?,
        SyncKind::Entries => rustix::fs::fsync(fd)?,
    }
    Ok(())
}

fn write(file: &OpenFile, bytes: &[u8], position: u64) -> io::Result<()> {
    let fd = file.as_fd().expect("the kernel's files have descriptors");
    let mut attempts_left = WRITE_ATTEMPTS_MAX;
    let written = loop {
        attempts_left -= 1;
        match rustix::io::pwrite(fd, bytes, position) {
            Err(Errno::INTR | Errno::AGAIN) if attempts_left > 0 => (),
            written => break written?,
        }
    };
    if written < bytes.len() {
        return Err(short_write(written, bytes.len(), position));
    }
    if file.is_direct() { Ok(()) } else { sync(file, SyncKind::Data) }
}

impl IoQueue for HelperQueue {
    fn sync(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        self.submit(file, token, Work::Sync(kind))
    }

    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        super::assert_whole_blocks(&buf, position);
        self.submit(file, token, Work::Write(buf, position))
    }

    fn read_in(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        self.submit(file, token, Work::ReadIn(buf, position))
    }

    fn reap(&mut self, done: &mut Vec<IoDone>) {
        // Emptied first: what finishes after this read makes the descriptor readable again.
        let _ = rustix::io::read(&self.finished.ready, &mut [0u8; 8]);
        done.append(&mut self.finished.done.lock().expect("no holder of the lock panics"));
    }

    fn wait(&mut self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.finished.ready, PollFlags::IN)], None) {
                Err(Errno::INTR) => (),
                polled => return Ok(polled.map(drop)?),
            }
        }
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.finished.ready.as_fd())
    }
}
