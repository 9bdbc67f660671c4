//! `PartitionId`: which partition of which topic.

use super::Uuid;

/// Which partition of which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic's id. A topic that is made again with an old name has another one.
    pub topic: Uuid,
    /// The partition's number, from 0.
    pub index: i32,
}
