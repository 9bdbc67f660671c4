//! `.kafka_cleanshutdown`: left in a log directory by a clean stop, gone while a broker runs.

use std::io;
use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, replace_file};
use logmill_engine::format::clean_shutdown;

use crate::shard::io_error;

/// Whether the directory was left cleanly. Takes the file away, durably, before anything is changed.
pub(crate) fn take(disk: &dyn Disk, log_dir: &Path) -> Result<bool, Error> {
    let path = log_dir.join(clean_shutdown::FILE_NAME);
    match disk.remove_file(&path).and_then(|()| disk.sync_dir(log_dir)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(format_args!("removing {}", path.display()))(error)),
    }
}

/// Everything in the directory is whole and durable.
pub(crate) fn leave(disk: &dyn Disk, log_dir: &Path) -> Result<(), Error> {
    let path = log_dir.join(clean_shutdown::FILE_NAME);
    replace_file(disk, &path, clean_shutdown::write(clean_shutdown::NO_EPOCH).as_bytes())
        .map_err(io_error(format_args!("writing {}", path.display())))
}
