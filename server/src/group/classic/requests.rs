//! What members ask for once they have joined: their assignment, to stay, to go, to commit.

use std::collections::HashMap;

use bytes::Bytes;

use super::{ClassicGroup, Effects, Event, State, SyncAnswer, Waiter};
use crate::group::records::GroupMetadataValue;
use crate::wire::{ErrorCode, Text};

/// A request for the assignment; the leader's brings it.
#[derive(Debug, Clone)]
pub(crate) struct Sync {
    pub(crate) member_id: Text,
    pub(crate) instance: Option<Text>,
    pub(crate) generation: i32,
    /// What the member believes the group to be, where its version says so.
    pub(crate) protocol_type: Option<Text>,
    pub(crate) protocol: Option<Text>,
    pub(crate) assignments: Vec<(Text, Bytes)>,
}

/// What a request for the assignment comes to.
#[derive(Debug)]
pub(crate) enum Synced {
    /// The group is as it is to be.
    Done,
    /// The group is to become `group` when `value` is written; the answers come with that.
    Assigned { group: Box<ClassicGroup>, value: GroupMetadataValue },
}

/// A member that leaves, or that somebody sends away.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    /// Empty where only the instance is named.
    pub(crate) member_id: Text,
    pub(crate) instance: Option<Text>,
    pub(crate) reason: Option<Text>,
}

impl ClassicGroup {
    /// Takes a request for the assignment in.
    pub(crate) fn sync(
        &mut self,
        sync: &Sync,
        waiter: Waiter,
        event: Event<'_>,
        effects: &mut Effects,
    ) -> Synced {
        if let Err(code) = self.validate_sync(sync) {
            effects.sync(waiter, SyncAnswer::refusal(code));
            return Synced::Done;
        }
        if self.state == State::CompletingRebalance && self.is_leader(&sync.member_id) {
            return self.assign(sync, waiter, event, effects);
        }
        let is_stable = self.state == State::Stable;
        let answer = SyncAnswer {
            code: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: Bytes::new(),
        };
        let member = self.members.get_mut(&sync.member_id).expect("it was validated");
        if is_stable {
            member.has_synced = true;
            effects.sync(waiter, SyncAnswer { assignment: member.assignment.clone(), ..answer });
        } else {
            member.wait_to_sync(waiter, effects);
        }
        self.end_syncs_if_all_have();
        Synced::Done
    }

    fn validate_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        if self.state == State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.validate(&sync.member_id, sync.instance.as_ref())?;
        if sync.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |believed: &Option<Text>, known: &Option<Text>| matches!((believed, known), (Some(believed), Some(known)) if believed != known);
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// The leader's assignment is there. Whom it does not name gets nothing.
    fn assign(&self, sync: &Sync, waiter: Waiter, event: Event<'_>, effects: &mut Effects) -> Synced {
        let statics = self.members.values().filter(|member| member.instance.is_some()).count();
        tracing::info!(
            "group {}: assignment of generation {} from leader {} for {} members, {statics} of them static",
            event.group,
            self.generation,
            sync.member_id,
            self.members.len()
        );
        let mut next = self.clone();
        let given: HashMap<&Text, &Bytes> = sync.assignments.iter().map(|(id, given)| (id, given)).collect();
        for (id, member) in &mut next.members {
            let given = given.get(id);
            if given.is_none() {
                tracing::warn!("group {}: the leader assigns nothing to {id}", event.group);
            }
            member.assignment = given.map_or_else(Bytes::new, |given| Bytes::copy_from_slice(given));
        }
        let value = next.to_record();
        let leader = next.members.get_mut(&sync.member_id).expect("it was validated");
        leader.wait_to_sync(waiter, effects);
        for member in next.members.values_mut() {
            let answer = SyncAnswer {
                code: ErrorCode::None,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                assignment: member.assignment.clone(),
            };
            member.answer_sync(answer, event, effects);
        }
        next.state = State::Stable;
        next.since_ms = Some(event.now.wall_ms);
        next.end_syncs_if_all_have();
        Synced::Assigned { group: Box::new(next), value }
    }

    /// The assignment cannot be written: who waits for it is told why, and everybody joins again.
    pub(crate) fn refuse_assignment(
        &mut self,
        waiter: Waiter,
        code: ErrorCode,
        event: Event<'_>,
        effects: &mut Effects,
    ) {
        effects.sync(waiter, SyncAnswer::refusal(code));
        for member in self.members.values_mut() {
            member.answer_sync(SyncAnswer::refusal(code), event, effects);
        }
        self.prepare(&format!("its assignment cannot be written: {code}"), event, effects);
    }

    fn end_syncs_if_all_have(&mut self) {
        if self.members.values().all(|member| member.has_synced) {
            self.sync_ends_ms = None;
        }
    }

    /// A member says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &Text,
        instance: Option<&Text>,
        generation: i32,
        event: Event<'_>,
    ) -> ErrorCode {
        if let Err(code) = self.validate_generation(member_id, instance, generation) {
            return code;
        }
        self.touch(member_id, event);
        match self.state {
            State::Empty => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
        }
    }

    fn validate_generation(
        &self,
        member_id: &Text,
        instance: Option<&Text>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.validate(member_id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn touch(&mut self, member_id: &Text, event: Event<'_>) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.touch(event);
        }
    }

    /// Members leave, or are sent away by their instance ids; a code for each.
    pub(crate) fn leave(
        &mut self,
        leaving: &[Leaving],
        event: Event<'_>,
        effects: &mut Effects,
    ) -> Vec<ErrorCode> {
        let codes: Vec<ErrorCode> = leaving.iter().map(|who| self.leave_one(who, event, effects)).collect();
        if codes.contains(&ErrorCode::None) {
            match self.state {
                State::PreparingRebalance => self.complete_if_all_joined(event, effects),
                State::Empty | State::CompletingRebalance | State::Stable => {
                    self.go_on_without("members have left", event, effects);
                }
            }
        }
        codes
    }

    fn leave_one(&mut self, who: &Leaving, event: Event<'_>, effects: &mut Effects) -> ErrorCode {
        let by_instance = who.instance.as_ref().filter(|_| who.member_id.is_empty());
        let id = match by_instance {
            Some(instance) => match self.static_member(instance) {
                Some(id) => id.clone(),
                None => return ErrorCode::UnknownMemberId,
            },
            None if self.pending.contains_key(&who.member_id) => who.member_id.clone(),
            None => match self.validate(&who.member_id, who.instance.as_ref()) {
                Ok(()) => who.member_id.clone(),
                Err(code) => return code,
            },
        };
        let reason = who.reason.as_ref().map_or("no reason given", |reason| reason.as_str());
        tracing::info!("group {}: {id} leaves: {reason}", event.group);
        self.take_leave(&id, effects);
        ErrorCode::None
    }

    /// Whether who commits may; a member that does is alive.
    pub(crate) fn validate_commit(
        &self,
        member_id: &Text,
        instance: Option<&Text>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && instance.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.validate_generation(member_id, instance, generation)?;
        match self.state {
            // It has the newest generation and not its assignment: what it read belongs to the one before.
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::PreparingRebalance | State::Stable => Ok(()),
        }
    }

    /// A member has committed.
    pub(crate) fn committed(&mut self, member_id: &Text, event: Event<'_>) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.touch(member_id, event);
        }
    }
}
