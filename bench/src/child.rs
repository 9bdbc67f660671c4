//! A child that does not outlive us.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// A running child; killed when dropped, and by the kernel when the thread that started it ends.
#[derive(Debug)]
pub(crate) struct TiedChild(pub(crate) Child);

impl TiedChild {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<TiedChild> {
        let parent = getpid();
        let before_exec = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // We may have ended before the line above: then the signal never comes.
            if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
        };
        // SAFETY: between fork and exec nothing may allocate or take a lock; the closure makes two system
        // calls on values that exist before the fork.
        unsafe { command.pre_exec(before_exec) };
        Ok(TiedChild(command.spawn()?))
    }
}

impl Drop for TiedChild {
    fn drop(&mut self) {
        // Fails when it has ended by itself; waiting is right in either case.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
