//! What must be gone when this process ends, and the signals that end it.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid},
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use super::Error;

/// How long an interrupted run waits for its killed children, whose files it is about to remove.
const DEATH_MAX: Duration = Duration::from_secs(60);

/// Children and directories that this process owns. Holding the lock keeps children from being reaped, so
/// that an id in `groups` always means our child, never a stranger's process.
#[derive(Default)]
pub(super) struct Owned {
    /// Each child leads a process group; the group's id is the child's.
    pub(super) groups: Vec<Pid>,
    pub(super) directories: BTreeSet<PathBuf>,
}

/// What this process owns, with the signal handlers installed that clean it up.
pub(super) fn owned() -> Result<MutexGuard<'static, Owned>, Error> {
    static HANDLERS: OnceLock<Result<(), String>> = OnceLock::new();
    match HANDLERS.get_or_init(|| install().map_err(|error| error.to_string())) {
        Ok(()) => Ok(lock()),
        Err(error) => Err(Error::Failed { what: "installing signal handlers".into(), output: error.clone() }),
    }
}

/// As `owned`, for what was enrolled already.
pub(super) fn lock() -> MutexGuard<'static, Owned> {
    static OWNED: Mutex<Owned> = Mutex::new(Owned { groups: Vec::new(), directories: BTreeSet::new() });
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn install() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("rig-signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Never released: nothing is started or reaped any more.
            let owned = lock();
            clean(&owned);
            process::exit(128 + signal);
        }
    })?;
    Ok(())
}

fn clean(owned: &Owned) {
    for &group in &owned.groups {
        // It may have ended by itself just now; there is nobody left to tell.
        let _ = kill_process_group(group, Signal::KILL);
    }
    for &leader in &owned.groups {
        if let Ok(pidfd) = pidfd_open(leader, PidfdFlags::empty()) {
            let limit = Timespec::try_from(DEATH_MAX).ok();
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.as_ref());
            // Reaped, as the first process of a container may never do it.
            let _ = waitpid(Some(leader), WaitOptions::NOHANG);
        }
    }
    for directory in &owned.directories {
        let _ = fs::remove_dir_all(directory);
    }
}
