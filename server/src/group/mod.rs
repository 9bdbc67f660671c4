//! The group coordinator: what groups of consumers have agreed on, kept in the topic `__consumer_offsets`.
//!
//! Each partition of that topic is the log of one state machine, the `Coordinator`, which
//! lives on the shard that owns the partition. It decides on a request, appends the decision, and applies
//! what was appended, in one call: so its state is at any time what a replay of the log would give. Answers
//! are held until everything that they rest on is durable.

mod coordinator;
mod coordinators;
mod offsets_topic;
pub mod records;

pub(crate) use coordinator::{Commit, FetchedTopic, NewOffset, Query};
pub(crate) use coordinators::{Coordinators, RestsOn};
pub(crate) use offsets_topic::{find_or_create, partition_of};
