//! `SegmentFile`: the names of a segment's files, as Apache Kafka writes them.

use std::path::{Path, PathBuf};

/// Digits in front of a name's suffix.
const NAME_DIGITS: usize = 20;

/// What a file of a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// The batches.
    Log,
    /// Where batches begin.
    OffsetIndex,
    /// Which batches have the largest timestamps.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// The producers as they were in front of the segment.
    Snapshot,
    /// The last batches of those producers, which a snapshot has no room for. Our own.
    Batches,
}

/// In the order in which a segment's files are renamed: without its `.log` a segment does not exist.
pub(crate) const KINDS: [FileKind; 6] = [
    FileKind::Log,
    FileKind::OffsetIndex,
    FileKind::TimeIndex,
    FileKind::TransactionIndex,
    FileKind::Snapshot,
    FileKind::Batches,
];

impl FileKind {
    /// Whether it says what lies in front of a segment, and so may stand where there is none.
    pub(crate) fn is_of_producers(self) -> bool {
        matches!(self, FileKind::Snapshot | FileKind::Batches)
    }

    fn suffix(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::OffsetIndex => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TransactionIndex => ".txnindex",
            FileKind::Snapshot => ".snapshot",
            FileKind::Batches => ".batches",
        }
    }
}

/// How far a file is on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Part of the log.
    Live,
    /// To be removed.
    Deleted,
    /// Written by a compaction that was not finished.
    Cleaned,
    /// Written by a compaction that was finished: takes the place of what it was made from.
    Swap,
    /// On its way to its own name: the start that was making the name durable was cut short. Our own.
    Naming,
}

/// Suffixes behind a live name.
const FATES: [(Fate, &str); 4] =
    [(Fate::Deleted, DELETED), (Fate::Cleaned, ".cleaned"), (Fate::Swap, ".swap"), (Fate::Naming, NAMING)];
/// Ends the name of a file that is to be removed.
pub(crate) const DELETED: &str = ".deleted";
/// Ends the name of a file that has no other while its own is made durable anew.
pub(super) const NAMING: &str = ".naming";

/// A name that was taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) base_offset: i64,
    pub(crate) kind: FileKind,
    pub(crate) fate: Fate,
}

/// The name of a live file.
pub fn file_name(base_offset: i64, kind: FileKind) -> String {
    format!("{base_offset:0NAME_DIGITS$}{}", kind.suffix())
}

/// The offset in the name of a live file of a kind; `None` for any other file.
pub fn base_of(name: &str, kind: FileKind) -> Option<i64> {
    let file = parse(name).filter(|file| file.kind == kind && file.fate == Fate::Live)?;
    Some(file.base_offset)
}

/// The path of a live file.
pub(crate) fn file_path(dir: &Path, base_offset: i64, kind: FileKind) -> PathBuf {
    dir.join(file_name(base_offset, kind))
}

/// What a name says; `None` for a file of nobody's of ours.
pub(crate) fn parse(name: &str) -> Option<SegmentFile> {
    let (fate, live) = FATES
        .into_iter()
        .find_map(|(fate, suffix)| Some((fate, name.strip_suffix(suffix)?)))
        .unwrap_or((Fate::Live, name));
    let (kind, digits) =
        KINDS.into_iter().find_map(|kind| Some((kind, live.strip_suffix(kind.suffix())?)))?;
    let is_number = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let base_offset = is_number.then(|| digits.parse().ok()).flatten()?;
    Some(SegmentFile { base_offset, kind, fate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apache_kafkas() {
        let live = |kind| Some(SegmentFile { base_offset: 1_024, kind, fate: Fate::Live });
        for (kind, name) in [
            (FileKind::Log, "00000000000000001024.log"),
            (FileKind::OffsetIndex, "00000000000000001024.index"),
            (FileKind::TimeIndex, "00000000000000001024.timeindex"),
            (FileKind::TransactionIndex, "00000000000000001024.txnindex"),
            (FileKind::Snapshot, "00000000000000001024.snapshot"),
            (FileKind::Batches, "00000000000000001024.batches"),
        ] {
            assert_eq!(file_name(1_024, kind), name);
            assert_eq!(parse(name), live(kind));
            assert_eq!(base_of(name, kind), Some(1_024));
        }
        let fate = |name| parse(name).map(|file| file.fate);
        assert_eq!(fate("00000000000000001024.log.deleted"), Some(Fate::Deleted));
        assert_eq!(fate("00000000000000001024.index.cleaned"), Some(Fate::Cleaned));
        assert_eq!(fate("00000000000000001024.timeindex.swap"), Some(Fate::Swap));
        assert_eq!(fate("00000000000000001024.log.naming"), Some(Fate::Naming));
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in [
            "1024.log",
            "0000000000000000102x.log",
            ".log",
            "leader-epoch-checkpoint",
            "00000000000000000010-0000000001.checkpoint.deleted",
            "99999999999999999999.log",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
