//! io_uring as an older kernel has it: the kernel holds each `io_uring_setup` of a child until a thread of ours
//! has looked at the flags, which lie in the child's memory, where no filter sees them.
//!
//! ```text
//! child    hold_setups  a filter, and a descriptor at which its parent hears of each setup
//!          exec
//! parent   answer_setups  takes that descriptor; flags that are too new: EINVAL; others: go on
//! ```

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use rustix::thread::set_no_new_privs;

/// Where the child leaves the descriptor for its parent.
const LISTENER: RawFd = 500;

/// Flags of `io_uring_setup` in Linux 5.14, IORING_SETUP_IOPOLL to IORING_SETUP_R_DISABLED.
const FLAGS_KNOWN: u32 = (1 << 7) - 1;

/// Where they stand in `struct io_uring_params`, the second argument.
const FLAGS_AT: u64 = 8;

const fn step(code: u32, k: u32, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf, k }
}

/// Lets the listener decide about `io_uring_setup`, and everything else pass.
static FILTER: [libc::sock_filter; 4] = [
    // The number of the system call is the first field of what a filter sees.
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_io_uring_setup as u32, 1),
    step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0),
    step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
];

/// In the child, before exec: system calls on values that exist already, and nothing else.
pub(super) fn hold_setups() -> io::Result<()> {
    set_no_new_privs(true)?;
    let filter = libc::sock_fprog { len: FILTER.len() as u16, filter: FILTER.as_ptr().cast_mut() };
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the kernel copies the filter, which is as long as it says.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const filter) };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is the child's descriptor; nobody else in the child knows either number. Unlike the listener
    // its copy outlives the exec.
    let copy = unsafe { libc::dup2(listener as RawFd, LISTENER) };
    if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// In the parent, behind exec: answers all setups of the child, and of its children, until they have ended.
pub(super) fn answer_setups(child: impl AsFd) -> io::Result<()> {
    let listener = pidfd_getfd(child, LISTENER, PidfdGetfdFlags::empty())?;
    let answer_all = move || while is_asked(&listener) && answer_one(listener.as_fd()).is_ok() {};
    thread::Builder::new().name("rig-rings".into()).spawn(answer_all)?;
    Ok(())
}

/// Waits for a setup. False when there is nobody left who could ask.
fn is_asked(listener: &OwnedFd) -> bool {
    loop {
        let mut polled = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return polled[0].revents().contains(PollFlags::IN),
        }
    }
}

fn answer_one(listener: BorrowedFd<'_>) -> io::Result<()> {
    // The kernel wants it zeroed.
    let mut asked = MaybeUninit::<libc::seccomp_notif>::zeroed();
    // SAFETY: the kernel writes a `struct seccomp_notif`.
    let received =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, asked.as_mut_ptr()) };
    if received < 0 {
        return gone_is_well();
    }
    // SAFETY: all of it are numbers, for which zeros are good, and the kernel has filled it in.
    let asked = unsafe { asked.assume_init() };
    // What cannot be read the kernel refuses itself.
    let is_known = flags(&asked).map_or(true, |flags| flags & !FLAGS_KNOWN == 0);
    let mut answer = libc::seccomp_notif_resp {
        id: asked.id,
        val: 0,
        error: if is_known { 0 } else { -libc::EINVAL },
        flags: if is_known { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 },
    };
    // SAFETY: the kernel reads a `struct seccomp_notif_resp`.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    if sent < 0 { gone_is_well() } else { Ok(()) }
}

/// Who asked may have been killed meanwhile.
fn gone_is_well() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) }
}

/// The flags of a setup, as they lie in the memory of who asks.
fn flags(asked: &libc::seccomp_notif) -> io::Result<u32> {
    let mut flags = [0; 4];
    let memory = File::open(format!("/proc/{}/mem", asked.pid))?;
    memory.read_exact_at(&mut flags, asked.data.args[1] + FLAGS_AT)?;
    Ok(u32::from_ne_bytes(flags))
}
