//! The topics: what all shards see of them, what the disks hold of them, and the one controller that
//! changes both.

mod apache_topics;
pub(crate) mod checkpoints;
mod controller;
mod image;
mod log_dirs;
mod more_partitions;
mod new_topic;
pub mod records;
mod topic_store;
mod topics_file;

pub(crate) use apache_topics::ApacheTopics;
pub(crate) use checkpoints::Checkpoints;
pub(crate) use controller::{
    CreateTopics, DeleteTopics, GrowTopics, Order, OrderQueue, Outcome, Refused, ask, run as run_controller,
};
pub(crate) use image::LEADER_EPOCH;
pub use image::{Image, Topic};
pub(crate) use log_dirs::hand_over;
pub use log_dirs::{LogDirs, node_id_of, prepare_log_dirs};
pub(crate) use more_partitions::MorePartitions;
pub(crate) use new_topic::{CreatedTopic, NewTopic};
pub use topic_store::TopicStore;
