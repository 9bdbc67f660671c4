//! What a child does between fork and exec: it ties its life to ours, and gives up io_uring when asked to.
//! The rig's only `unsafe` stands here.

use std::{env::consts, io, os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Makes the kernel kill the child when the spawning *thread* ends; with `without_io_uring`, answers its
/// `io_uring_setup` with EPERM, as the default seccomp profile of container engines does.
pub(super) fn confine(command: &mut Command, without_io_uring: bool) -> io::Result<()> {
    let filter = if without_io_uring { Some(no_io_uring()?) } else { None };
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Our end may have come before the line above: then nobody would send that signal any more.
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        match &filter {
            Some(filter) => seccompiler::apply_filter(filter).map_err(|error| match error {
                seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
                _ => io::ErrorKind::InvalidInput.into(),
            }),
            None => Ok(()),
        }
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
    seccompiler::apply_filter(&no_io_uring()?).map_err(io::Error::other)
}

fn no_io_uring() -> io::Result<BpfProgram> {
    let arch = consts::ARCH.try_into().map_err(io::Error::other)?;
    let rules = [(libc::SYS_io_uring_setup, Vec::new())].into();
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::{env, process::Stdio};

    use io_uring::IoUring;

    use super::*;

    /// Set for the copy of this program that asks for a ring.
    const ASK: &str = "RIG_TEST_ASK_FOR_A_RING";

    /// Its value for one that gives rings up itself.
    const AFTER_GIVING_UP: &str = "after giving up";

    #[test]
    fn ask_for_a_ring() {
        if let Some(when) = env::var_os(ASK) {
            if when == AFTER_GIVING_UP {
                give_up_io_uring().unwrap();
            }
            let denied = IoUring::new(1).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
            println!("{}", if denied { "ring denied" } else { "ring not denied" });
        }
    }

    fn answer(without_io_uring: bool, when: &str) -> String {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "rig::confine::tests::ask_for_a_ring", "--nocapture"]).env(ASK, when);
        confine(&mut command, without_io_uring).unwrap();
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn io_uring_is_refused_to_the_child_alone() {
        assert!(answer(true, "").contains("ring denied"));
        assert!(answer(false, AFTER_GIVING_UP).contains("ring denied"));
        let denied_here = IoUring::new(1).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
        assert_eq!(answer(false, "").contains("ring denied"), denied_here);
    }
}
