//! A segment whose bytes were damaged while the broker runs: clients are told what Apache Kafka tells them, and
//! the log is told once, whichever request meets it on whichever shard's connection.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{BrokerId, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::format::{BatchBuilder, NewRecord};
use logmill_server::broker::{Running, start};
use logmill_server::config::{Config, Machine};

const CREATE: i16 = 7;
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const CORRUPT_MESSAGE: i16 = 2;
/// Where a batch says how long it is.
const LENGTH_AT: u64 = 8;

/// All that was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn serving(dir: &Path) -> Running {
    let settings = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", dir.to_str().unwrap()),
        ("logmill.shards", "3"),
        ("logmill.journal.bytes", "4194304"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "localhost".to_owned(), cores: 1 };
    start(Config::load(None, [], &settings, &machine).unwrap().0).unwrap()
}

fn ask<R: Request>(stream: &mut TcpStream, version: i16, request: &R) -> R::Response
where
    R::Response: Decodable + HeaderVersion,
{
    let mut frame = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let mut sent = BytesMut::new();
    sent.put_u32(frame.len() as u32);
    sent.put(frame);
    stream.write_all(&sent).unwrap();
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut received = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut received).unwrap();
    let mut received = Bytes::from(received);
    ResponseHeader::decode(&mut received, R::Response::header_version(version)).unwrap();
    R::Response::decode(&mut received, version).unwrap()
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

fn produce(stream: &mut TcpStream, partition: i32, timestamp: i64) {
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord { key: None, value: Some(&[7; 100]), timestamp, headers: &[] });
    let partition =
        PartitionProduceData::default().with_index(partition).with_records(Some(builder.finish()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    assert_eq!(ask(stream, PRODUCE, &request).responses[0].partition_responses[0].error_code, 0);
}

/// The code that a fetch from this offset on gets, and how many bytes.
fn fetch(stream: &mut TcpStream, offset: i64) -> (i16, usize) {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let answer = ask(stream, FETCH, &request);
    let partition = &answer.responses[0].partitions[0];
    (partition.error_code, partition.records.as_ref().map_or(0, Bytes::len))
}

/// The code that a request for the first offset at a time of partition 1 gets, and the offset.
fn offset_at(stream: &mut TcpStream, timestamp: i64) -> (i16, i64) {
    let partition = ListOffsetsPartition::default().with_partition_index(1).with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name()).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let partition = &ask(stream, LIST_OFFSETS, &request).topics[0].partitions[0];
    (partition.error_code, partition.offset)
}

#[test]
fn a_damaged_segment_is_answered_as_such_and_told_of_once() {
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let broker = serving(dir.path());
    let connect = || TcpStream::connect(("127.0.0.1", broker.ports()[0])).unwrap();
    let mut stream = connect();
    let new = CreatableTopic::default().with_name(name()).with_num_partitions(2).with_replication_factor(1);
    let create = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(60_000);
    assert_eq!(ask(&mut stream, CREATE, &create).topics[0].error_code, 0);
    for timestamp in 1_000..1_003 {
        produce(&mut stream, 0, timestamp);
        produce(&mut stream, 1, timestamp);
    }
    let (code, len) = fetch(&mut stream, 0);
    assert_eq!((code, len % 3), (0, 0), "three batches of one length");
    for partition in ["t-0", "t-1"] {
        let path = dir.path().join(partition).join("00000000000000000000.log");
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&3i32.to_be_bytes(), len as u64 / 3 + LENGTH_AT).unwrap();
    }
    // By so many connections that some are of the partition's own shard, and others are not.
    for _ in 0..24 {
        let mut stream = connect();
        assert_eq!(fetch(&mut stream, 0), (0, len), "readers in front of the damage get what is there");
        assert_eq!(fetch(&mut stream, 2), (CORRUPT_MESSAGE, 0));
        assert_eq!(offset_at(&mut stream, 1_000), (0, 0));
        assert_eq!(offset_at(&mut stream, 1_002), (CORRUPT_MESSAGE, -1));
    }
    broker.broker().stop.ask();
    broker.join().unwrap();
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    for partition in ["t-0", "t-1"] {
        let place = format!("{partition}/00000000000000000000.log: batch at position {}", len / 3);
        let told: Vec<&str> = log.lines().filter(|line| line.contains(&place)).collect();
        assert_eq!(told.len(), 1, "{partition}: {log}");
        assert!(told[0].contains("ERROR") && told[0].contains("a request failed"), "{}", told[0]);
    }
    assert!(!log.contains("built anew"), "nothing was: {log}");
}
