//! The messages, one file an API, in the words and the order of Apache Kafka's definitions.

pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod fetch;
pub mod find_coordinator;
pub mod header;
pub mod heartbeat;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;

use super::api::APIS;
use super::message::Message;
use super::schema::Schema;

/// The tables of all messages: headers, then request and response of each API.
pub fn schemas() -> impl Iterator<Item = &'static Schema> {
    [header::RequestHeader::SCHEMA, header::ResponseHeader::SCHEMA]
        .into_iter()
        .chain(APIS.iter().flat_map(|row| [row.request, row.response]))
}
