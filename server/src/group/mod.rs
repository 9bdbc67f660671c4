//! The group coordinator: what groups of consumers have agreed on, kept in the topic `__consumer_offsets`.
//!
//! Each partition of that topic is the log of one state machine, the `Coordinator`, which
//! lives on the shard that owns the partition. It decides on a request, appends the decision, and applies
//! what was appended, in one call: so what it holds of offsets and generations is at any time what a replay of
//! the log would give. Who is about to join, and who was last heard of when, is not written. Answers are held
//! until everything that they rest on is durable.

mod classic;
mod command;
mod coordinator;
mod coordinators;
mod members;
mod offsets;
mod offsets_topic;
pub mod records;
mod replay;
mod waiting;

pub(crate) use classic::{Join, JoinAnswer, Leaving, Now, Sync, SyncAnswer};
pub(crate) use command::{Ask, GroupCommand, GroupQueries};
pub(crate) use coordinator::{Commit, FetchedTopic, Forget, GroupDescription, ListedGroup, NewOffset, Query};
pub(crate) use coordinators::{Coordinators, RestsOn};
pub(crate) use members::Heartbeat;
pub(crate) use offsets_topic::{find_or_create, partition_of};
pub(crate) use waiting::Told;
