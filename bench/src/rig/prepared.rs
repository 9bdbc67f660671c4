//! A directory that is made once, by whichever process or thread comes first, and only read from then on.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use super::Error;

/// The directory in `home` that `make` fills after `recipe`. It is there whole or not at all: made under
/// another name, renamed when `make` has succeeded. All others wait for the one that makes it; a maker that
/// was killed is replaced by the next. Another recipe is another directory.
pub(super) fn prepared(
    home: &Path,
    recipe: &[&str],
    make: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let ready = home.join(format!("prepared-{:016x}", hasher.finish()));
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(home).map_err(Error::io(format!("creating {}", home.display())))?;
    let lock = home.join("lock");
    // Released by the kernel when this process ends, however it does.
    let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = locked.map_err(Error::io(format!("locking {}", lock.display())))?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let making = home.join("making");
    if making.exists() {
        fs::remove_dir_all(&making).map_err(Error::io(format!("removing {}", making.display())))?;
    }
    fs::create_dir(&making).map_err(Error::io(format!("creating {}", making.display())))?;
    make(&making)?;
    fs::rename(&making, &ready).map_err(Error::io(format!("renaming {}", making.display())))?;
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::ErrorKind,
        process::Command,
        sync::{Barrier, atomic::AtomicU32, atomic::Ordering},
        thread,
    };

    use super::*;

    /// Set for the copies of this program that prepare the same directory at once: where.
    const PREPARE_IN: &str = "RIG_TEST_PREPARE_IN";
    const THREADS: usize = 8;
    const PARTS: u32 = 40;

    /// Fails where another makes the same directory at the same time.
    fn make(directory: &Path) -> Result<(), Error> {
        for part in 0..PARTS {
            let made = File::create_new(directory.join(part.to_string()));
            made.map_err(Error::io(format!("making part {part}")))?;
        }
        Ok(())
    }

    #[test]
    fn prepare_in_many_threads() {
        let Some(home) = env::var_os(PREPARE_IN) else { return };
        let barrier = Barrier::new(THREADS);
        let prepare = || {
            barrier.wait();
            let ready = prepared(Path::new(&home), &["parts"], make).unwrap();
            assert_eq!(fs::read_dir(ready).unwrap().count(), PARTS as usize);
        };
        thread::scope(|scope| (0..THREADS).for_each(|_| _ = scope.spawn(prepare)));
    }

    #[test]
    fn threads_of_many_processes_all_find_it_whole() {
        for _ in 0..5 {
            let root = tempfile::tempdir().unwrap();
            let home = root.path().join("not/there/yet");
            let copy = || {
                let mut command = Command::new(env::current_exe().unwrap());
                command.args(["--exact", "rig::prepared::tests::prepare_in_many_threads"]);
                command.env(PREPARE_IN, &home).spawn().unwrap()
            };
            let copies = [copy(), copy(), copy()];
            assert!(copies.map(|mut copy| copy.wait().unwrap().success()).iter().all(|&is_well| is_well));
        }
    }

    #[test]
    fn what_a_failed_maker_left_is_not_taken_for_the_whole() {
        let home = tempfile::tempdir().unwrap();
        let calls = AtomicU32::new(0);
        let prepare = |recipe: &str, fails: bool| {
            prepared(home.path(), &[recipe], |directory| {
                calls.fetch_add(1, Ordering::Relaxed);
                make(directory)?;
                if fails { Err(Error::io("fetching")(ErrorKind::TimedOut.into())) } else { Ok(()) }
            })
        };
        prepare("parts", true).unwrap_err();
        let ready = prepare("parts", false).unwrap();
        assert_eq!(prepare("parts", false).unwrap(), ready);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert_ne!(prepare("other parts", false).unwrap(), ready);
    }
}
