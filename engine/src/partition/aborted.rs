//! `AbortedTransactions`: what readers of committed records have to leave out, in a `%020d.txnindex` beside
//! each segment that holds the marker of an aborted transaction.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use zerocopy::{FromZeros, IntoBytes};

use crate::disk::{DirEntry, Disk, OpenFile, OpenMode};
use crate::error::Error;
use crate::format::AbortedEntry;
use crate::log::{FileKind, base_of, file_path};

const ENTRY_LEN: u64 = size_of::<AbortedEntry>() as u64;
/// Entries that are read at once.
const ENTRIES_READ: usize = 64;

/// The index files of a partition, by the base offsets of their segments. In each of them the markers' offsets
/// rise, and so do the last stable offsets.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    dir: PathBuf,
    files: BTreeMap<i64, IndexFile>,
}

#[derive(Debug)]
struct IndexFile {
    entries: u64,
    /// So many of them, from the first one on, are what the log says: this process wrote them, or has compared
    /// them.
    confirmed: u64,
    /// Where the marker of the last of those stands. The next one's is behind it.
    confirmed_to: i64,
    /// Those of them that the log, which is damaged where they begin and end, says nothing of.
    doubtful: Vec<u64>,
    /// Open since it was first written to.
    written: Option<OpenFile>,
    is_dirty: bool,
}

/// What the log says of a transaction that an index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// There is one.
    There,
    /// There is none.
    Wrong,
    /// Where it begins and ends there is no batch that can be read.
    Unreadable,
}

impl IndexFile {
    fn new(entries: u64) -> IndexFile {
        let (doubtful, written) = (Vec::new(), None);
        IndexFile { entries, confirmed: 0, confirmed_to: -1, doubtful, written, is_dirty: false }
    }
}

impl AbortedTransactions {
    /// Those that the directory holds. A piece of an entry at the end of a file is not looked at, and written
    /// over by the next one.
    pub(super) fn find(dir: &Path, entries: &[DirEntry]) -> AbortedTransactions {
        let mut files = BTreeMap::new();
        for entry in entries {
            if let Some(base) = base_of(&entry.name, FileKind::TransactionIndex) {
                files.insert(base, IndexFile::new(entry.len / ENTRY_LEN));
            }
        }
        AbortedTransactions { dir: dir.to_owned(), files }
    }

    /// Notes a transaction that a marker of this segment has aborted. The file is made with the first one, and
    /// its name is durable only after the directory's sync: true means that it was made.
    pub(super) fn append(
        &mut self,
        disk: &dyn Disk,
        segment: i64,
        entry: &AbortedEntry,
    ) -> Result<bool, Error> {
        let path = path(&self.dir, segment);
        let doing = || Error::io(format!("writing {}", path.display()));
        let is_new = !self.files.contains_key(&segment);
        let index = self.files.entry(segment).or_insert_with(|| IndexFile::new(0));
        let file = match &index.written {
            Some(file) => file.clone(),
            None => {
                let mode = if is_new { OpenMode::Replace } else { OpenMode::Existing };
                let file = disk.open(&path, mode).map_err(doing())?;
                index.written.insert(file).clone()
            }
        };
        file.write_all_at([entry.as_bytes(), &[]], index.entries * ENTRY_LEN).map_err(doing())?;
        if index.confirmed == index.entries {
            (index.confirmed, index.confirmed_to) = (index.entries + 1, entry.last_offset());
        }
        index.entries += 1;
        index.is_dirty = true;
        Ok(is_new)
    }

    /// Whether entries of these segments are to be compared with the log before somebody is told of them.
    pub(super) fn has_unconfirmed(&self, segment: i64) -> bool {
        self.files.range(segment..).any(|(_, index)| index.confirmed < index.entries)
    }

    /// Compares with the log, once, what was found in the indexes of this segment and the later ones, as far as
    /// it concerns readers of the offsets in front of `until`. A transaction that is not there is an error; one
    /// that `proof` finds unreadable is an error for those whom it concerns.
    pub(super) fn confirm(
        &mut self,
        disk: &dyn Disk,
        segment: i64,
        until: i64,
        mut proof: impl FnMut(&AbortedEntry) -> Result<Proof, Error>,
    ) -> Result<(), Error> {
        for (base, index) in self.files.range_mut(segment..) {
            if index.confirmed == index.entries {
                continue;
            }
            let reader = IndexReader::open(disk, &self.dir, *base, index)?;
            while index.confirmed < index.entries {
                for entry in reader.read(index.confirmed)? {
                    let (first, last) = (entry.first_offset(), entry.last_offset());
                    let is_possible =
                        first < last && last > index.confirmed_to && entry.last_stable_offset() <= last + 1;
                    match if is_possible { proof(&entry)? } else { Proof::Wrong } {
                        Proof::There => (),
                        Proof::Unreadable => index.doubtful.push(index.confirmed),
                        Proof::Wrong => {
                            let fault = format_args!(
                                "producer {} has no aborted transaction of offsets {first} to {last}",
                                entry.producer_id()
                            );
                            return Err(reader.corrupt(index.confirmed, &fault));
                        }
                    }
                    (index.confirmed, index.confirmed_to) = (index.confirmed + 1, last);
                    if entry.last_stable_offset() >= until {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a marker of this segment or a later one has aborted one.
    pub(super) fn has_from(&self, segment: i64) -> bool {
        self.files.range(segment..).any(|(_, index)| index.entries > 0)
    }

    /// Whether a marker of this segment has aborted one.
    pub(super) fn has_of_segment(&self, segment: i64) -> bool {
        self.files.get(&segment).is_some_and(|index| index.entries > 0)
    }

    /// Those that concern a reader of the offsets from `from` to `until`, which lie in this segment or later
    /// ones: they end at `from` or behind it, and begin in front of `until`.
    pub(super) fn find_between(
        &self,
        disk: &dyn Disk,
        segment: i64,
        from: i64,
        until: i64,
    ) -> Result<Vec<AbortedEntry>, Error> {
        let mut found = Vec::new();
        for (base, index) in self.files.range(segment..) {
            let reader = IndexReader::open(disk, &self.dir, *base, index)?;
            let mut at = reader.first_that_ends_at(from)?;
            while at < index.entries {
                for entry in reader.read(at)? {
                    if entry.first_offset() < until {
                        if index.doubtful.contains(&at) {
                            let fault = format_args!(
                                "the log cannot be read at offsets {} and {}",
                                entry.first_offset(),
                                entry.last_offset()
                            );
                            return Err(reader.corrupt(at, &fault));
                        }
                        found.push(entry);
                    }
                    // What ends later began behind the last stable offset of this one.
                    if entry.last_stable_offset() >= until {
                        return Ok(found);
                    }
                    at += 1;
                }
            }
        }
        Ok(found)
    }

    /// The log ends at `offset` from here on.
    pub(super) fn truncate(&mut self, disk: &dyn Disk, offset: i64) -> Result<(), Error> {
        for (base, index) in self.files.iter_mut().rev() {
            let reader = IndexReader::open(disk, &self.dir, *base, index)?;
            let kept = reader.first_that_ends_at(offset)?;
            if kept == index.entries {
                break;
            }
            let path = path(&self.dir, *base);
            reader
                .file
                .set_len(kept * ENTRY_LEN)
                .map_err(Error::io(format_args!("cutting {}", path.display())))?;
            index.entries = kept;
            index.confirmed = index.confirmed.min(kept);
            index.confirmed_to = index.confirmed_to.min(offset - 1);
            index.doubtful.retain(|at| *at < kept);
            index.written = Some(reader.file);
            index.is_dirty = true;
        }
        Ok(())
    }

    /// The segments of these base offsets are gone, and their indexes go with them.
    pub(super) fn remove_of_segments(&mut self, disk: &dyn Disk, bases: &[i64]) -> Result<(), Error> {
        for base in bases.iter().filter(|base| self.files.contains_key(base)) {
            let path = path(&self.dir, *base);
            match disk.remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                removed => removed.map_err(Error::io(format_args!("removing {}", path.display())))?,
            }
        }
        bases.iter().for_each(|base| drop(self.files.remove(base)));
        Ok(())
    }

    /// Removes the indexes of segments from this one on: their markers are about to be found again.
    pub(super) fn remove_from(&mut self, disk: &dyn Disk, segment: i64) -> Result<(), Error> {
        let bases: Vec<i64> = self.files.range(segment..).map(|(base, _)| *base).collect();
        self.remove_of_segments(disk, &bases)
    }

    /// Removes those that stand beside no segment.
    pub(super) fn remove_strays(&mut self, disk: &dyn Disk, bases: &[i64]) -> Result<(), Error> {
        let strays: Vec<i64> = self.files.keys().copied().filter(|base| !bases.contains(base)).collect();
        self.remove_of_segments(disk, &strays)
    }

    /// Hands out the files that have to be synced.
    pub(super) fn take_unsynced(&mut self, mut sync: impl FnMut(OpenFile)) {
        for index in self.files.values_mut().rev() {
            if std::mem::take(&mut index.is_dirty)
                && let Some(file) = &index.written
            {
                sync(file.clone());
            }
        }
    }
}

/// One index file, open.
struct IndexReader {
    file: OpenFile,
    entries: u64,
    path: PathBuf,
}

impl IndexReader {
    fn open(disk: &dyn Disk, dir: &Path, base: i64, index: &IndexFile) -> Result<IndexReader, Error> {
        let path = path(dir, base);
        let file = match &index.written {
            Some(file) => file.clone(),
            None => disk
                .open(&path, OpenMode::Existing)
                .map_err(Error::io(format_args!("opening {}", path.display())))?,
        };
        Ok(IndexReader { file, entries: index.entries, path })
    }

    /// The first entry whose marker stands at `offset` or behind it.
    fn first_that_ends_at(&self, offset: i64) -> Result<u64, Error> {
        let (mut below, mut not_below) = (0, self.entries);
        while below < not_below {
            let middle = below + (not_below - below) / 2;
            let entry = self.read_up_to(middle, 1)?[0];
            if entry.last_offset() < offset { below = middle + 1 } else { not_below = middle }
        }
        Ok(below)
    }

    /// Some entries from `at` on, one at least.
    fn read(&self, at: u64) -> Result<Vec<AbortedEntry>, Error> {
        self.read_up_to(at, ENTRIES_READ)
    }

    fn read_up_to(&self, at: u64, count_max: usize) -> Result<Vec<AbortedEntry>, Error> {
        let count = (self.entries - at).min(count_max as u64) as usize;
        let mut entries = vec![AbortedEntry::new_zeroed(); count];
        let position = at * ENTRY_LEN;
        let read = self
            .file
            .read_at(entries.as_mut_bytes(), position)
            .map_err(Error::io(format_args!("reading {}", self.path.display())))?;
        if read < count * size_of::<AbortedEntry>() {
            let index = read / size_of::<AbortedEntry>();
            let fault = format_args!("the file ends, expected {} entries", self.entries);
            return Err(self.corrupt(at + index as u64, &fault));
        }
        for (index, entry) in entries.iter().enumerate() {
            entry.check().map_err(|fault| self.corrupt(at + index as u64, &fault))?;
        }
        Ok(entries)
    }

    /// What is wrong with the entry at `at`.
    fn corrupt(&self, at: u64, fault: &dyn Display) -> Error {
        let position = at * ENTRY_LEN;
        Error::Corrupt(format!("{}: entry at position {position}: {fault}", self.path.display()))
    }
}

fn path(dir: &Path, base: i64) -> PathBuf {
    file_path(dir, base, FileKind::TransactionIndex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    const DIR: &str = "/t-0";

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.create_dir_all(DIR.as_ref()).unwrap();
        disk
    }

    fn find(disk: &SimDisk) -> AbortedTransactions {
        AbortedTransactions::find(DIR.as_ref(), &disk.list(DIR.as_ref()).unwrap())
    }

    /// One after the other, `count` transactions of ten records and a marker, a hundred offsets to a segment.
    fn one_after_the_other(disk: &SimDisk, count: i64) -> AbortedTransactions {
        let mut aborted = find(disk);
        for index in 0..count {
            let first = index * 11;
            let entry = AbortedEntry::new(index, first, first + 10, first + 11);
            aborted.append(disk, (first + 10) / 100 * 100, &entry).unwrap();
        }
        aborted
    }

    #[track_caller]
    fn check(
        disk: &SimDisk,
        aborted: &AbortedTransactions,
        (segment, from, until): (i64, i64, i64),
        expected: impl IntoIterator<Item = i64>,
    ) {
        let found = aborted.find_between(disk, segment, from, until).unwrap();
        let ids: Vec<i64> = found.iter().map(AbortedEntry::producer_id).collect();
        assert_eq!(ids, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_range_finds_the_transactions_that_reach_into_it_across_segments() {
        let disk = disk();
        let aborted = one_after_the_other(&disk, 200);
        assert_eq!(disk.list(DIR.as_ref()).unwrap().len(), 22);
        for aborted in [&aborted, &find(&disk)] {
            check(&disk, aborted, (0, 0, 1), [0]);
            check(&disk, aborted, (0, 10, 11), [0]);
            check(&disk, aborted, (0, 11, 12), [1]);
            check(&disk, aborted, (0, 5, 30), [0, 1, 2]);
            check(&disk, aborted, (0, 95, 250), 8..23);
            check(&disk, aborted, (100, 100, 250), 9..23);
            check(&disk, aborted, (0, 0, i64::MAX), 0..200);
            check(&disk, aborted, (2_200, 2_200, i64::MAX), []);
        }
    }

    #[test]
    fn a_long_transaction_is_found_where_its_marker_stands() {
        let disk = disk();
        let mut aborted = find(&disk);
        // Producer 1's transaction encloses that of producer 2.
        aborted.append(&disk, 0, &AbortedEntry::new(2, 20, 30, 10)).unwrap();
        aborted.append(&disk, 100, &AbortedEntry::new(1, 10, 150, 151)).unwrap();
        check(&disk, &aborted, (0, 0, 15), [1]);
        check(&disk, &aborted, (0, 25, 26), [2, 1]);
        check(&disk, &aborted, (0, 40, 50), [1]);
        check(&disk, &aborted, (100, 151, 200), []);
    }

    #[test]
    fn a_shorter_log_keeps_what_ends_in_it() {
        for offset in [0, 10, 11, 500, 1_000, 2_199, 3_000] {
            let disk = disk();
            let mut aborted = one_after_the_other(&disk, 200);
            aborted.truncate(&disk, offset).unwrap();
            let kept = (0..200).take_while(|index| index * 11 + 10 < offset);
            check(&disk, &aborted, (0, 0, i64::MAX), kept.clone());
            check(&disk, &find(&disk), (0, 0, i64::MAX), kept);
        }
    }

    #[test]
    fn an_index_goes_with_its_segment() {
        let disk = disk();
        let mut aborted = one_after_the_other(&disk, 200);
        aborted.remove_of_segments(&disk, &[0, 100]).unwrap();
        aborted.remove_from(&disk, 500).unwrap();
        aborted.remove_strays(&disk, &[200, 400, 500]).unwrap();
        check(&disk, &find(&disk), (0, 0, i64::MAX), (18..27).chain(36..45));
    }

    #[test]
    fn only_what_was_written_has_to_be_synced_and_only_a_new_file_has_a_new_name() {
        let disk = disk();
        let mut aborted = one_after_the_other(&disk, 5);
        let unsynced = |aborted: &mut AbortedTransactions| {
            let mut count = 0;
            aborted.take_unsynced(|_| count += 1);
            count
        };
        assert_eq!((unsynced(&mut aborted), unsynced(&mut aborted)), (1, 0));
        let entry = AbortedEntry::new(9, 60, 70, 71);
        assert!(!aborted.append(&disk, 0, &entry).unwrap());
        assert!(aborted.append(&disk, 100, &AbortedEntry::new(9, 160, 170, 171)).unwrap());
        assert_eq!(unsynced(&mut aborted), 2);
    }

    #[test]
    fn a_piece_of_an_entry_is_written_over_and_damage_names_its_place() {
        let disk = disk();
        one_after_the_other(&disk, 3);
        let file = disk.open(&path(DIR.as_ref(), 0), OpenMode::Existing).unwrap();
        file.set_len(3 * ENTRY_LEN - 1).unwrap();
        let mut aborted = find(&disk);
        check(&disk, &aborted, (0, 0, i64::MAX), [0, 1]);
        aborted.append(&disk, 0, &AbortedEntry::new(7, 22, 32, 33)).unwrap();
        check(&disk, &find(&disk), (0, 0, i64::MAX), [0, 1, 7]);
        file.write_all_at([&[9], &[]], ENTRY_LEN).unwrap();
        let error = aborted.find_between(&disk, 0, 0, i64::MAX).unwrap_err().to_string();
        assert!(error.contains("00000000000000000000.txnindex: entry at position 34: version"), "{error}");
    }
}
