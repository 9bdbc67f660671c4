//! Names of the files of a metadata log.

use std::fmt;

/// The directory of the log, in one of the log directories.
pub(crate) const METADATA_LOG: &str = "__cluster_metadata-0";
/// In the root of a log directory: what a log begins with.
pub(crate) const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// Ends the name of a snapshot.
const SNAPSHOT: &str = ".checkpoint";
/// Ends the name of one that is being written.
const PART: &str = ".checkpoint.part";
/// Ends the name of one that is on its way out.
const DELETED: &str = ".checkpoint.deleted";
const OFFSET_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;

/// A snapshot holds all that was true in front of an offset, whose last record is of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotId {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

/// Its file's name without the ending.
impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}", self.offset, self.epoch)
    }
}

impl SnapshotId {
    pub(super) fn file_name(self) -> String {
        format!("{self}{SNAPSHOT}")
    }

    /// The name as long as it is not whole.
    pub(super) fn part_name(self) -> String {
        format!("{self}{PART}")
    }

    /// Of a whole snapshot's file name.
    pub(super) fn of(name: &str) -> Option<SnapshotId> {
        let (offset, epoch) = name.strip_suffix(SNAPSHOT)?.split_once('-')?;
        let is_number =
            |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(offset, OFFSET_DIGITS) || !is_number(epoch, EPOCH_DIGITS) {
            return None;
        }
        Some(SnapshotId { offset: offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }
}

/// Whether a file is one that an interrupted process left of a snapshot.
pub(super) fn is_left_over(name: &str) -> bool {
    name.ends_with(PART) || name.ends_with(DELETED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apache_kafkas() {
        let id = SnapshotId { offset: 7, epoch: 3 };
        assert_eq!(id.file_name(), "00000000000000000007-0000000003.checkpoint");
        assert_eq!(SnapshotId::of(&id.file_name()), Some(id));
        for other in [
            "7-3.checkpoint",
            "bootstrap.checkpoint",
            "00000000000000000007-0000000003.checkpoint.part",
            "00000000000000000007-000000000+.checkpoint",
            "99999999999999999999-0000000003.checkpoint",
        ] {
            assert_eq!(SnapshotId::of(other), None, "{other}");
        }
        assert!(is_left_over(&id.part_name()) && is_left_over("a.checkpoint.deleted"));
        assert!(!is_left_over(&id.file_name()) && !is_left_over("0.log.deleted"));
    }
}
