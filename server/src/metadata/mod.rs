//! The topics: what all shards see of them, what the disks hold of them, and the one controller that
//! changes both.

pub(crate) mod checkpoints;
mod controller;
mod image;
mod log_dirs;
mod more_partitions;
mod new_topic;
mod topic_store;
mod topics_file;

pub(crate) use checkpoints::Checkpoints;
pub(crate) use controller::{
    CreateTopics, DeleteTopics, GrowTopics, Order, OrderQueue, Outcome, Refused, ask, run as run_controller,
};
pub(crate) use image::LEADER_EPOCH;
pub use image::{Image, Topic};
pub use log_dirs::{LogDirs, prepare_log_dirs};
pub(crate) use more_partitions::MorePartitions;
pub(crate) use new_topic::{CreatedTopic, NewTopic};
pub use topic_store::TopicStore;
