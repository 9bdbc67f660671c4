//! `Member`: one of a group.

use bytes::Bytes;

use super::{Effects, Event, JoinAnswer, SyncAnswer, Waiter};
use crate::wire::{ErrorCode, Text};

/// The end of time, for a member that is not expected to say anything.
const NEVER_MS: i64 = i64::MAX;

#[derive(Debug, Clone)]
pub(super) struct Member {
    /// `group.instance.id` of a static member, which keeps its place when it comes back under another id.
    pub(super) instance: Option<Text>,
    pub(super) client_id: Text,
    pub(super) client_host: Text,
    pub(super) rebalance_ms: i32,
    pub(super) session_ms: i32,
    /// What it supports, the favourite first, with metadata for each.
    pub(super) protocols: Vec<(Text, Bytes)>,
    pub(super) assignment: Bytes,
    /// It wants to be of the next generation.
    pub(super) joining: Option<Waiter>,
    /// It waits for its assignment.
    pub(super) syncing: Option<Waiter>,
    /// It has asked for the assignment of this generation.
    pub(super) has_synced: bool,
    /// It has not been told of a generation yet, and cannot send heartbeats.
    pub(super) is_new: bool,
    /// It is given up when nothing came of it until then.
    pub(super) session_ends_ms: i64,
}

impl Member {
    /// It is alive.
    pub(super) fn touch(&mut self, event: Event<'_>) {
        self.session_ends_ms = event.now.steady_ms.saturating_add(self.session_ms.into());
    }

    /// Its time is up. Who waits for others is not expected to say anything; a new one may have gone.
    pub(super) fn has_failed(&mut self, now_ms: i64) -> bool {
        if self.session_ends_ms > now_ms {
            return false;
        }
        if !self.is_new && (self.joining.is_some() || self.syncing.is_some()) {
            self.session_ends_ms = NEVER_MS;
            return false;
        }
        true
    }

    /// Waits for the next generation. Who waited in its name before has asked anew.
    pub(super) fn wait_to_join(&mut self, id: &Text, waiter: Waiter, effects: &mut Effects) {
        if let Some(before) = self.joining.replace(waiter) {
            effects.refuse_join(before, id, ErrorCode::RebalanceInProgress);
        }
    }

    /// Waits for its assignment. Who waited in its name before has asked anew.
    pub(super) fn wait_to_sync(&mut self, waiter: Waiter, effects: &mut Effects) {
        self.has_synced = true;
        if let Some(before) = self.syncing.replace(waiter) {
            effects.sync(before, SyncAnswer::refusal(ErrorCode::RebalanceInProgress));
        }
    }

    /// Answers its join, if it waits for that.
    pub(super) fn answer_join(&mut self, answer: impl FnOnce() -> JoinAnswer, effects: &mut Effects) {
        if let Some(waiter) = self.joining.take() {
            effects.join(waiter, answer());
        }
    }

    /// Answers its sync, if it waits for that; from then on heartbeats are expected again.
    pub(super) fn answer_sync(&mut self, answer: SyncAnswer, event: Event<'_>, effects: &mut Effects) {
        if let Some(waiter) = self.syncing.take() {
            effects.sync(waiter, answer);
            self.touch(event);
        }
    }

    /// Its metadata for a protocol, empty for one that it does not know.
    pub(super) fn metadata(&self, protocol: Option<&Text>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name) == protocol);
        found.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }
}
