//! What Apache Kafka 4.3.1 wrote is read here: batches and messages of every codec and version.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::path::Path;

use logmill_engine::format::legacy::LegacyEntry;
use logmill_engine::format::{BatchView, Codec, ControlRecord, ProducerSequence};

/// When their records were made, which `golden/Batches.java` says too.
const TIME: i64 = 1_700_000_000_000;
const MAX: usize = 1 << 20;

/// Offset, time, key, value and headers.
type Read = (i64, i64, Option<String>, Option<String>, Vec<(String, Option<String>)>);

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("bin");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The records that were written, at their own times or all at one.
fn expected(is_compressed: bool, has_headers: bool, time: impl Fn(i64) -> i64) -> Vec<Read> {
    let headers = vec![("trace".to_owned(), Some("id".to_owned())), ("empty".to_owned(), None)];
    let some = |text: &str| Some(text.to_owned());
    let mut records = vec![
        (40, time(TIME), some("a"), some("first"), if has_headers { headers } else { vec![] }),
        (41, time(TIME + 2), None, some("second"), vec![]),
        (42, time(TIME + 1), some(""), None, vec![]),
    ];
    if is_compressed {
        let long = "all work and no play ".repeat(7_000);
        records.push((43, time(TIME), some("long"), Some(long), vec![]));
    }
    records
}

fn read_batch(bytes: &[u8]) -> Vec<Read> {
    let (batch, behind) = BatchView::split_first(bytes).unwrap();
    assert_eq!((batch.check(), behind), (Ok(()), &[][..]));
    let plain = batch.uncompressed(MAX).unwrap();
    let read = batch.records_in(&plain).map(|record| {
        let record = record.unwrap();
        let headers = record.headers.map(|(name, value)| (text(name), value.map(text))).collect();
        (
            batch.header.base_offset() + record.time.offset_delta,
            batch.header.timestamp_of(record.time.timestamp_delta),
            record.key.map(text),
            record.value.map(text),
            headers,
        )
    });
    read.collect()
}

fn read_messages(mut bytes: &[u8]) -> Vec<Read> {
    let mut read = Vec::new();
    while let Some((entry, behind)) = LegacyEntry::split_first(bytes) {
        entry
            .messages(MAX, |message| {
                let (key, value) = (message.key.map(text), message.value.map(text));
                read.push((message.offset, message.timestamp, key, value, vec![]));
            })
            .unwrap();
        bytes = behind;
    }
    assert!(bytes.is_empty());
    read
}

#[test]
fn batches_of_every_codec_are_read() {
    for (name, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().zip(Codec::ALL) {
        let bytes = golden(&format!("{name}-2"));
        let (batch, _) = BatchView::split_first(&bytes).unwrap();
        let last = batch.header.last_offset_delta();
        assert_eq!(batch.header.codec(), Ok(codec));
        assert_eq!(batch.header.max_timestamp(), TIME + 2, "{name}");
        assert!(batch.header.is_transactional());
        let producer = ProducerSequence { id: 7_000, epoch: 2, first: 5, last: 5 + last };
        assert_eq!(batch.header.producer(), Some(producer));
        assert_eq!(read_batch(&bytes), expected(codec != Codec::None, true, |time| time), "{name}");
    }
}

#[test]
fn batches_of_the_brokers_time_are_read() {
    for (name, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().zip(Codec::ALL) {
        let read = read_batch(&golden(&format!("{name}-append-time")));
        assert_eq!(read, expected(codec != Codec::None, true, |_| TIME + 9), "{name}");
    }
}

#[test]
fn messages_of_magic_0_and_1_are_read() {
    for name in ["none", "gzip", "snappy", "lz4"] {
        let is_compressed = name != "none";
        let read = read_messages(&golden(&format!("{name}-0")));
        assert_eq!(read, expected(is_compressed, false, |_| -1), "{name}");
        let read = read_messages(&golden(&format!("{name}-1")));
        assert_eq!(read, expected(is_compressed, false, |time| time), "{name}");
    }
}

#[test]
fn ends_of_transactions_are_read() {
    for (name, expected) in [
        ("abort", ControlRecord::Abort { coordinator_epoch: 11 }),
        ("commit", ControlRecord::Commit { coordinator_epoch: 11 }),
    ] {
        let bytes = golden(name);
        let (batch, _) = BatchView::split_first(&bytes).unwrap();
        assert!(batch.header.is_control() && batch.check().is_ok());
        assert_eq!(batch.header.leader_epoch(), 3);
        let record = batch.records_in(batch.records).next().unwrap().unwrap();
        assert_eq!(ControlRecord::read(&record), Ok(expected));
    }
}

#[test]
fn ends_of_transactions_are_written_byte_for_byte() {
    use logmill_engine::format::{Batch, BatchBuilder};
    use zerocopy::IntoBytes;
    for (name, is_commit) in [("abort", false), ("commit", true)] {
        let built = BatchBuilder::transaction_end(7_000, 2, is_commit, 11, TIME);
        let batch = Batch::from_coordinator(built, MAX).unwrap();
        let (header, records) = batch.stamped(50, 3);
        assert_eq!([header.as_bytes(), records].concat(), golden(name), "{name}");
    }
}
