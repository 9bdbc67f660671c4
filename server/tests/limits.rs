//! What one connection can cost the broker, and how long it can make it wait: through a whole simulated
//! broker, whose time passes only when nothing else can happen.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::future::poll_fn;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{
    FetchResponse, FindCoordinatorRequest, GroupId, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::disk::sim::SimDisk;
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN};
use logmill_server::config::{Config, Machine};
use logmill_server::sim::{Event, SimSocket, World};

const CREATE: i16 = 7;
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
/// What every topic here takes at most in a segment: the least that can be set.
const SEGMENT_BYTES: usize = 1 << 20;
/// The longest wait that a client can ask for: 24 days.
const FOREVER: i32 = i32::MAX;

fn start() -> World {
    start_with(&[])
}

fn start_with(settings: &[(&str, &str)]) -> World {
    // Nothing of the broker's own wakes before those who wait here.
    let defaults = [
        ("log.dirs", "/data"),
        ("logmill.shards", "2"),
        ("connections.max.idle.ms", "-1"),
        ("log.retention.check.interval.ms", "86400000"),
        ("log.flush.offset.checkpoint.interval.ms", "86400000"),
    ];
    let settings: Vec<(String, String)> = defaults
        .iter()
        .chain(settings)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let machine = Machine { host_name: "here".to_owned(), cores: 1 };
    let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
    World::start(1, config, SimDisk::default()).unwrap()
}

async fn send<R: Request>(socket: &SimSocket, version: i16, request: &R) {
    socket.write_all(&frame_of(version, request)).await.unwrap();
}

fn frame_of<R: Request>(version: i16, request: &R) -> BytesMut {
    let mut frame = BytesMut::from(&[0; 4][..]);
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}

/// The next response, `None` when the broker hangs up instead.
async fn receive<R: Decodable + HeaderVersion>(socket: &SimSocket, version: i16) -> Option<R> {
    let mut received = BytesMut::new();
    let mut missing = 4;
    while missing > 0 {
        if socket.read(&mut received, missing).await.unwrap() == 0 {
            return None;
        }
        let len = if received.len() < 4 { 0 } else { (&received[..4]).get_u32() as usize };
        missing = 4 + len - received.len();
    }
    let mut received = received.freeze();
    received.advance(4);
    ResponseHeader::decode(&mut received, R::header_version(version)).unwrap();
    Some(R::decode(&mut received, version).unwrap())
}

async fn ask<R: Request>(socket: &SimSocket, version: i16, request: &R) -> R::Response {
    send(socket, version, request).await;
    receive(socket, version).await.expect("the broker answers")
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// Makes the topic `t` of two partitions.
async fn create(socket: &SimSocket) {
    let segment_bytes = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("segment.bytes"))
        .with_value(Some(StrBytes::from_string(SEGMENT_BYTES.to_string())));
    let topic = CreatableTopic::default()
        .with_name(name("t"))
        .with_num_partitions(2)
        .with_replication_factor(1)
        .with_configs(vec![segment_bytes]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
    assert_eq!(ask(socket, CREATE, &request).await.topics[0].error_code, 0);
}

/// A batch of so many bytes.
fn batch(len: usize) -> Bytes {
    let mut bytes = vec![0; len.max(HEADER_LEN)];
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[43..57].fill(0xff);
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn produce(topic: &'static str, len: usize) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(batch(len)));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

async fn append(socket: &SimSocket, len: usize) {
    let response = ask(socket, PRODUCE, &produce("t", len)).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// A partition of `t` from its beginning.
fn fetch(partition: i32, min_bytes: usize, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_partition(partition).with_partition_max_bytes(i32::MAX);
    let topic = FetchTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(min_bytes as i32)
        .with_max_bytes(i32::MAX)
        .with_topics(vec![topic])
}

fn bytes_in(response: &FetchResponse) -> usize {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|data| data.records.as_ref().map_or(0, Bytes::len)).sum()
}

/// When time passed: until which millisecond.
fn slept(world: &World) -> Vec<u64> {
    let until = |event| match event {
        Event::Slept { until_ms } => Some(until_ms),
        _ => None,
    };
    world.take_trace().into_iter().filter_map(until).collect()
}

#[test]
fn a_small_request_whose_answer_would_be_huge_ends_its_connection_and_nothing_else() {
    let world = start();
    let (socket, other) = (world.connect(), world.connect());
    world.run(async move {
        create(&other).await;
        let key = StrBytes::from_static_str("g");
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]);
        assert_eq!(ask(&socket, 4, &request).await.coordinators[0].error_code, 0);
        let metadata = StrBytes::from_string("m".repeat(4_096));
        let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(metadata));
        let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let request =
            OffsetCommitRequest::default().with_group_id(GroupId(key.clone())).with_topics(vec![topic]);
        let committed = ask(&socket, 8, &request).await;
        assert_eq!(committed.topics[0].partitions[0].error_code, 0);

        let fetch = |times| {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(name("t"))
                .with_partition_indexes(vec![0; times]);
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(key.clone()))
                .with_topics(Some(vec![topic]));
            OffsetFetchRequest::default().with_groups(vec![group.clone(), group])
        };
        let found = ask(&socket, 8, &fetch(2)).await.groups;
        assert_eq!(found.len(), 1, "a group that is named twice is answered once");
        assert_eq!(found[0].topics[0].partitions.len(), 2);
        // 280 kB ask for 287 MB.
        let request = fetch(70_000);
        send(&socket, 8, &request).await;
        assert!(receive::<kafka_protocol::messages::OffsetFetchResponse>(&socket, 8).await.is_none());
        append(&other, 100).await;
    });
}

#[test]
fn a_fetch_does_not_wait_for_more_than_it_takes() {
    let world = start();
    let socket = world.connect();
    world.run(async move {
        create(&socket).await;
        append(&socket, 500).await;
        append(&socket, 500).await;
        let request = fetch(0, 10_000, 1_000).with_max_bytes(600);
        assert_eq!(bytes_in(&ask(&socket, FETCH, &request).await), 600);
    });
    assert_eq!(slept(&world), []);
}

#[test]
fn a_fetch_of_nothing_is_answered_at_once() {
    let world = start();
    let socket = world.connect();
    world.run(async move {
        let request = fetch(0, 1, 1_000).with_topics(Vec::new());
        assert_eq!(ask(&socket, FETCH, &request).await.responses, []);
    });
    assert_eq!(slept(&world), []);
}

#[test]
fn a_fetch_that_ends_with_an_old_segment_does_not_wait_for_more() {
    let world = start();
    let socket = world.connect();
    let len = SEGMENT_BYTES / 3 * 2;
    world.run(async move {
        create(&socket).await;
        append(&socket, len).await;
        append(&socket, len).await;
        assert_eq!(bytes_in(&ask(&socket, FETCH, &fetch(0, len + 1, 1_000)).await), len);
    });
    assert_eq!(slept(&world), []);
}

#[test]
fn a_fetch_waits_for_minutes_at_most() {
    let world = start();
    let socket = world.connect();
    world.run(async move {
        create(&socket).await;
        assert_eq!(bytes_in(&ask(&socket, FETCH, &fetch(0, 1, FOREVER)).await), 0);
    });
    assert_eq!(slept(&world), [300_000]);
}

#[test]
fn a_peer_that_has_finished_sending_has_seconds_to_take_its_answers() {
    let world = start();
    let socket = world.connect();
    world.run(async move {
        create(&socket).await;
        send(&socket, PRODUCE, &produce("t", 100)).await;
        send(&socket, FETCH, &fetch(1, 1, FOREVER)).await;
        socket.finish();
        let produced: ProduceResponse = receive(&socket, PRODUCE).await.unwrap();
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
        assert!(receive::<FetchResponse>(&socket, FETCH).await.is_none());
    });
    assert_eq!(slept(&world), [10_000]);
}

#[test]
fn a_connection_is_not_read_while_many_bytes_of_it_wait_for_their_answers() {
    for (len, appended) in [(20 << 20, 100), (40 << 20, 0)] {
        let world = start();
        let (socket, other) = (world.connect(), world.connect());
        world.run(async move {
            create(&socket).await;
            // Nothing behind it is answered before it.
            send(&socket, FETCH, &fetch(1, 1, 1_000)).await;
            for _ in 0..2 {
                send(&socket, PRODUCE, &produce("unknown", len)).await;
            }
            send(&socket, PRODUCE, &produce("t", 100)).await;
            assert_eq!(bytes_in(&ask(&other, FETCH, &fetch(0, 1, 500)).await), appended);
            receive::<FetchResponse>(&socket, FETCH).await.unwrap();
            for code in [3, 3, 0] {
                let produced: ProduceResponse = receive(&socket, PRODUCE).await.unwrap();
                assert_eq!(produced.responses[0].partition_responses[0].error_code, code);
            }
        });
    }
}

/// The most bytes in flight in each of two shards.
const ROOM: &str = "1048576";

#[test]
fn requests_that_fill_the_room_together_are_all_answered() {
    let world = start_with(&[("queued.max.request.bytes", ROOM), ("max.message.bytes", "2000000")]);
    let other = world.connect();
    let sockets: Vec<SimSocket> = (0..12).map(|_| world.connect()).collect();
    world.run(async move {
        create(&other).await;
        let requests = sockets.iter().map(|socket| Box::pin(append(socket, 400_000)));
        let mut requests: Vec<_> = requests.collect();
        poll_fn(|cx| {
            requests.retain_mut(|request| request.as_mut().poll(cx).is_pending());
            if requests.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    assert_eq!(slept(&world), [], "nobody waits for a stalled one");
}

#[test]
fn a_request_that_is_not_gone_on_with_while_others_wait_for_room_ends_its_connection() {
    let world = start_with(&[("queued.max.request.bytes", ROOM), ("logmill.shards", "1")]);
    let sockets: Vec<SimSocket> = (0..8).map(|_| world.connect()).collect();
    let other = world.connect();
    world.run(async move {
        create(&other).await;
        let frame = frame_of(PRODUCE, &produce("unknown", 400_000));
        for socket in &sockets {
            socket.write_all(&frame[..300_000]).await.unwrap();
        }
        // Larger than what is free; its turn comes when those before it have stalled.
        for len in [400_000, 100] {
            let produced = ask(&other, PRODUCE, &produce("unknown", len)).await;
            assert_eq!(produced.responses[0].partition_responses[0].error_code, 3);
        }
    });
    let slept = slept(&world);
    assert!(slept.iter().all(|until_ms| until_ms % 10_000 == 0) && !slept.is_empty(), "{slept:?}");
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let world = start_with(&[("connections.max.idle.ms", "1000"), ("logmill.shards", "1")]);
    let (idle, waiting) = (world.connect(), world.connect());
    world.run(async move {
        create(&idle).await;
        send(&waiting, FETCH, &fetch(0, 1, 5_000)).await;
        assert!(receive::<FetchResponse>(&idle, FETCH).await.is_none());
        assert!(receive::<FetchResponse>(&waiting, FETCH).await.is_some());
        assert!(receive::<FetchResponse>(&waiting, FETCH).await.is_none());
    });
    let closed: Vec<u64> = slept(&world);
    assert!((6_000..=6_250).contains(closed.last().unwrap()), "{closed:?}");
}

#[test]
fn a_connection_too_many_is_served_when_another_one_ends() {
    let world = start_with(&[("max.connections", "2"), ("logmill.shards", "1")]);
    let [first, second, third] = [(); 3].map(|()| world.connect());
    world.run(async move {
        create(&first).await;
        append(&second, 100).await;
        send(&third, PRODUCE, &produce("t", 100)).await;
        append(&second, 100).await;
        drop(second);
        let produced: ProduceResponse = receive(&third, PRODUCE).await.unwrap();
        assert_eq!(produced.responses[0].partition_responses[0].base_offset, 2);
    });
}

#[test]
fn connections_come_at_the_rate_that_is_set_and_no_address_has_too_many() {
    let world = start_with(&[
        ("max.connection.creation.rate", "2"),
        ("max.connections.per.ip", "4"),
        ("logmill.shards", "1"),
    ]);
    let sockets: Vec<SimSocket> = (0..6).map(|_| world.connect()).collect();
    world.run(async move {
        create(&sockets[3]).await;
        assert!(receive::<ProduceResponse>(&sockets[4], PRODUCE).await.is_none());
        assert!(receive::<ProduceResponse>(&sockets[5], PRODUCE).await.is_none());
    });
    assert_eq!(slept(&world), [500]);
}
