//! `BatchBuilder`: records into one uncompressed batch, for what the broker itself writes.

use bytes::Bytes;

use super::batch::{BatchHeader, HEADER_LEN};
use super::record::{self, Record, RecordTime};

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
    /// Room for the header, then the records.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A batch without records.
    #[expect(clippy::new_without_default, reason = "an empty batch is the beginning of one and no value")]
    pub fn new() -> BatchBuilder {
        BatchBuilder { bytes: vec![0; HEADER_LEN], count: 0, base_timestamp: 0, max_timestamp: i64::MIN }
    }

    /// Appends a record. The first one's time is what those of all others are counted from.
    pub fn push(&mut self, new: &NewRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = new.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(new.timestamp);
        let time = RecordTime {
            offset_delta: i64::from(self.count),
            timestamp_delta: new.timestamp - self.base_timestamp,
        };
        let record = Record { time, key: new.key, value: new.value };
        record::write(&mut self.bytes, &record, new.headers);
        self.count += 1;
    }

    /// The whole batch, which has a record at least, as a producer without idempotence would send it.
    pub fn finish(mut self) -> Bytes {
        assert!(self.count > 0, "a batch has a record");
        let (header, records) = self.bytes.split_at_mut(HEADER_LEN);
        BatchHeader::write(header, records, self.count, self.base_timestamp, self.max_timestamp);
        Bytes::from(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Batch, BatchLimits, BatchView};

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
        let batch = Batch::from_producer(bytes.clone(), BatchLimits { size_max: 1_000 }).unwrap();
        assert_eq!(batch.offsets(), 3);
        let (view, behind) = BatchView::split_first(&bytes).unwrap();
        assert!(behind.is_empty() && !view.header.is_compressed());
        assert_eq!((view.header.base_timestamp(), view.header.max_timestamp()), (5_000, 6_000));
        assert_eq!(view.header.producer(), None);
        let read: Vec<_> = record::records(view.records).map(Option::unwrap).collect();
        assert_eq!(
            read.iter().map(|r| (r.time.offset_delta, r.time.timestamp_delta)).collect::<Vec<_>>(),
            [(0, 0), (1, -1_000), (2, 1_000)]
        );
        let content = read.iter().map(|r| (r.key, r.value)).collect::<Vec<_>>();
        let expected = [("a", Some("1")), ("b", None), ("c", Some(""))];
        assert_eq!(content, expected.map(|(key, value)| (Some(key.as_bytes()), value.map(str::as_bytes))));
    }
}
