//! `HelperQueue`: syncs done by a thread beside the shard, for kernels that grant no ring.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::{OpenFile, SyncDone, SyncKind, SyncQueue};

/// Spawns a thread that runs the work to its end: the engine itself spawns nothing.
pub type SpawnHelper = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// A channel to the helper thread and what it has finished. The thread ends when the queue is dropped.
pub struct HelperQueue {
    requests: Sender<(OpenFile, SyncKind, u64)>,
    finished: Arc<Finished>,
}

struct Finished {
    syncs: Mutex<Vec<SyncDone>>,
    /// Readable while `syncs` may hold something.
    ready: OwnedFd,
}

impl HelperQueue {
    /// A queue with a helper of its own.
    pub fn new(spawn: SpawnHelper) -> io::Result<HelperQueue> {
        let (requests, work) = mpsc::channel();
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let finished = Arc::new(Finished { syncs: Mutex::new(Vec::new()), ready });
        let of_helper = finished.clone();
        spawn(Box::new(move || sync_all(&work, &of_helper)))?;
        Ok(HelperQueue { requests, finished })
    }
}

fn sync_all(work: &Receiver<(OpenFile, SyncKind, u64)>, finished: &Finished) {
    while let Ok((file, kind, token)) = work.recv() {
        let fd = file.as_fd().expect("the kernel's files have descriptors");
        let result = match kind {
            SyncKind::Data => rustix::fs::fdatasync(fd),
            SyncKind::Entries => rustix::fs::fsync(fd),
        };
        finished
            .syncs
            .lock()
            .expect("no holder of the lock panics")
            .push(SyncDone { token, result: result.map_err(io::Error::from) });
        // Fails only when the counter is full, and then the descriptor is readable anyway.
        let _ = rustix::io::write(&finished.ready, &1u64.to_ne_bytes());
    }
}

impl SyncQueue for HelperQueue {
    fn submit(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        self.requests
            .send((file.clone(), kind, token))
            .map_err(|_| io::Error::other("the helper thread for syncs has ended"))
    }

    fn reap(&mut self, done: &mut Vec<SyncDone>) {
        // Emptied first: what finishes after this read makes the descriptor readable again.
        let _ = rustix::io::read(&self.finished.ready, &mut [0u8; 8]);
        done.append(&mut self.finished.syncs.lock().expect("no holder of the lock panics"));
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.finished.ready.as_fd())
    }
}
