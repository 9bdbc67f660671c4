//! `logmill bench file-systems`: the crashes of the other commands on every kind of file system, and where the
//! kernel refuses what newer ones grant.

use std::path::PathBuf;

use super::failing::FailingArgs;
use super::kills::KillsArgs;
use super::power::PowerArgs;
use super::subject::CommonArgs;
use crate::device::{FileSystem, Tmpfs, Volume, VolumeOptions, private};
use crate::rig::{Error, Kernel};

const DISK_BYTES: u64 = 2 << 30;
/// Of the disks that a killed broker lies on; those that lose power have both sizes in turn.
const SECTOR_BYTES: u32 = 4096;

/// Power cuts, kills and failing disks on ext4, XFS, Btrfs and tmpfs, and without what a kernel may refuse.
/// Needs root, and the programs that make these file systems.
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
        private::enter().map_err(Error::io("making mounts that nobody else sees"))?;
        for file_system in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs] {
            println!("== {file_system}");
            PowerArgs::on(file_system, self.cuts, self.common.clone()).run_in_private()?;
            self.kill_on(file_system)?;
            FailingArgs::on(file_system, self.common.clone()).run_in_private()?;
        }
        // It forgets everything with its power.
        println!("== tmpfs");
        let tmpfs = Tmpfs::mount(&self.common.root()?, DISK_BYTES)?;
        KillsArgs::new(self.kills, self.common_in(tmpfs.path())).run()?;
        drop(tmpfs);
        for kernel in [Kernel::WithoutIoUring, Kernel::WithoutPageCacheQuestions, Kernel::WithoutDirectIo] {
            println!("== {kernel}");
            let common = CommonArgs { kernel, ..self.common.clone() };
            PowerArgs::on(FileSystem::Ext4, self.cuts, common.clone()).run_in_private()?;
            KillsArgs::new(self.kills, common).run()?;
        }
        println!("file-systems: nothing lost on any");
        Ok(())
    }

    fn kill_on(&self, file_system: FileSystem) -> Result<(), Error> {
        let volume = Volume::make(VolumeOptions {
            logmill: self.common.logmill()?,
            root: self.common.root()?,
            file_system,
            bytes: DISK_BYTES,
            sector_bytes: SECTOR_BYTES,
        })?;
        KillsArgs::new(self.kills, self.common_in(volume.path())).run()
    }

    fn common_in(&self, dir: PathBuf) -> CommonArgs {
        CommonArgs { dir, ..self.common.clone() }
    }
}
