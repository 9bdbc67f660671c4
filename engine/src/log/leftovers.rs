//! What a process that ended left half done in a partition's directory, taken away or completed.
//!
//! | name | what it is | at an opening |
//! |---|---|---|
//! | `*.deleted` | on its way out | removed |
//! | `*.cleaned` | an unfinished compaction's | removed, and with it every `.swap` from the same offset on |
//! | `*.swap` | a finished compaction's | takes its place, after what it was made from is removed |
//! | `*.naming` | a file whose name was made durable anew | gets its name |
//! | an index without its `.log` | a deletion's or a roll's | removed |

use std::collections::BTreeMap;
use std::path::Path;

use super::cache::{Cache, LogKey, Place};
use super::file_name::{DELETED, Fate, FileKind, SegmentFile, file_name, parse};
use super::log::Log;
use super::scan::{HEADERS_WINDOW, Walk};
use super::segment::{next_batch, reading};
use crate::disk::{DirEntry, Disk, OpenMode};
use crate::error::Error;

/// Ends the names of snapshots of the metadata log, which are not a partition's to remove.
const DELETED_CHECKPOINT: &str = ".checkpoint.deleted";

/// Lengths of a segment's files; `None` where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FileLens {
    pub(super) log: Option<u64>,
    pub(super) offsets: Option<u64>,
    pub(super) times: Option<u64>,
}

impl Log {
    /// Removes what is on its way out of a directory that holds these entries, and lets take its place what is on
    /// its way in, before anybody looks at the names. Says what the directory holds then.
    pub fn settle_names(
        cache: &mut Cache,
        dir: &Path,
        entries: Vec<DirEntry>,
    ) -> Result<Vec<DirEntry>, Error> {
        let key = cache.new_log();
        settle_names(cache, key, dir, entries)
    }
}

fn settle_names(
    cache: &Cache,
    key: LogKey,
    dir: &Path,
    mut entries: Vec<DirEntry>,
) -> Result<Vec<DirEntry>, Error> {
    let disk = cache.disk();
    if remove_temporary(disk, dir, &entries)? {
        entries = list(disk, dir)?;
    }
    if complete_swaps(cache, key, dir, &entries)? {
        entries = list(disk, dir)?;
    }
    if take_places(disk, dir, &entries, Fate::Naming)? {
        entries = list(disk, dir)?;
    }
    Ok(entries)
}

/// Cleans the directory up, and says which segments it holds then.
pub(super) fn settle(cache: &Cache, key: LogKey, dir: &Path) -> Result<BTreeMap<i64, FileLens>, Error> {
    let disk = cache.disk();
    let entries = settle_names(cache, key, dir, list(disk, dir)?)?;
    let mut segments: BTreeMap<i64, FileLens> = BTreeMap::new();
    for (entry, file) in live(&entries) {
        let lens = segments.entry(file.base_offset).or_default();
        match file.kind {
            FileKind::Log => lens.log = Some(entry.len),
            FileKind::OffsetIndex => lens.offsets = Some(entry.len),
            FileKind::TimeIndex => lens.times = Some(entry.len),
            FileKind::TransactionIndex | FileKind::Snapshot | FileKind::Batches => (),
        }
    }
    for (entry, file) in live(&entries) {
        let is_orphan = segments[&file.base_offset].log.is_none() && !file.kind.is_of_producers();
        if is_orphan {
            tracing::warn!("{}: an index without its segment: removed", dir.join(&entry.name).display());
            remove(disk, dir, &entry.name)?;
        }
    }
    segments.retain(|_, lens| lens.log.is_some());
    Ok(segments)
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<DirEntry>, Error> {
    let entries = disk.list(dir).map_err(Error::io(format_args!("listing {}", dir.display())))?;
    Ok(entries.into_iter().filter(|entry| !entry.is_dir).collect())
}

fn live(entries: &[DirEntry]) -> impl Iterator<Item = (&DirEntry, SegmentFile)> {
    with_fate(entries, Fate::Live)
}

fn with_fate(entries: &[DirEntry], fate: Fate) -> impl Iterator<Item = (&DirEntry, SegmentFile)> {
    entries
        .iter()
        .filter_map(|entry| Some((entry, parse(&entry.name)?)))
        .filter(move |(_, file)| file.fate == fate)
}

fn remove(disk: &dyn Disk, dir: &Path, name: &str) -> Result<(), Error> {
    let path = dir.join(name);
    disk.remove_file(&path).map_err(Error::io(format_args!("removing {}", path.display())))
}

/// True when anything was removed.
fn remove_temporary(disk: &dyn Disk, dir: &Path, entries: &[DirEntry]) -> Result<bool, Error> {
    let is_deleted = |name: &str| name.ends_with(DELETED) && !name.ends_with(DELETED_CHECKPOINT);
    let first_cleaned = with_fate(entries, Fate::Cleaned).map(|(_, file)| file.base_offset).min();
    let is_gone = |entry: &DirEntry| {
        is_deleted(&entry.name)
            || parse(&entry.name).is_some_and(|file| match file.fate {
                Fate::Cleaned => true,
                // It may be part of what the unfinished compaction wrote. Removed before any `.cleaned`, so
                // that an interruption here leaves the same answer.
                Fate::Swap => first_cleaned.is_some_and(|first| file.base_offset >= first),
                Fate::Live | Fate::Deleted | Fate::Naming => false,
            })
    };
    let mut gone: Vec<&DirEntry> = entries.iter().filter(|entry| is_gone(entry)).collect();
    let is_cleaned = |entry: &&DirEntry| parse(&entry.name).is_some_and(|file| file.fate == Fate::Cleaned);
    gone.sort_by_key(is_cleaned);
    let mut has_synced = false;
    for entry in &gone {
        if is_cleaned(entry) && !has_synced {
            sync_dir(disk, dir)?;
            has_synced = true;
        }
        remove(disk, dir, &entry.name)?;
    }
    Ok(!gone.is_empty())
}

/// Puts the segments of finished compactions in the places of those that they were made from. True when
/// there were any.
fn complete_swaps(cache: &Cache, key: LogKey, dir: &Path, entries: &[DirEntry]) -> Result<bool, Error> {
    let disk = cache.disk();
    let mut covered: Option<(i64, i64)> = None;
    for (entry, file) in with_fate(entries, Fate::Swap).filter(|(_, file)| file.kind == FileKind::Log) {
        let end = end_of(cache, key, dir, entry, file.base_offset)?;
        let (from, to) = covered.unwrap_or((file.base_offset, end));
        covered = Some((from.min(file.base_offset), to.max(end)));
    }
    if let Some((from, to)) = covered {
        for (entry, file) in live(entries) {
            if (from..to).contains(&file.base_offset) && !file.kind.is_of_producers() {
                tracing::info!("{}: compacted: removed", dir.join(&entry.name).display());
                remove(disk, dir, &entry.name)?;
            }
        }
        // What the swaps replace is gone before the first of them takes its place: afterwards nobody could
        // tell old from new.
        sync_dir(disk, dir)?;
    }
    take_places(disk, dir, entries, Fate::Swap)
}

/// Gives files of a fate their live names, durably. True when there were any.
fn take_places(disk: &dyn Disk, dir: &Path, entries: &[DirEntry], fate: Fate) -> Result<bool, Error> {
    let mut has_any = false;
    for (entry, file) in with_fate(entries, fate) {
        let (from, to) = (dir.join(&entry.name), dir.join(file_name(file.base_offset, file.kind)));
        tracing::info!("{}: takes its place", from.display());
        disk.rename(&from, &to).map_err(Error::io(format_args!("renaming {}", from.display())))?;
        has_any = true;
    }
    if has_any {
        sync_dir(disk, dir)?;
    }
    Ok(has_any)
}

/// The first offset behind a compacted segment's batches.
fn end_of(cache: &Cache, key: LogKey, dir: &Path, entry: &DirEntry, base_offset: i64) -> Result<i64, Error> {
    let place = Place { log: key, dir, base_offset };
    let file = cache.disk().open(&dir.join(&entry.name), OpenMode::Existing).map_err(reading(&place))?;
    let mut window = [0; HEADERS_WINDOW];
    let mut walk = Walk::new(&file, 0, entry.len, &mut window);
    let mut end = base_offset;
    while let Some(batch) = next_batch(&mut walk, &place, |_| true)? {
        end = batch.last_offset() + 1;
    }
    Ok(end)
}

fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    disk.sync_dir(dir).map_err(Error::io(format_args!("syncing {}", dir.display())))
}
