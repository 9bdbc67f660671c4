//! `Journals`: what a start finds in the journals of its log directories, and the ones that it begins.

use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{DIRECT_ALIGN, Disk};
use logmill_engine::journal::{
    JournalConfig, PartitionReplay, Recovered, SLOTS, journal_files, newest_generation, read_all,
};
use logmill_engine::partition::PartitionId;

use crate::config::Config;
use crate::random::Random;
use crate::shard::io_error;

/// The most of a file system that the journals of a log directory take.
const SHARE_OF_DISK_MAX: u64 = 100;
/// The least that a journal's file holds: some waves of small appends.
const FILE_BYTES_MIN: u64 = 64 * 1024;

/// The journals of each log directory, in the order of the settings.
#[derive(Debug)]
pub(crate) struct Journals {
    found: Vec<Recovered>,
    file_bytes: Vec<u64>,
}

impl Journals {
    /// Reads what a stop that was no clean one left. After a clean stop only how far the numbers had come
    /// matters.
    pub(crate) fn find(disk: &dyn Disk, config: &Config, was_clean: &[bool]) -> Result<Journals, Error> {
        let mut journals = Journals { found: Vec::new(), file_bytes: Vec::new() };
        for (dir, was_clean) in config.log_dirs.iter().zip(was_clean) {
            let found = if *was_clean { newest_generation(disk, dir)? } else { read_all(disk, dir)? };
            if found.bytes_read > 0 && !was_clean {
                tracing::info!("{}: read {} bytes of the journal", dir.display(), found.bytes_read);
            }
            journals.found.push(found);
            journals.file_bytes.push(file_bytes(disk, dir, config)?);
        }
        Ok(journals)
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
            file_bytes: *file_bytes,
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
    for dir in &config.log_dirs {
        let removing = || io_error(format!("removing old journals of {}", dir.display()));
        let mut is_changed = false;
        for name in journal_files(disk, dir).map_err(removing())? {
            if name.shard >= config.shards as usize {
                disk.remove_file(&dir.join(name.to_string())).map_err(removing())?;
                is_changed = true;
            }
        }
        if is_changed {
            disk.sync_dir(dir).map_err(removing())?;
        }
    }
    Ok(())
}
