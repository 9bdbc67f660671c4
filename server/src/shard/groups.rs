//! What is asked of the shard's group coordinators, and the time that passes for them.

use std::rc::Rc;

use logmill_engine::partition::PartitionId;
use logmill_engine::shard::OpenPartition;

use super::LocalShard;
use super::apply::answer;
use super::command::Held;
use super::local::State;
use crate::group::{Ask, GroupCommand, GroupQueries, Now, Told};
use crate::wire::Text;

impl LocalShard {
    pub(super) fn now(&self) -> Now {
        let clock = &self.host().clock;
        Now { steady_ms: clock.steady_ms(), wall_ms: clock.now_ms() }
    }

    pub(super) fn group(&self, command: GroupCommand) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let State { engine, groups, appends, .. } = &mut *state;
        let deadline_ms = groups.next_deadline_ms();
        match command {
            GroupCommand::Join(Ask { coordinator, group, question, reply }) => {
                groups.join(engine, coordinator, &group, &question, reply, now);
            }
            GroupCommand::Sync(Ask { coordinator, group, question, reply }) => {
                groups.sync(engine, coordinator, &group, &question, reply, now);
            }
            GroupCommand::Heartbeat(Ask { coordinator, group, question, reply }) => {
                let code = groups.heartbeat(coordinator, &group, &question, now);
                answer(reply, code.map(|(code, rests_on)| appends.hold(code, rests_on)));
            }
            GroupCommand::Leave(Ask { coordinator, group, question, reply }) => {
                let codes = groups.leave(engine, coordinator, &group, &question, now);
                answer(reply, codes.map(|(codes, rests_on)| appends.hold(codes, rests_on)));
            }
            GroupCommand::Forget(Ask { coordinator, question, reply, .. }) => {
                let codes = groups.forget(engine, coordinator, &question, now);
                answer(reply, codes.map(|(codes, rests_on)| appends.hold(codes, rests_on)));
            }
            GroupCommand::Describe(GroupQueries { groups: asked, reply }) => {
                let describe = |(coordinator, group): (PartitionId, Text)| {
                    let (description, rests_on) = groups.describe(coordinator, &group)?;
                    Ok(appends.hold(description, rests_on))
                };
                reply.send(asked.into_iter().map(describe).collect());
            }
            GroupCommand::Delete(GroupQueries { groups: asked, reply }) => {
                let mut delete = |(coordinator, group): (PartitionId, Text)| {
                    let (code, rests_on) = groups.delete(engine, coordinator, &group, now)?;
                    Ok(appends.hold(code, rests_on))
                };
                reply.send(asked.into_iter().map(&mut delete).collect());
            }
            GroupCommand::List(reply) => {
                let lists = groups.list().into_iter();
                answer(reply, lists.map(|(list, rests_on)| appends.hold(list, rests_on)).collect());
            }
        }
        let is_earlier = groups.next_deadline_ms() < deadline_ms;
        self.tell_waiting(&mut state);
        if is_earlier {
            self.group_alarm.notify_one();
        }
    }

    /// Expects the members of the groups that a start found.
    pub(super) fn await_members(&self, partitions: &[OpenPartition]) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let State { engine, groups, .. } = &mut *state;
        partitions.iter().for_each(|partition| groups.await_members(engine, partition.id, now));
        self.tell_waiting(&mut state);
    }

    /// Has those who waited for their group told, and what was appended for it made durable.
    fn tell_waiting(&self, state: &mut State) {
        for told in state.groups.take_told() {
            match told {
                Told::Join(reply, joined, rests_on) => {
                    answer(reply, Ok::<Held<_>, _>(state.appends.hold(joined, rests_on)));
                }
                Told::Sync(reply, synced, rests_on) => {
                    answer(reply, Ok::<Held<_>, _>(state.appends.hold(synced, rests_on)));
                }
            }
        }
        state.engine.submit();
        self.progress(state);
    }

    fn pass_time_for_groups(&self) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        let State { engine, groups, .. } = &mut *state;
        groups.pass_time(engine, now);
        self.tell_waiting(&mut state);
    }

    fn ms_to_group_deadline(&self) -> u64 {
        let deadline_ms = self.state.borrow().groups.next_deadline_ms();
        // Never nothing: others run in between.
        u64::try_from(deadline_ms.saturating_sub(self.now().steady_ms)).unwrap_or(0).max(1)
    }
}

/// Lets time pass for the groups of a shard: sleeps until something is due, or is due earlier than it was.
pub(super) async fn tend_groups(shard: Rc<LocalShard>) {
    let runtime = shard.host().runtime.clone();
    loop {
        tokio::select! {
            biased;
            () = shard.group_alarm.notified() => (),
            () = runtime.sleep(shard.ms_to_group_deadline()) => shard.pass_time_for_groups(),
        }
    }
}
