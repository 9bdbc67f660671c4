//! Readers: one that reads partitions to their ends for a check, and one that tails them and remembers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;

use super::book::Book;
use super::clients::Gate;
use super::record::Identity;
use crate::rig::Connection;

const FETCH: i16 = 12;
const PARTITION_BYTES_MAX: i32 = 1 << 20;
const FETCH_BYTES_MAX: i32 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(15);
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Base offset and length of a batch, in front of everything else.
const BATCH_FRONT: usize = 12;

/// Reads every partition from its beginning to its end and holds it against the book. Partitions of
/// `without` are left out.
pub(crate) fn read_all(broker: SocketAddr, topic: &str, book: &Book, without: &[i32]) -> io::Result<()> {
    let mut connection = Connection::open(broker, PATIENCE)?;
    for partition in (0..book.partitions()).filter(|partition| !without.contains(partition)) {
        let mut read = Vec::new();
        let log_start = loop {
            let position = read.len() as i64;
            let request = fetch(topic, &[(partition, position)], 0);
            let data = only(connection.ask(FETCH, &request)?)?;
            if let Some(error) = ResponseError::try_from_code(data.error_code) {
                return Err(io::Error::other(format!("partition {partition} at {position}: {error:?}")));
            }
            take(book, partition, position, &data, &mut read)?;
            if read.len() as i64 >= data.high_watermark {
                break data.log_start_offset;
            }
            if read.len() as i64 == position {
                let what =
                    format!("partition {partition}: no batch at {position} of {}", data.high_watermark);
                return Err(io::Error::other(what));
            }
        };
        book.check(partition, log_start, &read);
    }
    Ok(())
}

/// The code that a fetch of a partition is answered with.
pub(crate) fn fetch_code(broker: SocketAddr, topic: &str, partition: i32) -> io::Result<i16> {
    let mut connection = Connection::open(broker, PATIENCE)?;
    Ok(only(connection.ask(FETCH, &fetch(topic, &[(partition, 0)], 0))?)?.error_code)
}

/// Reads what comes, as it comes, over any number of connections.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) broker: SocketAddr,
    pub(super) topic: String,
    pub(super) partitions: Vec<i32>,
    pub(super) book: Arc<Book>,
}

impl Tail {
    /// Reads until the gate is shut for good.
    pub(super) fn run(self, gate: &Gate) {
        let mut positions: Vec<(i32, i64)> =
            self.partitions.iter().map(|&partition| (partition, 0)).collect();
        while gate.pass(false) {
            if self.follow(gate, &mut positions).is_err() {
                std::thread::sleep(RETRY_AFTER);
            }
        }
    }

    fn follow(&self, gate: &Gate, positions: &mut [(i32, i64)]) -> io::Result<()> {
        let mut connection = Connection::open(self.broker, PATIENCE)?;
        while gate.is_open() {
            let response = connection.ask(FETCH, &fetch(&self.topic, positions, 100))?;
            let mut is_refused = false;
            for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
                let (partition, position) = positions
                    .iter_mut()
                    .find(|(partition, _)| *partition == data.partition_index)
                    .ok_or_else(|| io::Error::other("a partition that was not asked for"))?;
                if data.error_code == ResponseError::OffsetOutOfRange.code() {
                    let what = format!("partition {partition}: offset {position} was the end once");
                    self.book.contradict("lost", what);
                    *position = 0;
                } else if data.error_code == 0 {
                    let mut read = Vec::new();
                    take(&self.book, *partition, *position, data, &mut read)?;
                    *position += read.len() as i64;
                } else {
                    is_refused = true;
                }
            }
            if is_refused {
                // A partition that is offline is answered for at once.
                std::thread::sleep(RETRY_AFTER);
            }
        }
        Ok(())
    }
}

/// Takes the whole batches of a response, from `position` on, into the book and into `read`.
fn take(
    book: &Book,
    partition: i32,
    position: i64,
    data: &PartitionData,
    read: &mut Vec<(i64, Option<Identity>)>,
) -> io::Result<()> {
    let mut bytes = data.records.clone().unwrap_or_default();
    while let Some(mut batch) = next_batch(&mut bytes) {
        let set = RecordBatchDecoder::decode(&mut batch);
        let set = set.map_err(|error| {
            io::Error::other(format!(
                "partition {partition} behind offset {position}: a batch is damaged: {error}"
            ))
        })?;
        // The batch that holds the position may begin before it.
        for record in set.records.iter().filter(|record| record.offset >= position) {
            let value = record.value.as_deref().unwrap_or_default();
            read.push((record.offset, book.seen(partition, record.offset, value)));
        }
    }
    Ok(())
}

/// The next batch, when it is there to its end: the last one of a response may not be.
fn next_batch(bytes: &mut Bytes) -> Option<Bytes> {
    let front = bytes.get(..BATCH_FRONT)?;
    let len = BATCH_FRONT + (&front[8..]).get_u32() as usize;
    (bytes.len() >= len).then(|| bytes.split_to(len))
}

fn fetch(topic: &str, positions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    let partition = |(partition, position): &(i32, i64)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(PARTITION_BYTES_MAX)
    };
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(positions.iter().map(partition).collect());
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(FETCH_BYTES_MAX)
        .with_topics(vec![topic])
}

fn only(response: FetchResponse) -> io::Result<PartitionData> {
    if response.error_code != 0 {
        return Err(io::Error::other(format!("fetch: error {}", response.error_code)));
    }
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    partitions.last().ok_or_else(|| io::Error::other("a fetch was answered without its partition"))
}
