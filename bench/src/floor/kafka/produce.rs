//! `Put`: a produce request, taken batch by batch as it arrives.
//!
//! ```text
//! head       | transactional id | acks i16 | timeout i32 | topics |
//! topic      | name, or id of 16 bytes | partitions |
//! partition  | index i32 | records: length, one batch | tags |      a topic's last one: its tags behind it
//! tail       | tags |
//! ```
//!
//! Strings and arrays are compact; versions 9 to 12 have names, 13 has ids.

use std::io;

use super::super::frame::refused;
use super::super::store::Store;
use super::cursor::{Cursor, put_varint};
use super::topics::Topics;

/// Where the fields of a batch lie.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
const RECORDS_AT: usize = 57;
const HEADER_LEN: usize = 61;
/// The first version with topic ids.
const WITH_IDS: i16 = 13;

/// A request that is being read.
pub(super) struct Put {
    version: i16,
    /// Where its answer begins in the connection's answers: its length, written last.
    answer_at: usize,
    next: Next,
    topics_left: u32,
    partitions_left: u32,
    topic: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Head,
    Topic,
    Partition,
    TopicTags,
    Tail,
}

/// What became of the bytes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many were taken, and there is more of the request.
    Took(usize),
    /// So many were taken, the last of it.
    Done(usize),
    /// There are too few.
    Waits,
}

impl Put {
    /// Begins a request, and its answer at the end of `answers`.
    pub(super) fn begin(version: i16, correlation_id: i32, answers: &mut Vec<u8>) -> Put {
        let answer_at = answers.len();
        answers.extend([0; 4]);
        answers.extend(correlation_id.to_be_bytes());
        answers.push(0);
        Put { version, answer_at, next: Next::Head, topics_left: 0, partitions_left: 0, topic: 0 }
    }

    /// Takes the next part of it from the front of `bytes`.
    pub(super) fn step(
        &mut self,
        bytes: &mut [u8],
        answers: &mut Vec<u8>,
        topics: &mut Topics,
        store: &mut Store,
    ) -> io::Result<Step> {
        let mut cursor = Cursor::new(bytes);
        match self.next {
            Next::Head => {
                let mut head = || {
                    cursor.compact_bytes()?;
                    let acks = cursor.i16()?;
                    cursor.i32()?;
                    Some((acks, cursor.compact_len()?))
                };
                let Some((acks, count)) = head() else { return Ok(Step::Waits) };
                if acks == 0 {
                    return Err(refused("a produce request that is not to be answered".into()));
                }
                put_varint(answers, count + 1);
                self.topics_left = count;
                self.next_topic();
            }
            Next::Topic => {
                let has_ids = self.version >= WITH_IDS;
                let mut head = || {
                    let name = if has_ids { cursor.take(16)? } else { cursor.compact_bytes()? };
                    Some((name, cursor.compact_len()?))
                };
                let Some((name, count)) = head() else { return Ok(Step::Waits) };
                let topic = if has_ids { topics.by_id(name) } else { topics.by_name(name) };
                self.topic = topic.ok_or_else(|| refused(format!("a topic that is not there: {name:?}")))?;
                if !has_ids {
                    put_varint(answers, name.len() as u32 + 1);
                }
                answers.extend(name);
                put_varint(answers, count + 1);
                self.partitions_left = count;
                self.next = if count > 0 { Next::Partition } else { Next::TopicTags };
            }
            Next::Partition => {
                let mut head = || {
                    let index = cursor.i32()?;
                    let len = cursor.compact_len()? as usize;
                    let from = cursor.position();
                    cursor.take(len)?;
                    cursor.skip_tags()?;
                    Some((index, from..from + len))
                };
                let Some((index, records)) = head() else { return Ok(Step::Waits) };
                let taken = cursor.position();
                let file = topics
                    .file(self.topic, index)
                    .ok_or_else(|| refused(format!("a partition that is not there: {index}")))?;
                let base = append(&mut bytes[records], file, topics, store)?;
                answer_partition(answers, index, base);
                self.partitions_left -= 1;
                self.next = if self.partitions_left > 0 { Next::Partition } else { Next::TopicTags };
                return Ok(Step::Took(taken));
            }
            Next::TopicTags => {
                if cursor.skip_tags().is_none() {
                    return Ok(Step::Waits);
                }
                answers.push(0);
                self.topics_left -= 1;
                self.next_topic();
            }
            Next::Tail => {
                if cursor.skip_tags().is_none() {
                    return Ok(Step::Waits);
                }
                // No throttling, no tags.
                answers.extend([0; 5]);
                let len = (answers.len() - self.answer_at - 4) as u32;
                answers[self.answer_at..self.answer_at + 4].copy_from_slice(&len.to_be_bytes());
                return Ok(Step::Done(cursor.position()));
            }
        }
        Ok(Step::Took(cursor.position()))
    }

    fn next_topic(&mut self) {
        self.next = if self.topics_left > 0 { Next::Topic } else { Next::Tail };
    }
}

/// Checks one batch, gives it its offset and appends it; its base offset.
fn append(batch: &mut [u8], file: u32, topics: &mut Topics, store: &mut Store) -> io::Result<i64> {
    let Some(header) = batch.first_chunk::<HEADER_LEN>() else {
        return Err(refused(format!("a batch of {} bytes", batch.len())));
    };
    let field = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (expected, records) = (field(CRC_AT), field(RECORDS_AT));
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    if crc != expected {
        return Err(refused(format!("batch: crc {crc:#x}, expected {expected:#x}")));
    }
    let base = topics.end(file).offset;
    batch[..8].copy_from_slice(&base.to_be_bytes());
    let position = store.append(file, batch)?;
    topics.appended(file, i64::from(records), position, batch.len() as u64);
    Ok(base)
}

fn answer_partition(answers: &mut Vec<u8>, index: i32, base: i64) {
    answers.extend(index.to_be_bytes());
    answers.extend(0i16.to_be_bytes());
    answers.extend(base.to_be_bytes());
    answers.extend((-1i64).to_be_bytes());
    answers.extend(0i64.to_be_bytes());
    // No errors of records, no message, no tags.
    answers.extend([1, 0, 0]);
}
