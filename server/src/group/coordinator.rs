//! `Coordinator`: the groups of one partition of `__consumer_offsets`, as a state machine over its records.

use std::collections::{HashMap, HashSet};

use logmill_engine::format::Uuid;

use super::classic::{ClassicGroup, Event, MemberDescription, State};
use super::offsets::GroupOffsets;
use super::records::{GroupMetadataKey, OffsetCommitKey, OffsetCommitValue, Record};
use crate::wire::{ErrorCode, Text};

/// Offsets that a group commits together.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) group: Text,
    /// The member that commits; empty, and -1, from those who are no members.
    pub(crate) member_id: Text,
    pub(crate) instance: Option<Text>,
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

/// Offsets of a group that are to be forgotten.
#[derive(Debug, Clone)]
pub(crate) struct Forget {
    pub(crate) group: Text,
    /// Topics with their partitions.
    pub(crate) topics: Vec<(Text, Vec<i32>)>,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListedGroup {
    pub(crate) name: Text,
    pub(crate) protocol_type: Text,
    pub(crate) state: State,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupDescription {
    pub(crate) state: State,
    pub(crate) protocol_type: Text,
    pub(crate) protocol: Text,
    pub(crate) members: Vec<MemberDescription>,
}

/// One group: what it has committed, and its members if it has, or had, any.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) offsets: GroupOffsets,
    pub(super) classic: Option<ClassicGroup>,
    /// The log tells of the group itself: it is there until the log tells of its end.
    pub(super) is_written: bool,
    /// When somebody looks after its members next; no later than something is due.
    pub(super) alarm_ms: Option<i64>,
}

/// The groups of one partition.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    groups: HashMap<Text, Group>,
}

impl Group {
    fn state(&self) -> State {
        self.classic.as_ref().map_or(State::Empty, ClassicGroup::state)
    }

    fn protocol_type(&self) -> Text {
        self.classic.as_ref().and_then(ClassicGroup::protocol_type).cloned().unwrap_or_default()
    }

    /// Whether nothing would be missed if it were not there.
    pub(super) fn is_nothing(&self) -> bool {
        let is_touched = self.classic.as_ref().is_some_and(|classic| !classic.is_untouched());
        self.offsets.is_empty() && !self.is_written && !is_touched
    }

    /// Whether an offset has been kept for long enough, if nobody reads its topic.
    fn has_expired(&self, value: &OffsetCommitValue, event: Event<'_>) -> bool {
        let had_members = self.classic.as_ref().filter(|classic| classic.protocol_type().is_some());
        let empty = had_members.filter(|classic| classic.state() == State::Empty);
        match value.expire_timestamp {
            -1 => {
                let kept_from_ms = empty.and_then(ClassicGroup::since_ms).unwrap_or(value.commit_timestamp);
                event.now.wall_ms.saturating_sub(kept_from_ms) >= event.settings.offsets_retention_ms
            }
            expires_ms => event.now.wall_ms >= expires_ms,
        }
    }

    /// The topics whose offsets are kept however old they are; `None`: those of all topics are.
    fn read_topics(&self) -> Option<HashSet<Text>> {
        match &self.classic {
            Some(classic) if classic.state() == State::Stable && classic.is_of_consumers() => {
                classic.subscribed_topics()
            }
            Some(classic) if classic.state() != State::Empty => None,
            Some(_) | None => Some(HashSet::new()),
        }
    }
}

impl Coordinator {
    /// Decides on a commit; nothing changes before its records are applied.
    pub(crate) fn decide(
        &self,
        commit: &Commit,
        metadata_len_max: i32,
        now_ms: i64,
    ) -> Result<Decision, ErrorCode> {
        self.check_committer(commit)?;
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

    fn check_committer(&self, commit: &Commit) -> Result<(), ErrorCode> {
        let Commit { member_id, instance, generation, knows_group_not_found, .. } = commit;
        match self.groups.get(&*commit.group) {
            Some(Group { classic: Some(classic), .. }) => {
                classic.validate_commit(member_id, instance.as_ref(), *generation)
            }
            // A group that never had members takes commits from everybody who does not claim to be one.
            _ if *generation < 0 => Ok(()),
            Some(_) => Err(ErrorCode::UnknownMemberId),
            None if *knows_group_not_found => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// Takes in a record that is in the log.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::OffsetCommit { key, value: Some(value) } => {
                let value = OffsetCommitValue { metadata: value.metadata.detached(), ..value.clone() };
                self.group_or_new(&key.group).offsets.insert(key, value);
            }
            Record::OffsetCommit { key, value: None } => {
                if let Some(group) = self.groups.get_mut(&*key.group) {
                    group.offsets.remove(key);
                    self.forget_if_nothing(&key.group);
                }
            }
            Record::GroupMetadata { key, value: Some(value) } => {
                let group = self.group_or_new(&key.group);
                group.classic = Some(ClassicGroup::from_record(value));
                group.is_written = true;
            }
            Record::GroupMetadata { key, value: None } => {
                if let Some(group) = self.groups.get_mut(&*key.group) {
                    group.classic = None;
                    group.is_written = false;
                    self.forget_if_nothing(&key.group);
                }
            }
        }
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    pub(super) fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// The group, made if there is none. Its name is copied then: the one that came keeps a whole request alive.
    pub(super) fn group_or_new(&mut self, name: &Text) -> &mut Group {
        if !self.groups.contains_key(&**name) {
            self.groups.insert(name.detached(), Group::default());
        }
        self.groups.get_mut(&**name).expect("it was inserted if it was missing")
    }

    pub(super) fn forget_if_nothing(&mut self, name: &str) {
        if self.groups.get(name).is_some_and(Group::is_nothing) {
            self.groups.remove(name);
        }
    }

    /// What a group has committed; a group that does not exist has nothing.
    pub(crate) fn fetch(&self, query: &Query) -> Vec<FetchedTopic> {
        let offsets = self.groups.get(&*query.group).map(|group| &group.offsets);
        match &query.topics {
            None => offsets.map(GroupOffsets::all).unwrap_or_default(),
            Some(topics) => topics.iter().map(|topic| GroupOffsets::some(offsets, topic)).collect(),
        }
    }

    /// All groups, by name.
    pub(crate) fn list(&self) -> Vec<ListedGroup> {
        let listed = |(name, group): (&Text, &Group)| ListedGroup {
            name: name.clone(),
            protocol_type: group.protocol_type(),
            state: group.state(),
        };
        let mut groups: Vec<ListedGroup> = self.groups.iter().map(listed).collect();
        groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        groups
    }

    pub(crate) fn describe(&self, name: &str) -> Option<GroupDescription> {
        let group = self.groups.get(name)?;
        let classic = group.classic.as_ref();
        let protocol = classic.filter(|_| group.state() == State::Stable).and_then(ClassicGroup::protocol);
        Some(GroupDescription {
            state: group.state(),
            protocol_type: group.protocol_type(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: classic.map(ClassicGroup::describe).unwrap_or_default(),
        })
    }

    /// What is to be written for a group to be gone.
    pub(crate) fn decide_deletion(&self, name: &Text) -> Result<Vec<Record>, ErrorCode> {
        let group = self.groups.get(&**name).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state() != State::Empty {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let offsets = group.offsets.iter().map(|(topic, partition, _)| tombstone(name, topic, partition));
        Ok(offsets.chain([end_of(name)]).collect())
    }

    /// A code for each partition, and what is to be written for its offset to be forgotten.
    pub(crate) fn decide_to_forget(&self, forget: &Forget) -> Result<Decision, ErrorCode> {
        let Forget { group: name, topics } = forget;
        let group = self.groups.get(&**name).ok_or(ErrorCode::GroupIdNotFound)?;
        let classic = group.classic.as_ref();
        if group.state() != State::Empty && !classic.is_some_and(ClassicGroup::is_of_consumers) {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let mut decision = Decision::default();
        let read = classic.map_or_else(|| Some(HashSet::new()), ClassicGroup::subscribed_topics);
        let mut seen = HashSet::new();
        for (topic, partitions) in topics {
            // What cannot be read may be any topic.
            let is_read = read.as_ref().is_none_or(|read| read.contains(topic));
            for partition in partitions {
                if is_read {
                    decision.codes.push(ErrorCode::GroupSubscribedToTopic);
                    continue;
                }
                decision.codes.push(ErrorCode::None);
                let is_kept = group.offsets.get(topic, *partition).is_some();
                if is_kept && seen.insert((topic, *partition)) {
                    decision.records.push(tombstone(name, topic, *partition));
                }
            }
        }
        Ok(decision)
    }

    /// What is to be written of a group whose offsets have been kept for long enough, and of the group itself when
    /// it has none left and no members.
    pub(crate) fn decide_expiry(&self, name: &Text, event: Event<'_>) -> Vec<Record> {
        let Some(group) = self.groups.get(&**name) else { return Vec::new() };
        let total = group.offsets.iter().count();
        let old = group.offsets.iter().filter(|(_, _, value)| group.has_expired(value, event));
        let old: Vec<(&Text, i32)> = old.map(|(topic, partition, _)| (topic, partition)).collect();
        if old.is_empty() && total > 0 {
            return Vec::new();
        }
        let Some(read) = group.read_topics() else { return Vec::new() };
        let unread = old.into_iter().filter(|(topic, _)| !read.contains(*topic));
        let mut records: Vec<Record> =
            unread.map(|(topic, partition)| tombstone(name, topic, partition)).collect();
        let has_members =
            group.state() != State::Empty || group.classic.as_ref().is_some_and(|classic| !classic.is_idle());
        if records.len() == total && !has_members && group.is_written {
            records.push(end_of(name));
        }
        records
    }

    /// The names of all groups, in order.
    pub(crate) fn names(&self) -> Vec<Text> {
        let mut names: Vec<Text> = self.groups.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

fn tombstone(group: &Text, topic: &Text, partition: i32) -> Record {
    let key = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition };
    Record::OffsetCommit { key, value: None }
}

fn end_of(group: &Text) -> Record {
    Record::GroupMetadata { key: GroupMetadataKey { group: group.clone() }, value: None }
}

/// Apache Kafka measures metadata in the units of Java's strings.
fn utf16_len_exceeds(text: &str, max: i32) -> bool {
    let max = usize::try_from(max).unwrap_or(0);
    text.len() > max && text.encode_utf16().count() > max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GroupSettings;
    use crate::group::classic::Now;
    use crate::group::records::tests::apaches_commits;
    use crate::group::records::{GroupMetadataValue, MemberMetadata};

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
            member_id: Text::EMPTY,
            instance: None,
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
        let [Record::OffsetCommit { value: Some(value), .. }] = &decision.records[..] else {
            panic!("{:?}", decision.records);
        };
        assert_eq!(value.expire_timestamp, NOW_MS + 500);
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
            let key =
                OffsetCommitKey { group: Text::from("billing"), topic: Text::from("orders"), partition };
            assert!(!coordinator.groups.is_empty() || partition == 5);
            coordinator.apply(&Record::OffsetCommit { key, value: None });
        }
        assert!(coordinator.groups.is_empty());
    }

    const RETENTION_MS: i64 = 500;

    fn settings() -> GroupSettings {
        GroupSettings {
            session_ms_min: 0,
            session_ms_max: 0,
            initial_delay_ms: 0,
            size_max: 1,
            offsets_retention_ms: RETENTION_MS,
            offsets_check_interval_ms: 1,
        }
    }

    /// What expires of the group `g` at a time; `None` stands for the group itself.
    fn expired(coordinator: &Coordinator, wall_ms: i64) -> Vec<Option<(String, i32)>> {
        let now = Now { steady_ms: 0, wall_ms };
        let event = Event { group: "g", now, settings: &settings() };
        let what = |record: Record| match record {
            Record::OffsetCommit { key, value: None } => Some((key.topic.to_string(), key.partition)),
            Record::GroupMetadata { value: None, .. } => None,
            record => panic!("{record:?} is no end of anything"),
        };
        coordinator.decide_expiry(&"g".into(), event).into_iter().map(what).collect()
    }

    /// The group `g` of consumers of the topic `t`, or without members, since a time.
    fn generation(since_ms: i64, has_member: bool) -> Record {
        let member = MemberMetadata {
            member_id: "m".into(),
            subscription: bytes::Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"),
            ..MemberMetadata::default()
        };
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 3,
            protocol: has_member.then(|| "range".into()),
            leader: has_member.then(|| "m".into()),
            current_state_timestamp: since_ms,
            members: has_member.then_some(member).into_iter().collect(),
        };
        Record::GroupMetadata { key: GroupMetadataKey { group: "g".into() }, value: Some(value) }
    }

    #[test]
    fn offsets_of_a_group_expire_when_it_has_been_empty_for_their_retention_and_the_group_with_them() {
        let mut coordinator = Coordinator::default();
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7), new("u", 1, 8)]));
        coordinator.apply(&generation(NOW_MS + 5_000, false));
        let ends_ms = NOW_MS + 5_000 + RETENTION_MS;
        assert_eq!(expired(&coordinator, ends_ms - 1), []);
        let all = [Some(("t".to_owned(), 0)), Some(("u".to_owned(), 1)), None];
        assert_eq!(expired(&coordinator, ends_ms), all);
    }

    #[test]
    fn offsets_of_a_group_with_members_expire_for_topics_that_nobody_reads() {
        let mut coordinator = Coordinator::default();
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7), new("u", 1, 8)]));
        coordinator.apply(&generation(NOW_MS, true));
        assert_eq!(expired(&coordinator, NOW_MS + RETENTION_MS - 1), []);
        assert_eq!(expired(&coordinator, NOW_MS + RETENTION_MS), [Some(("u".to_owned(), 1))]);
    }

    #[test]
    fn an_offset_with_a_retention_of_its_own_expires_behind_that() {
        let mut coordinator = Coordinator::default();
        let commit = Commit { retention_ms: Some(9_000), ..commit(vec![new("t", 0, 7)]) };
        carry_out(&mut coordinator, &commit);
        assert_eq!(expired(&coordinator, NOW_MS + 8_999), []);
        assert_eq!(expired(&coordinator, NOW_MS + 9_000), [Some(("t".to_owned(), 0))]);
    }

    #[test]
    fn offsets_are_forgotten_once_and_not_while_a_member_reads_the_topic() {
        let mut coordinator = Coordinator::default();
        carry_out(&mut coordinator, &commit(vec![new("t", 0, 7), new("u", 1, 8)]));
        let topics = vec![("t".into(), vec![0]), ("u".into(), vec![1, 1, 2])];
        let forget = Forget { group: "g".into(), topics };
        let read = ErrorCode::GroupSubscribedToTopic;
        let none = ErrorCode::None;
        assert_eq!(coordinator.decide_to_forget(&forget).unwrap().records.len(), 2);
        coordinator.apply(&generation(NOW_MS, true));
        let decision = coordinator.decide_to_forget(&forget).unwrap();
        assert_eq!(decision.codes, [read, none, none, none]);
        assert_eq!(decision.records, [tombstone(&"g".into(), &"u".into(), 1)]);
        let unknown = Forget { group: "unknown".into(), ..forget };
        assert_eq!(coordinator.decide_to_forget(&unknown), Err(ErrorCode::GroupIdNotFound));
        assert_eq!(coordinator.decide_deletion(&"g".into()), Err(ErrorCode::NonEmptyGroup));
    }
}
