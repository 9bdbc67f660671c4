//! `Volume`: a file system on a disk that can lose its power.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs, io, thread};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::attach::LoopDevice;
use super::handle::DiskProcess;
use super::order::{Cut, Failure, Order};
use super::serve::DiskArgs;
use crate::rig::Error;
use crate::rig::directory::RunDirectory;

/// The kernel takes a dead process's io_uring down behind its back, and the files of it last.
const BUSY_MAX: Duration = Duration::from_secs(10);
const BUSY_AGAIN: Duration = Duration::from_millis(1);

/// Up to this exit code e2fsck has left nothing that is wrong: 1 is repaired, 2 that it was mounted meanwhile.
const REPAIRED_MAX: i32 = 3;
/// By this one it says that somebody has to decide.
const UNREPAIRED: i32 = 4;

/// What is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileSystem {
    /// ext4 as it comes.
    Ext4,
    /// ext4 without its journal: a failed write does not make it read-only.
    Ext4NoJournal,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 | FileSystem::Ext4NoJournal => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    fn make(self) -> &'static [&'static str] {
        // Inode tables are zeroed at once: the kernel would do it in the background, as writes of its own.
        const EXT4: &str = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
        match self {
            FileSystem::Ext4 => &["mkfs.ext4", "-q", "-F", "-E", EXT4, "-J", "size=16"],
            FileSystem::Ext4NoJournal => &["mkfs.ext4", "-q", "-F", "-E", EXT4, "-O", "^has_journal"],
            FileSystem::Xfs => &["mkfs.xfs", "-q", "-f", "-K"],
            FileSystem::Btrfs => &["mkfs.btrfs", "-q", "-f", "-K"],
        }
    }

    /// What a machine runs at boot before it mounts it, and what when that wants to ask somebody
    /// (`fsck.repair=yes`). The others replay a journal of their own, or never write in place.
    fn repairs(self) -> &'static [&'static [&'static str]] {
        match self {
            FileSystem::Ext4NoJournal => &[&["e2fsck", "-p"], &["e2fsck", "-y"]],
            FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Btrfs => &[],
        }
    }

    /// How a Debian machine gets what makes it.
    fn package(self) -> &'static str {
        match self {
            FileSystem::Ext4 | FileSystem::Ext4NoJournal => "e2fsprogs",
            FileSystem::Xfs => "xfsprogs",
            FileSystem::Btrfs => "btrfs-progs",
        }
    }

    /// Which of these cannot be made here, and how that is changed.
    pub(crate) fn missing(wanted: &[FileSystem]) -> Option<String> {
        let is_missing = |wanted: &&FileSystem| {
            let found = Command::new(wanted.make()[0]).arg("-V").output();
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let missing: Vec<_> = wanted.iter().filter(is_missing).collect();
        let named = missing
            .iter()
            .map(|missing| format!("`{}` (apt-get install --yes {})", missing.make()[0], missing.package()));
        let named: Vec<String> = named.collect();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileSystem::Ext4NoJournal => "ext4 without journal",
            other => other.name(),
        })
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub(crate) struct VolumeOptions {
    /// The program `logmill`, which is the disk too.
    pub(crate) logmill: PathBuf,
    /// Where its directory is made.
    pub(crate) root: PathBuf,
    /// What is on the disk.
    pub(crate) file_system: FileSystem,
    /// Bytes of the disk.
    pub(crate) bytes: u64,
    /// Bytes that the disk writes whole or not at all, 512 or 4,096.
    pub(crate) sector_bytes: u32,
}

/// A mounted file system on a disk of our own. Whoever has a file of it open must be gone when it is dropped
/// or rebooted.
pub(crate) struct Volume {
    options: VolumeOptions,
    is_mounted: bool,
    disk: DiskProcess,
    /// `mount`, and under `below` the disk's file.
    directory: RunDirectory,
}

impl Volume {
    /// Makes it: disk, file system, mount.
    pub(crate) fn make(options: VolumeOptions) -> Result<Volume, Error> {
        let directory = RunDirectory::create(&options.root)?;
        let [below, above] = [directory.path().join("below"), directory.path().join("mount")];
        for path in [&below, &above] {
            fs::create_dir(path).map_err(Error::io(format!("creating {}", path.display())))?;
        }
        let args = DiskArgs { dir: below, bytes: options.bytes, sector_bytes: options.sector_bytes };
        let disk = DiskProcess::start(options.logmill.clone(), &args)?;
        let mut volume = Volume { options, is_mounted: false, disk, directory };
        let device = volume.attach()?;
        volume.make_file_system(device.path())?;
        volume.mount(&device)?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Takes the power away at a moment. Returns at once.
    pub(crate) fn cut(&mut self, cut: Cut) -> Result<(), Error> {
        self.disk.order(Order::Cut(cut))
    }

    /// Waits for a cut's moment, and says what was lost. None when it did not come by the deadline.
    pub(crate) fn await_cut(&mut self, deadline: Instant) -> Result<Option<String>, Error> {
        self.disk.await_cut(deadline)
    }

    /// Answers with errors whoever waits in a silent disk.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        self.disk.order(Order::Release)
    }

    /// From now on every request takes so much longer: there is more time to be cut in the middle.
    pub(crate) fn delay(&mut self, delay: Duration) -> Result<(), Error> {
        self.disk.order(Order::Delay(delay))
    }

    /// From now on writes fail.
    pub(crate) fn fail(&mut self, failure: Failure) -> Result<(), Error> {
        self.disk.order(Order::Fail(failure))
    }

    /// Writes work again. What the kernel has in its page cache stays there.
    pub(crate) fn heal(&mut self) -> Result<(), Error> {
        self.disk.order(Order::Heal)
    }

    /// Makes the disk read and write no more than so many bytes a second.
    pub(crate) fn limit_rate(&mut self, bytes: u64) -> Result<(), Error> {
        self.disk.order(Order::Rate(bytes))
    }

    /// The power is back: mounts anew what the disk has, and nothing else is known of it. What has to be repaired
    /// first is, as at a machine's boot; what cannot be repaired is an error.
    pub(crate) fn reboot(&mut self) -> Result<(), Error> {
        self.release()?;
        self.unmount()?;
        self.disk.order(Order::PowerOn)?;
        let device = self.attach()?;
        self.repair(device.path())?;
        self.mount(&device)
    }

    fn attach(&self) -> Result<LoopDevice, Error> {
        LoopDevice::attach(&self.disk.file(), self.options.sector_bytes)
            .map_err(Error::io("attaching a loop device to the disk"))
    }

    fn make_file_system(&self, device: &Path) -> Result<(), Error> {
        self.run(self.options.file_system.make(), device, 0).map(drop)
    }

    fn repair(&self, device: &Path) -> Result<(), Error> {
        let mut repairs = self.options.file_system.repairs().iter().peekable();
        while let Some(repair) = repairs.next() {
            let code_max = if repairs.peek().is_some() { UNREPAIRED } else { REPAIRED_MAX };
            let (code, said) = self.run(repair, device, code_max)?;
            if code > 0 {
                said.lines().for_each(|line| println!("{}: {line}", repair.join(" ")));
            }
            if code <= REPAIRED_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Runs a program on the device: its exit code and what it said. A code above `code_max` is an error.
    fn run(&self, command: &[&str], device: &Path, code_max: i32) -> Result<(i32, String), Error> {
        let (program, arguments) = command.split_first().expect("a program");
        let output = Command::new(program).args(arguments).arg(device).output();
        let what = format!("{program} (in Debian's package {})", self.options.file_system.package());
        let output = output.map_err(Error::io(what.clone()))?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match output.status.code() {
            Some(code) if code <= code_max => Ok((code, said)),
            _ => Err(Error::Failed { what: format!("{what}: {}", output.status), output: said }),
        }
    }

    fn mount(&mut self, device: &LoopDevice) -> Result<(), Error> {
        let name = self.options.file_system.name();
        let no_options: Option<&CString> = None;
        mount(device.path(), self.path(), name, MountFlags::empty(), no_options.map(|text| text.as_c_str()))
            .map_err(|error| {
                Error::io(format!("mounting {name} of {}", device.path().display()))(error.into())
            })?;
        self.is_mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + BUSY_MAX;
        while self.is_mounted {
            match unmount(self.path(), UnmountFlags::empty()) {
                Ok(()) => self.is_mounted = false,
                Err(Errno::BUSY) if Instant::now() < deadline => thread::sleep(BUSY_AGAIN),
                Err(error) => {
                    let what = format!("unmounting {}", self.path().display());
                    return Err(Error::io(what)(error.into()));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Whoever waits in a silent disk would keep it mounted.
        let _ = self.release();
        if let Err(error) = self.unmount() {
            eprintln!("{error}");
            let _ = unmount(self.path(), UnmountFlags::DETACH);
        }
        let _ = unmount(self.directory.path().join("below"), UnmountFlags::DETACH);
    }
}
