//! `Coordinator`: the groups of one partition of `__consumer_offsets`, as a state machine over its records.

use std::collections::{BTreeMap, HashMap};

use logmill_engine::format::Uuid;

use super::records::{OffsetCommitKey, OffsetCommitValue, Record};
use crate::wire::{ErrorCode, Text};

/// Offsets that a group commits together.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) group: Text,
    /// Generation or epoch of the member that commits; -1 from those who are no members.
    pub(crate) generation: i32,
    /// Whether the client knows GROUP_ID_NOT_FOUND for an answer to a commit.
    pub(crate) knows_group_not_found: bool,
    /// How long the offsets shall be kept, where the client says so.
    pub(crate) retention_ms: Option<i64>,
    pub(crate) offsets: Vec<NewOffset>,
}

/// One partition's offset of a commit. The partition exists.
#[derive(Debug, Clone)]
pub(crate) struct NewOffset {
    pub(crate) topic: Text,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Text,
}

/// What a commit comes to: an answer for each of its offsets, and what is to be written first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decision {
    pub(crate) codes: Vec<ErrorCode>,
    pub(crate) records: Vec<Record>,
}

/// Whose offsets of which partitions are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) group: Text,
    /// `None`: whatever the group has committed.
    pub(crate) topics: Option<Vec<QueryTopic>>,
}

/// A topic that exists, by name and id, and partitions of it.
pub(crate) type QueryTopic = (Text, Uuid, Vec<i32>);

/// What a group has committed of one topic: partitions, without a value where nothing is committed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FetchedTopic {
    pub(crate) name: Text,
    pub(crate) partitions: Vec<(i32, Option<OffsetCommitValue>)>,
}

/// What one group has committed, by topic and partition.
#[derive(Debug, Default)]
struct GroupOffsets(BTreeMap<Text, BTreeMap<i32, OffsetCommitValue>>);

/// Groups exist from their first record on.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    groups: HashMap<Text, GroupOffsets>,
}

impl Coordinator {
    /// Decides on a commit; nothing changes before its records are applied.
    pub(crate) fn decide(
        &self,
        commit: &Commit,
        metadata_len_max: i32,
        now_ms: i64,
    ) -> Result<Decision, ErrorCode> {
        self.check_generation(commit)?;
        let mut decision = Decision::default();
        for new in &commit.offsets {
            if utf16_len_exceeds(&new.metadata, metadata_len_max) {
                decision.codes.push(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            decision.codes.push(ErrorCode::None);
            let key = OffsetCommitKey {
                group: commit.group.clone(),
                topic: new.topic.clone(),
                partition: new.partition,
            };
            let value = OffsetCommitValue {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata.clone(),
                commit_timestamp: now_ms,
                expire_timestamp: commit
                    .retention_ms
                    .map_or(-1, |retention| now_ms.saturating_add(retention)),
                topic_id: new.topic_id,
            };
            decision.records.push(Record::OffsetCommit { key, value: Some(value) });
        }
        Ok(decision)
    }

    /// A group without members takes commits from everybody who does not claim to be a member.
    fn check_generation(&self, commit: &Commit) -> Result<(), ErrorCode> {
        match self.groups.contains_key(&*commit.group) {
            _ if commit.generation < 0 => Ok(()),
            true => Err(ErrorCode::UnknownMemberId),
            false if commit.knows_group_not_found => Err(ErrorCode::GroupIdNotFound),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// Takes in a record that is in the log.
    pub(crate) fn apply(&mut self, record: &Record) {
        let Record::OffsetCommit { key, value } = record;
        match value {
            Some(value) => {
                let group = entry(&mut self.groups, &key.group);
                let value = OffsetCommitValue { metadata: value.metadata.detached(), ..value.clone() };
                group.insert(key, value);
            }
            None => {
                if let Some(group) = self.groups.get_mut(&*key.group)
                    && group.remove(key)
                {
                    self.groups.remove(&*key.group);
                }
            }
        }
    }

    /// What a group has committed; a group that does not exist has nothing.
    pub(crate) fn fetch(&self, query: &Query) -> Vec<FetchedTopic> {
        let group = self.groups.get(&*query.group);
        match &query.topics {
            None => group.map(GroupOffsets::all).unwrap_or_default(),
            Some(topics) => topics.iter().map(|topic| GroupOffsets::some(group, topic)).collect(),
        }
    }
}

/// The group's offsets. Its name is copied when it is new: the one that came keeps a whole request alive.
fn entry<'a>(groups: &'a mut HashMap<Text, GroupOffsets>, name: &Text) -> &'a mut GroupOffsets {
    if !groups.contains_key(&**name) {
        groups.insert(name.detached(), GroupOffsets::default());
    }
    groups.get_mut(&**name).expect("it was inserted if it was missing")
}

impl GroupOffsets {
    fn insert(&mut self, key: &OffsetCommitKey, value: OffsetCommitValue) {
        match self.0.get_mut(&*key.topic) {
            Some(partitions) => partitions.insert(key.partition, value),
            None => self.0.entry(key.topic.detached()).or_default().insert(key.partition, value),
        };
    }

    /// True when nothing is left.
    fn remove(&mut self, key: &OffsetCommitKey) -> bool {
        if let Some(partitions) = self.0.get_mut(&*key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                self.0.remove(&*key.topic);
            }
        }
        self.0.is_empty()
    }

    fn all(&self) -> Vec<FetchedTopic> {
        let fetched = |(name, partitions): (&Text, &BTreeMap<i32, OffsetCommitValue>)| FetchedTopic {
            name: name.clone(),
            partitions: partitions.iter().map(|(index, value)| (*index, Some(value.clone()))).collect(),
        };
        self.0.iter().map(fetched).collect()
    }

    fn some(group: Option<&GroupOffsets>, (name, id, partitions): &QueryTopic) -> FetchedTopic {
        let committed = group.and_then(|group| group.0.get(&**name));
        let value = |index: &i32| committed?.get(index).filter(|value| value.is_of(*id)).cloned();
        let partitions = partitions.iter().map(|index| (*index, value(index))).collect();
        FetchedTopic { name: name.clone(), partitions }
    }
}

/// Apache Kafka measures metadata in the units of Java's strings.
fn utf16_len_exceeds(text: &str, max: i32) -> bool {
    let max = usize::try_from(max).unwrap_or(0);
    text.len() > max && text.encode_utf16().count() > max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::records::tests::{apaches_commits, commit as record};

    const NOW_MS: i64 = 1_000;

    fn new(topic: &'static str, partition: i32, offset: i64) -> NewOffset {
        NewOffset {
            topic: Text::from_static(topic),
            topic_id: Uuid([1; 16]),
            partition,
            offset,
            leader_epoch: -1,
            metadata: Text::EMPTY,
        }
    }

    fn commit(offsets: Vec<NewOffset>) -> Commit {
        Commit {
            group: Text::from_static("g"),
            generation: -1,
            knows_group_not_found: true,
            retention_ms: None,
            offsets,
        }
    }

    fn decide(coordinator: &Coordinator, commit: &Commit) -> Result<Decision, ErrorCode> {
        coordinator.decide(commit, 4, NOW_MS)
    }

    fn carry_out(coordinator: &mut Coordinator, commit: &Commit) {
        decide(coordinator, commit).unwrap().records.iter().for_each(|record| coordinator.apply(record));
    }

    /// Topic, partition and offset of everything that a query finds; -1 where it finds nothing.
    fn fetch(
        coordinator: &Coordinator,
        group: &str,
        topics: Option<Vec<QueryTopic>>,
    ) -> Vec<(String, i32, i64)> {
        let fetched = coordinator.fetch(&Query { group: group.into(), topics });
        let offsets = fetched.iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.iter().map(move |(partition, value)| {
                (name.clone(), *partition, value.as_ref().map_or(-1, |value| value.offset))
            })
        });
        offsets.collect()
    }

    fn at(topic: &str, partition: i32, offset: i64) -> (String, i32, i64) {
        (topic.to_owned(), partition, offset)
    }

    #[test]
    fn what_is_committed_is_fetched_and_what_is_not_is_nothing() {
        let mut coordinator = Coordinator::default();
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7), new("t", 2, 0), new("s", 1, 5)]));
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 9)]));
        let topics = vec![(Text::from_static("t"), Uuid([1; 16]), vec![2, 1, 0])];
        let found = fetch(&coordinator, "g", Some(topics.clone()));
        assert_eq!(found, [at("t", 2, 0), at("t", 1, -1), at("t", 0, 9)]);
        assert_eq!(fetch(&coordinator, "g", None), [at("s", 1, 5), at("t", 0, 9), at("t", 2, 0)]);
        assert_eq!(
            fetch(&coordinator, "other", Some(topics)),
            [at("t", 2, -1), at("t", 1, -1), at("t", 0, -1)]
        );
        assert_eq!(fetch(&coordinator, "other", None), []);
    }

    #[test]
    fn a_decision_changes_nothing_before_it_is_applied() {
        let coordinator = Coordinator::default();
        decide(&coordinator, &commit(vec![new("t", 0, 7)])).unwrap();
        assert_eq!(fetch(&coordinator, "g", None), []);
    }

    #[test]
    fn metadata_too_large_refuses_its_partition_and_no_other() {
        let large = NewOffset { metadata: "12345".into(), ..new("t", 0, 1) };
        // Four units of UTF-16, though more bytes.
        let just_fits = NewOffset { metadata: "größ".into(), ..new("t", 1, 2) };
        let decision = decide(&Coordinator::default(), &commit(vec![large, just_fits])).unwrap();
        assert_eq!(decision.codes, [ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]);
        assert_eq!(decision.records.len(), 1);
    }

    #[test]
    fn who_claims_to_be_a_member_is_refused() {
        let mut coordinator = Coordinator::default();
        let member = Commit { generation: 0, ..commit(vec![new("t", 0, 7)]) };
        let of_old_client = Commit { knows_group_not_found: false, ..member.clone() };
        assert_eq!(decide(&coordinator, &member), Err(ErrorCode::GroupIdNotFound));
        assert_eq!(decide(&coordinator, &of_old_client), Err(ErrorCode::IllegalGeneration));
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7)]));
        assert_eq!(decide(&coordinator, &member), Err(ErrorCode::UnknownMemberId));
        assert_eq!(decide(&coordinator, &of_old_client), Err(ErrorCode::UnknownMemberId));
    }

    #[test]
    fn a_retention_becomes_the_time_of_expiry() {
        let commit = Commit { retention_ms: Some(500), ..commit(vec![new("t", 0, 7)]) };
        let decision = decide(&Coordinator::default(), &commit).unwrap();
        let Record::OffsetCommit { value, .. } = &decision.records[0];
        assert_eq!(value.as_ref().unwrap().expire_timestamp, NOW_MS + 500);
    }

    #[test]
    fn an_offset_of_a_topic_that_was_deleted_is_not_found_under_the_new_ones_id() {
        let mut coordinator = Coordinator::default();
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7)]));
        let of_unknown_id = NewOffset { topic_id: Uuid::ZERO, ..new("t", 1, 8) };
        carry_out(&mut coordinator, &commit(vec![of_unknown_id]));
        let found = |id| fetch(&coordinator, "g", Some(vec![(Text::from_static("t"), id, vec![0, 1])]));
        assert_eq!(found(Uuid([1; 16])), [at("t", 0, 7), at("t", 1, 8)]);
        assert_eq!(found(Uuid([2; 16])), [at("t", 0, -1), at("t", 1, 8)]);
    }

    #[test]
    fn a_group_ends_with_its_last_offset() {
        let mut coordinator = Coordinator::default();
        apaches_commits().iter().for_each(|record| coordinator.apply(record));
        for partition in [1, 0, 5] {
            let Record::OffsetCommit { key, .. } =
                record("billing", "orders", partition, OffsetCommitValue::default());
            assert!(!coordinator.groups.is_empty() || partition == 5);
            coordinator.apply(&Record::OffsetCommit { key, value: None });
        }
        assert!(coordinator.groups.is_empty());
    }
}
