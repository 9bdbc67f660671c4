//! What the names in a log directory say.

use std::path::Path;

use logmill_engine::format::{clean_shutdown, meta_properties, partition_metadata};
use logmill_engine::journal::JournalName;
use logmill_engine::log::{FileKind, base_of};

pub(crate) const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";
pub(crate) const EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
pub(crate) const RECOVERY_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
pub(crate) const START_CHECKPOINT: &str = "log-start-offset-checkpoint";
pub(crate) const READABLE_CHECKPOINT: &str = "replication-offset-checkpoint";
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// Files of text that are shown as they are.
const TEXTS: [&str; 4] =
    ["logmill.topics", "logmill.producer-ids", "logmill.journal.retired", "quorum-state"];

/// Suffixes of files that are on their way in or out.
const FATES: [&str; 5] = [".deleted", ".cleaned", ".swap", ".naming", ".tmp"];

const SEGMENT_KINDS: [FileKind; 6] = [
    FileKind::Log,
    FileKind::OffsetIndex,
    FileKind::TimeIndex,
    FileKind::TransactionIndex,
    FileKind::Snapshot,
    FileKind::Batches,
];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A part of the segment that begins at an offset.
    Segment(FileKind, i64),
    /// Batches of the metadata log that stand for all in front of an offset.
    MetadataSnapshot,
    LeaderEpochs,
    Offsets,
    Journal(JournalName),
    TopicId,
    MetaProperties,
    CleanShutdown,
    Text,
}

/// A name that was taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) content: Content,
    /// The suffix of one that is on its way in or out.
    pub(crate) fate: Option<&'static str>,
}

/// What a file's name says; `None` for a file of nobody's of ours.
pub(crate) fn file_name(name: &str) -> Option<FileName> {
    let stripped = FATES.into_iter().find_map(|fate| Some((Some(fate), name.strip_suffix(fate)?)));
    let (fate, live) = stripped.unwrap_or((None, name));
    let segment = SEGMENT_KINDS
        .into_iter()
        .find_map(|kind| base_of(live, kind).map(|base| Content::Segment(kind, base)));
    let content = match live {
        EPOCH_CHECKPOINT => Content::LeaderEpochs,
        CLEANER_CHECKPOINT | RECOVERY_CHECKPOINT | START_CHECKPOINT | READABLE_CHECKPOINT => Content::Offsets,
        partition_metadata::FILE_NAME => Content::TopicId,
        meta_properties::FILE_NAME => Content::MetaProperties,
        clean_shutdown::FILE_NAME => Content::CleanShutdown,
        _ if live.ends_with(".checkpoint") => Content::MetadataSnapshot,
        _ if TEXTS.contains(&live) => Content::Text,
        _ => match JournalName::parse(live) {
            Some(name) => Content::Journal(name),
            None => segment?,
        },
    };
    Some(FileName { content, fate })
}

/// A directory of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionName {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The suffix of one that is deleted, moved in, or nobody's.
    pub(crate) fate: Option<&'static str>,
}

/// What a directory's name says; `None` for one that is no partition's.
pub(crate) fn partition_name(name: &str) -> Option<PartitionName> {
    let moved = ["-delete", "-future", "-stray"].into_iter().find_map(|fate| {
        // `topic-0.HEX-delete`
        let (live, _) = name.strip_suffix(fate)?.rsplit_once('.')?;
        Some((Some(fate), live))
    });
    let (fate, live) = moved.unwrap_or((None, name));
    let (topic, digits) = live.rsplit_once('-')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let partition = is_number.then(|| digits.parse().ok()).flatten().filter(|_| !topic.is_empty())?;
    Some(PartitionName { topic: topic.to_owned(), partition, fate })
}

/// The topic whose partition's directory a file lies in.
pub(crate) fn topic_of(file: &Path) -> Option<String> {
    let absolute = std::path::absolute(file).ok()?;
    Some(partition_name(absolute.parent()?.file_name()?.to_str()?)?.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_say_what_they_hold() {
        let content = |name: &str| file_name(name).map(|file| (file.content, file.fate));
        let segment = |kind| Content::Segment(kind, 7);
        for (name, expected) in [
            ("00000000000000000007.log", (segment(FileKind::Log), None)),
            ("00000000000000000007.timeindex.deleted", (segment(FileKind::TimeIndex), Some(".deleted"))),
            ("00000000000000000007.batches.swap", (segment(FileKind::Batches), Some(".swap"))),
            ("00000000000000000007-0000000001.checkpoint", (Content::MetadataSnapshot, None)),
            ("bootstrap.checkpoint", (Content::MetadataSnapshot, None)),
            ("leader-epoch-checkpoint", (Content::LeaderEpochs, None)),
            ("recovery-point-offset-checkpoint.tmp", (Content::Offsets, Some(".tmp"))),
            ("logmill.journal.1.3", (Content::Journal(JournalName { shard: 1, slot: 3 }), None)),
            ("partition.metadata", (Content::TopicId, None)),
            ("meta.properties", (Content::MetaProperties, None)),
            (".kafka_cleanshutdown", (Content::CleanShutdown, None)),
            ("logmill.topics", (Content::Text, None)),
        ] {
            assert_eq!(content(name), Some(expected), "{name}");
        }
        for name in ["7.log", "notes.txt", ".lock", "logmill.journal.1"] {
            assert_eq!(content(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_directories_say_whose_they_are() {
        let name =
            |topic: &str, partition, fate| Some(PartitionName { topic: topic.to_owned(), partition, fate });
        assert_eq!(partition_name("a-topic-3"), name("a-topic", 3, None));
        assert_eq!(partition_name("a.b-12.0123abcd-delete"), name("a.b", 12, Some("-delete")));
        assert_eq!(partition_name("t-0.0123abcd-future"), name("t", 0, Some("-future")));
        for other in ["topic", "topic-", "-3", "topic-x", "logmill.unclean"] {
            assert_eq!(partition_name(other), None, "{other}");
        }
        let topic = topic_of(Path::new("/data/__consumer_offsets-7/00000000000000000000.log"));
        assert_eq!(topic.as_deref(), Some("__consumer_offsets"));
    }
}
