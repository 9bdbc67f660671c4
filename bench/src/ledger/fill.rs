//! `Filling`: a topic that gets so much data as fast as the broker takes it.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_engine::format::{BatchBuilder, NewRecord};

use crate::rig::Connection;

const PRODUCE: i16 = 12;
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that fill the topic.
const FILLERS: usize = 2;

/// Bytes of a request that fills it.
const REQUEST_BYTES: usize = 4 << 20;

/// Requests that a filling connection has in flight.
const IN_FLIGHT: usize = 4;

/// What to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    pub(crate) topic: &'static str,
    pub(crate) partitions: usize,
    /// Of all partitions.
    pub(crate) mib: usize,
    /// Bytes of a batch, more or less.
    pub(crate) batch_bytes: usize,
    /// It ends then, however much is left.
    pub(crate) time_max: Duration,
}

impl Filling {
    /// Writes to all partitions in turn, and returns when all of it is acknowledged. How many batches that were.
    pub(crate) fn write(&self, broker: SocketAddr) -> io::Result<usize> {
        let batch = batch(self.batch_bytes);
        let rounds = self.mib.saturating_mul(1 << 20) / self.batch_bytes / self.partitions;
        let until = Instant::now().checked_add(self.time_max);
        thread::scope(|scope| {
            let fillers: Vec<_> = (0..FILLERS)
                .map(|filler| {
                    let (batch, rounds) = (&batch, (filler..rounds).step_by(FILLERS));
                    scope.spawn(move || self.write_some(broker, batch, rounds, until))
                })
                .collect();
            fillers.into_iter().map(|filler| filler.join().expect("filling does not panic")).sum()
        })
    }

    /// One connection's part: in each round a batch to each partition.
    fn write_some(
        &self,
        broker: SocketAddr,
        batch: &Bytes,
        rounds: impl Iterator<Item = usize>,
        until: Option<Instant>,
    ) -> io::Result<usize> {
        let mut connection = Connection::open(broker, PATIENCE)?;
        let partitions: Vec<i32> = (0..self.partitions as i32).collect();
        let shares = (REQUEST_BYTES / batch.len()).clamp(1, self.partitions);
        let (mut in_flight, mut batches) = (0, 0);
        for _ in rounds.take_while(|_| until.is_none_or(|until| Instant::now() < until)) {
            for partitions in partitions.chunks(shares) {
                if in_flight == IN_FLIGHT {
                    accepted(connection.receive(PRODUCE)?)?;
                    in_flight -= 1;
                }
                connection.send(PRODUCE, &produce(self.topic, partitions, batch))?;
                in_flight += 1;
                batches += partitions.len();
            }
        }
        (0..in_flight).try_for_each(|_| accepted(connection.receive(PRODUCE)?))?;
        Ok(batches)
    }
}

/// Writes a small batch to partition 0 over a connection of its own.
pub(crate) fn produce_once(broker: SocketAddr, topic: &'static str) -> io::Result<()> {
    let mut connection = Connection::open(broker, PATIENCE)?;
    accepted(connection.ask(PRODUCE, &produce(topic, &[0], &batch(100)))?)
}

fn produce(topic: &'static str, partitions: &[i32], batch: &Bytes) -> ProduceRequest {
    let partition = |partition: &i32| {
        PartitionProduceData::default().with_index(*partition).with_records(Some(batch.clone()))
    };
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str(topic)))
        .with_partition_data(partitions.iter().map(partition).collect());
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

fn accepted(response: ProduceResponse) -> io::Result<()> {
    let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match answers.into_iter().find(|answer| answer.error_code != 0) {
        None => Ok(()),
        Some(answer) => Err(io::Error::other(format!("produce: error {}", answer.error_code))),
    }
}

fn batch(bytes: usize) -> Bytes {
    let value = vec![7; bytes.saturating_sub(80).max(1)];
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord { key: None, value: Some(&value), timestamp: 1_700_000_000_000, headers: &[] });
    builder.finish()
}
