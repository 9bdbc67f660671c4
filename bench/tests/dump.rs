//! Apache Kafka's `DumpLogSegments` reads what is written here, in every codec.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::fs;

use logmill_bench::rig::{Jars, Tool};
use logmill_engine::format::{Batch, BatchBuilder, Compression, NewRecord};
use zerocopy::IntoBytes;

const TIME: i64 = 1_700_000_000_000;
const RECORDS: usize = 5;

const COMPRESSIONS: [(Compression, &str); 8] = [
    (Compression::None, "none"),
    (Compression::Gzip { level: -1 }, "gzip"),
    (Compression::Gzip { level: 9 }, "gzip"),
    (Compression::Snappy, "snappy"),
    (Compression::Lz4, "lz4"),
    (Compression::Zstd { level: 3 }, "zstd"),
    (Compression::Zstd { level: -131_072 }, "zstd"),
    (Compression::Zstd { level: 22 }, "zstd"),
];

/// Of which one takes several blocks, and one does not compress.
fn value(record: usize) -> String {
    match record {
        3 => "all work and no play ".repeat(7_000),
        4 => {
            (0..2_000u32).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect()
        }
        _ => format!("value {record}"),
    }
}

fn segment() -> Vec<u8> {
    let mut segment = Vec::new();
    for (index, (compression, _)) in COMPRESSIONS.into_iter().enumerate() {
        let sequence = (index * RECORDS) as i32;
        let mut builder = BatchBuilder::new().compressed(compression).producer(7, 3, sequence);
        for record in 0..RECORDS {
            builder.push(&NewRecord {
                key: Some(b"key"),
                value: Some(value(record).as_bytes()),
                timestamp: TIME + record as i64,
                headers: &[("name", Some(b"header"))],
            });
        }
        append(&mut segment, index * RECORDS, builder.finish());
    }
    let end = BatchBuilder::transaction_end(7, 3, false, 11, TIME);
    append(&mut segment, COMPRESSIONS.len() * RECORDS, end);
    segment
}

fn append(segment: &mut Vec<u8>, offset: usize, batch: bytes::Bytes) {
    let batch = Batch::from_coordinator(batch, 1 << 20).unwrap();
    let (header, records) = batch.stamped(offset as i64, 0);
    segment.extend_from_slice(header.as_bytes());
    segment.extend_from_slice(records);
}

#[test]
fn dump_log_segments_reads_batches_of_every_codec() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00000000000000000000.log");
    fs::write(&path, segment()).unwrap();
    let jars = Jars::fetched().unwrap();
    let output = Tool::new(&jars, "org.apache.kafka.tools.DumpLogSegments")
        .arguments(["--deep-iteration", "--print-data-log", "--files", path.to_str().unwrap()])
        .run()
        .unwrap();
    assert_eq!((output.code, &*output.stderr), (0, ""), "{}", output.stdout);
    let batches: Vec<_> = output.stdout.lines().filter(|line| line.starts_with("baseOffset: ")).collect();
    assert_eq!(batches.len(), COMPRESSIONS.len() + 1, "{}", output.stdout);
    for (line, (_, name)) in batches.iter().zip(COMPRESSIONS) {
        assert!(
            line.contains(&format!("compresscodec: {name} ")) && line.contains("isvalid: true"),
            "{line}"
        );
    }
    let mut records = output.stdout.lines().filter(|line| line.starts_with("| offset: "));
    for offset in 0..COMPRESSIONS.len() * RECORDS {
        let line = records.next().unwrap();
        assert!(line.starts_with(&format!("| offset: {offset} ")), "{line}");
        let payload = value(offset % RECORDS);
        assert!(line.ends_with(&format!("headerKeys: [name] key: key payload: {payload}")), "{line}");
    }
    let end = records.next().unwrap();
    assert!(end.contains("endTxnMarker: ABORT coordinatorEpoch: 11"), "{end}");
    assert_eq!(records.next(), None);
}
