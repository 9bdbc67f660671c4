//! What a clean stop leaves in the log directories: how far logs have come, and `.kafka_cleanshutdown`, which is
//! gone while a broker runs.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use logmill_engine::Error;
use logmill_engine::disk::{Disk, replace_file};
use logmill_engine::format::clean_shutdown;
use logmill_engine::shard::PartitionMarks;

use crate::metadata::{TopicStore, checkpoints, hand_over};
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

/// Says in each log directory how far its logs have come, and that all of it is whole and durable; of one that
/// failed nobody knows that. Where all topics stand in Apache Kafka's metadata log it may take over, which true
/// means.
pub(crate) fn leave(
    disk: &dyn Disk,
    log_dirs: &[PathBuf],
    store: &TopicStore,
    marks: &[PartitionMarks],
    offline_dirs: &HashSet<usize>,
) -> Result<bool, Error> {
    let is_handed_over = offline_dirs.is_empty() && store.is_apaches()?;
    let online = log_dirs.iter().enumerate().filter(|(dir, _)| !offline_dirs.contains(dir));
    for (dir, path) in online {
        let of_dir: Vec<_> = marks.iter().filter(|marks| marks.dir == dir).cloned().collect();
        checkpoints::write(disk, path, &of_dir)?;
        if is_handed_over {
            hand_over(disk, path)?;
        }
        let file = path.join(clean_shutdown::FILE_NAME);
        replace_file(disk, &file, clean_shutdown::write(clean_shutdown::NO_EPOCH).as_bytes())
            .map_err(io_error(format_args!("writing {}", file.display())))?;
    }
    Ok(is_handed_over)
}
