//! A member joins: as a new one, as one that comes back, or in the place of a static one.

use bytes::Bytes;

use super::member::Member;
use super::{ClassicGroup, Effects, Event, JoinAnswer, State, Waiter};
use crate::group::records::GroupMetadataValue;
use crate::wire::{ErrorCode, Text};

/// How long a new member may wait for its first generation before it is taken for gone: it cannot send
/// heartbeats yet, and its request may have been given up.
const NEW_MEMBER_MS: i64 = 5 * 60 * 1_000;

/// A request to join.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty of who has none yet.
    pub(crate) member_id: Text,
    /// A fresh id for that case, without what stands in front of it.
    pub(crate) fresh_id: String,
    /// A client that is given an id comes back with it before it is a member: one that never comes back has
    /// then left nothing behind.
    pub(crate) comes_back_with_id: bool,
    /// A client that can be told to keep the assignment, although it leads.
    pub(crate) knows_skipping: bool,
    pub(crate) instance: Option<Text>,
    pub(crate) client_id: Text,
    pub(crate) client_host: Text,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) protocol_type: Text,
    pub(crate) protocols: Vec<(Text, Bytes)>,
    pub(crate) reason: Option<Text>,
}

/// What a request to join comes to.
#[derive(Debug)]
pub(crate) enum Joined {
    /// The group is as it is to be.
    Done,
    /// The group is to become `group` when `value` is written.
    Replaced { group: Box<ClassicGroup>, value: GroupMetadataValue },
}

impl ClassicGroup {
    /// Takes a request to join in.
    pub(crate) fn join(
        &mut self,
        join: &Join,
        waiter: Waiter,
        event: Event<'_>,
        effects: &mut Effects,
    ) -> Joined {
        if !self.has_room_for(&join.member_id, event.settings.size_max) {
            effects.refuse_join(waiter, &Text::EMPTY, ErrorCode::GroupMaxSizeReached);
            self.take_leave(&join.member_id, effects);
            self.complete_if_all_joined(event, effects);
        } else if !self.supports(join) {
            effects.refuse_join(waiter, &join.member_id, ErrorCode::InconsistentGroupProtocol);
        } else if join.member_id.is_empty() {
            return self.join_without_id(join, waiter, event, effects);
        } else {
            self.join_with_id(join, waiter, event, effects);
        }
        Joined::Done
    }

    fn join_without_id(
        &mut self,
        join: &Join,
        waiter: Waiter,
        event: Event<'_>,
        effects: &mut Effects,
    ) -> Joined {
        let name = join.instance.as_ref().unwrap_or(&join.client_id);
        // Whatever is too long for an id, the part that makes it one of its kind is in it.
        let name = &name[..name.floor_char_boundary(Text::BYTES_MAX - join.fresh_id.len() - 1)];
        let id = Text::from(format!("{name}-{}", join.fresh_id));
        let (group, state) = (event.group, self.state.name());
        if let Some(instance) = &join.instance {
            if let Some(known) = self.static_member(instance).cloned() {
                tracing::info!(
                    "group {group}, {state}: static member {instance} comes back without an id; {id} takes the \
                     place of {known}"
                );
                return self.join_in_place_of(&known, id, join, waiter, event, effects);
            }
            tracing::info!("group {group}, {state}: static member {instance} joins as {id}");
            self.add(id, join, waiter, event, effects);
        } else if join.comes_back_with_id {
            tracing::info!(
                "group {group}, {state}: a member without an id joins and is to come back as {id}"
            );
            self.pending.insert(id.clone(), event.now.steady_ms.saturating_add(join.session_ms.into()));
            effects.refuse_join(waiter, &id, ErrorCode::MemberIdRequired);
        } else {
            tracing::info!("group {group}, {state}: a member without an id joins as {id}");
            self.add(id, join, waiter, event, effects);
        }
        Joined::Done
    }

    fn join_with_id(&mut self, join: &Join, waiter: Waiter, event: Event<'_>, effects: &mut Effects) {
        let id = &join.member_id;
        let group = event.group;
        // Static members are not asked to come back.
        if join.instance.is_none() && self.pending.contains_key(id) {
            tracing::info!("group {group}, {}: {id} comes back and is a member", self.state.name());
            self.add(id.detached(), join, waiter, event, effects);
            return;
        }
        if let Err(code) = self.validate(id, join.instance.as_ref()) {
            effects.refuse_join(waiter, id, code);
            return;
        }
        let has_changed = !self.members[id].has_protocols(join);
        match self.state {
            State::PreparingRebalance => {
                self.join_again(join, waiter, effects);
                self.rebalance(&format!("{id} joins; {}", reason_of(join)), event, effects);
            }
            State::CompletingRebalance | State::Stable if has_changed => {
                self.join_again(join, waiter, effects);
                let reason = format!("{id} has other metadata; {}", reason_of(join));
                self.rebalance(&reason, event, effects);
            }
            // What the assignment depends on may have changed although the metadata has not: its topics.
            State::Stable if self.is_leader(id) => {
                self.join_again(join, waiter, effects);
                self.rebalance(&format!("leader {id} joins again; {}", reason_of(join)), event, effects);
            }
            // It may have missed the answer to its join.
            State::CompletingRebalance | State::Stable => {
                let leads = self.state == State::CompletingRebalance && self.is_leader(id);
                effects.join(waiter, self.answer_of_generation(id, leads));
            }
            State::Empty => effects.refuse_join(waiter, id, ErrorCode::UnknownMemberId),
        }
    }

    /// A static member is back under a new id. The old one is fenced; the place, and where nothing else has
    /// changed the assignment, are the new one's.
    fn join_in_place_of(
        &mut self,
        known: &Text,
        id: Text,
        join: &Join,
        waiter: Waiter,
        event: Event<'_>,
        effects: &mut Effects,
    ) -> Joined {
        let mut next = self.clone();
        next.replace(known, id.clone(), effects);
        let member = next.members.get_mut(&id).expect("it was put there");
        member.take_from(join);
        member.touch(event);
        if self.state == State::Stable && next.select_protocol().as_ref() == self.protocol() {
            // Clients that cannot be told to skip the assignment are told of a leader that they are not.
            let keeps_leading = next.is_leader(&id);
            let mut answer = next.answer_of_generation(&id, keeps_leading && join.knows_skipping);
            answer.skips_assignment = keeps_leading && join.knows_skipping;
            if !join.knows_skipping {
                answer.leader = self.leader.clone().unwrap_or_default();
            }
            effects.join(waiter, answer);
            let value = next.to_record();
            return Joined::Replaced { group: Box::new(next), value };
        }
        *self = next;
        let member = self.members.get_mut(&id).expect("it was put there");
        member.wait_to_join(&id, waiter, effects);
        let instance = join.instance.as_ref().map_or("", |instance| instance.as_str());
        let reason = format!("static member {instance} is back as {id}; {}", reason_of(join));
        self.rebalance(&reason, event, effects);
        Joined::Done
    }

    fn replace(&mut self, known: &Text, id: Text, effects: &mut Effects) {
        let led = self.is_leader(known);
        let mut member = self.members.remove(known).expect("it is known");
        member.is_new = false;
        member.answer_join(|| JoinAnswer::refusal(known.clone(), ErrorCode::FencedInstanceId), effects);
        if let Some(waiter) = member.syncing.take() {
            effects.sync(waiter, super::SyncAnswer::refusal(ErrorCode::FencedInstanceId));
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        if led {
            self.leader = Some(id);
        }
    }

    fn add(&mut self, id: Text, join: &Join, waiter: Waiter, event: Event<'_>, effects: &mut Effects) {
        let mut member = Member {
            instance: join.instance.as_ref().map(Text::detached),
            client_id: join.client_id.detached(),
            client_host: join.client_host.clone(),
            rebalance_ms: 0,
            session_ms: 0,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            joining: Some(waiter),
            syncing: None,
            has_synced: false,
            is_new: true,
            session_ends_ms: event.now.steady_ms.saturating_add(NEW_MEMBER_MS),
        };
        member.take_from(join);
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.detached());
        }
        if let Some(initial) = self.joining.as_mut().and_then(|joining| joining.initial.as_mut()) {
            initial.has_grown = true;
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending.remove(&id);
        let instance = join.instance.as_ref().map_or("none", |instance| instance.as_str());
        let reason = format!("new member {id}, instance id {instance}; {}", reason_of(join));
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, member);
        self.rebalance(&reason, event, effects);
    }

    fn join_again(&mut self, join: &Join, waiter: Waiter, effects: &mut Effects) {
        let member = self.members.get_mut(&join.member_id).expect("it was validated");
        member.take_from(join);
        member.wait_to_join(&join.member_id, waiter, effects);
    }

    /// Whether one more may join. While members join those that have are counted: if the limit was lowered the
    /// last ones to come back are sent away.
    fn has_room_for(&self, id: &Text, size_max: usize) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                let waits = self.members.get(id).is_some_and(|member| member.joining.is_some());
                waits || self.joining_members() < size_max
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(id) || self.members.len() < size_max
            }
        }
    }

    /// Whether some protocol is common to the members and to who wants to join.
    fn supports(&self, join: &Join) -> bool {
        if self.state == State::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        if self.protocol_type.as_ref() != Some(&join.protocol_type) {
            return false;
        }
        let common = self.common_protocols();
        self.members.is_empty() || join.protocols.iter().any(|(name, _)| common.contains(name))
    }

    /// The answer of the generation that stands, for a member that is of it.
    pub(super) fn answer_of_generation(&self, id: &Text, with_members: bool) -> JoinAnswer {
        let of = |(id, member): (&Text, &Member)| {
            (id.clone(), member.instance.clone(), member.metadata(self.protocol()))
        };
        JoinAnswer {
            code: ErrorCode::None,
            member_id: id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            members: if with_members { self.members.iter().map(of).collect() } else { Vec::new() },
            skips_assignment: false,
        }
    }
}

impl Member {
    fn has_protocols(&self, join: &Join) -> bool {
        self.protocols == join.protocols
    }

    /// Takes over what a request says of the member. What came with it would keep a whole frame alive.
    fn take_from(&mut self, join: &Join) {
        let detached = |(name, metadata): &(Text, Bytes)| (name.detached(), Bytes::copy_from_slice(metadata));
        self.protocols = join.protocols.iter().map(detached).collect();
        self.rebalance_ms = join.rebalance_ms;
        self.session_ms = join.session_ms;
    }
}

fn reason_of(join: &Join) -> String {
    match &join.reason {
        Some(reason) if !reason.is_empty() => format!("its reason: {reason}"),
        Some(_) | None => "no reason given".to_owned(),
    }
}
