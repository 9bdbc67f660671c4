//! What a group is, and what can be asked of it.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::member::Member;
use super::{Now, State};
use crate::wire::{ErrorCode, Reader, Text};

/// The protocol type of consumers; others have members of their own kinds, as Kafka Connect.
const CONSUMER: &str = "consumer";

/// The members of one group, and what they have agreed on.
#[derive(Debug, Clone)]
pub(crate) struct ClassicGroup {
    pub(super) state: State,
    /// Since when; brokers of long ago did not write it.
    pub(super) since_ms: Option<i64>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) leader: Option<Text>,
    pub(super) members: BTreeMap<Text, Member>,
    /// The ids of static members, by their instances.
    pub(super) instances: BTreeMap<Text, Text>,
    /// Ids that were given out to join with, and until when that has to happen.
    pub(super) pending: BTreeMap<Text, i64>,
    /// How long members may join; there while it prepares.
    pub(super) joining: Option<Joining>,
    /// When members that have not asked for their assignment are sent away.
    pub(super) sync_ends_ms: Option<i64>,
}

/// The time that members have to join.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joining {
    pub(super) ends_ms: i64,
    /// Of a group that had no members: they come one after the other, and each gives the next ones more time.
    pub(super) initial: Option<Initial>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Initial {
    /// How long it waits this time, and how much longer it may wait altogether.
    pub(super) delay_ms: i64,
    pub(super) left_ms: i64,
    /// Somebody has joined since.
    pub(super) has_grown: bool,
}

/// A member, for who describes the group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MemberDescription {
    pub(crate) id: Text,
    pub(crate) instance: Option<Text>,
    pub(crate) client_id: Text,
    pub(crate) client_host: Text,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

impl ClassicGroup {
    pub(crate) fn new(now: Now) -> ClassicGroup {
        ClassicGroup {
            state: State::Empty,
            since_ms: Some(now.wall_ms),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            joining: None,
            sync_ends_ms: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Since when it is in its state, where that is known.
    pub(crate) fn since_ms(&self) -> Option<i64> {
        self.since_ms
    }

    pub(crate) fn protocol_type(&self) -> Option<&Text> {
        self.protocol_type.as_ref()
    }

    /// The protocol of the generation that stands.
    pub(crate) fn protocol(&self) -> Option<&Text> {
        self.protocol.as_ref()
    }

    /// Whether nobody is a member, is about to be, or ever was.
    pub(crate) fn is_untouched(&self) -> bool {
        self.protocol_type.is_none() && self.is_idle()
    }

    /// Whether nobody is a member or about to be one.
    pub(crate) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|name| *name == *CONSUMER)
    }

    /// Its members; metadata and assignments where they are settled.
    pub(crate) fn describe(&self) -> Vec<MemberDescription> {
        let is_stable = self.state == State::Stable;
        let describe = |(id, member): (&Text, &Member)| MemberDescription {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable { member.metadata(self.protocol()) } else { Bytes::new() },
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        };
        self.members.iter().map(describe).collect()
    }

    /// The topics that its members, who are consumers, have subscribed to; `None` where that cannot be read.
    pub(crate) fn subscribed_topics(&self) -> Option<HashSet<Text>> {
        let mut subscribed = HashSet::new();
        for member in self.members.values() {
            subscribed.extend(subscribed_topics(&member.metadata(self.protocol()))?);
        }
        Some(subscribed)
    }

    /// Whether somebody is who it says to be.
    pub(super) fn validate(&self, member_id: &Text, instance: Option<&Text>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.static_member(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => (),
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// The id of the member with this instance id.
    pub(super) fn static_member(&self, instance: &Text) -> Option<&Text> {
        self.instances.get(instance)
    }

    pub(super) fn is_leader(&self, member_id: &Text) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    pub(super) fn joining_members(&self) -> usize {
        self.members.values().filter(|member| member.joining.is_some()).count()
    }

    pub(super) fn have_all_joined(&self) -> bool {
        self.pending.is_empty() && self.joining_members() == self.members.len()
    }

    /// The longest time that a member may take to join again.
    pub(super) fn rebalance_ms(&self) -> i64 {
        self.members.values().map(|member| member.rebalance_ms.into()).max().unwrap_or(0).max(0)
    }

    /// Takes a member or an id that was given out away. Another one leads if it did.
    pub(super) fn remove(&mut self, id: &Text) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(instance) = removed.as_ref().and_then(|member| member.instance.as_ref()) {
            self.instances.remove(instance);
        }
        self.pending.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        removed
    }

    /// When time alone changes something next.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        let sessions = self.members.values().map(|member| member.session_ends_ms);
        let pending = self.pending.values().copied();
        let joining = self.joining.map(|joining| joining.ends_ms);
        sessions.chain(pending).chain(joining).chain(self.sync_ends_ms).min().filter(|at| *at != i64::MAX)
    }
}

/// The topics that a consumer's metadata names: a version, then the names, in every version of it.
fn subscribed_topics(metadata: &Bytes) -> Option<Vec<Text>> {
    let mut reader = Reader::new(metadata);
    let _version: [u8; 2] = reader.array().ok()?;
    let count = i32::from_be_bytes(reader.array().ok()?);
    let text = |reader: &mut Reader<'_>| {
        let len = i16::from_be_bytes(reader.array().ok()?);
        reader.text(usize::try_from(len).ok()?).ok()
    };
    (0..count).map(|_| text(&mut reader)).collect()
}
