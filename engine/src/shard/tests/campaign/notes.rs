//! `Notes`: what the small files of a broker say, each of which is replaced whole and durably: which topics
//! there are, how far their logs had come, and whether the last stop was a clean one.

use std::collections::BTreeMap;

use crate::format::Uuid;
use crate::partition::{Known, Marks, PartitionId};
use crate::shard::PartitionMarks;

/// What a broker knows before it looks at logs and journals.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    pub(super) topics: Vec<TopicNote>,
    marks: BTreeMap<PartitionId, Marks>,
    pub(super) was_clean: bool,
}

/// A topic that was asked for and is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicNote {
    pub(super) name: &'static str,
    pub(super) id: Uuid,
    pub(super) partitions: i32,
    /// Its directories are there.
    pub(super) is_made: bool,
}

impl TopicNote {
    pub(super) fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        let topic = self.id;
        (0..self.partitions).map(move |index| PartitionId { topic, index })
    }
}

impl Notes {
    /// Every partition that is served, and its topic's name.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (PartitionId, &'static str)> + '_ {
        let made = self.topics.iter().filter(|topic| topic.is_made);
        made.flat_map(|topic| topic.partitions().map(|id| (id, topic.name)))
    }

    pub(super) fn known(&self, id: PartitionId) -> Known {
        let marks = self.marks(id);
        Known {
            was_clean: self.was_clean,
            recovery_point: marks.recovery_point,
            start_offset: marks.start,
            has_gaps: false,
        }
    }

    /// Once a process has started: it takes note of a clean stop away before it changes anything.
    pub(super) fn unclean(&self) -> Notes {
        let mut notes = self.clone();
        notes.was_clean = false;
        notes
    }

    /// What was written down of a partition last.
    pub(super) fn marks(&self, id: PartitionId) -> Marks {
        let none = Marks { recovery_point: 0, start: 0, high_watermark: 0 };
        self.marks.get(&id).copied().unwrap_or(none)
    }

    /// Takes up marks; partitions of directories that are offline keep theirs.
    pub(super) fn write_marks(&mut self, written: &[PartitionMarks]) {
        self.marks.extend(written.iter().map(|written| (written.id, written.marks)));
    }

    /// Takes a topic out, and all that is known of it.
    pub(super) fn forget(&mut self, name: &str) -> TopicNote {
        let at = self.topics.iter().position(|topic| topic.name == name).expect("it is there");
        let topic = self.topics.remove(at);
        self.marks.retain(|id, _| id.topic != topic.id);
        topic
    }
}
