//! What a child does between fork and exec: it ties its life to ours, and gives up what its kernel lacks. The
//! rig's only `unsafe` stands here and in `old_rings`.

use std::{io, os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use seccompiler::BpfProgram;

use super::{kernel::Kernel, old_rings};

/// Makes the kernel kill the child when the spawning *thread* ends, and refuse it what `kernel` lacks.
pub(super) fn confine(command: &mut Command, kernel: Kernel) -> io::Result<()> {
    let filters = kernel.filters()?;
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Our end may have come before the line above: then nobody would send that signal any more.
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        filters.iter().try_for_each(apply)?;
        if kernel.has_old_rings() { old_rings::hold_setups() } else { Ok(()) }
    };
    // SAFETY: other threads may have held locks at the fork, so the closure must neither allocate nor lock.
    // It makes plain system calls (prctl, getppid, seccomp) on values built before the fork, and its errors
    // hold a number.
    unsafe { command.pre_exec(before_exec) };
    Ok(())
}

/// Makes the kernel answer this thread's `io_uring_setup` with EPERM from here on, and that of every thread and
/// process that it starts.
pub(crate) fn give_up_io_uring() -> io::Result<()> {
    Kernel::WithoutIoUring.filters()?.iter().try_for_each(apply)
}

fn apply(filter: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(filter).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::ErrorKind::InvalidInput.into(),
    })
}
