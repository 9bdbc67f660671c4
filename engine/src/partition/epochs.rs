//! `LeaderEpochs`: which leader epoch each offset was written in, kept in `leader-epoch-checkpoint`.
//!
//! The file is written when the log rolls and when it stops, not with the first batch of an epoch: batches
//! carry their epoch, so that what lies above the recovery point tells of it again.

use std::io;
use std::path::Path;

use crate::disk::{Disk, OpenFile, OpenMode, replace_file, with_suffix};
use crate::error::Error;
use crate::format::checkpoint::{EpochStart, read_epochs, write_epochs};

/// The file's name.
pub(super) const FILE_NAME: &str = "leader-epoch-checkpoint";

/// Where an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The newest epoch that is not newer than the one asked for.
    pub epoch: i32,
    /// The first offset that was not written in it, nor in an older one.
    pub end: i64,
}

/// Epochs in rising order, and so are their first offsets.
#[derive(Debug, Default)]
pub(super) struct LeaderEpochs {
    starts: Vec<EpochStart>,
    /// The file says something else.
    is_changed: bool,
}

impl LeaderEpochs {
    /// Reads the file. `None`: it holds nothing that can be believed, and the batches have to tell.
    pub(super) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<LeaderEpochs>, Error> {
        let path = dir.join(FILE_NAME);
        let content = match disk.read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format_args!("reading {}", path.display()))(error)),
        };
        let rises = |starts: &Vec<EpochStart>| {
            starts.windows(2).all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start)
        };
        let fault = match read_epochs(&content) {
            Ok(starts) if starts.is_empty() => return Ok(None),
            Ok(starts) if rises(&starts) => return Ok(Some(LeaderEpochs { starts, is_changed: false })),
            Ok(_) => "epochs and offsets do not rise".to_owned(),
            Err(fault) => fault,
        };
        tracing::warn!("{}: {fault}: read anew from the batches", path.display());
        Ok(None)
    }

    /// Those that are known to be in front of an offset, and what the file says.
    pub(super) fn known(starts: &[EpochStart], in_file: Option<LeaderEpochs>) -> LeaderEpochs {
        let is_changed = in_file.is_none_or(|in_file| in_file.starts != starts);
        LeaderEpochs { starts: starts.to_vec(), is_changed }
    }

    /// Where each begins.
    pub(super) fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// The newest epoch.
    pub(super) fn latest(&self) -> Option<i32> {
        self.starts.last().map(|last| last.epoch)
    }

    /// Notes that `epoch` begins at `start`, unless the newest one is this. Entries that contradict it go.
    pub(super) fn assign(&mut self, epoch: i32, start: i64) {
        assert!(epoch >= 0 && start >= 0, "epoch {epoch} begins at offset {start}");
        if self.starts.last().is_some_and(|last| last.epoch == epoch && start >= last.start) {
            return;
        }
        let kept = self.starts.iter().rposition(|kept| kept.epoch < epoch && kept.start < start);
        self.starts.truncate(kept.map_or(0, |last| last + 1));
        self.starts.push(EpochStart { epoch, start });
        self.is_changed = true;
    }

    /// Takes up what a batch found in the log says. Batches of very old brokers have no epoch.
    pub(super) fn note_replayed(&mut self, epoch: i32, base_offset: i64) {
        if epoch >= 0 && self.latest().is_none_or(|latest| latest < epoch) {
            self.assign(epoch, base_offset);
        }
    }

    /// Where `epoch` ends, in a log that ends at `log_end`; `None` where nothing is known of it.
    pub(super) fn end_of(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        if epoch < 0 {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end: log_end });
        }
        let newer = self.starts.partition_point(|start| start.epoch <= epoch);
        let end = self.starts.get(newer)?.start;
        let epoch = newer.checked_sub(1).map_or(epoch, |found| self.starts[found].epoch);
        Some(EpochEnd { epoch, end })
    }

    /// The epoch that the record at `offset` was written in.
    pub(super) fn at(&self, offset: i64) -> Option<i32> {
        let behind = self.starts.partition_point(|entry| entry.start <= offset);
        Some(self.starts[behind.checked_sub(1)?].epoch)
    }

    /// The log ends at `end` from here on.
    pub(super) fn truncate_from_end(&mut self, end: i64) {
        let kept = self.starts.partition_point(|start| start.start < end);
        if kept < self.starts.len() {
            self.starts.truncate(kept);
            self.is_changed = true;
        }
    }

    /// The log begins at `start` from here on.
    pub(super) fn truncate_from_start(&mut self, start: i64) {
        let behind = self.starts.partition_point(|entry| entry.start <= start);
        let Some(current) = behind.checked_sub(1) else { return };
        if current > 0 || self.starts[current].start != start {
            self.starts.drain(..current);
            self.starts[0].start = start;
            self.is_changed = true;
        }
    }

    /// Puts the file in place, where it says something else, without waiting: it has to be synced, and then
    /// the directory.
    pub(super) fn write(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Option<OpenFile>, Error> {
        if !self.is_changed {
            return Ok(None);
        }
        let path = dir.join(FILE_NAME);
        let doing = || Error::io(format!("writing {}", path.display()));
        let tmp = with_suffix(&path, ".tmp");
        let file = disk.open(&tmp, OpenMode::Replace).map_err(doing())?;
        file.write_all_at([write_epochs(&self.starts).as_bytes(), &[]], 0).map_err(doing())?;
        disk.rename(&tmp, &path).map_err(doing())?;
        self.is_changed = false;
        Ok(Some(file))
    }

    /// Puts the file in place durably, where it says something else of what lies in front of `offset`; waits.
    /// For start-up: batches tell of what lies behind.
    pub(super) fn write_durably(&mut self, disk: &dyn Disk, dir: &Path, offset: i64) -> Result<(), Error> {
        if self.is_changed && self.starts.iter().any(|start| start.start < offset) {
            let path = dir.join(FILE_NAME);
            replace_file(disk, &path, write_epochs(&self.starts).as_bytes())
                .map_err(Error::io(format_args!("writing {}", path.display())))?;
            self.is_changed = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    const DIR: &str = "/t-0";

    fn epochs(starts: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        starts.iter().for_each(|(epoch, start)| epochs.assign(*epoch, *start));
        epochs.is_changed = false;
        epochs
    }

    #[track_caller]
    fn check(epochs: &LeaderEpochs, expected: &[(i32, i64)]) {
        let starts: Vec<_> = epochs.starts.iter().map(|start| (start.epoch, start.start)).collect();
        assert_eq!(starts, expected);
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.create_dir_all(DIR.as_ref()).unwrap();
        disk
    }

    #[test]
    fn an_epoch_is_noted_once_and_a_later_start_of_it_changes_nothing() {
        let mut epochs = epochs(&[(0, 0), (2, 10)]);
        epochs.assign(2, 11);
        assert!(!epochs.is_changed);
        epochs.assign(3, 20);
        check(&epochs, &[(0, 0), (2, 10), (3, 20)]);
        assert!(epochs.is_changed);
    }

    #[test]
    fn what_contradicts_a_new_entry_goes() {
        for (new, expected) in [
            ((4, 15), &[(0, 0), (2, 10), (4, 15)][..]),
            ((4, 10), &[(0, 0), (4, 10)]),
            ((3, 18), &[(0, 0), (2, 10), (3, 18)]),
            ((1, 30), &[(0, 0), (1, 30)]),
            ((9, 0), &[(9, 0)]),
        ] {
            let mut epochs = epochs(&[(0, 0), (2, 10), (3, 20)]);
            epochs.assign(new.0, new.1);
            check(&epochs, expected);
        }
    }

    #[test]
    fn an_epoch_ends_where_the_next_known_one_begins() {
        let epochs = epochs(&[(1, 5), (3, 20), (4, 30)]);
        for (asked, expected) in [
            (-1, None),
            (0, Some((0, 5))),
            (1, Some((1, 20))),
            (2, Some((1, 20))),
            (3, Some((3, 30))),
            (4, Some((4, 99))),
            (5, None),
        ] {
            let end = epochs.end_of(asked, 99).map(|found| (found.epoch, found.end));
            assert_eq!(end, expected, "epoch {asked}");
        }
        assert_eq!(LeaderEpochs::default().end_of(0, 99), None);
    }

    #[test]
    fn a_record_is_of_the_newest_epoch_that_begins_in_front_of_it() {
        let epochs = epochs(&[(1, 5), (3, 20)]);
        assert_eq!(
            [4, 5, 19, 20, 99].map(|offset| epochs.at(offset)),
            [None, Some(1), Some(1), Some(3), Some(3)]
        );
    }

    #[test]
    fn a_shorter_log_knows_only_epochs_that_begin_in_it() {
        for (end, expected) in
            [(100, &[(1, 5), (3, 20)][..]), (20, &[(1, 5)]), (21, &[(1, 5), (3, 20)]), (5, &[]), (0, &[])]
        {
            let mut epochs = epochs(&[(1, 5), (3, 20)]);
            epochs.truncate_from_end(end);
            check(&epochs, expected);
            assert_eq!(epochs.is_changed, expected.len() < 2);
        }
    }

    #[test]
    fn a_log_that_begins_later_begins_in_the_epoch_of_its_first_offset() {
        for (start, expected) in [
            (0, &[(1, 5), (3, 20)][..]),
            (5, &[(1, 5), (3, 20)]),
            (12, &[(1, 12), (3, 20)]),
            (20, &[(3, 20)]),
            (50, &[(3, 50)]),
        ] {
            let mut epochs = epochs(&[(1, 5), (3, 20)]);
            epochs.truncate_from_start(start);
            check(&epochs, expected);
            assert_eq!(epochs.is_changed, start > 5);
        }
    }

    #[test]
    fn replayed_batches_add_newer_epochs_only() {
        let mut epochs = epochs(&[(1, 5)]);
        for (epoch, base_offset) in [(1, 7), (-1, 8), (0, 9), (2, 10), (2, 11)] {
            epochs.note_replayed(epoch, base_offset);
        }
        check(&epochs, &[(1, 5), (2, 10)]);
    }

    #[test]
    fn what_was_written_is_loaded_and_nothing_is_written_twice() {
        let (disk, dir) = (disk(), Path::new(DIR));
        let mut written = epochs(&[(0, 0)]);
        written.assign(7, 1_000);
        assert!(written.write(&disk, dir).unwrap().is_some());
        assert!(written.write(&disk, dir).unwrap().is_none());
        check(&LeaderEpochs::load(&disk, dir).unwrap().unwrap(), &[(0, 0), (7, 1_000)]);
        written.assign(8, 2_000);
        written.write_durably(&disk, dir, i64::MAX).unwrap();
        check(&LeaderEpochs::load(&disk, dir).unwrap().unwrap(), &[(0, 0), (7, 1_000), (8, 2_000)]);
        assert_eq!(disk.read(&dir.join(FILE_NAME)).unwrap(), b"0\n3\n0 0\n7 1000\n8 2000\n");
    }

    #[test]
    fn a_file_that_cannot_be_believed_is_as_good_as_none() {
        let (disk, dir) = (disk(), Path::new(DIR));
        assert!(LeaderEpochs::load(&disk, dir).unwrap().is_none());
        for content in ["", "\0\0\0\0", "0\n2\n0 0\n", "0\n2\n3 0\n1 10\n", "0\n2\n0 10\n1 10\n"] {
            replace_file(&disk, &dir.join(FILE_NAME), content.as_bytes()).unwrap();
            assert!(LeaderEpochs::load(&disk, dir).unwrap().is_none(), "{content:?}");
        }
    }
}
