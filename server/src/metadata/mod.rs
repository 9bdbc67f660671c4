//! The topics: what all shards see of them, what the disks hold of them, and the one controller that
//! changes both.

mod apache_topics;
pub(crate) mod checkpoints;
#[cfg_attr(not(test), expect(dead_code, reason = "topics still stand beside the metadata log"))]
mod cluster;
mod controller;
mod image;
#[expect(dead_code, reason = "topics still stand beside the metadata log")]
mod log;
mod log_dirs;
mod more_partitions;
mod new_topic;
pub mod records;
mod topic_store;
mod topics_file;
#[expect(dead_code, reason = "topics still stand beside the metadata log")]
mod versions;

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
