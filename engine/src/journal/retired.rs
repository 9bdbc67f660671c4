//! Journals of shards that there are no more: how their files go, whatever cuts that short.
//!
//! A journal of which some files are gone looks like one that is damaged. So it is written down first, beside
//! them, that none of them counts:
//!
//! ```text
//! logmill.journal.retired   "3\n": journals of shard 3 and above count for nothing
//! ```

use std::io;
use std::path::Path;

use super::name::{JournalName, SLOTS, journal_files};
use crate::disk::{DIRECT_ALIGN, Disk, OpenMode, replace_file};
use crate::error::Error;

/// Says which journals count for nothing, while they are removed.
const RETIRED_FILE: &str = "logmill.journal.retired";

/// After a clean stop, when nothing in them is needed: removes all journals where a file of any of them has another
/// length than `file_bytes`. Made anew one by one, the others would look damaged.
pub fn retire_unfit(disk: &dyn Disk, log_dir: &Path, file_bytes: u64) -> Result<(), Error> {
    let lens = lens(disk, log_dir, |_| true)?;
    if lens.iter().all(|len| *len == file_bytes) { Ok(()) } else { retire(disk, log_dir, 0) }
}

/// How long the files of a shard's journal are, when all are there and of one length; otherwise `wanted`. After any
/// end but a clean stop they are needed as they are until they are written anew, frame by frame.
pub fn fitting_bytes(disk: &dyn Disk, log_dir: &Path, shard: usize, wanted: u64) -> Result<u64, Error> {
    let lens = lens(disk, log_dir, |name| name.shard == shard)?;
    let first = lens.first().copied().unwrap_or_default();
    let is_one = lens.len() == SLOTS && lens.iter().all(|len| *len == first);
    let fits = is_one && first > 0 && first.is_multiple_of(DIRECT_ALIGN as u64);
    if fits && first != wanted {
        tracing::info!(
            "journal of shard {shard} in {}: files of {first} bytes, of {wanted} after the next clean stop",
            log_dir.display()
        );
    }
    Ok(if fits { first } else { wanted })
}

fn lens(disk: &dyn Disk, log_dir: &Path, is_meant: impl Fn(&JournalName) -> bool) -> Result<Vec<u64>, Error> {
    let looking = || Error::io(format!("looking at the journals of {}", log_dir.display()));
    let names = journal_files(disk, log_dir).map_err(looking())?.into_iter().filter(is_meant);
    let len = |name: JournalName| disk.open(&log_dir.join(name.to_string()), OpenMode::Existing)?.len();
    names.map(len).collect::<io::Result<_>>().map_err(looking())
}

/// Removes the journals of shard `shards` and above: all shards below it have begun theirs.
pub fn retire_others(disk: &dyn Disk, log_dir: &Path, shards: usize) -> Result<(), Error> {
    let retiring = || Error::io(format!("removing old journals of {}", log_dir.display()));
    let names = journal_files(disk, log_dir).map_err(retiring())?;
    if names.iter().all(|name| name.shard < shards) {
        return Ok(());
    }
    retire(disk, log_dir, shards)
}

fn retire(disk: &dyn Disk, log_dir: &Path, first: usize) -> Result<(), Error> {
    let path = log_dir.join(RETIRED_FILE);
    replace_file(disk, &path, format!("{first}\n").as_bytes())
        .map_err(Error::io(format_args!("writing {}", path.display())))?;
    finish_retiring(disk, log_dir)
}

/// Removes what a removal that was cut short has left. Comes before journals are read.
pub fn finish_retiring(disk: &dyn Disk, log_dir: &Path) -> Result<(), Error> {
    let path = log_dir.join(RETIRED_FILE);
    let content = match disk.read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format_args!("reading {}", path.display()))(error)),
    };
    let text = String::from_utf8_lossy(&content);
    let first: usize = text
        .trim_end()
        .parse()
        .map_err(|_| Error::Corrupt(format!("{}: {text:?}, expected a number of shards", path.display())))?;
    let removing = || Error::io(format!("removing old journals of {}", log_dir.display()));
    for name in journal_files(disk, log_dir).map_err(removing())? {
        if name.shard >= first {
            disk.remove_file(&log_dir.join(name.to_string())).map_err(removing())?;
        }
    }
    // They are gone before what says that they do not count.
    disk.sync_dir(log_dir).map_err(removing())?;
    disk.remove_file(&path).and_then(|()| disk.sync_dir(log_dir)).map_err(removing())
}
