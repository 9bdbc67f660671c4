//! A child process: started from a thread that lives as long as we do, waited for without polling, killed
//! with all that it started.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal},
};

use super::{Error, Kernel, cleanup, confine::confine, old_rings};

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) kernel: Kernel,
}

/// Where a child's output goes.
pub(crate) enum Output {
    /// Both streams to this file; nothing on standard input.
    File(File),
    /// Each through its own pipe; standard input too.
    Pipes,
}

/// A running child. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    /// Set once the child is reaped; from then on its id may be another's.
    status: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn spawn(launch: &Launch, output: Output) -> Result<Process, Error> {
        let what = format!("starting {}", launch.program.display());
        let command = command(launch, output).map_err(Error::io(what.clone()))?;
        let (reply, child) = mpsc::sync_channel(1);
        let spawner = spawner().map_err(Error::io("starting the thread that starts processes"))?;
        spawner.send(Job { command, reply }).expect("the spawner serves as long as the process lives");
        let (child, pid) = child.recv().expect("the spawner answers every job")?.map_err(Error::io(what))?;
        // Not reaped before `finish`, so the id is still this child's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| Error::io(format!("watching process {}", child.id()))(error.into()))?;
        let process = Process { child, pid, pidfd, status: None };
        if launch.kernel.has_old_rings() {
            let answering = format!("answering for the kernel of process {}", process.pid());
            old_rings::answer_setups(&process.pidfd).map_err(Error::io(answering))?;
        }
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The three pipes of a child that was started with `Output::Pipes`; each can be taken once.
    pub(crate) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Its status if it ends before `deadline`.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        while self.status.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = Timespec::try_from(left).expect("deadlines are minutes at most");
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&limit)) {
                Ok(0) => return None,
                Ok(_) => _ = self.finish(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("polling the pidfd of process {}: {error}", self.pid()),
            }
        }
        self.status
    }

    /// SIGTERM, then SIGKILL after `grace`.
    pub(crate) fn stop(&mut self, grace: Duration) -> ExitStatus {
        if self.status.is_none() {
            // Refused only when it ended by itself meanwhile.
            let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        }
        self.wait(Instant::now() + grace).unwrap_or_else(|| self.kill())
    }

    /// SIGKILL to the child and its group; returns when it is reaped.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.finish()
    }

    fn finish(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let kill_group = || kill_process_group(self.pid, Signal::KILL);
        // Whatever the child left in its group goes too. Unreaped, it keeps the group's id from being reused.
        let _ = kill_group();
        let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None);
        let mut owned = cleanup::lock();
        let status = self.child.wait().expect("our own child, reaped nowhere else");
        owned.groups.retain(|&group| group != self.pid);
        self.status = Some(status);
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.finish();
    }
}

fn command(launch: &Launch, output: Output) -> io::Result<Command> {
    let mut command = Command::new(&launch.program);
    // Variables of the user's own Kafka would be settings of this one.
    for (key, _) in env::vars_os().filter(|(key, _)| key.as_encoded_bytes().starts_with(b"KAFKA_")) {
        command.env_remove(key);
    }
    command.args(&launch.arguments).envs(launch.environment.iter().map(|(key, value)| (key, value)));
    match output {
        Output::File(file) => {
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        }
        Output::Pipes => {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
    }
    // A Ctrl-C in the terminal reaches us alone; what becomes of the children is ours to say.
    command.process_group(0);
    confine(&mut command, launch.kernel)?;
    Ok(command)
}

type Spawned = Result<io::Result<(Child, Pid)>, Error>;

struct Job {
    command: Command,
    reply: SyncSender<Spawned>,
}

/// The thread that starts every child: the kernel kills a child when the thread that started it ends, and
/// this one ends with the process.
fn spawner() -> io::Result<&'static Sender<Job>> {
    static SPAWNER: OnceLock<Result<Sender<Job>, io::ErrorKind>> = OnceLock::new();
    let started = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let serve = move || {
            for job in inbox {
                // The asker waits for the reply; it is gone only when its thread was torn down.
                let _ = job.reply.send(spawn_enrolled(job.command));
            }
        };
        let thread = thread::Builder::new().name("rig-spawner".into()).spawn(serve);
        thread.map(|_| jobs).map_err(|error| error.kind())
    });
    started.as_ref().map_err(|&kind| kind.into())
}

fn spawn_enrolled(mut command: Command) -> Spawned {
    let mut owned = cleanup::owned()?;
    Ok(command.spawn().map(|child| {
        let pid = Pid::from_child(&child);
        owned.groups.push(pid);
        (child, pid)
    }))
}
