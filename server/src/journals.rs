//! `Journals`: what a start finds in the journals of its log directories, and the ones that it begins.

use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{DIRECT_ALIGN, Disk};
use logmill_engine::journal::{
    FoundFrames, JournalConfig, JournalName, PartitionReplay, Recovered, SLOTS, finish_retiring,
    fitting_bytes, journals_in, newest_generation, retire_others, retire_unfit,
};
use logmill_engine::partition::PartitionId;

use crate::config::Config;
use crate::pace::Pace;
use crate::random::Random;
use crate::shard::io_error;

/// The most of a file system that the journals of a log directory take.
const SHARE_OF_DISK_MAX: u64 = 100;
/// The least that a journal's file holds: some waves of small appends.
const FILE_BYTES_MIN: u64 = 64 * 1024;

/// A journal to be read: its log directory and its files.
type JournalToRead<'a> = (&'a Path, Vec<JournalName>);

/// The journals of each log directory, in the order of the settings.
#[derive(Debug)]
pub(crate) struct Journals {
    found: Vec<Recovered>,
    /// Of one file, by log directory and shard.
    file_bytes: Vec<Vec<u64>>,
}

impl Journals {
    /// Reads what a stop that was no clean one left. After a clean stop only how far the numbers had come
    /// matters.
    pub(crate) fn find(
        disk: &dyn Disk,
        config: &Config,
        was_clean: &[bool],
        pace: Pace,
    ) -> Result<Journals, Error> {
        config.log_dirs.iter().try_for_each(|dir| finish_retiring(disk, dir))?;
        let mut to_read: Vec<JournalToRead<'_>> = Vec::new();
        for (dir, _) in config.log_dirs.iter().zip(was_clean).filter(|(_, was_clean)| !**was_clean) {
            to_read.extend(journals_in(disk, dir)?.into_iter().map(|names| (dir.as_path(), names)));
        }
        let read = |_: &mut (), (dir, names): &JournalToRead<'_>| FoundFrames::read_journal(disk, dir, names);
        let files = pace.each(&to_read, || (), read);
        let mut files = to_read.iter().map(|(dir, _)| *dir).zip(files).peekable();
        let mut journals = Journals { found: Vec::new(), file_bytes: Vec::new() };
        for (dir, was_clean) in config.log_dirs.iter().zip(was_clean) {
            let mut of_dir = Vec::new();
            while let Some((_, found)) = files.next_if(|(read, _)| *read == dir.as_path()) {
                of_dir.append(&mut found?);
            }
            let wanted = file_bytes(disk, dir, config)?;
            let of_shard = |shard| fitting_bytes(disk, dir, shard as usize, wanted);
            if *was_clean {
                journals.found.push(newest_generation(disk, dir)?);
                retire_unfit(disk, dir, wanted)?;
            } else {
                journals.found.push(Recovered::merge(of_dir)?);
            }
            journals.file_bytes.push((0..config.shards).map(of_shard).collect::<Result<_, _>>()?);
        }
        Ok(journals)
    }

    /// Bytes that were read.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.found.iter().map(|found| found.bytes_read).sum()
    }

    /// Takes out what the journals of a log directory hold of a partition.
    pub(crate) fn take(&mut self, dir: usize, id: PartitionId) -> PartitionReplay {
        self.found[dir].take(id)
    }

    /// The journals that a shard begins, one in each log directory.
    pub(crate) fn of_shard(&self, shard: usize, config: &Config, random: &dyn Random) -> Vec<JournalConfig> {
        let dirs = config.log_dirs.iter().zip(&self.found).zip(&self.file_bytes);
        dirs.map(|((log_dir, found), file_bytes)| JournalConfig {
            log_dir: log_dir.clone(),
            shard,
            file_bytes: file_bytes[shard],
            nonce: random.next(),
            first_generation: found.next_generation,
            first_slot: found.first_slot(shard),
        })
        .collect()
    }
}

fn file_bytes(disk: &dyn Disk, dir: &Path, config: &Config) -> Result<u64, Error> {
    let space =
        disk.space(dir).map_err(io_error(format_args!("asking for the space of {}", dir.display())))?;
    let total = config.journal_bytes.min(space.total / SHARE_OF_DISK_MAX);
    let of_file = total / u64::from(config.shards) / SLOTS as u64;
    Ok((of_file / DIRECT_ALIGN as u64 * DIRECT_ALIGN as u64).max(FILE_BYTES_MIN))
}

/// Removes the journals of shards that there are no more. Comes when those that are there have begun anew.
pub(crate) fn remove_others(disk: &dyn Disk, config: &Config) -> Result<(), Error> {
    config.log_dirs.iter().try_for_each(|dir| retire_others(disk, dir, config.shards as usize))
}
