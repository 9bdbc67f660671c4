//! Mounts that nobody else sees: this process, its children, and no one. They end with the last of them,
//! however that one ends.

use std::fs;
use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives this process a view of the mounts of its own. It must not have a second thread yet.
pub(crate) fn enter() -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a second thread would keep the old view of the mounts"));
    }
    // SAFETY: only unsharing the table of file descriptors breaks what other threads rely on; this unshares
    // the mounts.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|error| io::Error::other(format!("a mount namespace needs root: {error}")))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}
