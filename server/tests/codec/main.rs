//! The codec against itself, against another codec, and against bytes that lie.
//!
//! One program, because it counts its allocations: that takes a global allocator.

mod allocations;
mod broker;
mod hostile;
mod round_trip;
mod sample;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as _, VersionRange};
use logmill_server::metadata::records;
use logmill_server::wire::messages::*;
use logmill_server::wire::{Message, ReadError, Reader, Schema, Writer, schemas};

/// What the tests do with a message, whichever it is.
struct Codec {
    schema: &'static Schema,
    /// Reads a message off the front of a frame.
    read: fn(Bytes, i16) -> Result<(), ReadError>,
    /// Reads a message that fills the frame and writes it again; the bytes must read as an equal value.
    rewrite: fn(Bytes, i16) -> Result<Bytes, ReadError>,
    /// kafka-protocol's, where it has the message.
    others: Option<Others>,
}

/// The codec of kafka-protocol.
struct Others {
    /// Reads and writes as ours does.
    rewrite: fn(Bytes, i16) -> Bytes,
    /// The versions that it knows.
    known: VersionRange,
}

macro_rules! codecs {
    ($($module:ident::$message:ident),* $(,)?) => { &[$( Codec {
        schema: <$module::$message as Message>::SCHEMA,
        read: |frame, version| $module::$message::read_message(&mut Reader::new(&frame), version).map(drop),
        rewrite: rewrite::<$module::$message>,
        others: Some(Others {
            rewrite: rewrite_by_others::<theirs::$message>,
            known: theirs::$message::VERSIONS,
        }),
    } ),*] };
}

/// Of records, which only ours knows.
macro_rules! record_codecs {
    ($($module:ident::$message:ident),* $(,)?) => { &[$( Codec {
        schema: <records::$module::$message as Message>::SCHEMA,
        read: |frame, version| {
            records::$module::$message::read_message(&mut Reader::new(&frame), version).map(drop)
        },
        rewrite: rewrite::<records::$module::$message>,
        others: None,
    } ),*] };
}

const CODECS: &[Codec] = codecs![
    header::RequestHeader,
    header::ResponseHeader,
    produce::ProduceRequest,
    produce::ProduceResponse,
    fetch::FetchRequest,
    fetch::FetchResponse,
    list_offsets::ListOffsetsRequest,
    list_offsets::ListOffsetsResponse,
    metadata::MetadataRequest,
    metadata::MetadataResponse,
    offset_commit::OffsetCommitRequest,
    offset_commit::OffsetCommitResponse,
    offset_fetch::OffsetFetchRequest,
    offset_fetch::OffsetFetchResponse,
    offset_for_leader_epoch::OffsetForLeaderEpochRequest,
    offset_for_leader_epoch::OffsetForLeaderEpochResponse,
    find_coordinator::FindCoordinatorRequest,
    find_coordinator::FindCoordinatorResponse,
    join_group::JoinGroupRequest,
    join_group::JoinGroupResponse,
    heartbeat::HeartbeatRequest,
    heartbeat::HeartbeatResponse,
    leave_group::LeaveGroupRequest,
    leave_group::LeaveGroupResponse,
    sync_group::SyncGroupRequest,
    sync_group::SyncGroupResponse,
    describe_groups::DescribeGroupsRequest,
    describe_groups::DescribeGroupsResponse,
    list_groups::ListGroupsRequest,
    list_groups::ListGroupsResponse,
    delete_groups::DeleteGroupsRequest,
    delete_groups::DeleteGroupsResponse,
    offset_delete::OffsetDeleteRequest,
    offset_delete::OffsetDeleteResponse,
    api_versions::ApiVersionsRequest,
    api_versions::ApiVersionsResponse,
    create_partitions::CreatePartitionsRequest,
    create_partitions::CreatePartitionsResponse,
    create_topics::CreateTopicsRequest,
    create_topics::CreateTopicsResponse,
    delete_topics::DeleteTopicsRequest,
    delete_topics::DeleteTopicsResponse,
    delete_records::DeleteRecordsRequest,
    delete_records::DeleteRecordsResponse,
    init_producer_id::InitProducerIdRequest,
    init_producer_id::InitProducerIdResponse,
    describe_configs::DescribeConfigsRequest,
    describe_configs::DescribeConfigsResponse,
    list_partition_reassignments::ListPartitionReassignmentsRequest,
    list_partition_reassignments::ListPartitionReassignmentsResponse,
    describe_cluster::DescribeClusterRequest,
    describe_cluster::DescribeClusterResponse,
    describe_producers::DescribeProducersRequest,
    describe_producers::DescribeProducersResponse,
    describe_topic_partitions::DescribeTopicPartitionsRequest,
    describe_topic_partitions::DescribeTopicPartitionsResponse,
];

const RECORD_CODECS: &[Codec] = record_codecs![
    brokers::RegisterBrokerRecord,
    brokers::UnregisterBrokerRecord,
    brokers::FenceBrokerRecord,
    brokers::UnfenceBrokerRecord,
    brokers::BrokerRegistrationChangeRecord,
    brokers::RegisterControllerRecord,
    topics::TopicRecord,
    topics::RemoveTopicRecord,
    topics::PartitionRecord,
    topics::PartitionChangeRecord,
    topics::ClearElrRecord,
    settings::ConfigRecord,
    settings::FeatureLevelRecord,
    settings::ClientQuotaRecord,
    settings::ProducerIdsRecord,
    settings::ZkMigrationStateRecord,
    security::AccessControlEntryRecord,
    security::RemoveAccessControlEntryRecord,
    security::UserScramCredentialRecord,
    security::RemoveUserScramCredentialRecord,
    security::DelegationTokenRecord,
    security::RemoveDelegationTokenRecord,
    transactions::BeginTransactionRecord,
    transactions::EndTransactionRecord,
    transactions::AbortTransactionRecord,
    transactions::NoOpRecord,
    leader_change::LeaderChangeMessage,
    snapshots::SnapshotHeaderRecord,
    snapshots::SnapshotFooterRecord,
    voters::KRaftVersionRecord,
    voters::VotersRecord,
    quorum_state::QuorumStateData,
];

fn rewrite<M: Message + std::fmt::Debug>(frame: Bytes, version: i16) -> Result<Bytes, ReadError> {
    let read = |frame: Bytes| {
        let mut reader = Reader::new(&frame);
        let message = M::read_message(&mut reader, version)?;
        assert_eq!(reader.remaining(), 0, "{} v{version} left bytes unread", M::SCHEMA.name);
        Ok(message)
    };
    let message = read(frame)?;
    let mut buf = Vec::new();
    let mut writer = Writer::new(&mut buf);
    message.write_message(&mut writer, version);
    assert!(writer.finish().is_empty(), "nothing that was read lies in a file");
    let again = Bytes::from(buf);
    // A number may be none, which equals nothing: what is shown of both is compared.
    assert_eq!(format!("{:?}", read(again.clone())?), format!("{message:?}"));
    Ok(again)
}

fn rewrite_by_others<M: Decodable + Encodable>(mut frame: Bytes, version: i16) -> Bytes {
    let message = M::decode(&mut frame, version).expect("kafka-protocol reads what we wrote");
    assert!(frame.is_empty(), "kafka-protocol left bytes unread");
    let mut buf = BytesMut::new();
    message.encode(&mut buf, version).expect("kafka-protocol writes what it read");
    buf.freeze()
}

/// Every message and every record in every one of its versions.
fn codecs_and_versions() -> impl Iterator<Item = (&'static Codec, i16)> {
    CODECS.iter().chain(RECORD_CODECS).flat_map(|codec| {
        (codec.schema.valid.min..=codec.schema.valid.max).map(move |version| (codec, version))
    })
}

#[test]
fn every_message_is_tested() {
    let tested: Vec<_> = CODECS.iter().map(|codec| codec.schema.name).collect();
    let existing: Vec<_> = schemas().map(|schema| schema.name).collect();
    assert_eq!(tested.len(), existing.len());
    for name in existing {
        assert!(tested.contains(&name), "{name} has no line in CODECS");
    }
}

#[test]
fn every_record_of_the_metadata_log_is_tested() {
    let tested: Vec<_> = RECORD_CODECS.iter().map(|codec| codec.schema.name).collect();
    let of_log = records::RECORD_TYPES.iter().map(|(_, schema)| schema.name);
    for name in of_log.chain(records::control::CONTROL_TYPES.iter().map(|(_, schema)| schema.name)) {
        assert!(tested.contains(&name), "{name} has no line in RECORD_CODECS");
    }
}
