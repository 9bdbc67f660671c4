//! A client that sends what it is told, and says what came back.

pub(crate) mod offsets;
pub(crate) mod produce;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use logmill_bench::rig::Connection;
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN};
use logmill_engine::format::{BatchBuilder, NewRecord};
use logmill_server::wire::ErrorCode;

/// In a line of an answer that is not the one the table has.
pub(crate) const NOT_EXPECTED: &str = "which was not expected";

const CREATE: i16 = 7;
const METADATA: i16 = 12;
/// No answer takes so long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one broker.
pub(crate) struct Client {
    connection: Connection,
}

impl Client {
    pub(crate) fn new(broker: SocketAddr) -> Client {
        Client { connection: Connection::open(broker, PATIENCE).unwrap() }
    }

    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.connection.ask(version, request).unwrap()
    }

    /// Makes a topic of one partition, and waits until the broker serves it. Its id.
    pub(crate) fn create(&mut self, name: &'static str, configs: &[(&'static str, &'static str)]) -> String {
        let config = |(key, value): &(&'static str, &'static str)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
        let created = self.ask(CREATE, &request).topics.remove(0);
        assert_eq!(created.error_code, 0, "{name}: {:?}", created.error_message);
        let deadline = Instant::now() + PATIENCE;
        while !self.is_served(name) {
            assert!(Instant::now() < deadline, "{name} is not served");
        }
        created.topic_id.to_string()
    }

    fn is_served(&mut self, name: &'static str) -> bool {
        let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(topic_name(name)));
        let request =
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        let topic = self.ask(METADATA, &request).topics.remove(0);
        topic.error_code == 0 && topic.partitions.iter().all(|partition| partition.error_code == 0)
    }
}

pub(crate) fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

pub(crate) fn topic_name(name: &'static str) -> TopicName {
    TopicName(text(name))
}

/// As people read it.
pub(crate) fn name_of(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("an unknown code", ErrorCode::name)
}

/// A batch of records with these keys, all of one time.
pub(crate) fn batch(builder: BatchBuilder, keys: &[Option<&str>], timestamp: i64) -> Bytes {
    let mut builder = builder;
    for key in keys {
        builder.push(&NewRecord {
            key: key.map(str::as_bytes),
            value: Some(b"value"),
            timestamp,
            headers: &[],
        });
    }
    builder.finish()
}

/// The batch with other bytes at a place, and a checksum that fits.
pub(crate) fn changed(batch: &Bytes, at: usize, with: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    assert!(bytes.len() >= HEADER_LEN);
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}
