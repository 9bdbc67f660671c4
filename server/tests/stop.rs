//! The end of a broker that serves: what is in flight is answered, and nobody waits longer than that.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{
    DescribeGroupsResponse, FetchResponse, FindCoordinatorResponse, GroupId, JoinGroupResponse,
    ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN};
use logmill_server::broker::{Running, start};
use logmill_server::config::{Config, Machine};
use logmill_server::wire::ErrorCode;
use tempfile::TempDir;

const CREATE: i16 = 7;
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const FIND: i16 = 4;
/// A version whose clients are members at once.
const JOIN: i16 = 3;
const DESCRIBE: i16 = 5;
/// Far longer than a stop takes, far shorter than a test may.
const LONG: Duration = Duration::from_secs(100);

fn serving(dir: &TempDir) -> Running {
    let settings = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", dir.path().to_str().unwrap()),
        ("logmill.shards", "2"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "localhost".to_owned(), cores: 2 };
    start(Config::load(None, [], &settings, &machine).unwrap().0).unwrap()
}

fn connect(broker: &Running) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", broker.broker().advertised[0].port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn send<R: Request>(stream: &mut TcpStream, version: i16, request: &R) {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let mut sent = BytesMut::new();
    sent.put_u32(frame.len() as u32);
    sent.put(frame);
    stream.write_all(&sent).unwrap();
}

fn receive<R: Decodable + HeaderVersion>(stream: &mut TcpStream, version: i16) -> R {
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut received = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut received).unwrap();
    let mut received = Bytes::from(received);
    ResponseHeader::decode(&mut received, R::header_version(version)).unwrap();
    let response = R::decode(&mut received, version).unwrap();
    assert!(!received.has_remaining());
    response
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

/// Makes the topic `t` of two partitions, one on each shard.
fn create(stream: &mut TcpStream) {
    let topic = CreatableTopic::default().with_name(name()).with_num_partitions(2).with_replication_factor(1);
    send(stream, CREATE, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000));
    let created: kafka_protocol::messages::CreateTopicsResponse = receive(stream, CREATE);
    assert_eq!(created.topics[0].error_code, 0);
}

fn batch() -> Bytes {
    let mut bytes = vec![0; HEADER_LEN];
    bytes[8..12].copy_from_slice(&(HEADER_LEN as i32 - 12).to_be_bytes());
    bytes[16] = 2;
    bytes[43..57].fill(0xff);
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// One batch to each partition.
fn produce() -> ProduceRequest {
    let partition = |index| PartitionProduceData::default().with_index(index).with_records(Some(batch()));
    let topic =
        TopicProduceData::default().with_name(name()).with_partition_data((0..2).map(partition).collect());
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// Both partitions from their ends on, for as long as it takes.
fn wait_for_more(offset: i64) -> FetchRequest {
    let partition = |index| {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default().with_topic(name()).with_partitions((0..2).map(partition).collect());
    FetchRequest::default()
        .with_max_wait_ms(LONG.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn a_stop_answers_what_is_in_flight_and_takes_nobody_new() {
    let dir = tempfile::tempdir().unwrap();
    let broker = serving(&dir);
    let [mut waiting, mut producing, mut idle] = [(); 3].map(|()| connect(&broker));
    create(&mut producing);
    // What was answered first shows that the second request was read: the broker reads in order.
    send(&mut producing, PRODUCE, &produce());
    let _: ProduceResponse = receive(&mut producing, PRODUCE);
    send(&mut waiting, PRODUCE, &produce());
    send(&mut waiting, FETCH, &wait_for_more(2));
    let _: ProduceResponse = receive(&mut waiting, PRODUCE);
    let port = broker.broker().advertised[0].port;
    let asked = Instant::now();
    broker.broker().stop.ask();
    broker.join().unwrap();
    assert!(asked.elapsed() < LONG / 10, "took {:?}", asked.elapsed());
    let fetched: FetchResponse = receive(&mut waiting, FETCH);
    assert_eq!(fetched.responses[0].partitions.len(), 2);
    assert!([&mut waiting, &mut producing, &mut idle].into_iter().all(is_closed));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_stop_lets_nobody_wait_for_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let broker = serving(&dir);
    let [mut parked, mut looking] = [(); 2].map(|()| connect(&broker));
    let group = GroupId(StrBytes::from_static_str("g"));
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]);
    send(&mut looking, FIND, &find);
    let _: FindCoordinatorResponse = receive(&mut looking, FIND);
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(group.clone())
        .with_session_timeout_ms(LONG.as_millis() as i32)
        .with_rebalance_timeout_ms(LONG.as_millis() as i32)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    send(&mut parked, JOIN, &join);
    let describe = DescribeGroupsRequest::default().with_groups(vec![group]);
    let is_parked = |looking: &mut TcpStream| {
        send(looking, DESCRIBE, &describe);
        let described: DescribeGroupsResponse = receive(looking, DESCRIBE);
        &*described.groups[0].group_state == "PreparingRebalance"
    };
    while !is_parked(&mut looking) {}
    let asked = Instant::now();
    broker.broker().stop.ask();
    broker.join().unwrap();
    assert!(asked.elapsed() < LONG / 10, "took {:?}", asked.elapsed());
    let answer: JoinGroupResponse = receive(&mut parked, JOIN);
    assert_eq!(answer.error_code, ErrorCode::NotCoordinator.code());
}

#[test]
fn a_second_wish_to_stop_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let broker = serving(&dir);
    let mut stuck = connect(&broker);
    create(&mut stuck);
    for _ in 0..2 {
        send(&mut stuck, PRODUCE, &produce());
        let _: ProduceResponse = receive(&mut stuck, PRODUCE);
    }
    broker.broker().stop.ask();
    broker.broker().stop.ask();
    broker.join().unwrap();
    assert!(dir.path().join(".kafka_cleanshutdown").exists());
}

#[test]
fn clients_of_each_listener_are_told_the_address_of_that_listener() {
    use kafka_protocol::messages::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest};
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("listeners", "PLAINTEXT://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        ("advertised.listeners", "PLAINTEXT://inside.example:1111,OUTSIDE://outside.example:2222"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT"),
        ("log.dirs", dir.path().to_str().unwrap()),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "localhost".to_owned(), cores: 2 };
    let broker = start(Config::load(None, [], &settings, &machine).unwrap().0).unwrap();
    let expected = [("inside.example", 1111), ("outside.example", 2222)];
    for (port, expected) in broker.ports().iter().zip(expected) {
        let mut stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
        send(&mut stream, 12, &MetadataRequest::default());
        let metadata: kafka_protocol::messages::MetadataResponse = receive(&mut stream, 12);
        assert_eq!((metadata.brokers[0].host.as_str(), metadata.brokers[0].port), expected);
        send(&mut stream, 1, &DescribeClusterRequest::default().with_endpoint_type(1));
        let cluster: kafka_protocol::messages::DescribeClusterResponse = receive(&mut stream, 1);
        assert_eq!((cluster.brokers[0].host.as_str(), cluster.brokers[0].port), expected);
        let keys = vec![StrBytes::from_static_str("g")];
        send(&mut stream, 4, &FindCoordinatorRequest::default().with_coordinator_keys(keys));
        let found: kafka_protocol::messages::FindCoordinatorResponse = receive(&mut stream, 4);
        assert_eq!((found.coordinators[0].host.as_str(), found.coordinators[0].port), expected);
    }
    broker.broker().stop.ask();
    broker.join().unwrap();
}

#[test]
fn metrics_count_what_clients_did_and_are_served_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("logmill.metrics.listener", "127.0.0.1:0"),
        ("log.dirs", dir.path().to_str().unwrap()),
        ("logmill.shards", "2"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "localhost".to_owned(), cores: 2 };
    let broker = start(Config::load(None, [], &settings, &machine).unwrap().0).unwrap();
    let mut client = connect(&broker);
    create(&mut client);
    send(&mut client, PRODUCE, &produce());
    let _: ProduceResponse = receive(&mut client, PRODUCE);
    send(&mut client, PRODUCE, &produce().with_acks(7));
    let _: ProduceResponse = receive(&mut client, PRODUCE);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.metrics_port().unwrap())).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let told = get("/metrics");
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    for line in [
        "logmill_requests_total{api=\"Produce\"} 2",
        "logmill_request_errors_total{api=\"Produce\"} 1",
        "logmill_request_errors_total{api=\"CreateTopics\"} 0",
        "logmill_connections 1",
        "logmill_partitions 2",
        &format!("logmill_log_bytes {}", 2 * HEADER_LEN),
    ] {
        assert!(told.lines().any(|one| one == line), "{line} is not in\n{told}");
    }
    assert!(get("/").starts_with("HTTP/1.1 404"));
    broker.broker().stop.ask();
    broker.join().unwrap();
}
