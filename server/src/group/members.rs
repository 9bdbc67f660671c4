//! What members ask of the coordinators of a shard.

use logmill_engine::partition::PartitionId;
use logmill_engine::shard::Shard;

use super::classic::{
    ClassicGroup, Effects, Event, Join, JoinAnswer, Joined, Leaving, Now, Sync, SyncAnswer, Synced, Waiter,
};
use super::coordinator::Commit;
use super::coordinators::{Coordinators, Grounded};
use super::waiting::{AnswerTo, Expected, Told};
use crate::wire::{ErrorCode, Text};

/// A sign of life.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: Text,
    pub(crate) instance: Option<Text>,
    pub(crate) generation: i32,
}

impl Coordinators {
    /// Takes a request to join in. The answer comes when the group has its next generation.
    pub(crate) fn join(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        name: &Text,
        join: &Join,
        reply: AnswerTo<JoinAnswer>,
        now: Now,
    ) {
        let settings = &self.settings;
        let Some(slot) = self.by_partition.get_mut(&id) else {
            let answer = JoinAnswer::refusal(join.member_id.clone(), ErrorCode::CoordinatorNotAvailable);
            return self.tell(Told::Join(reply, answer, None));
        };
        // Only who has no id yet brings a group into being.
        if !join.member_id.is_empty() && slot.coordinator.group(name).is_none() {
            let answer = JoinAnswer::refusal(join.member_id.clone(), ErrorCode::UnknownMemberId);
            return self.tell(Told::Join(reply, answer, None));
        }
        let is_new = slot.coordinator.group(name).is_none();
        let waiter = slot.enroll(Expected::Join(reply));
        let group = slot.coordinator.group_or_new(name);
        let classic = group.classic.get_or_insert_with(|| ClassicGroup::new(now));
        let event = Event { group: name, now, settings };
        let mut effects = Effects::default();
        let unborn = is_new.then(|| classic.to_record());
        let joined = classic.join(join, waiter, event, &mut effects);
        // As in Apache Kafka a group is there, and listed behind a start, from the first one that joins it on.
        if let Some(value) = unborn.filter(|_| !classic.is_idle())
            && let Err(code) = slot.write_group(engine, id, name, value, now)
        {
            slot.coordinator.group_or_new(name).classic = None;
            effects = refused_join(waiter, code);
        } else if let Joined::Replaced { group: next, value } = joined {
            match slot.write_group(engine, id, name, value, now) {
                Ok(()) => slot.coordinator.group_or_new(name).classic = Some(*next),
                Err(code) => effects = refused_join(waiter, code),
            }
        }
        self.settle(engine, id, name, effects, now);
    }

    /// Takes a request for the assignment in. The answer comes when that is written.
    pub(crate) fn sync(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        name: &Text,
        sync: &Sync,
        reply: AnswerTo<SyncAnswer>,
        now: Now,
    ) {
        let refuse = |code| SyncAnswer::refusal(code);
        let settings = &self.settings;
        let Some(slot) = self.by_partition.get_mut(&id) else {
            return self.tell(Told::Sync(reply, refuse(ErrorCode::CoordinatorNotAvailable), None));
        };
        if slot.coordinator.group(name).is_none_or(|group| group.classic.is_none()) {
            return self.tell(Told::Sync(reply, refuse(ErrorCode::UnknownMemberId), None));
        }
        let waiter = slot.enroll(Expected::Sync(reply));
        let classic = slot.coordinator.group_mut(name).and_then(|group| group.classic.as_mut());
        let classic = classic.expect("it was found");
        let event = Event { group: name, now, settings };
        let mut effects = Effects::default();
        if let Synced::Assigned { group: next, value } = classic.sync(sync, waiter, event, &mut effects) {
            match slot.write_group(engine, id, name, value, now) {
                Ok(()) => slot.coordinator.group_or_new(name).classic = Some(*next),
                Err(code) => {
                    effects = Effects::default();
                    let classic = slot.coordinator.group_mut(name).and_then(|group| group.classic.as_mut());
                    let classic = classic.expect("it was found");
                    classic.refuse_assignment(waiter, code, event, &mut effects);
                }
            }
        }
        self.settle(engine, id, name, effects, now);
    }

    /// A member says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        id: PartitionId,
        name: &Text,
        heartbeat: &Heartbeat,
        now: Now,
    ) -> Grounded<ErrorCode> {
        let event = Event { group: name, now, settings: &self.settings };
        let slot = self.by_partition.get_mut(&id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let rests_on = slot.last();
        let classic = slot.coordinator.group_mut(name).and_then(|group| group.classic.as_mut());
        let code = classic.map_or(ErrorCode::UnknownMemberId, |classic| {
            let Heartbeat { member_id, instance, generation } = heartbeat;
            classic.heartbeat(member_id, instance.as_ref(), *generation, event)
        });
        Ok((code, rests_on))
    }

    /// Members leave; a code for each.
    pub(crate) fn leave(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        name: &Text,
        leaving: &[Leaving],
        now: Now,
    ) -> Grounded<Vec<ErrorCode>> {
        let event = Event { group: name, now, settings: &self.settings };
        let slot = self.by_partition.get_mut(&id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let classic = slot.coordinator.group_mut(name).and_then(|group| group.classic.as_mut());
        let Some(classic) = classic else {
            return Ok((vec![ErrorCode::UnknownMemberId; leaving.len()], slot.last()));
        };
        let mut effects = Effects::default();
        let codes = classic.leave(leaving, event, &mut effects);
        self.settle(engine, id, name, effects, now);
        Ok((codes, self.slot_mut(id)?.last()))
    }

    /// A member has committed.
    pub(super) fn committed(&mut self, id: PartitionId, commit: &Commit, now: Now) {
        let event = Event { group: &commit.group, now, settings: &self.settings };
        let slot = self.by_partition.get_mut(&id);
        let group = slot.and_then(|slot| slot.coordinator.group_mut(&commit.group));
        if let Some(classic) = group.and_then(|group| group.classic.as_mut()) {
            classic.committed(&commit.member_id, event);
        }
    }

    pub(super) fn await_members_of(&mut self, engine: &mut Shard, id: PartitionId, name: &Text, now: Now) {
        let event = Event { group: name, now, settings: &self.settings };
        let slot = self.by_partition.get_mut(&id);
        let group = slot.and_then(|slot| slot.coordinator.group_mut(name));
        let mut effects = Effects::default();
        if let Some(classic) = group.and_then(|group| group.classic.as_mut()) {
            classic.await_members(event, &mut effects);
        }
        self.settle(engine, id, name, effects, now);
    }

    /// An alarm of a group has gone off.
    pub(super) fn look_after(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        name: &Text,
        alarm_ms: i64,
        now: Now,
    ) {
        let event = Event { group: name, now, settings: &self.settings };
        let slot = self.by_partition.get_mut(&id);
        let Some(group) = slot.and_then(|slot| slot.coordinator.group_mut(name)) else { return };
        // Another one, earlier or later, counts.
        if group.alarm_ms != Some(alarm_ms) {
            return;
        }
        group.alarm_ms = None;
        let mut effects = Effects::default();
        if let Some(classic) = &mut group.classic {
            classic.pass_time(event, &mut effects);
        }
        self.settle(engine, id, name, effects, now);
    }
}

fn refused_join(waiter: Waiter, code: ErrorCode) -> Effects {
    let answer = super::classic::Answer::Join(JoinAnswer::refusal(Text::EMPTY, code));
    Effects { answers: vec![(waiter, answer)], is_deserted: false }
}
