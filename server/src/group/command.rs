//! `GroupCommand`: what is asked of the coordinators of a shard about groups and their members.

use logmill_engine::partition::PartitionId;
use tokio::sync::oneshot;

use super::classic::{Join, JoinAnswer, Leaving, Sync, SyncAnswer};
use super::coordinator::{Forget, GroupDescription, ListedGroup};
use super::members::Heartbeat;
use super::waiting::AnswerTo;
use crate::shard::{Held, Reply};
use crate::wire::{ErrorCode, Few, Text};

/// A question about one group.
#[derive(Debug)]
pub(crate) struct Ask<Q, A> {
    /// The partition of `__consumer_offsets` that the group belongs to.
    pub(crate) coordinator: PartitionId,
    pub(crate) group: Text,
    pub(crate) question: Q,
    pub(crate) reply: AnswerTo<A>,
}

/// A question about many groups, one answer for each, in their order.
#[derive(Debug)]
pub(crate) struct GroupQueries<A> {
    /// With the partitions of `__consumer_offsets` that they belong to.
    pub(crate) groups: Few<(PartitionId, Text)>,
    pub(crate) reply: Reply<Few<Result<Held<A>, ErrorCode>>>,
}

#[derive(Debug)]
pub(crate) enum GroupCommand {
    /// Make somebody a member, and answer with the next generation.
    Join(Ask<Join, JoinAnswer>),
    /// Take the assignment from the leader, give a member its part of it.
    Sync(Ask<Sync, SyncAnswer>),
    /// A member is alive.
    Heartbeat(Ask<Heartbeat, ErrorCode>),
    /// Let members go.
    Leave(Ask<Vec<Leaving>, Vec<ErrorCode>>),
    /// Forget offsets.
    Forget(Ask<Forget, Vec<ErrorCode>>),
    /// Describe groups, those that there are.
    Describe(GroupQueries<Option<GroupDescription>>),
    /// Delete groups without members.
    Delete(GroupQueries<ErrorCode>),
    /// Name all groups.
    List(oneshot::Sender<Vec<Held<Vec<ListedGroup>>>>),
}
