//! `ClassicGroup`: the members of one group by the classic protocol, as a state machine.
//!
//! ```text
//!            a member joins             all have joined, or time is up         the leader's assignment is written
//!   Empty ──────────────────► Preparing ──────────────────────────► Completing ─────────────────────► Stable
//!     ▲                       │ ▲     ▲                                 │                                │
//!     └──── nobody is left ───┘ │     └─ a member joins, leaves, fails ─┴────────────────────────────────┘
//!                               └ (in each state members come and go; who goes last leaves it Empty)
//! ```
//!
//! It is passive: the caller passes requests and the time in, and tells those who waited what they are told
//! ([`Effects`]). A member that joins or hands its assignment in waits as a [`Waiter`].

mod group;
mod join;
mod member;
mod rebalance;
mod record;
mod requests;
#[cfg(test)]
mod tests;

use bytes::Bytes;
pub(crate) use group::{ClassicGroup, MemberDescription};
pub(crate) use join::{Join, Joined};
pub(crate) use requests::{Leaving, Sync, Synced};

use crate::config::GroupSettings;
use crate::wire::{ErrorCode, Text};

/// Where a group stands between two assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no members, perhaps offsets.
    Empty,
    /// Members join, the last generation's are expected again.
    PreparingRebalance,
    /// The generation stands, its leader has not handed the assignment in.
    CompletingRebalance,
    /// Every member may have its assignment.
    Stable,
}

impl State {
    /// Apache Kafka's name of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// Somebody whose answer comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiter(pub(crate) u64);

/// What a member that wanted to join is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JoinAnswer {
    pub(crate) code: ErrorCode,
    pub(crate) member_id: Text,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Text>,
    pub(crate) protocol: Option<Text>,
    pub(crate) leader: Text,
    /// For the leader: everybody's id, instance and metadata.
    pub(crate) members: Vec<(Text, Option<Text>, Bytes)>,
    /// The leader is to hand no assignment in: everybody keeps theirs.
    pub(crate) skips_assignment: bool,
}

impl JoinAnswer {
    pub(crate) fn refusal(member_id: Text, code: ErrorCode) -> JoinAnswer {
        JoinAnswer {
            code,
            member_id,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: Text::EMPTY,
            members: Vec::new(),
            skips_assignment: false,
        }
    }
}

/// What a member that asked for its assignment is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SyncAnswer {
    pub(crate) code: ErrorCode,
    pub(crate) protocol_type: Option<Text>,
    pub(crate) protocol: Option<Text>,
    pub(crate) assignment: Bytes,
}

impl SyncAnswer {
    pub(crate) fn refusal(code: ErrorCode) -> SyncAnswer {
        SyncAnswer { code, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// What somebody who waited is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Join(JoinAnswer),
    Sync(SyncAnswer),
}

/// What an event leads to beside the group's new state.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effects {
    /// Those who need not wait any more.
    pub(crate) answers: Vec<(Waiter, Answer)>,
    /// Nobody is left. That is to be written; where it cannot be, the members of the last generation that was
    /// written come back with a start, and time out.
    pub(crate) is_deserted: bool,
}

impl Effects {
    fn join(&mut self, waiter: Waiter, answer: JoinAnswer) {
        self.answers.push((waiter, Answer::Join(answer)));
    }

    fn refuse_join(&mut self, waiter: Waiter, member_id: &Text, code: ErrorCode) {
        self.join(waiter, JoinAnswer::refusal(member_id.clone(), code));
    }

    fn sync(&mut self, waiter: Waiter, answer: SyncAnswer) {
        self.answers.push((waiter, Answer::Sync(answer)));
    }
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// By a clock that passes evenly: what sessions and all that is waited for are measured by.
    pub(crate) steady_ms: i64,
    /// Since 1970: what is written.
    pub(crate) wall_ms: i64,
}

/// The circumstances of a request, or of time that has passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// The group, for the log.
    pub(crate) group: &'a str,
    pub(crate) now: Now,
    pub(crate) settings: &'a GroupSettings,
}
