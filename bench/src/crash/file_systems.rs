//! `logmill bench file-systems`: power cuts and kills on every kind of file system, and where the kernel refuses
//! what newer ones grant.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::kills::KillsArgs;
use super::power::PowerArgs;
use super::subject::CommonArgs;
use crate::device::{FileSystem, Tmpfs, Volume, VolumeOptions, private};
use crate::rig::process::{Launch, Output, Process};
use crate::rig::{Error, Kernel};

const FILE_SYSTEMS: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs];
const KERNELS: [Kernel; 3] = [Kernel::WithoutIoUring, Kernel::Linux5_14, Kernel::WithoutDirectIo];

/// Segments and a journal so small that all of them roll and turn between two ends.
const SMALL: [(&str, &str); 2] = [("log.segment.bytes", "1048576"), ("logmill.journal.bytes", "1048576")];

const DISK_BYTES: u64 = 1 << 30;

/// Of the disks that a killed broker and the tests lie on; those that lose power have both sizes in turn.
const SECTOR_BYTES: u32 = 4096;

/// How long a start may take. A process is the disk, and asks for the same cores.
const SERVE_MS_MAX: u64 = 5_000;

/// The engine's tests of its seam to storage.
const TESTS: &str = "disk::";

/// How long these may take, their compilation included.
const TESTS_MAX: Duration = Duration::from_secs(1_200);

/// Power cuts, kills and the engine's own tests on ext4, XFS, Btrfs and tmpfs, and without what a kernel may
/// refuse. Needs root, cargo, and the programs that make these file systems.
#[derive(Debug, clap::Args)]
pub struct FileSystemsArgs {
    /// How often the power goes, on each.
    #[arg(long, default_value_t = 10)]
    cuts: u32,
    /// How often the broker is killed or stopped, on each.
    #[arg(long, default_value_t = 10)]
    kills: u32,
    #[command(flatten)]
    common: CommonArgs,
}

impl FileSystemsArgs {
    /// One after the other; returns at the first contradiction.
    pub fn run(&self) -> Result<(), Error> {
        if let Some(missing) = FileSystem::missing(&FILE_SYSTEMS) {
            return Err(Error::Failed { what: format!("not installed: {missing}"), output: String::new() });
        }
        private::enter().map_err(Error::io("making mounts that nobody else sees"))?;
        let root = self.common.root()?;
        build_tests(&root)?;
        for file_system in FILE_SYSTEMS {
            println!("== {file_system}");
            let common = self.common.placed(root.clone(), Kernel::Whole, &SMALL);
            PowerArgs::on(file_system, self.cuts, common).run_in_private()?;
            let volume = self.volume(file_system)?;
            self.kill_and_test(volume.path(), Kernel::Whole)?;
        }
        // It forgets everything with its power.
        println!("== tmpfs");
        let tmpfs = Tmpfs::mount(&root, DISK_BYTES)?;
        self.kill_and_test(tmpfs.path(), Kernel::Whole)?;
        drop(tmpfs);
        for kernel in KERNELS {
            println!("== ext4, {kernel}");
            let common = self.common.placed(root.clone(), kernel, &SMALL);
            PowerArgs::on(FileSystem::Ext4, self.cuts, common).run_in_private()?;
            let volume = self.volume(FileSystem::Ext4)?;
            self.kill_and_test(volume.path(), kernel)?;
        }
        println!("file-systems: nothing lost on any");
        Ok(())
    }

    fn volume(&self, file_system: FileSystem) -> Result<Volume, Error> {
        Volume::make(VolumeOptions {
            logmill: self.common.logmill()?,
            root: self.common.root()?,
            file_system,
            bytes: DISK_BYTES,
            sector_bytes: SECTOR_BYTES,
        })
    }

    fn kill_and_test(&self, dir: PathBuf, kernel: Kernel) -> Result<(), Error> {
        test_in(&dir, kernel, &self.common.root()?)?;
        let common = self.common.placed(dir, kernel, &SMALL);
        KillsArgs::new(self.kills, SERVE_MS_MAX, common).run()
    }
}

/// Compiles the engine's tests, for which the disks of these runs are no place.
fn build_tests(root: &Path) -> Result<(), Error> {
    cargo_test(&["--no-run"], Vec::new(), Kernel::Whole, root)
}

/// Runs them with their files in `dir`.
fn test_in(dir: &Path, kernel: Kernel, root: &Path) -> Result<(), Error> {
    let environment = vec![("TMPDIR".into(), dir.display().to_string())];
    cargo_test(&["--", TESTS], environment, kernel, root)?;
    println!("tests: every maker of a disk answers alike");
    Ok(())
}

/// Its output goes to a file in `root`.
fn cargo_test(
    arguments: &[&str],
    environment: Vec<(String, String)>,
    kernel: Kernel,
    root: &Path,
) -> Result<(), Error> {
    let log = root.join("file-systems.log");
    let output = File::create(&log).map_err(Error::io(format!("creating {}", log.display())))?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let workspace = workspace.display().to_string();
    let all = [&["test", "--manifest-path", &workspace, "--workspace", "--lib"], arguments].concat();
    let launch = Launch {
        program: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into(),
        arguments: all.iter().map(Into::into).collect(),
        environment,
        kernel,
    };
    match Process::spawn(&launch, Output::File(output))?.wait(Instant::now() + TESTS_MAX) {
        Some(status) if status.success() => Ok(()),
        status => Err(Error::with_log(format!("cargo test {}: {status:?}", arguments.join(" ")), &log)),
    }
}
