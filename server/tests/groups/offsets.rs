//! Committed offsets.

use std::rc::Rc;

use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_engine::disk::sim::SimDisk;
use logmill_server::sim::{Event, SimSocket};
use logmill_server::wire::ErrorCode;

use crate::client::{PARTITIONS, TOPIC, ask, find, text, world, world_with};

const TOO_FAR: i32 = PARTITIONS;
/// The second pipe of the first connection.
const TO_CLIENT: usize = 1;

/// Commits offsets of partitions for a group; the errors by partition.
async fn commit(
    socket: &SimSocket,
    version: i16,
    group: &'static str,
    generation: i32,
    offsets: &[(i32, i64, &'static str)],
) -> Vec<(i32, i16)> {
    let partition = |(index, offset, metadata): &(i32, i64, &'static str)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text(metadata)))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partitions(offsets.iter().map(partition).collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    let response = ask(socket, version, request).await;
    let partitions = &response.topics[0].partitions;
    partitions.iter().map(|partition| (partition.partition_index, partition.error_code)).collect()
}

/// Partition, offset and metadata of what a group is answered, or the group's error.
type Fetched = Result<Vec<(i32, i64, String)>, i16>;

/// Fetches offsets of partitions, or with `None` of all that there are.
async fn fetch(
    socket: &SimSocket,
    version: i16,
    group: &'static str,
    partitions: Option<Vec<i32>>,
) -> Fetched {
    let metadata = |metadata: Option<StrBytes>| metadata.unwrap().to_string();
    if version < 8 {
        let topic = |partitions| {
            vec![
                OffsetFetchRequestTopic::default()
                    .with_name(TopicName(text(TOPIC)))
                    .with_partition_indexes(partitions),
            ]
        };
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(partitions.map(topic));
        let response = ask(socket, version, request).await;
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        let found: Vec<_> = partitions
            .map(|p| match p.error_code {
                0 => Ok((p.partition_index, p.committed_offset, metadata(p.metadata))),
                code => Err(code),
            })
            .collect();
        return if response.error_code == 0 { found.into_iter().collect() } else { Err(response.error_code) };
    }
    let topic = |partitions| {
        vec![
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text(TOPIC)))
                .with_partition_indexes(partitions),
        ]
    };
    let other = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("other"))).with_topics(None);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(partitions.map(topic));
    let request = OffsetFetchRequest::default().with_groups(vec![other, asked]).with_require_stable(true);
    let mut groups = ask(socket, version, request).await.groups;
    let asked = groups.pop().unwrap();
    assert_eq!(&**asked.group_id, group);
    if asked.error_code != 0 {
        return Err(asked.error_code);
    }
    assert_eq!(groups.pop().map(|other| (other.error_code, other.topics)), Some((0, Vec::new())));
    let partitions = asked.topics.into_iter().flat_map(|topic| topic.partitions);
    Ok(partitions.map(|p| (p.partition_index, p.committed_offset, metadata(p.metadata))).collect())
}

fn found(offsets: &[(i32, i64, &str)]) -> Fetched {
    Ok(offsets.iter().map(|(index, offset, metadata)| (*index, *offset, (*metadata).to_owned())).collect())
}

#[test]
fn offsets_are_committed_fetched_and_found_again_in_every_version() {
    for seed in 0..20 {
        let disk = SimDisk::default();
        let before = world(seed, &disk);
        let socket = before.connect();
        before.run(async move {
            for version in 0..=6 {
                assert_eq!(find(&socket, version, 0).await, 0);
            }
            for (version, offset) in (2..=9).zip(100..) {
                let codes = commit(&socket, version, "g", -1, &[(0, offset, "m"), (3, 7, "")]).await;
                assert_eq!(codes, [(0, 0), (3, 0)], "version {version}, seed {seed}");
                for version in 1..=9 {
                    let expected = found(&[(3, 7, ""), (1, -1, ""), (0, offset, "m")]);
                    assert_eq!(fetch(&socket, version, "g", Some(vec![3, 1, 0])).await, expected);
                }
            }
        });
        drop(before);
        let after = world(seed, &disk);
        let socket = after.connect();
        after.run(async move {
            for version in 2..=9 {
                let fetched = fetch(&socket, version, "g", None).await;
                assert_eq!(fetched, found(&[(0, 107, "m"), (3, 7, "")]), "seed {seed}");
            }
            assert_eq!(fetch(&socket, 9, "unknown", None).await, found(&[]));
            assert_eq!(fetch(&socket, 9, "unknown", Some(vec![0])).await, found(&[(0, -1, "")]));
        });
    }
}

#[test]
fn an_offset_is_durable_also_where_other_records_are_not() {
    for seed in 0..50 {
        let world = world_with(seed, &SimDisk::default(), "page-cache");
        let socket = Rc::new(world.connect());
        let client = socket.clone();
        world.run(async move { find(&client, 6, 0).await });
        world.take_trace();
        world.run(async move {
            assert_eq!(commit(&socket, 9, "g", -1, &[(0, 1, "")]).await, [(0, 0)]);
        });
        let is_answer_or_sync =
            |event: &&Event| matches!(event, Event::Synced { .. } | Event::Arrived { pipe: TO_CLIENT, .. });
        let trace = world.take_trace();
        let first = trace.iter().find(is_answer_or_sync);
        assert!(matches!(first, Some(Event::Synced { .. })), "seed {seed}: {first:?}");
    }
}

#[test]
fn nobody_but_the_coordinator_writes_into_its_topic() {
    let world = world(1, &SimDisk::default());
    let socket = world.connect();
    world.run(async move {
        find(&socket, 6, 0).await;
        let partition = PartitionProduceData::default().with_records(Some(Bytes::from_static(b"records")));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let response = ask(&socket, 9, request).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::InvalidTopicException.code());
    });
}

#[test]
fn what_cannot_be_committed_is_refused_by_partition_or_by_group() {
    let world = world(1, &SimDisk::default());
    let socket = world.connect();
    world.run(async move {
        // Before anybody looked for a coordinator there is none.
        let none = ErrorCode::NotCoordinator.code();
        assert_eq!(fetch(&socket, 1, "g", Some(vec![0])).await, Err(none));
        assert_eq!(fetch(&socket, 7, "g", None).await, Err(none));
        assert_eq!(fetch(&socket, 8, "g", None).await, Err(none));
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(commit(&socket, 9, "g", -1, &[(0, 1, "")]).await, [(0, unknown)]);
        assert_eq!(find(&socket, 6, 0).await, 0);

        let large = ErrorCode::OffsetMetadataTooLarge.code();
        let offsets = [(0, 1, "too long a text"), (TOO_FAR, 1, ""), (1, 5, "fits")];
        assert_eq!(commit(&socket, 9, "g", -1, &offsets).await, [(0, large), (TOO_FAR, unknown), (1, 0)]);
        assert_eq!(fetch(&socket, 9, "g", None).await, found(&[(1, 5, "fits")]));

        let not_found = ErrorCode::GroupIdNotFound.code();
        assert_eq!(commit(&socket, 9, "nobody", 3, &[(0, 1, "")]).await, [(0, not_found)]);
        let illegal = ErrorCode::IllegalGeneration.code();
        assert_eq!(commit(&socket, 8, "nobody", 3, &[(0, 1, "")]).await, [(0, illegal)]);
        let unknown_member = ErrorCode::UnknownMemberId.code();
        assert_eq!(commit(&socket, 9, "g", 3, &[(0, 1, "")]).await, [(0, unknown_member)]);
    });
}

#[test]
fn coordinators_of_what_is_not_served_do_not_exist_for_good() {
    let world = world(1, &SimDisk::default());
    let socket = world.connect();
    world.run(async move {
        for version in 1..=6 {
            for (key_type, expected) in [
                (1, ErrorCode::TransactionalIdAuthorizationFailed),
                (2, ErrorCode::InvalidRequest),
                (3, ErrorCode::InvalidRequest),
            ] {
                assert_eq!(find(&socket, version, key_type).await, expected.code());
                assert!(!expected.is_retriable());
            }
        }
    });
}
