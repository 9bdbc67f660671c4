//! What is asked of the shard's group coordinators, and the time that passes for them.

use std::rc::Rc;

use logmill_engine::partition::PartitionId;

use super::LocalShard;
use super::command::Held;
use super::local::{State, answer};
use crate::group::{Ask, GroupCommand, GroupQueries, Told};
use crate::wire::Text;

impl LocalShard {
    pub(super) fn group(&self, command: GroupCommand) {
        let now_ms = self.host().clock.now_ms();
        let mut state = self.state.borrow_mut();
        let State { engine, groups, appends, .. } = &mut *state;
        let deadline_ms = groups.next_deadline_ms();
        match command {
            GroupCommand::Join(Ask { coordinator, group, question, reply }) => {
                groups.join(engine, coordinator, &group, &question, reply, now_ms);
            }
            GroupCommand::Sync(Ask { coordinator, group, question, reply }) => {
                groups.sync(engine, coordinator, &group, &question, reply, now_ms);
            }
            GroupCommand::Heartbeat(Ask { coordinator, group, question, reply }) => {
                let code = groups.heartbeat(coordinator, &group, &question, now_ms);
                answer(reply, code.map(|(code, rests_on)| appends.hold(code, rests_on)));
            }
            GroupCommand::Leave(Ask { coordinator, group, question, reply }) => {
                let codes = groups.leave(engine, coordinator, &group, &question, now_ms);
                answer(reply, codes.map(|(codes, rests_on)| appends.hold(codes, rests_on)));
            }
            GroupCommand::Forget(Ask { coordinator, question, reply, .. }) => {
                let codes = groups.forget(engine, coordinator, &question, now_ms);
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
                    let (code, rests_on) = groups.delete(engine, coordinator, &group, now_ms)?;
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
        let now_ms = self.host().clock.now_ms();
        let mut state = self.state.borrow_mut();
        let State { engine, groups, .. } = &mut *state;
        groups.pass_time(engine, now_ms);
        self.tell_waiting(&mut state);
    }

    fn ms_to_group_deadline(&self) -> u64 {
        let deadline_ms = self.state.borrow().groups.next_deadline_ms();
        u64::try_from(deadline_ms.saturating_sub(self.host().clock.now_ms())).unwrap_or(0)
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
