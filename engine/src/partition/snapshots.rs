//! `Snapshots`: files that say what was known of producers at some offset, so that a start reads what lies
//! behind it only. `%020d.snapshot` is Apache Kafka's, `%020d.batches` beside it is our own.
//!
//! One stands at the base offset of each segment that began with a roll, and one at the log's end after a
//! clean stop.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::producers::Producers;
use crate::disk::{DirEntry, Disk, OpenFile, OpenMode};
use crate::error::Error;
use crate::format::{ProducerBatches, ProducerEntry, producer_batches, producer_snapshot};
use crate::log::{FileKind, base_of, file_path, name_again};

/// Bytes of a snapshot that knows nobody.
const EMPTY_LEN: u64 = 10;

/// Snapshots that a crash leaves without their batches.
const HALVES_MAX: usize = 2;

/// What a snapshot says.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Everything in front of it is in the snapshot.
    pub(super) offset: i64,
    pub(super) entries: Vec<ProducerEntry>,
    /// What stands beside it; empty where nothing does.
    pub(super) batches: Vec<ProducerBatches>,
}

impl Loaded {
    /// Whether it knows of batches and nothing stands beside it.
    pub(super) fn lacks_batches(&self) -> bool {
        self.batches.is_empty() && self.entries.iter().any(|entry| entry.last_offset >= 0)
    }
}

/// A snapshot that is there.
#[derive(Debug, Clone, Copy)]
struct OnDisk {
    /// The batches stand beside it.
    has_batches: bool,
    /// It knows nobody.
    is_empty: bool,
}

/// The snapshots of a partition.
#[derive(Debug)]
pub(super) struct Snapshots {
    dir: PathBuf,
    /// By offset.
    on_disk: BTreeMap<i64, OnDisk>,
}

impl Snapshots {
    /// Those that the directory holds. Batches without a snapshot are removed: another broker has removed the
    /// snapshot, or a crash left them.
    pub(super) fn find(disk: &dyn Disk, dir: &Path, entries: &[DirEntry]) -> Result<Snapshots, Error> {
        let mut on_disk = BTreeMap::new();
        for entry in entries {
            if let Some(offset) = base_of(&entry.name, FileKind::Snapshot) {
                on_disk.insert(offset, OnDisk { has_batches: false, is_empty: entry.len == EMPTY_LEN });
            }
        }
        let mut strays = Vec::new();
        for offset in entries.iter().filter_map(|entry| base_of(&entry.name, FileKind::Batches)) {
            match on_disk.get_mut(&offset) {
                Some(found) => found.has_batches = true,
                None => strays.push(offset),
            }
        }
        let snapshots = Snapshots { dir: dir.to_owned(), on_disk };
        for offset in strays {
            snapshots.remove_file(disk, offset, FileKind::Batches)?;
        }
        Ok(snapshots)
    }

    /// Has the newest one at or in front of `offset_max` be what the device has, and the device have all of it:
    /// the process that wrote it may have ended before its sync, or behind one that failed. The name of one that
    /// is not in front of the recovery point goes with the directory's next sync.
    pub(super) fn settle(&self, disk: &dyn Disk, offset_max: i64, recovery_point: i64) -> Result<(), Error> {
        let Some(offset) = self.newest_at(offset_max) else { return Ok(()) };
        for kind in [FileKind::Snapshot, FileKind::Batches] {
            let path = self.path(offset, kind);
            match disk.open(&path, OpenMode::Existing).and_then(|file| {
                file.sync()?;
                file.drop_cached()
            }) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                settled => settled.map_err(Error::io(format_args!("syncing {}", path.display())))?,
            }
            if offset >= recovery_point {
                name_again(disk, &path)?;
            }
        }
        Ok(())
    }

    /// The newest one at or in front of `offset_max` that can be read. Damaged ones are removed: an older one
    /// and the log itself say the same.
    pub(super) fn load(&mut self, disk: &dyn Disk, offset_max: i64) -> Result<Option<Loaded>, Error> {
        while let Some((&offset, &found)) = self.on_disk.range(..=offset_max).next_back() {
            let path = self.path(offset, FileKind::Snapshot);
            match producer_snapshot::read(&read(disk, &path)?) {
                Ok(entries) => {
                    let batches =
                        if found.has_batches { self.load_batches(disk, offset)? } else { Vec::new() };
                    return Ok(Some(Loaded { offset, entries, batches }));
                }
                Err(fault) => {
                    tracing::warn!("{}: {fault}: removed", path.display());
                    self.remove(disk, offset)?;
                }
            }
        }
        Ok(None)
    }

    /// The newest one that has its batches beside it, among the last few; the newest one where none has.
    ///
    /// A crash may take one of the two files and leave the other: where a segment was begun at the recovery
    /// point after that came there, and where one that belongs to no segment was being removed.
    pub(super) fn load_whole(&mut self, disk: &dyn Disk, offset_max: i64) -> Result<Option<Loaded>, Error> {
        let Some(newest) = self.load(disk, offset_max)? else { return Ok(None) };
        let mut before = newest.offset;
        if newest.lacks_batches() {
            for _ in 0..HALVES_MAX {
                match self.load(disk, before - 1)? {
                    Some(older) if older.lacks_batches() => before = older.offset,
                    Some(older) => return Ok(Some(older)),
                    None => break,
                }
            }
        }
        Ok(Some(newest))
    }

    fn load_batches(&mut self, disk: &dyn Disk, offset: i64) -> Result<Vec<ProducerBatches>, Error> {
        let path = self.path(offset, FileKind::Batches);
        producer_batches::read(&read(disk, &path)?).or_else(|fault| {
            tracing::warn!("{}: {fault}: removed", path.display());
            self.on_disk.get_mut(&offset).expect("it was just loaded").has_batches = false;
            self.remove_file(disk, offset, FileKind::Batches)?;
            Ok(Vec::new())
        })
    }

    /// The newest one at or in front of `offset`.
    pub(super) fn newest_at(&self, offset: i64) -> Option<i64> {
        self.on_disk.range(..=offset).next_back().map(|(offset, _)| *offset)
    }

    /// The largest id of a producer in any of them. Those that cannot be read say nothing.
    pub(super) fn producer_id_max(&self, disk: &dyn Disk) -> Result<Option<i64>, Error> {
        let mut id_max = None;
        for (offset, _) in self.on_disk.iter().filter(|(_, found)| !found.is_empty) {
            let content = read(disk, &self.path(*offset, FileKind::Snapshot))?;
            let entries = producer_snapshot::read(&content).unwrap_or_default();
            id_max = id_max.max(entries.iter().map(|entry| entry.producer_id).max());
        }
        Ok(id_max)
    }

    /// Writes down what is known of the producers at `offset`, without waiting: the files have to be synced, and
    /// then the directory. None when it is there already.
    pub(super) fn write(
        &mut self,
        disk: &dyn Disk,
        offset: i64,
        producers: &Producers,
    ) -> Result<Vec<OpenFile>, Error> {
        let found = self.on_disk.get(&offset).copied();
        if found.is_some_and(|found| found.has_batches) {
            return Ok(Vec::new());
        }
        let batches = producers.all_batches();
        let mut files = Vec::new();
        if !batches.is_empty() {
            let content = producer_batches::write(&batches);
            files.push(replace(disk, &self.path(offset, FileKind::Batches), &content)?);
        }
        let entries = producers.entries();
        if found.is_none() {
            let content = producer_snapshot::write(&entries);
            files.push(replace(disk, &self.path(offset, FileKind::Snapshot), &content)?);
        }
        let is_empty = found.map_or(entries.is_empty(), |found| found.is_empty);
        self.on_disk.insert(offset, OnDisk { has_batches: !batches.is_empty(), is_empty });
        Ok(files)
    }

    /// The segments of these base offsets are gone, and their snapshots go with them.
    pub(super) fn remove_of_segments(&mut self, disk: &dyn Disk, bases: &[i64]) -> Result<(), Error> {
        bases.iter().try_for_each(|base| self.remove(disk, *base))
    }

    /// Removes those behind `offset`: what they say is not in the log.
    pub(super) fn remove_behind(&mut self, disk: &dyn Disk, offset: i64) -> Result<(), Error> {
        let behind: Vec<i64> = self.on_disk.range(offset + 1..).map(|(offset, _)| *offset).collect();
        self.remove_of_segments(disk, &behind)
    }

    /// Removes those that belong to no segment, but for the newest one, which a clean stop leaves at the log's
    /// end.
    pub(super) fn remove_strays(&mut self, disk: &dyn Disk, bases: &[i64]) -> Result<(), Error> {
        let newest = self.on_disk.last_key_value().map(|(offset, _)| *offset);
        let is_stray = |offset: &i64| !bases.contains(offset) && Some(*offset) != newest;
        let strays: Vec<i64> = self.on_disk.keys().copied().filter(is_stray).collect();
        self.remove_of_segments(disk, &strays)
    }

    fn remove(&mut self, disk: &dyn Disk, offset: i64) -> Result<(), Error> {
        if let Some(found) = self.on_disk.remove(&offset) {
            self.remove_file(disk, offset, FileKind::Snapshot)?;
            if found.has_batches {
                self.remove_file(disk, offset, FileKind::Batches)?;
            }
        }
        Ok(())
    }

    fn remove_file(&self, disk: &dyn Disk, offset: i64, kind: FileKind) -> Result<(), Error> {
        let path = self.path(offset, kind);
        match disk.remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::io(format_args!("removing {}", path.display()))),
        }
    }

    fn path(&self, offset: i64, kind: FileKind) -> PathBuf {
        file_path(&self.dir, offset, kind)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, Error> {
    disk.read(path).map_err(Error::io(format_args!("reading {}", path.display())))
}

fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<OpenFile, Error> {
    let doing = || Error::io(format!("writing {}", path.display()));
    let file = disk.open(path, OpenMode::Replace).map_err(doing())?;
    file.write_all_at([content, &[]], 0).map_err(doing())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::format::BatchHeader;
    use crate::format::batch::tests::sample_with;

    const DIR: &str = "/t-0";

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.create_dir_all(DIR.as_ref()).unwrap();
        disk
    }

    fn find(disk: &SimDisk) -> Snapshots {
        Snapshots::find(disk, DIR.as_ref(), &disk.list(DIR.as_ref()).unwrap()).unwrap()
    }

    /// Two batches of the producer with this id.
    fn producers(id: i64) -> Producers {
        let mut producers = Producers::new(i64::MAX);
        for first in [0, 1] {
            let bytes = sample_with(1, b"x", |header| header.set_producer(id, 0, first));
            producers.note(BatchHeader::view(&bytes).unwrap(), 0);
        }
        producers
    }

    /// Snapshots at these offsets, with a producer of that id each.
    fn disk_with(offsets: &[i64]) -> SimDisk {
        let disk = disk();
        let mut snapshots = find(&disk);
        for offset in offsets {
            assert_eq!(snapshots.write(&disk, *offset, &producers(*offset)).unwrap().len(), 2);
        }
        disk
    }

    fn names(disk: &SimDisk) -> Vec<String> {
        disk.list(DIR.as_ref()).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[track_caller]
    fn check_loads(disk: &SimDisk, offset_max: i64, expected: Option<i64>) {
        let loaded = find(disk).load(disk, offset_max).unwrap();
        assert_eq!(loaded.as_ref().map(|loaded| loaded.offset), expected);
        if let Some(loaded) = loaded {
            assert_eq!(loaded.entries[0].producer_id, loaded.offset);
        }
    }

    fn flip(disk: &SimDisk, name: &str) {
        let file = disk.open(&Path::new(DIR).join(name), OpenMode::Existing).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 20).unwrap();
        file.write_all_at([&[!byte[0]], &[]], 20).unwrap();
    }

    #[test]
    fn the_newest_one_that_is_not_behind_the_offset_is_loaded() {
        let disk = disk_with(&[10, 20]);
        for (offset_max, expected) in [(9, None), (10, Some(10)), (19, Some(10)), (i64::MAX, Some(20))] {
            check_loads(&disk, offset_max, expected);
        }
        let loaded = find(&disk).load(&disk, 20).unwrap().unwrap();
        assert_eq!(loaded.batches, producers(20).all_batches());
    }

    #[test]
    fn a_damaged_one_is_dropped_and_an_older_one_is_loaded() {
        let disk = disk_with(&[10, 20]);
        flip(&disk, "00000000000000000020.snapshot");
        check_loads(&disk, 20, Some(10));
        assert_eq!(names(&disk), ["00000000000000000010.batches", "00000000000000000010.snapshot"]);
        flip(&disk, "00000000000000000010.snapshot");
        check_loads(&disk, 20, None);
        assert!(names(&disk).is_empty());
    }

    #[test]
    fn damaged_batches_are_dropped_and_the_snapshot_is_loaded() {
        let disk = disk_with(&[10]);
        flip(&disk, "00000000000000000010.batches");
        let loaded = find(&disk).load(&disk, 10).unwrap().unwrap();
        assert!(loaded.batches.is_empty() && loaded.entries.len() == 1);
        assert_eq!(names(&disk), ["00000000000000000010.snapshot"]);
    }

    #[test]
    fn one_that_is_there_with_its_batches_is_not_written_again() {
        let disk = disk_with(&[10]);
        assert!(find(&disk).write(&disk, 10, &producers(10)).unwrap().is_empty());
        disk.remove_file(&Path::new(DIR).join("00000000000000000010.batches")).unwrap();
        assert_eq!(find(&disk).write(&disk, 10, &producers(10)).unwrap().len(), 1);
        let nobody = Producers::new(i64::MAX);
        assert_eq!(find(&disk).write(&disk, 20, &nobody).unwrap().len(), 1, "there are no batches");
        assert_eq!(find(&disk).write(&disk, 20, &nobody).unwrap().len(), 0);
    }

    #[test]
    fn they_go_with_their_segments_and_strays_but_the_newest_go_at_a_start() {
        let disk = disk_with(&[10, 15, 20, 30]);
        let mut snapshots = find(&disk);
        snapshots.remove_strays(&disk, &[0, 10, 20]).unwrap();
        assert_eq!(snapshots.on_disk.keys().copied().collect::<Vec<_>>(), [10, 20, 30]);
        snapshots.remove_of_segments(&disk, &[0, 10]).unwrap();
        assert_eq!(names(&disk).len(), 4);
        snapshots.remove_behind(&disk, 20).unwrap();
        assert_eq!(names(&disk), ["00000000000000000020.batches", "00000000000000000020.snapshot"]);
    }

    #[test]
    fn batches_without_a_snapshot_are_removed() {
        let disk = disk_with(&[10, 20]);
        disk.remove_file(&Path::new(DIR).join("00000000000000000010.snapshot")).unwrap();
        find(&disk);
        assert_eq!(names(&disk).len(), 2);
        check_loads(&disk, 20, Some(20));
    }

    #[test]
    fn the_largest_producer_id_is_found_in_older_ones_too() {
        let disk = disk_with(&[10, 20]);
        let mut snapshots = find(&disk);
        assert_eq!(snapshots.producer_id_max(&disk).unwrap(), Some(20));
        snapshots.write(&disk, 5, &producers(77)).unwrap();
        assert_eq!(snapshots.producer_id_max(&disk).unwrap(), Some(77));
    }
}
