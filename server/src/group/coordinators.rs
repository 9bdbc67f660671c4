//! `Coordinators`: those of one shard. Here their decisions meet the log, and those who wait their answers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::format::{BatchBuilder, NewRecord};
use logmill_engine::partition::{Appended, PartitionId};
use logmill_engine::shard::{Shard, Ticket};

use super::classic::{Effects, Event, Now, Waiter};
use super::coordinator::{
    Commit, Coordinator, Decision, FetchedTopic, Forget, GroupDescription, ListedGroup, Query,
};
use super::records::{GroupMetadataKey, GroupMetadataValue, Record};
use super::replay::replay;
use super::waiting::{Expected, Told};
use crate::config::GroupSettings;
use crate::wire::{ErrorCode, Text};

/// Bytes of deletions that are appended at once, and of what stands around the key of each.
const PART_BYTES: usize = 128 * 1024;
const RECORD_BYTES: usize = 32;

/// The append that an answer rests on: it is not given before that is durable. `None`: it rests on nothing
/// that was written since the start.
pub(crate) type RestsOn = Option<(Appended, Option<Ticket>)>;

/// An answer, and what it rests on; or no coordinator, and why.
pub(crate) type Grounded<T> = Result<(T, RestsOn), ErrorCode>;

/// A coordinator, the last append to its log, and who waits for its groups. Every answer waits for that append:
/// it may tell of any record before it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) coordinator: Coordinator,
    last: RestsOn,
    waiting: HashMap<Waiter, Expected>,
    waiters: u64,
}

/// The coordinators of the partitions of `__consumer_offsets` that a shard owns.
#[derive(Debug)]
pub(crate) struct Coordinators {
    pub(super) by_partition: HashMap<PartitionId, Slot>,
    /// `offset.metadata.max.bytes`
    metadata_len_max: i32,
    pub(super) settings: GroupSettings,
    /// When groups are to be looked after. Each has one that counts, the earliest.
    alarms: BinaryHeap<Reverse<(i64, PartitionId, Text)>>,
    /// When offsets are looked through for those that have been kept for long enough.
    expiry_check_ms: i64,
    /// Those who have waited for long enough.
    told: Vec<Told>,
}

impl Slot {
    /// A refused append changes nothing.
    fn append(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        records: &[Record],
        now: Now,
    ) -> Result<(), ErrorCode> {
        let appended = engine.append(id, batch_of(records, now.wall_ms), now.wall_ms);
        self.last = Some(appended.map_err(|error| code_of(&error))?);
        Ok(())
    }

    /// Appends what was decided and applies it.
    fn carry_out(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        decision: Decision,
        now: Now,
    ) -> Grounded<Vec<ErrorCode>> {
        if !decision.records.is_empty() {
            self.append(engine, id, &decision.records, now)?;
            decision.records.iter().for_each(|record| self.coordinator.apply(record));
        }
        Ok((decision.codes, self.last))
    }

    /// As many appends as it takes: what a group has committed may be more than one batch holds.
    fn carry_out_in_parts(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        records: Vec<Record>,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let mut left = PART_BYTES;
            let part = std::iter::from_fn(|| {
                let record = records.next_if(|_| left > 0)?;
                left = left.saturating_sub(record.encode().0.len() + RECORD_BYTES);
                Some(record)
            });
            let decision = Decision { codes: Vec::new(), records: part.collect() };
            self.carry_out(engine, id, decision, now)?;
        }
        Ok(())
    }

    pub(super) fn write_group(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        group: &Text,
        value: GroupMetadataValue,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let key = GroupMetadataKey { group: group.clone() };
        self.append(engine, id, &[Record::GroupMetadata { key, value: Some(value) }], now)?;
        self.coordinator.group_or_new(group).is_written = true;
        Ok(())
    }

    pub(super) fn last(&self) -> RestsOn {
        self.last
    }

    pub(super) fn enroll(&mut self, expected: Expected) -> Waiter {
        self.waiters += 1;
        let waiter = Waiter(self.waiters);
        self.waiting.insert(waiter, expected);
        waiter
    }
}

impl Coordinators {
    pub(crate) fn new(metadata_len_max: i32, settings: GroupSettings, now: Now) -> Coordinators {
        let expiry_check_ms = now.steady_ms.saturating_add_unsigned(settings.offsets_check_interval_ms);
        Coordinators {
            by_partition: HashMap::new(),
            metadata_len_max,
            settings,
            alarms: BinaryHeap::new(),
            expiry_check_ms,
            told: Vec::new(),
        }
    }

    /// Brings a coordinator into being from its partition's log. One whose log cannot be read is not there
    /// at all: without a record it would give wrong answers.
    pub(crate) fn open(&mut self, engine: &mut Shard, id: PartitionId) {
        let mut slot = Slot::default();
        if let Err(error) = replay(engine, id, |record| slot.coordinator.apply(record)) {
            tracing::error!(
                "groups of partition {} of the topic {} are not served: {error}",
                id.index,
                id.topic
            );
            return;
        }
        self.by_partition.insert(id, slot);
    }

    /// Expects the members of the groups of a partition to be there from now on. For a start, when they can be.
    pub(crate) fn await_members(&mut self, engine: &mut Shard, id: PartitionId, now: Now) {
        let names = self.by_partition.get(&id).map(|slot| slot.coordinator.names());
        for name in names.unwrap_or_default() {
            self.await_members_of(engine, id, &name, now);
        }
    }

    /// Lets a coordinator go.
    pub(crate) fn close(&mut self, id: PartitionId) {
        self.by_partition.remove(&id);
    }

    /// Drops those whose partitions can be read no more: what they know may never become durable.
    pub(crate) fn drop_offline(&mut self, engine: &Shard) {
        self.by_partition.retain(|id, _| engine.bounds(*id).is_ok());
    }

    /// Lets all coordinators go, and nobody wait any more: clients are told to look for another one. For a stop.
    pub(crate) fn dismiss(&mut self) {
        self.by_partition.clear();
        self.alarms.clear();
    }

    /// Those who have waited for long enough since this was asked last.
    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.told.push(told);
    }

    fn slot(&self, id: PartitionId) -> Result<&Slot, ErrorCode> {
        self.by_partition.get(&id).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    pub(super) fn slot_mut(&mut self, id: PartitionId) -> Result<&mut Slot, ErrorCode> {
        self.by_partition.get_mut(&id).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// Commits offsets. A member that does is alive.
    pub(crate) fn commit(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        commit: &Commit,
        now: Now,
    ) -> Grounded<Vec<ErrorCode>> {
        let metadata_len_max = self.metadata_len_max;
        let slot = self.slot_mut(id)?;
        let decision = slot.coordinator.decide(commit, metadata_len_max, now.wall_ms)?;
        let committed = slot.carry_out(engine, id, decision, now);
        if committed.is_ok() {
            self.committed(id, commit, now);
        }
        committed
    }

    /// What a group has committed.
    pub(crate) fn fetch(&self, id: PartitionId, query: &Query) -> Grounded<Vec<FetchedTopic>> {
        let slot = self.slot(id)?;
        Ok((slot.coordinator.fetch(query), slot.last))
    }

    /// A group and its members, if there is such a group.
    pub(crate) fn describe(&self, id: PartitionId, group: &str) -> Grounded<Option<GroupDescription>> {
        let slot = self.slot(id)?;
        Ok((slot.coordinator.describe(group), slot.last))
    }

    /// All groups, coordinator by coordinator.
    pub(crate) fn list(&self) -> Vec<(Vec<ListedGroup>, RestsOn)> {
        let mut slots: Vec<(&PartitionId, &Slot)> = self.by_partition.iter().collect();
        slots.sort_unstable_by_key(|(id, _)| **id);
        slots.into_iter().map(|(_, slot)| (slot.coordinator.list(), slot.last)).collect()
    }

    /// Deletes a group without members, and what it has committed.
    pub(crate) fn delete(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        group: &Text,
        now: Now,
    ) -> Grounded<ErrorCode> {
        let slot = self.slot_mut(id)?;
        let records = match slot.coordinator.decide_deletion(group) {
            Ok(records) => records,
            Err(code) => return Ok((code, slot.last)),
        };
        slot.carry_out_in_parts(engine, id, records, now)?;
        tracing::info!("group {group}: deleted");
        Ok((ErrorCode::None, slot.last))
    }

    /// Forgets offsets of a group.
    pub(crate) fn forget(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        forget: &Forget,
        now: Now,
    ) -> Grounded<Vec<ErrorCode>> {
        let slot = self.slot_mut(id)?;
        let decision = slot.coordinator.decide_to_forget(forget)?;
        slot.carry_out(engine, id, decision, now)
    }

    /// When time alone changes something next.
    pub(crate) fn next_deadline_ms(&self) -> i64 {
        let alarm = self.alarms.peek().map_or(i64::MAX, |Reverse((at, ..))| *at);
        alarm.min(self.expiry_check_ms)
    }

    /// Does what is due.
    pub(crate) fn pass_time(&mut self, engine: &mut Shard, now: Now) {
        let now_ms = now.steady_ms;
        // What becomes due meanwhile waits for the next time.
        let mut due = Vec::new();
        while self.alarms.peek().is_some_and(|Reverse((at, ..))| *at <= now_ms) {
            due.extend(self.alarms.pop());
        }
        for Reverse((at, id, group)) in due {
            self.look_after(engine, id, &group, at, now);
        }
        if self.expiry_check_ms <= now_ms {
            let interval_ms = self.settings.offsets_check_interval_ms;
            self.expiry_check_ms = now_ms.saturating_add_unsigned(interval_ms);
            self.expire_offsets(engine, now);
        }
    }

    fn expire_offsets(&mut self, engine: &mut Shard, now: Now) {
        let mut ids: Vec<PartitionId> = self.by_partition.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let slot = self.by_partition.get_mut(&id).expect("it is there");
            for group in slot.coordinator.names() {
                let event = Event { group: &group, now, settings: &self.settings };
                let records = slot.coordinator.decide_expiry(&group, event);
                let count = records.len();
                match slot.carry_out_in_parts(engine, id, records, now) {
                    Ok(_) if count == 0 => (),
                    Ok(_) => tracing::info!("group {group}: {count} offsets expired"),
                    Err(code) => tracing::warn!("group {group}: offsets cannot be let expire: {code}"),
                }
            }
        }
    }

    /// Tells those who wait what an event came to, and notes when the group is to be looked after next.
    pub(super) fn settle(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        name: &Text,
        effects: Effects,
        now: Now,
    ) {
        let slot = self.by_partition.get_mut(&id).expect("its group was looked after");
        if effects.is_deserted {
            let classic = slot.coordinator.group(name).and_then(|group| group.classic.as_ref());
            let value = classic.expect("it was deserted").to_record();
            if let Err(code) = slot.write_group(engine, id, name, value, now) {
                tracing::warn!("group {name}: that nobody is left cannot be written: {code}");
            }
        }
        for (waiter, answer) in effects.answers {
            let expected = slot.waiting.remove(&waiter).expect("a waiter is told once");
            self.told.push(expected.told(answer, slot.last));
        }
        self.set_alarm(id, name);
    }

    /// Notes when a group is to be looked after next. One that holds nothing any more is let go.
    pub(super) fn set_alarm(&mut self, id: PartitionId, name: &Text) {
        let Some(slot) = self.by_partition.get_mut(&id) else { return };
        slot.coordinator.forget_if_nothing(name);
        let Some(group) = slot.coordinator.group_mut(name) else { return };
        let next = group.classic.as_ref().and_then(|classic| classic.next_deadline_ms());
        if let Some(next) = next
            && group.alarm_ms.is_none_or(|at| next < at)
        {
            group.alarm_ms = Some(next);
            self.alarms.push(Reverse((next, id, name.detached())));
        }
    }
}

/// What a client is told of an append that failed: to look for the coordinator again, if that may help.
fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Refused(_) => ErrorCode::UnknownServerError,
        Error::UnknownPartition => ErrorCode::CoordinatorNotAvailable,
        Error::Offline(_) | Error::OutOfRange { .. } | Error::Corrupt(_) | Error::Io { .. } => {
            ErrorCode::NotCoordinator
        }
    }
}

fn batch_of(records: &[Record], now_ms: i64) -> Bytes {
    let mut batch = BatchBuilder::new();
    for record in records {
        let (key, value) = record.encode();
        batch.push(&NewRecord { key: Some(&key), value: value.as_deref(), timestamp: now_ms, headers: &[] });
    }
    batch.finish()
}

#[cfg(test)]
mod tests;
