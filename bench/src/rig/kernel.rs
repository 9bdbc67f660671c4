//! `Kernel`: how much of what the kernel has is granted to a child.

use std::env::consts;
use std::fmt;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The same number on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

/// The kernel as a child sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kernel {
    /// As it is.
    #[default]
    Whole,
    /// Without io_uring: EPERM, as the default seccomp profile of container engines answers.
    WithoutIoUring,
    /// Linux 5.14 over a file system that cannot look into its page cache: no `cachestat` (ENOSYS), no
    /// RWF_NOWAIT (EOPNOTSUPP), and of rings only what that release had (EINVAL).
    #[value(name = "linux-5.14")]
    Linux5_14,
    /// Without O_DIRECT: EINVAL, as FUSE may answer, and tmpfs before Linux 6.6 does.
    WithoutDirectIo,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kernel::Whole => "the kernel as it is",
            Kernel::WithoutIoUring => "without io_uring",
            Kernel::Linux5_14 => "what Linux 5.14 has",
            Kernel::WithoutDirectIo => "without direct I/O",
        })
    }
}

/// A system call that is answered with an error.
struct Refusal {
    call: libc::c_long,
    /// Only with one of these bits in this argument.
    bits: Option<(u8, u64)>,
    errno: i32,
}

impl Kernel {
    /// Filters for all that is refused by number and arguments.
    pub(super) fn filters(self) -> io::Result<Vec<BpfProgram>> {
        let refusals: &[Refusal] = match self {
            Kernel::Whole => &[],
            Kernel::WithoutIoUring => {
                &[Refusal { call: libc::SYS_io_uring_setup, bits: None, errno: libc::EPERM }]
            }
            Kernel::Linux5_14 => &[
                Refusal { call: SYS_CACHESTAT, bits: None, errno: libc::ENOSYS },
                Refusal {
                    call: libc::SYS_preadv2,
                    bits: Some((5, libc::RWF_NOWAIT as u64)),
                    errno: libc::EOPNOTSUPP,
                },
            ],
            Kernel::WithoutDirectIo => &[Refusal {
                call: libc::SYS_openat,
                bits: Some((2, libc::O_DIRECT as u64)),
                errno: libc::EINVAL,
            }],
        };
        refusals.iter().map(Refusal::filter).collect()
    }

    /// Whether newer kinds of rings are refused: their flags lie in memory, where no filter sees them.
    pub(super) fn has_old_rings(self) -> bool {
        self == Kernel::Linux5_14
    }
}

impl Refusal {
    fn filter(&self) -> io::Result<BpfProgram> {
        let rules = match self.bits {
            None => Vec::new(),
            Some((argument, bits)) => vec![any_of(argument, bits)?],
        };
        let arch = consts::ARCH.try_into().map_err(io::Error::other)?;
        let refused = SeccompAction::Errno(self.errno.unsigned_abs());
        let filter = SeccompFilter::new([(self.call, rules)].into(), SeccompAction::Allow, refused, arch)
            .map_err(io::Error::other)?;
        filter.try_into().map_err(io::Error::other)
    }
}

/// Holds when the argument has the bit.
fn any_of(argument: u8, bit: u64) -> io::Result<SeccompRule> {
    let has_it = SeccompCmpOp::MaskedEq(bit);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, has_it, bit)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::{File, OpenOptions};
    use std::io::{IoSliceMut, Read};
    use std::os::unix::fs::OpenOptionsExt;

    use io_uring::IoUring;
    use rustix::io::{ReadWriteFlags, preadv2};

    use super::*;
    use crate::rig::give_up_io_uring;
    use crate::rig::process::{Launch, Output, Process};

    /// Set for the copy of this program that asks.
    const ASK: &str = "RIG_TEST_ASK_THE_KERNEL";

    /// What is asked for, and the number of the error that it is answered with.
    type Errnos = &'static [(&'static str, i32)];

    fn answer<T>(name: &str, result: io::Result<T>) -> String {
        let errno = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
        format!("{name}: {errno}")
    }

    /// What the kernel says to each of these, as numbers of errors.
    fn answers() -> Vec<String> {
        let path = env::current_exe().unwrap();
        let file = File::open(&path).unwrap();
        let newer: io::Result<IoUring> = IoUring::builder().setup_coop_taskrun().build(1);
        let look = preadv2(&file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::NOWAIT);
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::empty());
        // SAFETY: there is no descriptor -1, so nothing is read or written.
        let stat = unsafe { libc::syscall(SYS_CACHESTAT, -1, 0, 0, 0) };
        assert!(stat < 0);
        let stat = io::Error::last_os_error();
        vec![
            answer("ring", IoUring::new(1)),
            answer("newer ring", newer),
            answer("cachestat", Err::<(), _>(stat)),
            answer("look", look.map_err(io::Error::from)),
            answer("read", read.map_err(io::Error::from)),
            answer("open", File::open(&path)),
            answer("direct", OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path)),
        ]
    }

    /// Its value for one that gives up io_uring itself.
    const AFTER_GIVING_UP: &str = "after giving up";

    #[test]
    fn ask_the_kernel() {
        if let Some(when) = env::var_os(ASK) {
            if when == AFTER_GIVING_UP {
                give_up_io_uring().unwrap();
            }
            answers().iter().for_each(|answer| println!("({answer})"));
        }
    }

    fn answers_of_a_child(kernel: Kernel, when: &str) -> String {
        let launch = Launch {
            program: env::current_exe().unwrap(),
            arguments: ["--exact", "rig::kernel::tests::ask_the_kernel", "--nocapture"]
                .map(Into::into)
                .into(),
            environment: vec![(ASK.into(), when.into())],
            kernel,
        };
        let mut child = Process::spawn(&launch, Output::Pipes).unwrap();
        let (_, output, _) = child.pipes();
        let mut said = String::new();
        output.unwrap().read_to_string(&mut said).unwrap();
        said
    }

    #[test]
    fn a_child_is_refused_what_its_kernel_lacks_and_nothing_else() {
        const NO_RINGS: Errnos = &[("ring", libc::EPERM), ("newer ring", libc::EPERM)];
        let cases: [(Kernel, &str, Errnos); 5] = [
            (Kernel::Whole, "", &[]),
            (Kernel::Whole, AFTER_GIVING_UP, NO_RINGS),
            (Kernel::WithoutIoUring, "", NO_RINGS),
            (
                Kernel::Linux5_14,
                "",
                &[("newer ring", libc::EINVAL), ("cachestat", libc::ENOSYS), ("look", libc::EOPNOTSUPP)],
            ),
            (Kernel::WithoutDirectIo, "", &[("direct", libc::EINVAL)]),
        ];
        for (kernel, when, refused) in cases {
            let said = answers_of_a_child(kernel, when);
            // Whatever this kernel refuses by itself it refuses to the child too.
            for here in answers() {
                let name = here.split(':').next().unwrap();
                let refused = refused.iter().find(|(refused, _)| *refused == name);
                let expected = refused.map_or(here.clone(), |(name, errno)| format!("{name}: {errno}"));
                assert!(said.contains(&format!("({expected})")), "{kernel}: {expected} is not in {said}");
            }
        }
    }
}
