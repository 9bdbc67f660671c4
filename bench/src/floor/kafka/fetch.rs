//! A fetch request and its answer: heads, and runs of files that are sent by the kernel.

use std::io;
use std::time::{Duration, Instant};

use super::super::frame::refused;
use super::super::store::Store;
use super::cursor::{Cursor, put_varint};
use super::topics::{Run, Topics};

/// The first version with topic ids, and the first without the replica's id in front.
const WITH_IDS: i16 = 13;
const WITHOUT_REPLICA: i16 = 15;
/// The answer to an offset that is not there.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Fetch {
    version: i16,
    correlation_id: i32,
    /// When it is answered, however little there is.
    pub deadline: Instant,
    bytes_min: usize,
    bytes_max: u64,
    topics: Vec<FetchTopic>,
}

#[derive(Debug)]
struct FetchTopic {
    /// As it is called in the request.
    name: Vec<u8>,
    partitions: Vec<FetchPartition>,
}

#[derive(Debug)]
struct FetchPartition {
    index: i32,
    file: u32,
    offset: i64,
    bytes_max: u64,
}

/// One part of an answer: bytes, then a run of a file.
pub(super) struct Part {
    pub bytes: Vec<u8>,
    pub run: Option<Run>,
}

impl Fetch {
    /// Reads a whole request from behind its header.
    pub(super) fn read(
        version: i16,
        correlation_id: i32,
        body: &[u8],
        topics: &Topics,
        now: Instant,
    ) -> io::Result<Fetch> {
        Fetch::fields(version, correlation_id, Cursor::new(body), topics, now)
            .ok_or_else(|| refused("a fetch that is cut short, or of what is not there".into()))
    }

    fn fields(
        version: i16,
        correlation_id: i32,
        mut cursor: Cursor<'_>,
        known: &Topics,
        now: Instant,
    ) -> Option<Fetch> {
        if version < WITHOUT_REPLICA {
            cursor.i32()?;
        }
        let wait_ms = cursor.i32()?;
        let bytes_min = cursor.i32()?;
        let bytes_max = cursor.i32()?;
        // Isolation level, session id and epoch: there are neither transactions nor sessions.
        cursor.i8()?;
        cursor.take(8)?;
        let count = cursor.compact_len()?;
        let mut topics = Vec::new();
        for _ in 0..count {
            topics.push(fetch_topic(version, &mut cursor, known)?);
        }
        Some(Fetch {
            version,
            correlation_id,
            deadline: now + Duration::from_millis(wait_ms.max(0) as u64),
            bytes_min: bytes_min.max(0) as usize,
            bytes_max: bytes_max.max(0) as u64,
            topics,
        })
    }

    /// The answer, once there is enough or it is time.
    pub(super) fn answer(
        &self,
        topics: &Topics,
        store: &Store,
        now: Instant,
    ) -> io::Result<Option<Vec<Part>>> {
        let mut answer = Answer::begin(self);
        let mut left = self.bytes_max;
        for topic in &self.topics {
            answer.begin_topic(self.version, topic);
            for partition in &topic.partitions {
                left = left.saturating_sub(answer.add_partition(partition, left, topics, store)?);
            }
            answer.bytes.push(0);
        }
        if answer.run_bytes < self.bytes_min && now < self.deadline && !answer.has_error {
            return Ok(None);
        }
        Ok(Some(answer.finish()))
    }
}

fn fetch_topic(version: i16, cursor: &mut Cursor<'_>, known: &Topics) -> Option<FetchTopic> {
    let has_ids = version >= WITH_IDS;
    let name = if has_ids { cursor.take(16)? } else { cursor.compact_bytes()? };
    let topic = if has_ids { known.by_id(name)? } else { known.by_name(name)? };
    let count = cursor.compact_len()?;
    let mut partitions = Vec::new();
    for _ in 0..count {
        let index = cursor.i32()?;
        cursor.i32()?;
        let offset = cursor.i64()?;
        // The epoch of the last record, and the follower's log start.
        cursor.take(12)?;
        let bytes_max = cursor.i32()?.max(0) as u64;
        cursor.skip_tags()?;
        partitions.push(FetchPartition { index, file: known.file(topic, index)?, offset, bytes_max });
    }
    cursor.skip_tags()?;
    Some(FetchTopic { name: name.to_vec(), partitions })
}

/// An answer that is being put together.
struct Answer {
    parts: Vec<Part>,
    /// Behind the last part.
    bytes: Vec<u8>,
    /// Of all parts, heads included.
    len: usize,
    run_bytes: usize,
    has_error: bool,
}

impl Answer {
    fn begin(fetch: &Fetch) -> Answer {
        let mut bytes = vec![0; 4];
        bytes.extend(fetch.correlation_id.to_be_bytes());
        // Tags of the header, throttle time, error, session id.
        bytes.extend([0; 11]);
        put_varint(&mut bytes, fetch.topics.len() as u32 + 1);
        Answer { parts: Vec::new(), bytes, len: 0, run_bytes: 0, has_error: false }
    }

    fn begin_topic(&mut self, version: i16, topic: &FetchTopic) {
        if version < WITH_IDS {
            put_varint(&mut self.bytes, topic.name.len() as u32 + 1);
        }
        self.bytes.extend(&topic.name);
        put_varint(&mut self.bytes, topic.partitions.len() as u32 + 1);
    }

    /// How many bytes of records went in.
    fn add_partition(
        &mut self,
        partition: &FetchPartition,
        left: u64,
        topics: &Topics,
        store: &Store,
    ) -> io::Result<u64> {
        let end = topics.readable(partition.file).offset;
        let is_outside = partition.offset < 0 || partition.offset > end;
        // The first partition with records gets one batch, however small the bounds; others wait their turn.
        let bounds = partition.bytes_max.min(left);
        let run = if is_outside || (left == 0 && self.run_bytes > 0) {
            None
        } else {
            topics.run(partition.file, partition.offset, bounds, store)?
        };
        self.has_error |= is_outside;
        let error = if is_outside { OFFSET_OUT_OF_RANGE } else { 0 };
        self.bytes.extend(partition.index.to_be_bytes());
        self.bytes.extend(error.to_be_bytes());
        self.bytes.extend(end.to_be_bytes());
        self.bytes.extend(end.to_be_bytes());
        self.bytes.extend(0i64.to_be_bytes());
        // No aborted transactions, no other replica to read from.
        self.bytes.push(0);
        self.bytes.extend((-1i32).to_be_bytes());
        let len = run.as_ref().map_or(0, |run| run.len);
        put_varint(&mut self.bytes, len as u32 + 1);
        if let Some(run) = run {
            self.len += self.bytes.len() + len;
            self.run_bytes += len;
            self.parts.push(Part { bytes: std::mem::take(&mut self.bytes), run: Some(run) });
        }
        self.bytes.push(0);
        Ok(len as u64)
    }

    fn finish(mut self) -> Vec<Part> {
        self.bytes.push(0);
        self.len += self.bytes.len();
        self.parts.push(Part { bytes: self.bytes, run: None });
        let len = (self.len - 4) as u32;
        self.parts[0].bytes[..4].copy_from_slice(&len.to_be_bytes());
        self.parts
    }
}
