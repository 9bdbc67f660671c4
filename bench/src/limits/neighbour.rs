//! `Neighbour`: a client that produces and fetches a thousand times a second, and knows how long that takes.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use logmill_engine::format::{BatchBuilder, NewRecord};

use crate::ledger::Clients;
use crate::rig::Connection;

const TOPIC: &str = "neighbour";
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const METADATA: i16 = 12;
const EVERY: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);
const VALUE: [u8; 100] = [7; 100];

/// One connection, one partition.
#[derive(Debug)]
pub(super) struct Neighbour {
    connection: Connection,
    batch: Bytes,
}

impl Neighbour {
    /// Makes its topic.
    pub(super) fn new(broker: SocketAddr) -> io::Result<Neighbour> {
        Clients::create_topic(broker, TOPIC, 1)?;
        let mut builder = BatchBuilder::new();
        builder.push(&NewRecord {
            key: None,
            value: Some(&VALUE),
            timestamp: 1_700_000_000_000,
            headers: &[],
        });
        Ok(Neighbour { connection: Connection::open(broker, PATIENCE)?, batch: builder.finish() })
    }

    /// Produces and fetches for as long as `goes_on`; in what time all but a hundredth of it was answered.
    pub(super) fn measure(&mut self, goes_on: impl Fn() -> bool) -> io::Result<Duration> {
        self.measure_each(goes_on, |neighbour| {
            let offset = neighbour.produce()?;
            neighbour.fetch(offset)
        })
    }

    /// The same of one who only asks what topics there are.
    pub(super) fn measure_metadata(&mut self, goes_on: impl Fn() -> bool) -> io::Result<Duration> {
        self.measure_each(goes_on, Neighbour::ask_for_metadata)
    }

    fn measure_each(
        &mut self,
        goes_on: impl Fn() -> bool,
        ask: impl Fn(&mut Neighbour) -> io::Result<()>,
    ) -> io::Result<Duration> {
        let mut times = Vec::new();
        let mut due = Instant::now();
        while goes_on() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let begun = Instant::now();
            ask(self)?;
            times.push(begun.elapsed());
            // One that is late does not hurry.
            due = (due + EVERY).max(Instant::now());
        }
        times.sort_unstable();
        let last = times.len().checked_sub(1).ok_or_else(|| io::Error::other("no time to measure"))?;
        Ok(times[last * 99 / 100])
    }

    fn ask_for_metadata(&mut self) -> io::Result<()> {
        let topic = MetadataRequestTopic::default().with_name(Some(name()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let response = self.connection.ask(METADATA, &request)?;
        match response.topics[0].error_code {
            0 => Ok(()),
            code => Err(io::Error::other(format!("metadata: error {code}"))),
        }
    }

    fn produce(&mut self) -> io::Result<i64> {
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(self.batch.clone()));
        let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![partition]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let response = self.connection.ask(PRODUCE, &request)?;
        let answer = &response.responses[0].partition_responses[0];
        match answer.error_code {
            0 => Ok(answer.base_offset),
            code => Err(io::Error::other(format!("produce: error {code}"))),
        }
    }

    fn fetch(&mut self, offset: i64) -> io::Result<()> {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_session_epoch(-1)
            .with_max_bytes(1 << 20)
            .with_max_wait_ms(1_000)
            .with_min_bytes(1)
            .with_topics(vec![topic]);
        let response = self.connection.ask(FETCH, &request)?;
        let answer = &response.responses[0].partitions[0];
        match (answer.error_code, &answer.records) {
            (0, Some(records)) if !records.is_empty() => Ok(()),
            (code, _) => Err(io::Error::other(format!("fetch at {offset}: error {code}, or no records"))),
        }
    }
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}
