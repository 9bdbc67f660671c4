//! Partition directories: their names, how one is made durably, found again, and removed.

use std::io;
use std::path::{Path, PathBuf};

use super::PartitionId;
use crate::disk::{DirEntry, Disk, OpenMode, replace_file};
use crate::error::Error;
use crate::format::{Uuid, partition_metadata};
use crate::log::{FileKind, Log, base_of};

/// Ends the name of a directory that is being removed.
const DELETED: &str = "-delete";
/// Ends the name of one that nobody knows of.
const STRAY: &str = "-stray";
/// Longest name that the file systems take.
const NAME_LEN_MAX: usize = 255;

/// A partition directory that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPartition {
    /// The topic's name, from the directory's name.
    pub topic: String,
    /// The topic's id, from `partition.metadata`, and the partition's number.
    pub id: PartitionId,
}

/// The directory's name.
pub fn name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Topic and partition out of a directory's name; `None` for one that is no live partition's.
fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (topic, digits) = name.rsplit_once('-')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !topic.is_empty()).then(|| Some((topic, digits.parse().ok()?))).flatten()
}

/// Makes the directory with an empty log, durably but for its own name, which the sync of `log_dir` covers:
/// one for all partitions that are made together. What an earlier attempt left is taken up; a directory with
/// anybody else's records is an error.
pub fn create(disk: &dyn Disk, log_dir: &Path, topic: &str, id: PartitionId) -> Result<(), Error> {
    let dir = log_dir.join(name(topic, id.index));
    let doing = || Error::io(format!("making {}", dir.display()));
    disk.create_dir_all(&dir).map_err(doing())?;
    if let Claim::Foreign(why) = claim(disk, &dir, id.topic)? {
        return Err(Error::Corrupt(format!(
            "{}: {why}, so it cannot become a partition of topic {}",
            dir.display(),
            id.topic
        )));
    }
    match Log::create(disk, &dir) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => (),
        made => made?,
    }
    let content = partition_metadata::write(id.topic);
    // Replacing syncs the directory, and with it the name of the log's first segment.
    replace_file(disk, &dir.join(partition_metadata::FILE_NAME), content.as_bytes()).map_err(doing())
}

/// As [`create`], at a start, for a topic whose making was cut short. What was made of it then is made anew where
/// nobody can have written to it: after a sync that failed the kernel may show names that the device does not have,
/// and take them for written.
pub fn finish_creation(disk: &dyn Disk, log_dir: &Path, topic: &str, id: PartitionId) -> Result<(), Error> {
    let dir = log_dir.join(name(topic, id.index));
    let doing = || Error::io(format!("making {} anew", dir.display()));
    match disk.list(&dir) {
        Ok(entries) if entries.iter().all(is_as_made) => {
            if let Claim::Ours = claim(disk, &dir, id.topic)? {
                disk.remove_dir_all(&dir).map_err(doing())?;
            }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing()(error)),
        _ => (),
    }
    create(disk, log_dir, topic, id)
}

/// Whether a file of a partition's directory is one that its making leaves.
fn is_as_made(entry: &DirEntry) -> bool {
    entry.name.starts_with(partition_metadata::FILE_NAME)
        || base_of(&entry.name, FileKind::Log) == Some(0) && entry.len == 0
}

/// Whose a directory with a partition's name is.
enum Claim {
    /// The topic's, or nobody's: its making was cut short.
    Ours,
    /// Somebody else's, and how that shows.
    Foreign(String),
}

fn claim(disk: &dyn Disk, dir: &Path, topic: Uuid) -> Result<Claim, Error> {
    if let Some(found) = read_topic_id(disk, dir)? {
        return Ok(if found == topic {
            Claim::Ours
        } else {
            Claim::Foreign(format!("it belongs to topic {found}"))
        });
    }
    let doing = || Error::io(format!("looking for records in {}", dir.display()));
    for entry in disk.list(dir).map_err(doing())?.into_iter().filter(|entry| entry.name.ends_with(".log")) {
        let file = disk.open(&dir.join(&entry.name), OpenMode::Existing).map_err(doing())?;
        if !file.is_empty().map_err(doing())? {
            return Ok(Claim::Foreign(format!(
                "{} has records and there is no {}",
                entry.name,
                partition_metadata::FILE_NAME
            )));
        }
    }
    Ok(Claim::Ours)
}

/// The id in the directory's `partition.metadata`; `None` without one.
fn read_topic_id(disk: &dyn Disk, dir: &Path) -> Result<Option<Uuid>, Error> {
    let file = dir.join(partition_metadata::FILE_NAME);
    let content = match disk.read(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format_args!("reading {}", file.display()))(error)),
    };
    partition_metadata::read(&content)
        .map(Some)
        .map_err(|fault| Error::Corrupt(format!("{}: {fault}", file.display())))
}

/// All partitions that a log directory holds. Directories that are being removed are finished off.
#[cfg(test)]
pub(crate) fn find_all(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<FoundPartition>, Error> {
    let named = find_named(disk, log_dir)?;
    named.into_iter().filter_map(|named| named.identify(disk).transpose()).collect()
}

/// A directory that is named as a partition's.
#[derive(Debug)]
pub struct NamedDir {
    path: PathBuf,
    topic: String,
    index: i32,
}

/// All directories of a log directory that are named as partitions'. Those that are being removed are finished off.
pub fn find_named(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<NamedDir>, Error> {
    let mut named = Vec::new();
    let entries = disk.list(log_dir).map_err(Error::io(format_args!("listing {}", log_dir.display())))?;
    for entry in entries.into_iter().filter(|entry| entry.is_dir) {
        let path = log_dir.join(&entry.name);
        if entry.name.ends_with(DELETED) {
            disk.remove_dir_all(&path).map_err(Error::io(format_args!("removing {}", path.display())))?;
        } else if let Some((topic, index)) = parse_name(&entry.name) {
            named.push(NamedDir { path, topic: topic.to_owned(), index });
        }
    }
    Ok(named)
}

impl NamedDir {
    /// The topic's name, from the directory's.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition that it is. `None` where nothing says so: its making was cut short before anybody was told.
    pub fn identify(&self, disk: &dyn Disk) -> Result<Option<FoundPartition>, Error> {
        let id = |topic| PartitionId { topic, index: self.index };
        let found = read_topic_id(disk, &self.path)?;
        Ok(found.map(|topic| FoundPartition { topic: self.topic.clone(), id: id(topic) }))
    }

    /// Removes a directory that is nobody's and holds nothing but what its making leaves.
    pub fn remove_half_made(&self, disk: &dyn Disk) -> Result<(), Error> {
        let listing = || Error::io(format!("listing {}", self.path.display()));
        if !disk.list(&self.path).map_err(listing())?.iter().all(is_as_made) {
            return Ok(());
        }
        disk.remove_dir_all(&self.path).map_err(Error::io(format_args!("removing {}", self.path.display())))
    }
}

/// Takes the directory out of the way by renaming it; its content is removed by [`remove_renamed`]. The
/// rename is durable only after the sync of `log_dir`. A directory that is somebody else's stays.
pub fn rename_deleted(disk: &dyn Disk, log_dir: &Path, topic: &str, id: PartitionId) -> Result<(), Error> {
    let dir = log_dir.join(name(topic, id.index));
    if let Claim::Foreign(_) = claim(disk, &dir, id.topic)? {
        return Ok(());
    }
    disk.rename(&dir, &log_dir.join(deleted_name(topic, id)))
        .map_err(Error::io(format_args!("renaming {}", dir.display())))
}

/// Whether a partition's directory holds no record.
pub fn is_empty(disk: &dyn Disk, log_dir: &Path, topic: &str, index: i32) -> Result<bool, Error> {
    let dir = log_dir.join(name(topic, index));
    let entries = disk.list(&dir).map_err(Error::io(format_args!("listing {}", dir.display())))?;
    Ok(!entries.iter().any(|entry| entry.len > 0 && base_of(&entry.name, FileKind::Log).is_some()))
}

/// Puts the directory of a partition aside that nobody knows of, as Apache Kafka does: `topic-0.<topic id>-stray`.
/// Durable only after the sync of `log_dir`.
pub fn rename_stray(disk: &dyn Disk, log_dir: &Path, topic: &str, id: PartitionId) -> Result<(), Error> {
    let dir = log_dir.join(name(topic, id.index));
    disk.rename(&dir, &log_dir.join(named_away(topic, id, STRAY)))
        .map_err(Error::io(format_args!("renaming {}", dir.display())))
}

/// Removes what [`rename_deleted`] took out of the way.
pub fn remove_renamed(disk: &dyn Disk, log_dir: &Path, topic: &str, id: PartitionId) -> Result<(), Error> {
    let dir = log_dir.join(deleted_name(topic, id));
    disk.remove_dir_all(&dir).map_err(Error::io(format_args!("removing {}", dir.display())))
}

fn deleted_name(topic: &str, id: PartitionId) -> String {
    named_away(topic, id, DELETED)
}

/// `topic-0.<topic id in hexadecimal>` and an ending, the topic's name cut where it would be too long.
fn named_away(topic: &str, id: PartitionId, ending: &str) -> String {
    let Uuid(bytes) = id.topic;
    let suffix = format!("-{}.{:032x}{ending}", id.index, u128::from_be_bytes(bytes));
    let kept = topic.len().min(NAME_LEN_MAX - suffix.len());
    format!("{}{suffix}", &topic[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    const ID: PartitionId = PartitionId { topic: Uuid([5; 16]), index: 3 };

    fn disk_with_partition() -> (SimDisk, &'static Path) {
        let (disk, dir) = (SimDisk::default(), Path::new("/data"));
        disk.create_dir_all(dir).unwrap();
        create(&disk, dir, "a-topic", ID).unwrap();
        (disk, dir)
    }

    #[test]
    fn names_split_at_the_last_dash() {
        assert_eq!(parse_name("a-topic-3"), Some(("a-topic", 3)));
        for other in ["topic", "topic-", "-3", "topic-x", "topic-0.0123-delete", "topic-99999999999"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_partition_that_was_made_is_found_and_making_it_again_changes_nothing() {
        let (disk, dir) = disk_with_partition();
        create(&disk, dir, "a-topic", ID).unwrap();
        assert_eq!(find_all(&disk, dir).unwrap(), [FoundPartition { topic: "a-topic".to_owned(), id: ID }]);
    }

    #[test]
    fn a_directory_with_other_records_is_neither_taken_up_nor_removed() {
        const OTHER: PartitionId = PartitionId { topic: Uuid([6; 16]), index: 3 };
        let (disk, dir) = disk_with_partition();
        let refuse = || {
            let error = create(&disk, dir, "a-topic", OTHER).unwrap_err().to_string();
            assert!(error.contains("/data/a-topic-3"), "{error}");
            rename_deleted(&disk, dir, "a-topic", OTHER).unwrap();
            assert_eq!(disk.list(dir).unwrap()[0].name, "a-topic-3");
        };
        refuse();

        let log = dir.join("a-topic-3/00000000000000000000.log");
        disk.open(&log, OpenMode::Existing).unwrap().write_all_at([b"records", b""], 0).unwrap();
        disk.remove_file(&dir.join("a-topic-3/partition.metadata")).unwrap();
        refuse();

        disk.open(&log, OpenMode::Replace).unwrap();
        create(&disk, dir, "a-topic", OTHER).unwrap();
        assert_eq!(find_all(&disk, dir).unwrap()[0].id, OTHER);
    }

    #[test]
    fn a_half_made_partition_is_nobodys() {
        let (disk, dir) = disk_with_partition();
        disk.remove_file(&dir.join("a-topic-3/partition.metadata")).unwrap();
        assert_eq!(find_all(&disk, dir).unwrap(), []);
        let named = find_named(&disk, dir).unwrap();
        let log = dir.join("a-topic-3/00000000000000000000.log");
        disk.open(&log, OpenMode::Existing).unwrap().write_all_at([b"records", b""], 0).unwrap();
        named[0].remove_half_made(&disk).unwrap();
        assert_eq!(disk.list(dir).unwrap().len(), 1, "an older Apache Kafka's, perhaps");
        disk.open(&log, OpenMode::Replace).unwrap();
        named[0].remove_half_made(&disk).unwrap();
        assert_eq!(disk.list(dir).unwrap(), []);
    }

    #[test]
    fn damaged_metadata_stops_the_start_and_names_the_file() {
        let (disk, dir) = disk_with_partition();
        replace_file(&disk, &dir.join("a-topic-3/partition.metadata"), b"version: 0").unwrap();
        let error = find_all(&disk, dir).unwrap_err().to_string();
        assert!(error.contains("a-topic-3/partition.metadata"), "{error}");
    }

    #[test]
    fn a_deleted_partition_is_not_found_and_its_rest_is_removed_at_the_next_start() {
        let (disk, dir) = disk_with_partition();
        rename_deleted(&disk, dir, "a-topic", ID).unwrap();
        assert_eq!(disk.list(dir).unwrap()[0].name, "a-topic-3.05050505050505050505050505050505-delete");
        assert_eq!(find_all(&disk, dir).unwrap(), []);
        assert_eq!(disk.list(dir).unwrap(), []);
    }

    #[test]
    fn a_stray_partition_is_not_found_and_stays() {
        let (disk, dir) = disk_with_partition();
        assert!(is_empty(&disk, dir, "a-topic", 3).unwrap());
        let log = dir.join("a-topic-3/00000000000000000000.log");
        disk.open(&log, OpenMode::Existing).unwrap().write_all_at([b"records", b""], 0).unwrap();
        assert!(!is_empty(&disk, dir, "a-topic", 3).unwrap());
        rename_stray(&disk, dir, "a-topic", ID).unwrap();
        assert_eq!(find_all(&disk, dir).unwrap(), []);
        assert_eq!(disk.list(dir).unwrap()[0].name, "a-topic-3.05050505050505050505050505050505-stray");
    }

    #[test]
    fn a_long_name_still_fits_when_it_is_deleted() {
        assert_eq!(deleted_name(&"x".repeat(249), ID).len(), NAME_LEN_MAX);
    }
}
