//! `LogDirs`: the log directories made, locked, and found to be of this broker and one cluster.

use std::io;
use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, OpenFile, OpenMode, replace_file};
use logmill_engine::format::MetaProperties;
use logmill_engine::format::meta_properties::FILE_NAME;
use logmill_engine::journal::journal_files;

use crate::config::Config;
use crate::random::Random;
use crate::shard::io_error;

const LOCK: &str = ".lock";
/// Apache Kafka refuses to start beside a directory that is not a partition's, and names it. It would cut what
/// only a journal has, and take the directories of topics that stand in no metadata log for stray ones.
const GUARD: &str = "logmill.unclean";

/// A broker's log directories, ready to be used.
#[derive(Debug)]
pub struct LogDirs {
    /// The cluster's id: any string.
    pub cluster_id: String,
    /// Held as long as the directories are used.
    pub locks: Vec<OpenFile>,
}

/// Makes the log directories where they are missing, locks them, and reads whose they are; new ones become
/// this broker's.
pub fn prepare_log_dirs(disk: &dyn Disk, config: &Config, random: &dyn Random) -> Result<LogDirs, Error> {
    let mut cluster_id = config.cluster_id.clone();
    let mut locks = Vec::new();
    let mut unformatted = Vec::new();
    for dir in &config.log_dirs {
        make_dir(disk, dir).map_err(io_error(format_args!("making {}", dir.display())))?;
        locks.push(lock(disk, dir)?);
        match read(disk, dir, config.node_id)? {
            None => unformatted.push(dir),
            Some(found) => match &cluster_id {
                Some(expected) if *expected != found => {
                    return Err(Error::Corrupt(format!(
                        "{}: cluster.id {found}, expected {expected}",
                        dir.join(FILE_NAME).display()
                    )));
                }
                _ => cluster_id = Some(found),
            },
        }
    }
    let cluster_id = cluster_id.unwrap_or_else(|| random.uuid().to_string());
    for dir in unformatted {
        format(disk, dir, config.node_id, &cluster_id, random)?;
    }
    for dir in &config.log_dirs {
        let guard = dir.join(GUARD);
        // Where a file system has no journal the sync of its name alone leaves a directory without its first block.
        disk.create_dir_all(&guard)
            .and_then(|()| disk.sync_dir(&guard))
            .and_then(|()| disk.sync_dir(dir))
            .map_err(io_error(format_args!("making {} in {}", GUARD, dir.display())))?;
    }
    Ok(LogDirs { cluster_id, locks })
}

/// Makes a directory and those above it that are missing, durably.
fn make_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut new = Vec::new();
    for ancestor in dir.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
        match disk.open(ancestor, OpenMode::Directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => new.push(ancestor),
            // What it is instead shows when it is made.
            _ => break,
        }
    }
    disk.create_dir_all(dir)?;
    new.into_iter().try_for_each(|made| sync_parent(disk, made))
}

/// Makes a directory's own name durable.
fn sync_parent(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => disk.sync_dir(Path::new(".")),
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<OpenFile, Error> {
    let path = dir.join(LOCK);
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied => Error::Corrupt(format!(
            "log directory {} is in use: another broker holds the lock on {}",
            dir.display(),
            path.display()
        )),
        _ => io_error(format_args!("locking {}", path.display()))(error),
    })
}

/// Lets Apache Kafka take a log directory over, all of which is whole and durable. The journals go first: what
/// they say is not true any more once somebody else has written.
pub(crate) fn hand_over(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let removing = || io_error(format!("removing journals and {GUARD} of {}", dir.display()));
    for name in journal_files(disk, dir).map_err(removing())? {
        disk.remove_file(&dir.join(name.to_string())).map_err(removing())?;
    }
    disk.sync_dir(dir).map_err(removing())?;
    disk.remove_dir_all(&dir.join(GUARD)).and_then(|()| disk.sync_dir(dir)).map_err(removing())
}

/// The node that a formatted log directory belongs to.
pub fn node_id_of(disk: &dyn Disk, dir: &Path) -> Result<Option<i32>, Error> {
    Ok(read_properties(disk, dir)?.map(|found| found.node_id))
}

/// The cluster id in the directory's file; `None` without one.
fn read(disk: &dyn Disk, dir: &Path, node_id: i32) -> Result<Option<String>, Error> {
    let Some(found) = read_properties(disk, dir)? else { return Ok(None) };
    if found.node_id != node_id {
        return Err(Error::Corrupt(format!(
            "{}: node.id {}, expected {node_id}",
            dir.join(FILE_NAME).display(),
            found.node_id
        )));
    }
    Ok(Some(found.cluster_id))
}

fn read_properties(disk: &dyn Disk, dir: &Path) -> Result<Option<MetaProperties>, Error> {
    let path = dir.join(FILE_NAME);
    match disk.read(&path) {
        Ok(content) => MetaProperties::read(&content)
            .map(Some)
            .map_err(|what| Error::Corrupt(format!("{}: {what}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(format_args!("reading {}", path.display()))(error)),
    }
}

fn format(
    disk: &dyn Disk,
    dir: &Path,
    node_id: i32,
    cluster_id: &str,
    random: &dyn Random,
) -> Result<(), Error> {
    let text =
        MetaProperties { cluster_id: cluster_id.to_owned(), node_id, directory_id: Some(random.uuid()) }
            .write();
    replace_file(disk, &dir.join(FILE_NAME), text.as_bytes())
        // An earlier start may have made the directory and ended before this.
        .and_then(|()| sync_parent(disk, dir))
        .map_err(io_error(format_args!("formatting {}", dir.display())))?;
    tracing::info!("formatted log directory {} for node {node_id} of cluster {cluster_id}", dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use logmill_engine::disk::sim::{Operation, SimDisk};

    use super::*;

    fn synced_while_making(dir: &str) -> Vec<PathBuf> {
        let disk = SimDisk::default();
        disk.create_dir_all(Path::new("/a")).unwrap();
        disk.keep_trace();
        make_dir(&disk, Path::new(dir)).unwrap();
        let syncs = disk.take_trace().into_iter().filter(|step| step.operation == Operation::SyncDir);
        syncs.map(|step| step.path).collect()
    }

    #[test]
    fn the_name_of_every_directory_that_was_made_is_synced() {
        for (dir, expected) in [
            ("/a/b/c", &["/a/b", "/a"][..]),
            ("/a/b", &["/a"]),
            ("/a", &[]),
            ("data", &["."]),
            ("data/logs", &["data", "."]),
            ("./data", &["."]),
        ] {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(synced_while_making(dir), expected, "{dir}");
        }
    }
}
