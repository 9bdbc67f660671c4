//! The threads that make a wave durable while the next one is appended.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// Syncs in flight: the device's queue is worth several times one sync after the other.
const SYNCS_MAX: usize = 16;

/// One wave in flight, its files shared out among threads that live as long as the process.
pub(super) struct Syncer {
    work: Arc<Work>,
    in_flight: bool,
}

struct Work {
    wave: Mutex<Wave>,
    submitted: Condvar,
    /// Written when a wave is done.
    wake: Arc<OwnedFd>,
}

#[derive(Default)]
struct Wave {
    /// Files that no thread has taken.
    files: Vec<Arc<File>>,
    /// Files whose sync has not returned, taken or not.
    left: usize,
    failed: Option<io::Error>,
}

impl Syncer {
    /// Starts the threads.
    pub(super) fn start(wake: Arc<OwnedFd>) -> Syncer {
        let work = Arc::new(Work { wave: Mutex::default(), submitted: Condvar::new(), wake });
        for _ in 0..SYNCS_MAX {
            let work = Arc::clone(&work);
            thread::spawn(move || work.sync_forever());
        }
        Syncer { work, in_flight: false }
    }

    /// Whether the next wave may start.
    pub(super) fn is_idle(&self) -> bool {
        !self.in_flight
    }

    /// Starts a wave: `dirty` becomes empty.
    pub(super) fn submit(&mut self, dirty: &mut Vec<Arc<File>>) {
        assert!(!self.in_flight && !dirty.is_empty(), "one wave at a time, of some files");
        let mut wave = self.work.lock();
        wave.left = dirty.len();
        wave.files.append(dirty);
        self.in_flight = true;
        if wave.left == 1 { self.work.submitted.notify_one() } else { self.work.submitted.notify_all() }
    }

    /// Whether the wave in flight has become durable.
    pub(super) fn reap(&mut self) -> io::Result<bool> {
        let mut wave = self.work.lock();
        if !self.in_flight || wave.left > 0 {
            return Ok(false);
        }
        self.in_flight = false;
        wave.failed.take().map_or(Ok(true), Err)
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, Wave> {
        self.wave.lock().expect("no thread panics while it holds the wave")
    }

    fn sync_forever(&self) {
        let mut wave = self.lock();
        loop {
            let Some(file) = wave.files.pop() else {
                wave = self.submitted.wait(wave).expect("no thread panics while it holds the wave");
                continue;
            };
            drop(wave);
            let synced = file.sync_data();
            wave = self.lock();
            wave.left -= 1;
            wave.failed = wave.failed.take().or(synced.err());
            if wave.left == 0 && ring(&self.wake).is_err() {
                return;
            }
        }
    }
}

/// Wakes the shard that waits for `wake`.
pub(super) fn ring(wake: &OwnedFd) -> io::Result<()> {
    rustix::io::write(wake, &1u64.to_ne_bytes())?;
    Ok(())
}
