//! `BatchRules`: what a topic demands of a producer's batch, and what it makes of it.
//!
//! Where no rule asks for records, nobody looks at them: header and checksum say enough, and a batch costs
//! hardly more than its checksum. A rule asks for them when it is about each of them (keys, times in the past),
//! when they are stored in another way than they came, and when the header itself says that a time in it is
//! out of range. Then every record is read, decompressed where needed, and what the header says of them is made
//! true.

use std::fmt::Write as _;

use bytes::Bytes;

use super::batch::{Batch, invalid};
use super::codec::{Compression, decompress, decompressed_bytes_max};
use super::header::BatchHeader;
use super::record::{Record, Records};
use crate::error::{RecordError, Refusal};

/// Records that an answer names at most: a batch may hold millions of wrong ones.
const RECORD_ERRORS_MAX: usize = 1_000;
/// Of those, how many the message of the batch shows.
const RECORD_ERRORS_SHOWN: usize = 3;
/// Stands for a record without a time.
const NO_TIMESTAMP: i64 = -1;

/// A topic's rules for the batches of producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRules {
    /// Largest batch in bytes, as it came and as it is stored.
    pub size_max: usize,
    /// Whether every record needs a key, because the topic is compacted.
    pub needs_keys: bool,
    /// Whose clock counts.
    pub timestamps: TimestampRule,
    /// How batches are stored; `None`: as their producers compressed them.
    pub compression: Option<Compression>,
}

impl Default for BatchRules {
    /// Anything of up to a mebibyte, as it comes.
    fn default() -> BatchRules {
        let timestamps = TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX };
        BatchRules { size_max: 1 << 20, needs_keys: false, timestamps, compression: None }
    }
}

/// Whose clock a topic's records carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampRule {
    /// The producer's, which may be this far ahead of the broker's, or behind it, in milliseconds.
    Create {
        /// `message.timestamp.before.max.ms`
        before_ms_max: i64,
        /// `message.timestamp.after.max.ms`
        after_ms_max: i64,
    },
    /// The broker's.
    Append,
}

impl Batch {
    /// Takes the bytes that a producer sent for one partition and makes them what the topic stores.
    ///
    /// The order of the checks is Apache Kafka's, so that a batch with several faults gets the same answer.
    pub fn from_producer(bytes: Bytes, rules: &BatchRules, now_ms: i64) -> Result<Batch, Refusal> {
        let mut batch = Batch::whole(bytes, rules.size_max)?;
        batch.header().check_producer()?;
        if rules.ask_for_records(batch.header(), now_ms) {
            rules.apply_to_records(&mut batch, now_ms)?;
        }
        if rules.timestamps == TimestampRule::Append {
            batch.stamp_append_time(now_ms);
        }
        Ok(batch)
    }
}

impl BatchRules {
    fn ask_for_records(&self, header: &BatchHeader, now_ms: i64) -> bool {
        let looks_at_times = match self.timestamps {
            // The largest time says nothing of the smallest.
            TimestampRule::Create { before_ms_max, .. } => {
                before_ms_max != i64::MAX || !self.timestamps.takes(header.max_timestamp(), now_ms)
            }
            TimestampRule::Append => false,
        };
        looks_at_times || self.needs_keys || self.recompression(header).is_some()
    }

    /// How the batch is compressed anew, when it is.
    fn recompression(&self, header: &BatchHeader) -> Option<Compression> {
        self.compression.filter(|compression| Ok(compression.codec()) != header.codec())
    }

    fn apply_to_records(&self, batch: &mut Batch, now_ms: i64) -> Result<(), Refusal> {
        let header = *batch.header();
        let codec = header.codec().map_err(Refusal::UnknownCodec)?;
        let plain = decompress(codec, batch.records(), decompressed_bytes_max(self.size_max))
            .map_err(|error| invalid(&error.to_string()))?;
        let mut faults = Faults::default();
        let mut max_timestamp = NO_TIMESTAMP;
        for (index, record) in (0..).zip(Records::new(&plain, header.record_count())) {
            let record = record.map_err(|bad| invalid(&bad.to_string()))?;
            let timestamp = header.timestamp_of(record.time.timestamp_delta);
            self.check_record(index, &record, timestamp, now_ms, &mut faults);
            max_timestamp = max_timestamp.max(timestamp);
        }
        faults.into_result()?;
        if let Some(compression) = self.recompression(&header) {
            let plain = plain.into_owned();
            batch.recompress(compression, &plain);
            if batch.size() > self.size_max {
                return Err(Refusal::TooLarge { size: batch.size(), max: self.size_max });
            }
        }
        batch.correct_max_timestamp(max_timestamp);
        Ok(())
    }

    fn check_record(
        &self,
        index: i32,
        record: &Record<'_>,
        timestamp: i64,
        now_ms: i64,
        faults: &mut Faults,
    ) {
        let delta = record.time.offset_delta;
        if delta != i64::from(index) {
            faults.add(index, format!("Record with offset delta {delta}, expected {index}"));
        } else if self.needs_keys && record.key.is_none() {
            faults.add(index, "Compacted topic cannot accept message without key".to_owned());
        } else if !self.timestamps.takes(timestamp, now_ms) {
            faults.is_out_of_time = true;
            let (from, to) = self.timestamps.range(now_ms);
            faults.add(
                index,
                format!(
                    "Timestamp {timestamp} of message with offset {delta} is out of range. The timestamp \
                     should be within [{from}, {to}]"
                ),
            );
        }
    }
}

impl TimestampRule {
    fn takes(self, timestamp: i64, now_ms: i64) -> bool {
        let TimestampRule::Create { before_ms_max, after_ms_max } = self else { return true };
        let ahead_ms = i128::from(timestamp) - i128::from(now_ms);
        timestamp == NO_TIMESTAMP
            || (-i128::from(before_ms_max)..=i128::from(after_ms_max)).contains(&ahead_ms)
    }

    /// The first and the last time that is taken.
    fn range(self, now_ms: i64) -> (i64, i64) {
        match self {
            TimestampRule::Create { before_ms_max, after_ms_max } => {
                (now_ms.saturating_sub(before_ms_max), now_ms.saturating_add(after_ms_max))
            }
            TimestampRule::Append => (i64::MIN, i64::MAX),
        }
    }
}

/// What is wrong with the records of one batch.
#[derive(Default)]
struct Faults {
    count: usize,
    is_out_of_time: bool,
    first: Vec<RecordError>,
}

impl Faults {
    fn add(&mut self, index: i32, message: String) {
        self.count += 1;
        if self.first.len() < RECORD_ERRORS_MAX {
            self.first.push(RecordError { index, message });
        }
    }

    fn into_result(self) -> Result<(), Refusal> {
        let Faults { count, is_out_of_time, first: errors } = self;
        if count == 0 {
            return Ok(());
        }
        let message = if is_out_of_time {
            "One or more records have been rejected due to invalid timestamp".to_owned()
        } else {
            format!(
                "One or more records have been rejected due to {count} record errors in total, and only \
                 showing the first three errors at most: [{}]",
                shown(&errors)
            )
        };
        Err(Refusal::Records { is_out_of_time, message, errors })
    }
}

fn shown(errors: &[RecordError]) -> String {
    let mut text = String::new();
    for RecordError { index, message } in &errors[..errors.len().min(RECORD_ERRORS_SHOWN)] {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}RecordError(batchIndex={index}, message='{message}')")
            .expect("a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::batch::CRC_FROM;
    use crate::format::codec::{Codec, compress};
    use crate::format::{BatchBuilder, BatchView, NewRecord};
    use zerocopy::IntoBytes;

    const NOW_MS: i64 = 1_000_000;

    /// The rules of a topic with default settings, but for times, of which it takes all.
    pub(crate) const RULES: BatchRules = BatchRules {
        size_max: 1 << 20,
        needs_keys: false,
        timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
        compression: None,
    };
    const KEYED: BatchRules = BatchRules { needs_keys: true, ..RULES };

    const COMPRESSIONS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip { level: -1 },
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd { level: 3 },
    ];

    fn within(before_ms_max: i64, after_ms_max: i64) -> BatchRules {
        BatchRules { timestamps: TimestampRule::Create { before_ms_max, after_ms_max }, ..RULES }
    }

    /// A batch of records with these keys and times.
    fn batch(compression: Compression, records: &[(Option<&str>, i64)]) -> Bytes {
        let mut builder = BatchBuilder::new().compressed(compression);
        for (key, timestamp) in records {
            let key = key.map(str::as_bytes);
            builder.push(&NewRecord { key, value: Some(b"value"), timestamp: *timestamp, headers: &[] });
        }
        builder.finish()
    }

    fn take(bytes: &Bytes, rules: &BatchRules) -> Result<Batch, Refusal> {
        Batch::from_producer(bytes.clone(), rules, NOW_MS)
    }

    type KeyAndTime = (Option<Vec<u8>>, i64);

    /// What is stored, of which everything that a reader may check has to hold.
    fn stored(bytes: &Bytes, rules: &BatchRules) -> (BatchHeader, Vec<KeyAndTime>) {
        let batch = take(bytes, rules).unwrap();
        let (header, records) = batch.stamped(40, 2);
        let written = [header.as_bytes(), records].concat();
        let (view, behind) = BatchView::split_first(&written).unwrap();
        assert_eq!((view.check(), behind), (Ok(()), &[][..]));
        let plain = view.uncompressed(1 << 20).unwrap();
        let record = |record: Result<Record<'_>, _>| {
            let record = record.unwrap();
            (record.key.map(<[u8]>::to_vec), view.header.timestamp_of(record.time.timestamp_delta))
        };
        (header, view.records_in(&plain).map(record).collect())
    }

    #[track_caller]
    fn check_faults(bytes: &Bytes, rules: &BatchRules, expected_out_of_time: bool, expected: &[(i32, &str)]) {
        let Err(Refusal::Records { is_out_of_time, errors, .. }) = take(bytes, rules) else {
            panic!("the batch is taken")
        };
        let errors: Vec<_> = errors.iter().map(|error| (error.index, error.message.as_str())).collect();
        assert_eq!((is_out_of_time, &errors[..]), (expected_out_of_time, expected));
    }

    #[test]
    fn a_compacted_topic_names_every_record_without_a_key() {
        let keyless = "Compacted topic cannot accept message without key";
        for compression in COMPRESSIONS {
            let bytes = batch(compression, &[(None, 5), (Some("k"), 5), (Some(""), 5), (None, 5)]);
            check_faults(&bytes, &KEYED, false, &[(0, keyless), (3, keyless)]);
            assert!(take(&bytes, &RULES).is_ok());
        }
        assert!(take(&batch(Compression::None, &[(Some("k"), 5)]), &KEYED).is_ok());
    }

    #[test]
    fn the_message_shows_three_records_and_counts_all() {
        let Err(refusal) = take(&batch(Compression::None, &[(None, 5); 1_200]), &KEYED) else {
            panic!("taken")
        };
        let error = |index| {
            format!(
                "RecordError(batchIndex={index}, message='Compacted topic cannot accept message without key')"
            )
        };
        assert_eq!(
            refusal.to_string(),
            format!(
                "One or more records have been rejected due to 1200 record errors in total, and only showing \
                 the first three errors at most: [{}, {}, {}]",
                error(0),
                error(1),
                error(2)
            )
        );
        assert!(matches!(refusal, Refusal::Records { errors, .. } if errors.len() == RECORD_ERRORS_MAX));
    }

    #[test]
    fn records_out_of_time_are_named_with_the_range() {
        let bytes =
            batch(Compression::Snappy, &[(None, NOW_MS - 101), (None, NOW_MS - 100), (None, NOW_MS + 11)]);
        let message = |timestamp: i64, offset: i64| {
            format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be \
                 within [999900, 1000010]"
            )
        };
        let (early, late) = (message(NOW_MS - 101, 0), message(NOW_MS + 11, 2));
        check_faults(&bytes, &within(100, 10), true, &[(0, &early), (2, &late)]);
        assert!(take(&bytes, &within(101, 11)).is_ok());
    }

    #[test]
    fn a_record_without_a_time_is_in_every_range() {
        assert!(take(&batch(Compression::None, &[(None, NO_TIMESTAMP)]), &within(0, 0)).is_ok());
    }

    #[test]
    fn times_that_overflow_are_out_of_range() {
        for timestamp in [i64::MIN, i64::MAX] {
            let bytes = batch(Compression::None, &[(None, timestamp)]);
            assert!(
                matches!(take(&bytes, &within(i64::MAX, 10)), Err(Refusal::Records { .. })),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn a_largest_time_that_the_header_only_claims_is_made_true() {
        let mut bytes = batch(Compression::Lz4, &[(None, NOW_MS), (None, NOW_MS - 7)]).to_vec();
        bytes[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        let (header, records) = stored(&bytes.into(), &within(i64::MAX, 10));
        assert_eq!(header.max_timestamp(), NOW_MS);
        assert_eq!(records, [(None, NOW_MS), (None, NOW_MS - 7)]);
    }

    #[test]
    fn the_brokers_time_is_every_records() {
        let rules = BatchRules { timestamps: TimestampRule::Append, ..RULES };
        for compression in [None, Some(Compression::Zstd { level: 3 })] {
            let (header, records) = stored(
                &batch(Compression::None, &[(None, 5), (None, i64::MAX)]),
                &BatchRules { compression, ..rules },
            );
            assert!(header.is_log_append_time());
            assert_eq!(records, [(None, NOW_MS), (None, NOW_MS)]);
        }
    }

    #[test]
    fn every_codec_is_stored_as_every_other() {
        let content = [(Some("a"), 7), (None, 9), (Some("c"), 8)];
        let expected = content.map(|(key, timestamp)| (key.map(|key| key.as_bytes().to_vec()), timestamp));
        for from in COMPRESSIONS {
            for to in COMPRESSIONS {
                let rules = BatchRules { compression: Some(to), ..RULES };
                let (header, records) = stored(&batch(from, &content), &rules);
                assert_eq!(
                    (header.codec(), &records[..]),
                    (Ok(to.codec()), &expected[..]),
                    "{from:?} {to:?}"
                );
                assert_eq!((header.base_offset(), header.last_offset(), header.max_timestamp()), (40, 42, 9));
            }
        }
    }

    #[test]
    fn a_batch_of_the_topics_codec_is_stored_as_it_came() {
        let bytes = batch(Compression::Gzip { level: 1 }, &[(None, 5)]);
        let rules = BatchRules { compression: Some(Compression::Gzip { level: 9 }), ..RULES };
        let batch = take(&bytes, &rules).unwrap();
        assert_eq!(batch.stamped(0, 0).1.as_ptr(), bytes[super::super::batch::HEADER_LEN..].as_ptr());
    }

    #[test]
    fn what_is_too_large_when_stored_is_refused() {
        let bytes = batch(Compression::Zstd { level: 3 }, &[(Some(&"k".repeat(10_000)), 5)]);
        let rules = BatchRules { size_max: 1_000, compression: Some(Compression::None), ..RULES };
        assert!(matches!(take(&bytes, &rules), Err(Refusal::TooLarge { size: 10_000.., max: 1_000 })));
    }

    #[test]
    fn a_bomb_is_refused_where_records_are_asked_for() {
        let bytes = batch(Compression::Zstd { level: 3 }, &[(Some(&"k".repeat(200_000)), 5)]);
        let rules = BatchRules { size_max: 1_000, ..KEYED };
        let Err(Refusal::Invalid(message)) = take(&bytes, &rules) else { panic!("taken") };
        assert!(message.contains("more than 100000 bytes"), "{message}");
    }

    /// A batch whose header is right and whose records are these bytes.
    fn with_records(codec: Codec, count: i32, records: &[u8]) -> Bytes {
        crate::format::batch::tests::sample_with(count, records, |header| header.set_codec(codec)).into()
    }

    #[test]
    fn records_that_are_not_what_the_header_says_are_refused_where_they_are_asked_for() {
        let two = [14, 0, 0, 0, 2, b'k', 0, 0, 14, 0, 0, 2, 2, b'k', 0, 0];
        assert!(take(&with_records(Codec::None, 2, &two), &KEYED).is_ok());
        for (count, records) in [(1, &two[..]), (3, &two), (2, &two[..15]), (1, &[0xff; 12]), (1, &[])] {
            let bytes = with_records(Codec::None, count, records);
            assert!(matches!(take(&bytes, &KEYED), Err(Refusal::Invalid(_))), "{count} of {records:?}");
            let mut compressed = Vec::new();
            compress(Compression::Snappy, records, &mut compressed);
            let bytes = with_records(Codec::Snappy, count, &compressed);
            assert!(matches!(take(&bytes, &KEYED), Err(Refusal::Invalid(_))), "{count} of {records:?}");
        }
        for codec in &Codec::ALL[1..] {
            let bytes = with_records(*codec, 1, b"nothing that is compressed");
            assert!(matches!(take(&bytes, &KEYED), Err(Refusal::Invalid(_))), "{codec:?}");
        }
    }

    #[test]
    fn offset_deltas_that_do_not_count_up_are_named() {
        let records = [14, 0, 0, 0, 2, b'k', 0, 0, 14, 0, 0, 4, 2, b'k', 0, 0];
        check_faults(
            &with_records(Codec::None, 2, &records),
            &KEYED,
            false,
            &[(1, "Record with offset delta 2, expected 1")],
        );
    }
}
