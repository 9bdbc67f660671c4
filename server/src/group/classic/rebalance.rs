//! From one generation to the next, and what time alone does.

use std::collections::{HashMap, HashSet};

use super::group::{Initial, Joining};
use super::{ClassicGroup, Effects, Event, JoinAnswer, State, SyncAnswer};
use crate::wire::{ErrorCode, Text};

/// How long members have at least to ask for their assignments, and a rebalance that nobody has joined waits,
/// however little time they allow.
const WAIT_MS_MIN: i64 = 1_000;

impl ClassicGroup {
    /// Something has changed that the next generation depends on: begins to prepare it, or goes on with it.
    pub(super) fn rebalance(&mut self, reason: &str, event: Event<'_>, effects: &mut Effects) {
        if self.state != State::PreparingRebalance {
            self.prepare(reason, event, effects);
        } else {
            self.complete_if_all_joined(event, effects);
        }
    }

    /// The members of a group that had none come one after the other, and are waited for.
    pub(super) fn complete_if_all_joined(&mut self, event: Event<'_>, effects: &mut Effects) {
        let is_initial = self.joining.is_some_and(|joining| joining.initial.is_some());
        if self.state == State::PreparingRebalance && !is_initial && self.have_all_joined() {
            self.complete(event, effects);
        }
    }

    pub(super) fn prepare(&mut self, reason: &str, event: Event<'_>, effects: &mut Effects) {
        let before = self.state;
        if before == State::CompletingRebalance {
            for member in self.members.values_mut() {
                member.assignment.clear();
                member.answer_sync(SyncAnswer::refusal(ErrorCode::RebalanceInProgress), event, effects);
            }
        }
        self.sync_ends_ms = None;
        self.enter(State::PreparingRebalance, event);
        tracing::info!(
            "group {}: {} -> PreparingRebalance, generation {}, {} members: {reason}",
            event.group,
            before.name(),
            self.generation,
            self.members.len()
        );
        if before == State::Empty {
            let delay_ms = i64::from(event.settings.initial_delay_ms);
            let left_ms = (self.rebalance_ms() - delay_ms).max(0);
            let initial = Some(Initial { delay_ms, left_ms, has_grown: false });
            self.joining = Some(Joining { ends_ms: event.now.steady_ms + delay_ms, initial });
            return;
        }
        self.wait_for_members(self.rebalance_ms(), event);
        if self.have_all_joined() {
            self.complete(event, effects);
        }
    }

    fn wait_for_members(&mut self, ms: i64, event: Event<'_>) {
        self.joining = Some(Joining { ends_ms: event.now.steady_ms + ms, initial: None });
    }

    fn enter(&mut self, state: State, event: Event<'_>) {
        self.state = state;
        self.since_ms = Some(event.now.wall_ms);
    }

    /// Time to join is up, or nobody is waited for: who has joined is the next generation.
    fn complete(&mut self, event: Event<'_>, effects: &mut Effects) {
        let late = self.members.iter().filter(|(_, member)| member.joining.is_none());
        // A static member keeps its place until its session ends.
        let late: Vec<Text> =
            late.filter(|(_, member)| member.instance.is_none()).map(|(id, _)| id.clone()).collect();
        for id in &late {
            self.remove(id);
            tracing::info!("group {}: removed {id}, which did not join again in time", event.group);
        }
        if !self.members.is_empty() && !self.has_leader_that_joined(event) {
            // Nothing changes before somebody joins, or the session of a static member ends.
            self.wait_for_members(self.rebalance_ms().max(WAIT_MS_MIN), event);
            return;
        }
        let took_ms = self.since_ms.map_or(0, |since_ms| event.now.wall_ms - since_ms);
        self.joining = None;
        // Numbers of generations wrap nowhere near a lifetime.
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(State::Empty, event);
            effects.is_deserted = true;
            tracing::info!("group {}: generation {} is empty", event.group, self.generation);
            return;
        }
        self.protocol = self.select_protocol();
        self.enter(State::CompletingRebalance, event);
        self.sync_ends_ms = Some(event.now.steady_ms + self.rebalance_ms().max(WAIT_MS_MIN));
        tracing::info!(
            "group {}: generation {} of {} members after {took_ms} ms, protocol {}, leader {}",
            event.group,
            self.generation,
            self.members.len(),
            self.protocol.as_ref().map_or("none", |name| name.as_str()),
            self.leader.as_ref().map_or("none", |id| id.as_str())
        );
        let answer = |id: &Text| self.answer_of_generation(id, self.is_leader(id));
        let answers: Vec<JoinAnswer> = self.members.keys().map(answer).collect();
        for (member, answer) in self.members.values_mut().zip(answers) {
            member.answer_join(|| answer, effects);
            member.touch(event);
            member.is_new = false;
            member.has_synced = false;
        }
    }

    /// Whether somebody leads who has joined; another one does where the leader has not.
    fn has_leader_that_joined(&mut self, event: Event<'_>) -> bool {
        let joined = |id: &Text| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let before = self.leader.as_ref().map_or("none", |id| id.as_str());
        match self.members.keys().find(|id| joined(id)).cloned() {
            Some(id) => {
                tracing::info!("group {}: leader {before} did not join in time, {id} leads", event.group);
                self.leader = Some(id);
                true
            }
            None => {
                tracing::warn!("group {}: nobody has joined, the leader {before} neither", event.group);
                false
            }
        }
    }

    /// The protocol that most members like best among those that all support; of equals the leader's favourite.
    pub(super) fn select_protocol(&self) -> Option<Text> {
        let common = self.common_protocols();
        let mut votes: HashMap<&Text, usize> = HashMap::new();
        for member in self.members.values() {
            let names = member.protocols.iter().map(|(name, _)| name);
            if let Some(favourite) = names.into_iter().find(|name| common.contains(name)) {
                *votes.entry(favourite).or_default() += 1;
            }
        }
        let most = votes.values().max()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let names = leader.or_else(|| self.members.values().next())?.protocols.iter().map(|(name, _)| name);
        names.into_iter().find(|name| votes.get(name) == Some(most)).cloned()
    }

    /// The protocols that all members support.
    pub(super) fn common_protocols(&self) -> HashSet<&Text> {
        let mut counts: HashMap<&Text, usize> = HashMap::new();
        // A member names each of its protocols once.
        for (name, _) in self.members.values().flat_map(|member| &member.protocols) {
            *counts.entry(name).or_default() += 1;
        }
        let all = self.members.len();
        counts.into_iter().filter(|(_, count)| *count == all).map(|(name, _)| name).collect()
    }

    /// Does what is due: gives up members that have said nothing for too long, ends the time to join and the
    /// time to ask for assignments.
    pub(crate) fn pass_time(&mut self, event: Event<'_>, effects: &mut Effects) {
        let is_due = |at: &i64| *at <= event.now.steady_ms;
        let gone: Vec<Text> =
            self.pending.iter().filter(|(_, at)| is_due(at)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id);
            tracing::info!("group {}: {id} did not come back with its id in time", event.group);
            self.complete_if_joined_behind(event, effects);
        }
        let failed = self.members.iter_mut().filter_map(|(id, member)| {
            member.has_failed(event.now.steady_ms).then(|| (id.clone(), member.session_ms))
        });
        for (id, session_ms) in failed.collect::<Vec<_>>() {
            // The first one that failed may have ended the time to join of the others.
            if !self.members.get_mut(&id).is_some_and(|member| member.has_failed(event.now.steady_ms)) {
                continue;
            }
            tracing::info!("group {}: evicted {id}: no heartbeat for {session_ms} ms", event.group);
            self.take_leave(&id, effects);
            self.go_on_without(&format!("{id} has failed"), event, effects);
        }
        if let Some(joining) = self.joining.filter(|joining| is_due(&joining.ends_ms)) {
            match joining.initial {
                Some(initial) if initial.has_grown && initial.left_ms > 0 => {
                    let delay_ms = i64::from(event.settings.initial_delay_ms).min(initial.left_ms);
                    let left_ms = (initial.left_ms - initial.delay_ms).max(0);
                    let initial = Some(Initial { delay_ms, left_ms, has_grown: false });
                    self.joining = Some(Joining { ends_ms: event.now.steady_ms + delay_ms, initial });
                }
                Some(_) | None => self.complete(event, effects),
            }
        }
        if self.sync_ends_ms.is_some_and(|at| is_due(&at)) {
            self.give_up_on_syncs(event, effects);
        }
    }

    /// Members that know of their generation and never asked for their assignment keep nobody else waiting.
    fn give_up_on_syncs(&mut self, event: Event<'_>, effects: &mut Effects) {
        self.sync_ends_ms = None;
        let silent = self.members.iter().filter(|(_, member)| !member.has_synced);
        let silent: Vec<Text> = silent.map(|(id, _)| id.clone()).collect();
        if silent.is_empty() {
            return;
        }
        for id in &silent {
            self.take_leave(id, effects);
        }
        let silent: Vec<&str> = silent.iter().map(Text::as_str).collect();
        let reason = format!("removed {}: no request for the assignment in time", silent.join(", "));
        self.prepare(&reason, event, effects);
    }

    /// Lets a member go. If it still waits it is told to join as a new one.
    pub(super) fn take_leave(&mut self, id: &Text, effects: &mut Effects) {
        let Some(mut member) = self.remove(id) else { return };
        let code = ErrorCode::UnknownMemberId;
        member.answer_join(|| JoinAnswer::refusal(Text::EMPTY, code), effects);
        if let Some(waiter) = member.syncing.take() {
            effects.sync(waiter, SyncAnswer::refusal(code));
        }
    }

    /// A member has gone: the others share what it had, or are waited for no longer.
    pub(super) fn go_on_without(&mut self, reason: &str, event: Event<'_>, effects: &mut Effects) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare(reason, event, effects),
            State::PreparingRebalance => self.complete_if_joined_behind(event, effects),
            State::Empty => (),
        }
    }

    /// Unlike the arrival of the last member, the departure of the last one that is waited for ends even the
    /// time of a first generation.
    fn complete_if_joined_behind(&mut self, event: Event<'_>, effects: &mut Effects) {
        if self.state == State::PreparingRebalance && self.have_all_joined() {
            self.complete(event, effects);
        }
    }
}
