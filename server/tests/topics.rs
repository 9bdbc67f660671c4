//! Requests that make and remove topics, as clients send them: through sockets, to a broker of two shards.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_server::broker::{Running, start};
use logmill_server::config::{Config, Machine};
use tempfile::TempDir;

/// So many connections reach both shards, whichever the kernel gives them to.
const CONNECTIONS: usize = 16;
const CREATE: i16 = 7;
const DELETE: i16 = 6;
const METADATA: i16 = 12;
/// More than anything here takes.
const TIMEOUT_MS: i32 = 60_000;

struct TestBroker {
    running: Option<Running>,
    _dir: TempDir,
}

impl TestBroker {
    fn start(settings: &[(&str, &str)]) -> TestBroker {
        let dir = tempfile::tempdir().unwrap();
        let own = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.dirs", dir.path().to_str().unwrap()),
            ("logmill.shards", "2"),
        ];
        let settings: Vec<(String, String)> =
            own.iter().chain(settings).map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let machine = Machine { host_name: "localhost".to_owned(), cores: 2 };
        let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
        TestBroker { running: Some(start(config).unwrap()), _dir: dir }
    }

    fn connect(&self) -> Client {
        let port = self.running.as_ref().unwrap().broker().advertised[0].port;
        Client { stream: TcpStream::connect(("127.0.0.1", port)).unwrap(), sent: 0 }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let running = self.running.take().unwrap();
        running.broker().stop.ask();
        running.join().unwrap();
    }
}

struct Client {
    stream: TcpStream,
    sent: i32,
}

impl Client {
    fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.sent += 1;
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.sent);
        header.encode(&mut frame, R::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        let mut sent = BytesMut::new();
        sent.put_u32(frame.len() as u32);
        sent.put(frame);
        let mut received = self.exchange(&sent);
        let header = ResponseHeader::decode(&mut received, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.sent);
        let response = R::Response::decode(&mut received, version).unwrap();
        assert!(!received.has_remaining());
        response
    }

    /// Sends a frame, and receives one without its length.
    fn exchange(&mut self, frame: &[u8]) -> Bytes {
        self.stream.write_all(frame).unwrap();
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let mut received = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut received).unwrap();
        Bytes::from(received)
    }

    fn create(&mut self, topics: &[(&str, i32)]) -> Vec<CreatableTopicResult> {
        self.ask(CREATE, &creation(topics)).topics
    }

    fn delete(&mut self, topics: &[DeleteTopicState]) -> Vec<i16> {
        self.delete_within(TIMEOUT_MS, topics)
    }

    fn delete_within(&mut self, timeout_ms: i32, topics: &[DeleteTopicState]) -> Vec<i16> {
        let request = DeleteTopicsRequest::default().with_topics(topics.to_vec()).with_timeout_ms(timeout_ms);
        self.ask(DELETE, &request).responses.iter().map(|topic| topic.error_code).collect()
    }

    fn topics(&mut self, names: &[&str], create: bool) -> Vec<MetadataResponseTopic> {
        let topics =
            names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(create);
        self.ask(METADATA, &request).topics
    }

    /// Asks, and has it made with `create`, until it is there.
    fn await_topic(&mut self, name: &str, create: bool) -> MetadataResponseTopic {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let topic = self.topics(&[name], create).remove(0);
            if topic.error_code == 0 {
                return topic;
            }
            assert_eq!(topic.error_code, 3);
            assert!(Instant::now() < deadline, "{name} is not made within a minute");
        }
    }

    fn error_of(&mut self, name: &str) -> i16 {
        self.topics(&[name], false)[0].error_code
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn creation(topics: &[(&str, i32)]) -> CreateTopicsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(*partitions)
            .with_replication_factor(1)
    });
    CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(TIMEOUT_MS)
}

fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(topic_name(name)))
}

#[test]
fn a_created_topic_is_there_for_everybody_and_a_deleted_one_for_nobody() {
    let broker = TestBroker::start(&[]);
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| broker.connect()).collect();
    for round in 0..CONNECTIONS {
        let created = clients[round].create(&[("a", 3), ("b.c", 1)]);
        let [a, b] = &created[..] else { panic!("{created:?}") };
        assert_eq!((a.error_code, b.error_code, a.num_partitions), (0, 0, 3));
        for client in &mut clients {
            let topics = client.topics(&["a", "b.c"], false);
            assert_eq!((topics[0].error_code, topics[0].topic_id), (0, a.topic_id));
            assert_eq!((topics[0].partitions.len(), topics[1].topic_id), (3, b.topic_id));
        }
        let refused = clients[0].create(&[("a", 1), ("b_c", 1)]);
        assert_eq!([refused[0].error_code, refused[1].error_code], [36, 17]);

        let by_id = DeleteTopicState::default().with_name(None).with_topic_id(b.topic_id);
        assert_eq!(clients[(round + 1) % CONNECTIONS].delete(&[by_name("a"), by_id]), [0, 0]);
        for client in &mut clients {
            assert_eq!([client.error_of("a"), client.error_of("b.c")], [3, 3]);
        }
    }
}

#[test]
fn an_order_that_comes_too_late_changes_nothing() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.connect();
    for timeout_ms in [0, -1, i32::MIN] {
        let request = creation(&[("a", 1), ("a b", 1)]).with_timeout_ms(timeout_ms);
        let refused = client.ask(CREATE, &request).topics;
        assert_eq!([refused[0].error_code, refused[1].error_code], [7, 7]);
        assert_eq!((&refused[0].error_message, client.error_of("a")), (&None, 3));
    }
    client.create(&[("a", 1)]);
    assert_eq!(client.delete_within(0, &[by_name("a")]), [7]);
    assert_eq!(client.error_of("a"), 0);
}

#[test]
fn a_dry_run_answers_like_a_creation_and_makes_nothing() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.connect();
    let request = creation(&[("a", 3), ("b", 0)]).with_validate_only(true);
    let answered = client.ask(CREATE, &request).topics;
    assert_eq!([answered[0].error_code, answered[1].error_code], [0, 37]);
    assert_eq!((answered[0].num_partitions, answered[0].configs.as_ref().unwrap().len()), (3, 33));
    assert!(!answered[0].topic_id.is_nil());
    assert_eq!(client.error_of("a"), 3);
}

#[test]
fn a_request_for_too_many_partitions_makes_none() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.connect();
    for topics in [[("a", 1), ("b", i32::MAX)], [("a", 1), ("b", 9_998)]] {
        let refused = client.create(&topics);
        assert_eq!([refused[0].error_code, refused[1].error_code], [44, 44]);
        assert_eq!(client.error_of("a"), 3);
    }
}

#[test]
fn topics_that_are_asked_for_are_unknown_at_first_and_there_a_moment_later() {
    let broker = TestBroker::start(&[("num.partitions", "2")]);
    let mut client = broker.connect();
    client.create(&[("c_d", 1)]);
    let names = ["new", "c.d", "a b", "__consumer_offsets", "c_d"];
    let errors = |topics: Vec<MetadataResponseTopic>| -> Vec<i16> {
        topics.iter().map(|topic| topic.error_code).collect()
    };
    assert_eq!(errors(client.topics(&names, true)), [3, 3, 17, 3, 0]);
    let made = client.await_topic("new", false);
    assert_eq!(made.partitions.len(), 2);
    assert_eq!(errors(client.topics(&names, true)), [0, 3, 17, 3, 0]);
    assert_eq!(client.topics(&["newer"], false)[0].error_code, 3);
    // When its name is free again it can be made on the way again.
    assert_eq!(client.delete(&[by_name("new")]), [0]);
    assert_eq!(client.topics(&["new"], true)[0].error_code, 3);
    assert_ne!(client.await_topic("new", true).topic_id, made.topic_id);
}

#[test]
fn topics_that_are_asked_for_by_many_at_a_time_are_made_once() {
    let broker = TestBroker::start(&[]);
    let ids: Vec<_> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| broker.connect().await_topic("new", true).topic_id);
        let asking: Vec<_> = (0..CONNECTIONS).map(|_| ask()).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids, [ids[0]; CONNECTIONS]);
}

#[test]
fn creation_on_the_way_and_deletion_can_be_switched_off() {
    let broker =
        TestBroker::start(&[("auto.create.topics.enable", "false"), ("delete.topic.enable", "false")]);
    let mut client = broker.connect();
    assert_eq!(client.topics(&["a"], true)[0].error_code, 3);
    assert_eq!(client.error_of("a"), 3);
    client.create(&[("a", 1)]);
    assert_eq!(client.delete(&[by_name("a")]), [73]);
    let old = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("a")]);
    assert_eq!(client.ask(2, &old).responses[0].error_code, 42);
    assert_eq!(client.error_of("a"), 0);
}

#[test]
fn a_version_to_come_of_api_versions_is_answered_in_the_oldest_one() {
    let broker = TestBroker::start(&[]);
    let mut client = broker.connect();
    // Key 18, version 99, correlation 7, no client id, no tagged fields; then a body that nobody reads.
    let answer = client.exchange(&[0, 0, 0, 14, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 1, 2, 3]);
    // Correlation 7, UNSUPPORTED_VERSION, one API: key 18, versions 0 to 4.
    assert_eq!(answer[..], [0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    assert_eq!(client.error_of("a"), 3);
}
