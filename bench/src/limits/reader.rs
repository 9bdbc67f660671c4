//! `Reader`: reads a partition from its beginning, fetch by fetch.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::protocol::StrBytes;
use logmill_engine::format::BatchHeader;

use crate::rig::Connection;

const FETCH: i16 = 12;
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads partition 0 of a topic.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    topic: &'static str,
    fetch_bytes: i32,
    offset: i64,
}

impl Reader {
    pub(super) fn open(broker: SocketAddr, topic: &'static str, fetch_bytes: i32) -> io::Result<Reader> {
        Ok(Reader { connection: Connection::open(broker, PATIENCE)?, topic, fetch_bytes, offset: 0 })
    }

    /// Fetches what comes next, and says how many bytes that were.
    pub(super) fn read(&mut self) -> io::Result<usize> {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_fetch_offset(self.offset)
            .with_partition_max_bytes(self.fetch_bytes);
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(self.topic)))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_session_epoch(-1)
            .with_max_bytes(self.fetch_bytes)
            .with_topics(vec![topic]);
        let mut response = self.connection.ask(FETCH, &request)?;
        let answer = response.responses.remove(0).partitions.remove(0);
        if answer.error_code != 0 {
            return Err(io::Error::other(format!("fetch at {}: error {}", self.offset, answer.error_code)));
        }
        let records = answer.records.unwrap_or_default();
        self.offset = behind(&records).unwrap_or(self.offset);
        Ok(records.len())
    }
}

/// The first offset behind all whole batches.
fn behind(mut records: &[u8]) -> Option<i64> {
    let mut next = None;
    while let Some(header) = BatchHeader::view(records) {
        let Some(rest) = header.size().and_then(|size| records.get(size..)) else { break };
        next = Some(header.last_offset() + 1);
        records = rest;
    }
    next
}
