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

use super::name::journal_files;
use crate::disk::{Disk, replace_file};
use crate::error::Error;

/// Says which journals count for nothing, while they are removed.
const RETIRED_FILE: &str = "logmill.journal.retired";

/// Removes the journals of shard `shards` and above: all shards below it have begun theirs.
pub fn retire_others(disk: &dyn Disk, log_dir: &Path, shards: usize) -> Result<(), Error> {
    let retiring = || Error::io(format!("removing old journals of {}", log_dir.display()));
    let names = journal_files(disk, log_dir).map_err(retiring())?;
    if names.iter().all(|name| name.shard < shards) {
        return Ok(());
    }
    replace_file(disk, &log_dir.join(RETIRED_FILE), format!("{shards}\n").as_bytes()).map_err(retiring())?;
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
