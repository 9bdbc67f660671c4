//! Topics that grow, and readers that are told only what is new: through a whole simulated broker.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{FetchResponse, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::disk::sim::SimDisk;
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN};
use logmill_server::config::{Config, Machine};
use logmill_server::sim::{SimSocket, World};

const CREATE: i16 = 7;
const GROW: i16 = 3;
const METADATA: i16 = 12;
const FETCH: i16 = 12;

fn start(disk: &SimDisk) -> World {
    let settings = [("log.dirs", "/data,/more"), ("logmill.shards", "2"), ("connections.max.idle.ms", "-1")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "here".to_owned(), cores: 1 };
    let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
    World::start(1, config, disk.clone()).unwrap()
}

async fn ask<R: Request>(socket: &SimSocket, version: i16, request: &R) -> R::Response {
    let mut frame = BytesMut::from(&[0; 4][..]);
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    socket.write_all(&frame).await.unwrap();
    let mut received = BytesMut::new();
    let mut missing = 4;
    while missing > 0 {
        assert_ne!(socket.read(&mut received, missing).await.unwrap(), 0, "the broker answers");
        let len = if received.len() < 4 { 0 } else { (&received[..4]).get_u32() as usize };
        missing = 4 + len - received.len();
    }
    let mut received = received.freeze();
    received.advance(4);
    ResponseHeader::decode(&mut received, R::Response::header_version(version)).unwrap();
    R::Response::decode(&mut received, version).unwrap()
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

async fn create(socket: &SimSocket, partitions: i32) {
    let topic = CreatableTopic::default()
        .with_name(name())
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
    assert_eq!(ask(socket, CREATE, &request).await.topics[0].error_code, 0);
}

/// Asks for so many partitions; the error code.
async fn grow(socket: &SimSocket, count: i32, is_dry_run: bool) -> i16 {
    let topic = CreatePartitionsTopic::default().with_name(name()).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(60_000)
        .with_validate_only(is_dry_run);
    ask(socket, GROW, &request).await.results[0].error_code
}

async fn partitions(socket: &SimSocket) -> usize {
    let topic = MetadataRequestTopic::default().with_name(Some(name()));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    ask(socket, METADATA, &request).await.topics[0].partitions.len()
}

/// Writes a batch to a partition; where it went.
async fn append(socket: &SimSocket, partition: i32) -> i64 {
    let mut batch = vec![0; HEADER_LEN];
    batch[8..12].copy_from_slice(&(HEADER_LEN as i32 - 12).to_be_bytes());
    batch[16] = 2;
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.into()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let response = ask(socket, 12, &request).await;
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0);
    partition.base_offset
}

#[test]
fn a_topic_that_has_grown_takes_records_in_its_new_partitions_and_keeps_those_it_had() {
    let disk = SimDisk::new(1);
    let world = start(&disk);
    let socket = world.connect();
    world.run(async move {
        create(&socket, 1).await;
        assert_eq!(append(&socket, 0).await, 0);
        assert_eq!([grow(&socket, 4, true).await, grow(&socket, 1, false).await], [0, 37]);
        assert_eq!(partitions(&socket).await, 1);
        assert_eq!((grow(&socket, 4, false).await, partitions(&socket).await), (0, 4));
        for partition in 1..4 {
            assert_eq!(append(&socket, partition).await, 0);
        }
        assert_eq!(append(&socket, 0).await, 1);
    });
    drop(world);
    let world = start(&disk);
    let socket = world.connect();
    world.run(async move {
        assert_eq!(partitions(&socket).await, 4);
        assert_eq!(append(&socket, 3).await, 1);
        assert_eq!((grow(&socket, 5, false).await, append(&socket, 4).await), (0, 0));
    });
}

/// A fetch of these partitions, from offset 0, in a session.
fn fetch(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
    let partition = |&partition: &i32| {
        FetchPartition::default().with_partition(partition).with_partition_max_bytes(1 << 20)
    };
    let topic =
        FetchTopic::default().with_topic(name()).with_partitions(partitions.iter().map(partition).collect());
    FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_id(session_id)
        .with_session_epoch(session_epoch)
        .with_topics(if partitions.is_empty() { Vec::new() } else { vec![topic] })
}

fn told(response: &FetchResponse) -> Vec<i32> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|data| data.partition_index).collect()
}

#[test]
fn a_session_is_told_of_partitions_with_news_and_no_others() {
    let world = start(&SimDisk::new(2));
    let socket = world.connect();
    world.run(async move {
        create(&socket, 4).await;
        let first = ask(&socket, FETCH, &fetch(0, 0, &[0, 1, 2, 3])).await;
        assert_eq!((first.error_code, told(&first)), (0, vec![0, 1, 2, 3]));
        let id = first.session_id;
        assert_eq!(told(&ask(&socket, FETCH, &fetch(id, 1, &[])).await), [0; 0]);
        append(&socket, 2).await;
        let second = ask(&socket, FETCH, &fetch(id, 2, &[])).await;
        assert_eq!((second.session_id, told(&second)), (id, vec![2]));
        assert_eq!(ask(&socket, FETCH, &fetch(id, 2, &[])).await.error_code, 71);
        assert_eq!(ask(&socket, FETCH, &fetch(id + 2, 1, &[])).await.error_code, 70);
        assert_eq!(told(&ask(&socket, FETCH, &fetch(id, 3, &[])).await), [2]);
        assert_eq!(ask(&socket, FETCH, &fetch(id, -1, &[1])).await.session_id, 0);
        assert_eq!(ask(&socket, FETCH, &fetch(id, 4, &[])).await.error_code, 70);
    });
}

#[test]
fn an_epoch_ends_where_the_log_does() {
    let world = start(&SimDisk::new(3));
    let socket = world.connect();
    world.run(async move {
        create(&socket, 2).await;
        append(&socket, 1).await;
        let partition = |index, current, epoch| {
            OffsetForLeaderPartition::default()
                .with_partition(index)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch)
        };
        let partitions =
            vec![partition(1, 0, 0), partition(1, -1, 7), partition(1, 7, 0), partition(9, -1, 0)];
        let topic = OffsetForLeaderTopic::default().with_topic(name()).with_partitions(partitions);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let answered = ask(&socket, 4, &request).await.topics.remove(0).partitions;
        let told: Vec<(i16, i32, i64)> =
            answered.iter().map(|one| (one.error_code, one.leader_epoch, one.end_offset)).collect();
        assert_eq!(told, [(0, 0, 1), (0, -1, -1), (75, -1, -1), (3, -1, -1)]);
    });
}

/// Deletes what lies in front of an offset; the error, and where the log begins.
async fn delete(socket: &SimSocket, partition: i32, before: i64) -> (i16, i64) {
    let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
    let topic = DeleteRecordsTopic::default().with_name(name()).with_partitions(vec![asked]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
    let answered = ask(socket, 2, &request).await.topics.remove(0).partitions.remove(0);
    (answered.error_code, answered.low_watermark)
}

/// The error of a read at an offset, and where the log begins.
async fn read(socket: &SimSocket, offset: i64) -> (i16, i64) {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![partition]);
    let request =
        FetchRequest::default().with_session_epoch(-1).with_max_bytes(1 << 20).with_topics(vec![topic]);
    let data = ask(socket, FETCH, &request).await.responses.remove(0).partitions.remove(0);
    (data.error_code, data.log_start_offset)
}

#[test]
fn deleted_records_stay_deleted_whatever_cuts_the_power() {
    for seed in 0..16 {
        let disk = SimDisk::new(seed);
        let world = start(&disk);
        let socket = world.connect();
        world.run(async move {
            create(&socket, 1).await;
            for _ in 0..3 {
                append(&socket, 0).await;
            }
            assert_eq!(delete(&socket, 0, 4).await, (1, -1));
            assert_eq!([delete(&socket, 0, 2).await, delete(&socket, 0, 1).await], [(0, 2), (0, 2)]);
        });
        let disk = disk.after_crash(seed);
        drop(world);
        let world = start(&disk);
        let socket = world.connect();
        world.run(async move {
            assert_eq!([read(&socket, 1).await, read(&socket, 2).await], [(1, -1), (0, 2)], "seed {seed}");
            assert_eq!((delete(&socket, 0, -1).await, append(&socket, 0).await), ((0, 3), 3));
        });
    }
}
