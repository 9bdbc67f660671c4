//! One log directory: its own files, and its partitions one after the other.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::disk::{DirEntry, Disk};
use logmill_engine::format::{MetaProperties, checkpoint, clean_shutdown, meta_properties};
use logmill_engine::journal::{Recovered, read_all};
use logmill_engine::log::{FileKind, base_of};

use super::report::Report;
use super::{partition, segment};
use crate::log::files::{
    CLEANER_CHECKPOINT, Content, READABLE_CHECKPOINT, RECOVERY_CHECKPOINT, START_CHECKPOINT, file_name,
    partition_name,
};

/// Directories in a log directory that are no partition's.
const OTHER_DIRECTORIES: [&str; 2] = ["logmill.unclean", "remote-log-index-cache"];

/// Offsets of partitions, as a checkpoint has them.
pub(super) type Offsets = BTreeMap<(String, i32), i64>;

/// What a log directory says of its partitions.
#[derive(Default)]
pub(super) struct Standing {
    /// The last stop was a clean one: what is there must be whole.
    pub(super) is_clean: bool,
    pub(super) recovery_points: Offsets,
    pub(super) starts: Offsets,
    pub(super) readable: Offsets,
    /// Up to where logs were compacted, so that offsets may be missing.
    pub(super) compacted: Offsets,
    /// What the journals have that segments may lack.
    pub(super) journals: Recovered,
}

/// Checks a log directory, or one partition's; whose it is.
pub(super) fn check(dir: &Path, report: &mut Report) -> io::Result<Option<MetaProperties>> {
    let entries = list(dir, report)?;
    if entries.iter().any(|entry| base_of(&entry.name, FileKind::Log).is_some()) {
        return check_one(dir, report).map(|()| None);
    }
    let owner = owner(dir, &entries, report)?;
    let mut standing = read_standing(dir, &entries, report)?;
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        let path = dir.join(&entry.name);
        match file_name(&entry.name) {
            Some(name) if name.fate.is_some() => {
                report.note(&path, None, "was being replaced when a process ended")?;
            }
            Some(name) if name.content == Content::MetadataSnapshot => {
                segment::check_metadata_snapshot(&path, report)?;
            }
            _ => (),
        }
    }
    let mut present = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        let path = dir.join(&entry.name);
        match partition_name(&entry.name) {
            Some(name) if name.fate == Some("-delete") => {
                report.note(&path, None, "a deleted partition, which a start removes")?;
            }
            Some(name) => {
                partition::check(&path, &name, &mut standing, report)?;
                present.push((name.topic, name.partition));
            }
            None if OTHER_DIRECTORIES.contains(&entry.name.as_str()) => (),
            None => {
                report.note(&path, None, "no directory of a partition; Apache Kafka does not start here")?
            }
        }
    }
    let checkpoints = [
        (RECOVERY_CHECKPOINT, &standing.recovery_points),
        (START_CHECKPOINT, &standing.starts),
        (READABLE_CHECKPOINT, &standing.readable),
        (CLEANER_CHECKPOINT, &standing.compacted),
    ];
    for (name, offsets) in checkpoints {
        for (topic, partition) in offsets.keys().filter(|named| !present.contains(named)) {
            let what = format!("names {topic}-{partition}, which is not there");
            report.note(&dir.join(name), None, &what)?;
        }
    }
    Ok(owner)
}

/// Checks a partition by itself, by what the directory that it lies in says of it.
fn check_one(dir: &Path, report: &mut Report) -> io::Result<()> {
    let absolute = std::path::absolute(dir)?;
    let name = absolute.file_name().and_then(|name| name.to_str()).and_then(partition_name);
    let Some(name) = name else {
        return report.wrong(dir, None, "it holds segments, and has no partition's name: TOPIC-NUMBER");
    };
    let log_dir = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let entries = list(&log_dir, report)?;
    let mut standing = read_standing(&log_dir, &entries, report)?;
    partition::check(dir, &name, &mut standing, report)
}

fn list(dir: &Path, report: &mut Report) -> io::Result<Vec<DirEntry>> {
    match ReadOnlyDisk.list(dir) {
        Ok(entries) => Ok(entries),
        Err(error) => {
            report.wrong(dir, None, &format!("listing it: {error}"))?;
            Ok(Vec::new())
        }
    }
}

fn owner(dir: &Path, entries: &[DirEntry], report: &mut Report) -> io::Result<Option<MetaProperties>> {
    let path = dir.join(meta_properties::FILE_NAME);
    if !has(entries, meta_properties::FILE_NAME) {
        report.note(&path, None, "is missing: the directory belongs to no broker yet")?;
        return Ok(None);
    }
    read_whole(&path, report, MetaProperties::read)
}

fn has(entries: &[DirEntry], name: &str) -> bool {
    entries.iter().any(|entry| entry.name == name)
}

/// What a small file says; where it cannot be read that is told.
pub(super) fn read_whole<T>(
    path: &Path,
    report: &mut Report,
    read: impl Fn(&[u8]) -> Result<T, String>,
) -> io::Result<Option<T>> {
    match read_file(path, read) {
        Ok(value) => Ok(Some(value)),
        Err(fault) => {
            report.wrong(path, None, &fault)?;
            Ok(None)
        }
    }
}

/// What a small file says, or what is wrong with it.
pub(super) fn read_file<T>(path: &Path, read: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let content = ReadOnlyDisk.read(path).map_err(|error| format!("reading it: {error}"))?;
    read(&content)
}

fn read_standing(dir: &Path, entries: &[DirEntry], report: &mut Report) -> io::Result<Standing> {
    let is_clean = has(entries, clean_shutdown::FILE_NAME);
    if is_clean {
        read_whole(&dir.join(clean_shutdown::FILE_NAME), report, clean_shutdown::read)?;
    }
    let mut offsets = |name: &str| {
        if !has(entries, name) {
            return Ok(Offsets::new());
        }
        let read = read_whole(&dir.join(name), report, checkpoint::read_offsets)?.unwrap_or_default();
        Ok::<_, io::Error>(read.into_iter().map(|line| ((line.topic, line.partition), line.offset)).collect())
    };
    let mut standing = Standing {
        is_clean,
        recovery_points: offsets(RECOVERY_CHECKPOINT)?,
        starts: offsets(START_CHECKPOINT)?,
        readable: offsets(READABLE_CHECKPOINT)?,
        compacted: offsets(CLEANER_CHECKPOINT)?,
        journals: Recovered::default(),
    };
    // After a clean stop nothing is needed of them.
    if !is_clean {
        match read_all(&ReadOnlyDisk, dir) {
            Ok(journals) => standing.journals = journals,
            Err(error) => report.wrong(dir, None, &error.to_string())?,
        }
    }
    Ok(standing)
}
