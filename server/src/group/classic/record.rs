//! A group as `__consumer_offsets` keeps it: its generation, with everybody's assignment.

use std::collections::BTreeMap;

use super::member::Member;
use super::{ClassicGroup, Effects, Event, State};
use crate::group::records::{GroupMetadataValue, MemberMetadata};
use crate::wire::Text;

impl ClassicGroup {
    /// The generation as it is to be written.
    pub(crate) fn to_record(&self) -> GroupMetadataValue {
        let member = |(id, member): (&Text, &Member)| MemberMetadata {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_ms,
            session_timeout: member.session_ms,
            subscription: member.metadata(self.protocol()),
            assignment: member.assignment.clone(),
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since_ms.unwrap_or(-1),
            members: self.members.iter().map(member).collect(),
        }
    }

    /// The generation that was written. Its members are expected to be there from `now_ms` on
    /// ([`ClassicGroup::await_members`]).
    pub(crate) fn from_record(value: &GroupMetadataValue) -> ClassicGroup {
        let detached = |text: &Option<Text>| text.as_ref().map(Text::detached);
        let protocol = detached(&value.protocol);
        let member = |of: &MemberMetadata| {
            let unset = of.rebalance_timeout == -1;
            let member = Member {
                instance: detached(&of.group_instance_id),
                client_id: of.client_id.detached(),
                client_host: of.client_host.detached(),
                rebalance_ms: if unset { of.session_timeout } else { of.rebalance_timeout },
                session_ms: of.session_timeout,
                protocols: vec![(
                    protocol.clone().unwrap_or_default(),
                    bytes::Bytes::copy_from_slice(&of.subscription),
                )],
                assignment: bytes::Bytes::copy_from_slice(&of.assignment),
                joining: None,
                syncing: None,
                has_synced: true,
                is_new: false,
                session_ends_ms: i64::MAX,
            };
            (of.member_id.detached(), member)
        };
        let members: BTreeMap<Text, Member> = value.members.iter().map(member).collect();
        let instance = |(id, member): (&Text, &Member)| Some((member.instance.clone()?, id.clone()));
        ClassicGroup {
            state: if value.members.is_empty() { State::Empty } else { State::Stable },
            since_ms: Some(value.current_state_timestamp).filter(|at| *at != -1),
            generation: value.generation,
            protocol_type: Some(value.protocol_type.detached()).filter(|name| !name.is_empty()),
            instances: members.iter().filter_map(instance).collect(),
            members,
            leader: detached(&value.leader),
            protocol,
            pending: Default::default(),
            joining: None,
            sync_ends_ms: None,
        }
    }

    /// Expects heartbeats of everybody from now on, behind a start. Where the most that it may have was lowered
    /// meanwhile, its members join again.
    pub(crate) fn await_members(&mut self, event: Event<'_>, effects: &mut Effects) {
        self.members.values_mut().for_each(|member| member.touch(event));
        if self.members.len() > event.settings.size_max {
            self.prepare("it has more members than group.max.size", event, effects);
        }
    }
}
