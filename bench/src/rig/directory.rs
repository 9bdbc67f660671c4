//! A directory of this run's own, removed with its holder, and by the next run if this one is killed.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::io::Errno;

use super::{Error, cleanup, usage::ProcessStat};

/// `logmill-rig-PID-START-N`: the process that owns it, when that one started, and a number.
const PREFIX: &str = "logmill-rig-";

/// The directory; it and all in it are removed on drop.
pub(crate) struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes a new one under `root`, after removing those of processes that are gone.
    pub(crate) fn create(root: &Path) -> Result<RunDirectory, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep(root)?;
        let pid = process::id();
        let started = ProcessStat::read(pid).map_err(Error::io("reading our own process"))?.start_ticks;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{PREFIX}{pid}-{started}-{number}"));
        let mut owned = cleanup::owned()?;
        fs::create_dir(&path).map_err(Error::io(format!("creating {}", path.display())))?;
        owned.directories.insert(path.clone());
        Ok(RunDirectory { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path);
        cleanup::lock().directories.remove(&self.path);
        if let Err(error) = removed {
            eprintln!("removing {}: {error}", self.path.display());
        }
    }
}

fn sweep(root: &Path) -> Result<(), Error> {
    let what = || format!("listing {}", root.display());
    for entry in fs::read_dir(root).map_err(Error::io(what()))? {
        let entry = entry.map_err(Error::io(what()))?;
        if entry.file_name().to_str().is_some_and(owner_is_gone) {
            // Another run may be sweeping too, or the directory be another user's; nothing rests on it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn owner_is_gone(name: &str) -> bool {
    let owner = || {
        let mut numbers = name.strip_prefix(PREFIX)?.split('-');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    owner().is_some_and(|(pid, started): (u32, u64)| {
        match ProcessStat::read(pid) {
            Ok(stat) => stat.start_ticks != started,
            // Any other failure is ours, and says nothing about the owner.
            Err(error) => {
                error.kind() == ErrorKind::NotFound
                    || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_sweeps_those_of_dead_processes_only() {
        let root = tempfile::tempdir().unwrap();
        let started = ProcessStat::read(process::id()).unwrap().start_ticks;
        let alive = root.path().join(format!("{PREFIX}{}-{started}-900", process::id()));
        let id_reused = root.path().join(format!("{PREFIX}{}-{}-901", process::id(), started - 1));
        let dead = root.path().join(format!("{PREFIX}4194999-1-902"));
        let foreign = root.path().join("logmill-rig-notes");
        for path in [&alive, &id_reused, &dead, &foreign] {
            fs::create_dir_all(path.join("data")).unwrap();
        }
        let own = RunDirectory::create(root.path()).unwrap();
        assert!(alive.exists() && foreign.exists() && own.path().exists());
        assert!(!id_reused.exists() && !dead.exists());
        let path = own.path().to_owned();
        drop(own);
        assert!(!path.exists());
    }
}
