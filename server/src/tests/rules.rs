//! What a topic's settings make of a producer's batch, and what its producer is told.

use bytes::Bytes;
use logmill_engine::format::{BatchBuilder, BatchView, Codec, NewRecord};

use super::config;
use super::requests::{CREATE_TOPICS, FETCH, PRODUCE, create_topic, fetch};
use super::tcp_client::TcpClient;
use crate::broker::{self, Running};
use crate::wire::messages::create_topics::{CreatableTopicConfig, CreateTopicsResponse};
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use crate::wire::{Api, ErrorCode, Records, Text};

/// A broker with one topic, `t`, that has this setting.
struct Rig {
    broker: Running,
    client: TcpClient,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(key: &str, value: &str) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker::start(config(&[("log.dirs", dir.path().to_str().unwrap())])).unwrap();
        let mut client = TcpClient::connect(&broker);
        let mut request = create_topic("t", 1);
        request.topics[0].configs =
            vec![CreatableTopicConfig { name: Text::from(key), value: Some(Text::from(value)) }];
        let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &request);
        assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
        Rig { broker, client, _dir: dir }
    }

    fn produce(&mut self, batch: Bytes) -> PartitionProduceResponse {
        let partition = PartitionProduceData { index: 0, records: Records::Bytes(batch) };
        let topic = TopicProduceData {
            name: Text::from("t"),
            partition_data: vec![partition].into(),
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic].into(),
            ..Default::default()
        };
        let mut response: ProduceResponse = self.client.ask(Api::Produce, PRODUCE, &request);
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// All that is stored.
    fn fetch(&mut self) -> Bytes {
        let mut response: FetchResponse = self.client.ask(Api::Fetch, FETCH, &fetch("t", &[(0, 0)], 0, 0));
        match response.responses.remove(0).partitions.remove(0).records {
            Records::Bytes(bytes) => bytes,
            other => panic!("records are bytes on this side: {other:?}"),
        }
    }

    fn stop(self) {
        self.broker.broker().stop.ask();
        self.broker.join().unwrap();
    }
}

fn batch(keys: &[Option<&str>], timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
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

#[test]
fn a_batch_is_stored_in_the_topics_codec() {
    for (value, codec) in [
        ("zstd", Codec::Zstd),
        ("lz4", Codec::Lz4),
        ("snappy", Codec::Snappy),
        ("gzip", Codec::Gzip),
        ("uncompressed", Codec::None),
        ("producer", Codec::None),
    ] {
        let mut rig = Rig::new("compression.type", value);
        assert_eq!(rig.produce(batch(&[Some("a"), None], 5)).error_code, 0);
        let stored = rig.fetch();
        let (view, _) = BatchView::split_first(&stored).unwrap();
        assert_eq!((view.header.codec(), view.check()), (Ok(codec), Ok(())), "{value}");
        let plain = view.uncompressed(1_000).unwrap();
        let keys: Vec<_> = view.records_in(&plain).map(|record| record.unwrap().key).collect();
        assert_eq!(keys, [Some(&b"a"[..]), None]);
        rig.stop();
    }
}

#[test]
fn a_record_without_a_key_is_refused_by_a_compacted_topic_and_named() {
    let mut rig = Rig::new("cleanup.policy", "compact");
    let refused = rig.produce(batch(&[Some("a"), None], 5));
    assert_eq!(refused.error_code, ErrorCode::InvalidRecord as i16);
    let message = refused.error_message.unwrap();
    assert!(message.starts_with("One or more records have been rejected"), "{message}");
    let errors: Vec<_> = refused
        .record_errors
        .iter()
        .map(|error| (error.batch_index, error.batch_index_error_message.as_deref()))
        .collect();
    assert_eq!(errors, [(1, Some("Compacted topic cannot accept message without key"))]);
    assert!(rig.fetch().is_empty());
    assert_eq!(rig.produce(batch(&[Some("a")], 5)).error_code, 0);
    rig.stop();
}

#[test]
fn a_record_out_of_time_is_refused_and_named() {
    let mut rig = Rig::new("message.timestamp.before.max.ms", "1000");
    let refused = rig.produce(batch(&[None], 5));
    assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp as i16);
    assert_eq!(refused.record_errors.len(), 1);
    assert_eq!(rig.produce(batch(&[None], -1)).error_code, 0);
    rig.stop();
}
