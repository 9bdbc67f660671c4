//! `Runtime`: the seam to tasks, timers and readiness. The only file that names `tokio_uring`.

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

/// Something that a thread runs beside others.
pub type Task<T = ()> = Pin<Box<dyn Future<Output = T>>>;

/// What runs a shard's tasks.
pub trait Runtime {
    /// Runs a task on this shard's thread, beside the others.
    fn spawn(&self, task: Task);

    /// Ends after so many milliseconds.
    fn sleep(&self, ms: u64) -> Task;

    /// Runs work that may block for long on another thread. Ends when the work has.
    fn off_thread(&self, work: Box<dyn FnOnce() + Send>) -> Task;

    /// Says when the shard's sync queue has something to reap. `fd` is the queue's descriptor, if it has one.
    fn completions(&self, fd: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Completions>>;
}

/// Readiness of a sync queue.
pub trait Completions {
    /// Ready when there may be something to reap; the caller then reaps everything.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Runs a thread's main task, and all that it spawns, until the main task ends.
///
/// With `has_ring` on tokio-uring's runtime, which needs a ring from the kernel; otherwise on tokio's.
pub fn run<T>(has_ring: bool, main: impl Future<Output = T>) -> io::Result<T> {
    if has_ring {
        return Ok(tokio_uring::start(main));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, main))
}

/// Lets the process open as many files as it is allowed to: each segment and connection takes one. How many
/// that are, if there is a limit.
pub fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!("the limit of open files stays as it is: {error}");
            current
        }
    }
}

/// SIGTERM and SIGINT, caught from the moment this is made.
#[derive(Debug)]
pub struct Termination {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Catches them from here on.
    pub fn catch() -> io::Result<Termination> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        Ok(Termination { runtime, terminate, interrupt })
    }

    /// Waits for one of them, and says which one came.
    pub fn wait(&mut self) -> &'static str {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        })
    }
}

/// The runtime of a thread inside [`run`].
#[derive(Debug, Clone, Copy)]
pub struct TokioRuntime;

impl Runtime for TokioRuntime {
    fn spawn(&self, task: Task) {
        tokio::task::spawn_local(task);
    }

    fn sleep(&self, ms: u64) -> Task {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn off_thread(&self, work: Box<dyn FnOnce() + Send>) -> Task {
        let running = tokio::task::spawn_blocking(work);
        Box::pin(async move { running.await.expect("work off the thread does not panic") })
    }

    fn completions(&self, fd: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Completions>> {
        let fd = fd.expect("the kernel's queues have descriptors").try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by the `AsyncFd` and stays open until that deregisters it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Box::new(FdCompletions(fd)))
    }
}

/// A descriptor that is readable while there is something to reap.
struct FdCompletions(AsyncFd<OwnedFd>);

impl Completions for FdCompletions {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.poll_read_ready(cx) {
            Poll::Ready(Ok(mut ready)) => {
                // Readiness is reported on an edge: what completes after this line reports anew, and the
                // caller reaps what completed before.
                ready.clear_ready();
                Poll::Ready(())
            }
            Poll::Ready(Err(error)) => {
                let fd = self.0.get_ref().as_raw_fd();
                panic!("descriptor {fd} of the sync queue cannot be polled: {error}")
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
