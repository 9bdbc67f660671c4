//! `BatchBuilder`: records into one batch, for what the broker itself writes.

use bytes::Bytes;

use super::codec::{Compression, compress};
use super::control;
use super::header::{BatchHeader, HEADER_LEN, NewHeader};
use super::record::{self, Content, RecordTime};

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its time in milliseconds.
    pub timestamp: i64,
    /// Names and values of its headers.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// A batch that grows record by record.
#[derive(Debug)]
pub struct BatchBuilder {
    header: NewHeader,
    compression: Compression,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// A batch without records, of a producer without idempotence.
    #[expect(clippy::new_without_default, reason = "an empty batch is the beginning of one and no value")]
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            header: NewHeader {
                is_transactional: false,
                is_control: false,
                count: 0,
                base_timestamp: 0,
                max_timestamp: i64::MIN,
                producer_id: -1,
                producer_epoch: -1,
                // Without a producer it means nothing, and Apache Kafka's coordinators leave it at 0.
                base_sequence: 0,
            },
            compression: Compression::None,
            bytes: vec![0; HEADER_LEN],
        }
    }

    /// The end of a producer's transaction.
    pub fn transaction_end(
        producer_id: i64,
        producer_epoch: i16,
        is_commit: bool,
        coordinator_epoch: i32,
        timestamp: i64,
    ) -> Bytes {
        let builder = BatchBuilder::new().producer(producer_id, producer_epoch, -1);
        let mut builder = builder.transactional().control();
        let (key, value) = control::write_end(is_commit, coordinator_epoch);
        builder.push(&NewRecord { key: Some(&key), value: Some(&value), timestamp, headers: &[] });
        builder.finish()
    }

    /// Compresses the records when they are all there.
    pub fn compressed(mut self, compression: Compression) -> BatchBuilder {
        self.compression = compression;
        self
    }

    /// Makes it an idempotent producer's batch.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it a part of its producer's transaction.
    pub fn transactional(mut self) -> BatchBuilder {
        self.header.is_transactional = true;
        self
    }

    /// Makes it one whose records tell of the log itself.
    pub fn control(mut self) -> BatchBuilder {
        self.header.is_control = true;
        self
    }

    /// Appends a record. The first one's time is what those of all others are counted from.
    pub fn push(&mut self, new: &NewRecord<'_>) {
        let header = &mut self.header;
        if header.count == 0 {
            header.base_timestamp = new.timestamp;
        }
        header.max_timestamp = header.max_timestamp.max(new.timestamp);
        let time = RecordTime {
            offset_delta: i64::from(header.count),
            timestamp_delta: new.timestamp - header.base_timestamp,
        };
        let content = Content { key: new.key, value: new.value, headers: new.headers };
        record::write(&mut self.bytes, time, content);
        header.count += 1;
    }

    /// The whole batch, as it stands in a log at an offset that a leader of this epoch gave it.
    pub fn finish_at(self, base_offset: i64, leader_epoch: i32) -> Bytes {
        let mut batch = Vec::from(self.finish());
        // Neither is covered by the checksum.
        batch[..8].copy_from_slice(&base_offset.to_be_bytes());
        batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
        Bytes::from(batch)
    }

    /// How many records it has so far.
    pub fn count(&self) -> i32 {
        self.header.count
    }

    /// How many bytes they have.
    pub fn records_len(&self) -> usize {
        self.bytes.len() - HEADER_LEN
    }

    /// The whole batch, which has a record at least, as a producer would send it.
    pub fn finish(mut self) -> Bytes {
        assert!(self.header.count > 0, "a batch has a record");
        if self.compression != Compression::None {
            let records = self.bytes.split_off(HEADER_LEN);
            compress(self.compression, &records, &mut self.bytes);
        }
        let (header, records) = self.bytes.split_at_mut(HEADER_LEN);
        BatchHeader::write(header, records, self.compression.codec(), &self.header);
        Bytes::from(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::control::ControlRecord;
    use crate::format::rules::tests::RULES;
    use crate::format::{Batch, BatchView, ProducerSequence};

    fn new<'a>(key: &'a [u8], value: Option<&'a [u8]>, timestamp: i64) -> NewRecord<'a> {
        NewRecord { key: Some(key), value, timestamp, headers: &[("h", None)] }
    }

    #[test]
    fn a_built_batch_passes_the_checks_and_reads_as_it_was_built() {
        let mut builder = BatchBuilder::new();
        builder.push(&new(b"a", Some(b"1"), 5_000));
        builder.push(&new(b"b", None, 4_000));
        builder.push(&new(b"c", Some(b""), 6_000));
        let bytes = builder.finish();
        let batch = Batch::from_producer(bytes.clone(), &RULES, 0).unwrap();
        assert_eq!(batch.offsets(), 3);
        let (view, behind) = BatchView::split_first(&bytes).unwrap();
        assert!(behind.is_empty() && !view.header.is_compressed());
        assert_eq!((view.header.base_timestamp(), view.header.max_timestamp()), (5_000, 6_000));
        assert_eq!(view.header.producer(), None);
        let read: Vec<_> = view.records_in(view.records).map(Result::unwrap).collect();
        assert_eq!(
            read.iter().map(|r| (r.time.offset_delta, r.time.timestamp_delta)).collect::<Vec<_>>(),
            [(0, 0), (1, -1_000), (2, 1_000)]
        );
        let content = read.iter().map(|r| (r.key, r.value)).collect::<Vec<_>>();
        let expected = [("a", Some("1")), ("b", None), ("c", Some(""))];
        assert_eq!(content, expected.map(|(key, value)| (Some(key.as_bytes()), value.map(str::as_bytes))));
    }

    #[test]
    fn an_idempotent_batch_has_its_producers_numbers() {
        let mut builder = BatchBuilder::new().producer(7, 3, 40).transactional();
        builder.push(&new(b"a", None, 0));
        builder.push(&new(b"b", None, 0));
        let bytes = builder.finish();
        let (view, _) = BatchView::split_first(&bytes).unwrap();
        assert_eq!(view.header.producer(), Some(ProducerSequence { id: 7, epoch: 3, first: 40, last: 41 }));
        assert!(view.header.is_transactional() && !view.header.is_control());
    }

    #[test]
    fn a_batch_of_a_log_has_its_offset_and_epoch_and_a_right_checksum() {
        let mut builder = BatchBuilder::new().control();
        builder.push(&new(b"a", Some(b"1"), 5_000));
        let len = builder.records_len();
        assert_eq!(builder.count(), 1);
        let bytes = builder.finish_at(0x0102_0304_0506, 77);
        let (view, behind) = BatchView::split_first(&bytes).unwrap();
        assert!(behind.is_empty() && view.header.is_control() && !view.header.is_transactional());
        assert_eq!((view.header.base_offset(), view.header.leader_epoch()), (0x0102_0304_0506, 77));
        assert_eq!((view.check(), view.records.len()), (Ok(()), len));
    }

    #[test]
    fn the_end_of_a_transaction_is_a_control_batch_of_its_producer() {
        let bytes = BatchBuilder::transaction_end(7, 3, false, 11, 5_000);
        assert!(Batch::from_coordinator(bytes.clone(), RULES.size_max).is_ok());
        let (view, _) = BatchView::split_first(&bytes).unwrap();
        assert!(view.header.is_transactional() && view.header.is_control());
        assert_eq!((view.header.producer_id(), view.header.producer_epoch()), (7, 3));
        let record = view.records_in(view.records).next().unwrap().unwrap();
        assert_eq!(ControlRecord::read(&record), Ok(ControlRecord::Abort { coordinator_epoch: 11 }));
    }
}
