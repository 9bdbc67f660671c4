//! The crate `kafka-protocol` and this engine read each other's batches, in every codec.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as TheirCompression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
    TimestampType,
};
use logmill_engine::format::{BatchBuilder, BatchView, Compression, NewRecord};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEEDS: std::ops::Range<u64> = 0..40;
const MAX: usize = 16 << 20;

const CODECS: [(Compression, TheirCompression); 5] = [
    (Compression::None, TheirCompression::None),
    (Compression::Gzip { level: 9 }, TheirCompression::Gzip),
    (Compression::Snappy, TheirCompression::Snappy),
    (Compression::Lz4, TheirCompression::Lz4),
    (Compression::Zstd { level: 7 }, TheirCompression::Zstd),
];

/// Bytes that compress now and then, null now and then.
fn bytes(random: &mut StdRng, len_max: usize) -> Option<Bytes> {
    let len = random.random_range(0..len_max);
    let letters = random.random_range(1..=255);
    random.random_bool(0.8).then(|| (0..len).map(|_| random.random_range(0..letters)).collect())
}

fn records(random: &mut StdRng) -> Vec<Record> {
    let count = random.random_range(1..40);
    let record = |index: i32| Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 7,
        producer_epoch: 3,
        timestamp_type: TimestampType::Creation,
        offset: index.into(),
        sequence: 100 + index,
        timestamp: random.random_range(0..1 << 42),
        key: bytes(random, 40),
        value: bytes(random, 20_000),
        headers: (0..random.random_range(0..3))
            .map(|header| (StrBytes::from(format!("header {header}")), bytes(random, 30)))
            .collect::<IndexMap<_, _>>(),
    };
    (0..count).map(record).collect()
}

fn read(written: &[u8]) -> Vec<Record> {
    let (batch, behind) = BatchView::split_first(written).unwrap();
    assert_eq!((batch.check(), behind), (Ok(()), &[][..]));
    let plain = batch.uncompressed(MAX).unwrap();
    let record = |record: logmill_engine::format::Record<'_>| Record {
        transactional: batch.header.is_transactional(),
        control: batch.header.is_control(),
        delete_horizon: false,
        partition_leader_epoch: batch.header.leader_epoch(),
        producer_id: batch.header.producer_id(),
        producer_epoch: batch.header.producer_epoch(),
        timestamp_type: TimestampType::Creation,
        offset: batch.header.base_offset() + record.time.offset_delta,
        sequence: batch.header.base_sequence() + record.time.offset_delta as i32,
        timestamp: batch.header.timestamp_of(record.time.timestamp_delta),
        key: record.key.map(Bytes::copy_from_slice),
        value: record.value.map(Bytes::copy_from_slice),
        headers: record
            .headers
            .map(|(name, value)| {
                let name = StrBytes::try_from(Bytes::copy_from_slice(name)).unwrap();
                (name, value.map(Bytes::copy_from_slice))
            })
            .collect(),
    };
    batch.records_in(&plain).map(|read| record(read.unwrap())).collect()
}

#[test]
fn what_the_crate_writes_is_read() {
    for seed in SEEDS {
        let records = records(&mut StdRng::seed_from_u64(seed));
        for (_, compression) in CODECS {
            let mut written = BytesMut::new();
            let options = RecordEncodeOptions { version: 2, compression };
            RecordBatchEncoder::encode(&mut written, &records, &options).unwrap();
            assert_eq!(read(&written), records, "{compression:?}, seed {seed}");
        }
    }
}

#[test]
fn what_is_written_is_read_by_the_crate() {
    for seed in SEEDS {
        let records = records(&mut StdRng::seed_from_u64(seed));
        for (compression, _) in CODECS {
            let mut builder = BatchBuilder::new().compressed(compression).producer(7, 3, 100).transactional();
            for record in &records {
                let headers: Vec<_> =
                    record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
                builder.push(&NewRecord {
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    timestamp: record.timestamp,
                    headers: &headers,
                });
            }
            let mut written = builder.finish();
            let read = RecordBatchDecoder::decode(&mut written).unwrap();
            assert_eq!(read.records, records, "{compression:?}, seed {seed}");
        }
    }
}
