//! Produce requests, and what their answers mean.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::protocol::StrBytes;

use super::LoadError;
use super::batch::Stamp;
use super::clock::Clock;
use super::pending::{Batch, Source};
use super::template::{Content, Templates};
use super::topics::topic_name;
use super::wire::{read_response, write_request};
use super::workload::Acks;

/// How long a broker may wait for replicas.
const TIMEOUT_MS: i32 = 30_000;
/// From this version on lengths are varints, and every structure ends with its tagged fields.
const FLEXIBLE_FROM: i16 = 9;

/// What a request has beside its batches.
pub(super) struct Envelope<'a> {
    pub(super) topic: &'a str,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) acks: Acks,
    pub(super) producer: Option<(i64, i16)>,
    pub(super) clock: Clock,
}

impl Envelope<'_> {
    /// Writes the request over what `frame` held, and into each batch how many bytes it took.
    pub(super) fn write(
        &self,
        frame: &mut Vec<u8>,
        batches: &mut [Batch],
        source: &Source,
        templates: &mut Templates,
    ) -> io::Result<()> {
        let is_coded = templates.is_coded();
        let due = |batch: &Batch, index| self.clock.unix_us(source.due_us(batch, index));
        let stamp = |batch: &Batch| Stamp {
            count: batch.count,
            producer: self.producer,
            sequence: batch.sequence,
            first_unix_us: due(batch, 0),
            is_coded,
        };
        let mut picks = Vec::with_capacity(batches.len());
        let mut partitions = Vec::with_capacity(batches.len());
        for batch in &mut *batches {
            let due_unix_us = |index| due(batch, index);
            let content = Content { stamp: stamp(batch), due_unix_us: &due_unix_us, keys: &batch.keys };
            let (pick, records) = templates.begin(&content);
            picks.push(pick);
            batch.bytes = records.len() as u32;
            partitions.push(
                PartitionProduceData::default().with_index(batch.partition).with_records(Some(records)),
            );
        }
        let topic =
            TopicProduceData::default().with_name(topic_name(self.topic)).with_partition_data(partitions);
        let request = ProduceRequest::default()
            .with_acks(self.acks.code())
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        write_request(frame, self.version, self.correlation_id, &request)?;
        // From the end: what stands in front of the first batch has no fixed length.
        let mut end = frame.len() - 2 * self.tags();
        for (batch, pick) in batches.iter().zip(picks).rev() {
            end -= self.tags();
            let begin = end - batch.bytes as usize;
            let due_unix_us = |index| due(batch, index);
            let content = Content { stamp: stamp(batch), due_unix_us: &due_unix_us, keys: &batch.keys };
            templates.finish(pick, &mut frame[begin..end], &content);
            end = begin - self.length_bytes(batch.bytes) - size_of::<i32>();
        }
        Ok(())
    }

    /// Bytes that end a structure without tagged fields.
    fn tags(&self) -> usize {
        usize::from(self.version >= FLEXIBLE_FROM)
    }

    /// Bytes of the length in front of records: one more as a varint of seven bits a byte, or a whole number.
    fn length_bytes(&self, len: u32) -> usize {
        match self.version >= FLEXIBLE_FROM {
            true => (u32::BITS - (len + 1).leading_zeros()).div_ceil(7) as usize,
            false => size_of::<i32>(),
        }
    }
}

/// What was said of a batch.
pub(super) struct Answer {
    code: i16,
    pub(super) message: Option<String>,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stored,
    Again(ResponseError),
    Never(ResponseError),
}

impl Answer {
    /// `after_failure`: an earlier batch of the partition is to be sent again, so that this one may have been out of
    /// order for that reason.
    pub(super) fn verdict(&self, after_failure: bool) -> Verdict {
        match ResponseError::try_from_code(self.code) {
            None | Some(ResponseError::DuplicateSequenceNumber) => Verdict::Stored,
            Some(error @ ResponseError::OutOfOrderSequenceNumber) if after_failure => Verdict::Again(error),
            Some(error) if error.is_retriable() && error != ResponseError::CorruptMessage => {
                Verdict::Again(error)
            }
            Some(error) => Verdict::Never(error),
        }
    }
}

/// The correlation id of an answer, and what it says of each partition.
pub(super) fn read_answer(frame: Bytes, version: i16) -> Result<(i32, BTreeMap<i32, Answer>), LoadError> {
    let (id, response): (i32, ProduceResponse) =
        read_response(frame, version).map_err(|error| LoadError::Protocol { what: error.to_string() })?;
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
    let answer =
        |code, message: Option<StrBytes>| Answer { code, message: message.map(|text| text.to_string()) };
    Ok((id, partitions.map(|p| (p.index, answer(p.error_code, p.error_message))).collect()))
}
