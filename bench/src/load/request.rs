//! Produce requests, and what their answers mean.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::protocol::StrBytes;

use super::LoadError;
use super::batch::{Stamp, put};
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
/// Behind the length, the API's key and its version.
const CORRELATION_ID_AT: usize = 8;

/// A request as it goes out; its memory and often its bytes serve the next one.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// Of each batch in it: the partition, how many bytes, and which of the pool of templates.
    shape: Vec<(i32, u32, usize)>,
}

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
        frame: &mut Frame,
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
        if frame.holds(batches, templates) {
            put(&mut frame.bytes, CORRELATION_ID_AT, self.correlation_id.to_be_bytes());
            batches.iter_mut().zip(&frame.shape).for_each(|(batch, (_, bytes, _))| batch.bytes = *bytes);
        } else {
            frame.shape.clear();
            let mut partitions = Vec::with_capacity(batches.len());
            for batch in &mut *batches {
                let due_unix_us = |index| due(batch, index);
                let content = Content { stamp: stamp(batch), due_unix_us: &due_unix_us, keys: &batch.keys };
                let (pick, records) = templates.begin(&content);
                batch.bytes = records.len() as u32;
                frame.shape.push((batch.partition, batch.bytes, pick));
                let data = PartitionProduceData::default().with_index(batch.partition);
                partitions.push(data.with_records(Some(records)));
            }
            self.encode(&mut frame.bytes, partitions)?;
        }
        // From the end: what stands in front of the first batch has no fixed length.
        let mut end = frame.bytes.len() - 2 * self.tags();
        for (batch, (_, _, pick)) in batches.iter().zip(&frame.shape).rev() {
            end -= self.tags();
            let begin = end - batch.bytes as usize;
            let due_unix_us = |index| due(batch, index);
            let content = Content { stamp: stamp(batch), due_unix_us: &due_unix_us, keys: &batch.keys };
            templates.finish(*pick, &mut frame.bytes[begin..end], &content);
            end = begin - self.length_bytes(batch.bytes) - size_of::<i32>();
        }
        Ok(())
    }

    fn encode(&self, frame: &mut Vec<u8>, partitions: Vec<PartitionProduceData>) -> io::Result<()> {
        let topic =
            TopicProduceData::default().with_name(topic_name(self.topic)).with_partition_data(partitions);
        let request = ProduceRequest::default()
            .with_acks(self.acks.code())
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        write_request(frame, self.version, self.correlation_id, &request)
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

impl Frame {
    /// Whether the request that it held differs from one of these batches in stamps only.
    fn holds(&self, batches: &[Batch], templates: &Templates) -> bool {
        self.shape.len() == batches.len()
            && batches.iter().zip(&self.shape).all(|(batch, (partition, bytes, pick))| {
                batch.partition == *partition && templates.bytes(*pick, batch.count) == Some(*bytes)
            })
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::records::RecordBatchDecoder;

    use super::super::Workload;
    use super::*;

    #[test]
    fn every_version_has_its_batches_where_they_are_stamped() {
        let workload = Workload { message_bytes: 100, ..Workload::default() };
        let source = Source::new(&workload, 16, 0, 1);
        for version in 3..=11 {
            let mut templates = Templates::new(&workload).unwrap();
            // Lengths of one, two and three bytes as varints.
            let mut batches: Vec<Batch> = [1, 3, 140, 2]
                .iter()
                .zip(0..)
                .map(|(count, partition)| Batch::of(partition, *count))
                .collect();
            let envelope = Envelope {
                topic: "topic",
                version,
                correlation_id: 9,
                acks: Acks::All,
                producer: Some((5, 0)),
                clock: Clock::start(),
            };
            let mut frame = Frame::default();
            envelope.write(&mut frame, &mut batches, &source, &mut templates).unwrap();
            let mut bytes = Bytes::from(frame.bytes).split_off(4);
            let header = if version >= FLEXIBLE_FROM { 2 } else { 1 };
            RequestHeader::decode(&mut bytes, header).unwrap();
            let request = ProduceRequest::decode(&mut bytes, version).unwrap();
            let partitions = &request.topic_data[0].partition_data;
            for (data, batch) in partitions.iter().zip(&batches) {
                assert_eq!(data.index, batch.partition, "version {version}");
                let mut records = data.records.clone().unwrap();
                assert_eq!(records.len() as u32, batch.bytes, "version {version}");
                // Its checksum is verified.
                let set = RecordBatchDecoder::decode(&mut records).unwrap();
                assert_eq!(set.records.len() as u32, batch.count, "version {version}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_used_again_differs_in_stamps_only() {
        let workload = Workload { message_bytes: 100, ..Workload::default() };
        let source = Source::new(&workload, 16, 0, 1);
        let mut templates = Templates::new(&workload).unwrap();
        let write =
            |frame: &mut Frame, templates: &mut Templates, correlation_id, sequence, counts: [u32; 2]| {
                let mut batches = [Batch::of(0, counts[0]), Batch::of(1, counts[1])];
                batches[1].sequence = sequence;
                let envelope = Envelope {
                    topic: "topic",
                    version: 9,
                    correlation_id,
                    acks: Acks::One,
                    producer: Some((5, 0)),
                    clock: Clock::start(),
                };
                envelope.write(frame, &mut batches, &source, templates).unwrap();
            };
        let read = |frame: &Frame| {
            let mut bytes = Bytes::from(frame.bytes.clone()).split_off(4);
            let id = RequestHeader::decode(&mut bytes, 2).unwrap().correlation_id;
            let request = ProduceRequest::decode(&mut bytes, 9).unwrap();
            let mut records = request.topic_data[0].partition_data[1].records.clone().unwrap();
            let set = RecordBatchDecoder::decode(&mut records).unwrap();
            (id, set.records[0].sequence, set.records.len())
        };
        let mut frame = Frame::default();
        for (id, sequence, counts) in [(1, 10, [4, 7]), (2, 17, [4, 7]), (3, 24, [7, 4])] {
            write(&mut frame, &mut templates, id, sequence, counts);
            assert_eq!(read(&frame), (id, sequence, counts[1] as usize));
        }
        let before = frame.shape.clone();
        write(&mut frame, &mut templates, 4, 28, [7, 4]);
        assert_eq!(frame.shape, before, "nothing was copied anew: the pool goes on with each copy");
    }

    #[test]
    fn a_batch_out_of_order_is_sent_again_only_behind_one_that_failed() {
        let answer = |error: ResponseError| Answer { code: error.code(), message: None };
        let out_of_order = answer(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(out_of_order.verdict(true), Verdict::Again(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(out_of_order.verdict(false), Verdict::Never(ResponseError::OutOfOrderSequenceNumber));
        let moved = answer(ResponseError::NotLeaderOrFollower);
        assert_eq!(moved.verdict(false), Verdict::Again(ResponseError::NotLeaderOrFollower));
        // Retriable by its definition; bytes of ours that are damaged stay damaged.
        let damaged = answer(ResponseError::CorruptMessage);
        assert_eq!(damaged.verdict(false), Verdict::Never(ResponseError::CorruptMessage));
        assert_eq!(answer(ResponseError::DuplicateSequenceNumber).verdict(false), Verdict::Stored);
        assert_eq!(Answer { code: 0, message: None }.verdict(false), Verdict::Stored);
    }
}
