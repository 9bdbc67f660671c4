//! Damaged bytes through everything that reads batches: never a panic, never an allocation beyond the limit,
//! and what is said to be whole is what was written.
//!
//! `LOGMILL_MUTATIONS=1000000 cargo test --release --workspace --test mutations` makes a million.
//! `LOGMILL_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use logmill_engine::format::legacy::LegacyEntry;
use logmill_engine::format::{
    Batch, BatchBuilder, BatchRules, BatchView, Codec, Compression, ControlRecord, NewRecord, TimestampRule,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Enough for CI.
const MUTATIONS: usize = 10_000;
/// Bytes that may come out of a batch.
const BYTES_MAX: usize = 200_000;
/// What codecs and answers take for themselves: the largest is zstd's window, 8 MiB and a block, which the C
/// library takes by itself; gzip's state is far smaller.
const OVERHEAD_MAX: usize = 300_000;

const CRC_FROM: usize = 21;

/// Notes the largest piece of memory that anybody asked for.
struct Noting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Noting = Noting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const COMPRESSIONS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip { level: -1 },
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd { level: 3 },
];

const RULES: BatchRules = BatchRules {
    size_max: BYTES_MAX / 100,
    needs_keys: true,
    timestamps: TimestampRule::Create { before_ms_max: 1_000, after_ms_max: 1_000 },
    compression: Some(Compression::Snappy),
};

/// Whole batches, one of each codec, and the end of a transaction.
fn batches() -> Vec<Bytes> {
    let batch = |compression| {
        let mut builder = BatchBuilder::new().compressed(compression).producer(7, 3, 0);
        for record in 0..20 {
            let value = format!("value {record} ").repeat(4);
            builder.push(&NewRecord {
                key: Some(b"key"),
                value: Some(value.as_bytes()),
                timestamp: 5_000 + record,
                headers: &[("name", Some(b"value")), ("null", None)],
            });
        }
        builder.finish()
    };
    let mut batches: Vec<_> = COMPRESSIONS.map(batch).into();
    batches.push(BatchBuilder::transaction_end(7, 3, false, 1, 5_000));
    batches
}

/// Messages of magic 1 that Apache Kafka wrote.
fn messages() -> Vec<u8> {
    ["none-0", "none-1", "gzip-1", "lz4-0", "lz4-1"]
        .iter()
        .flat_map(|name| {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
            std::fs::read(format!("{directory}/{name}.bin")).unwrap()
        })
        .collect()
}

/// One thing that a disk or a stranger does to bytes.
fn damage(random: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = random.random_range(0..bytes.len());
    let len = random.random_range(1..=64).min(bytes.len() - at);
    match random.random_range(0..7) {
        0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes[at..at + len].fill(0),
        3 => bytes[at..at + len].fill(0xff),
        4 => random.fill(&mut bytes[at..at + len]),
        5 => {
            let other = random.random_range(0..=bytes.len() - len);
            let moved = bytes[at..at + len].to_vec();
            bytes.copy_within(other..other + len, at);
            bytes[other..other + len].copy_from_slice(&moved);
        }
        _ => bytes.truncate(at + 1),
    }
}

/// Makes the checksum right again, as a stranger would, and the length too.
fn reseal(bytes: &mut [u8]) {
    if bytes.len() < 61 {
        return;
    }
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// Reads all there is; what was found whole.
fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    let mut rest = bytes;
    while let Some((batch, behind)) = BatchView::split_first(rest) {
        if batch.check().is_ok() {
            whole.push(rest[CRC_FROM..rest.len() - behind.len()].to_vec());
        }
        if let Ok(plain) = batch.uncompressed(BYTES_MAX) {
            assert!(plain.len() <= BYTES_MAX || batch.header.codec() == Ok(Codec::None));
            for record in batch.records_in(&plain).flatten() {
                let _ = ControlRecord::read(&record);
                record.headers.for_each(drop);
            }
        }
        rest = behind;
    }
    whole
}

fn read_messages(mut bytes: &[u8]) {
    while let Some((entry, behind)) = LegacyEntry::split_first(bytes) {
        let _ = entry.messages(BYTES_MAX, |_| ());
        bytes = behind;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn damaged_bytes_never_panic_and_never_ask_for_more_than_the_limit() {
    let seed = number("LOGMILL_SEED").unwrap_or_else(rand::random);
    let mutations = number("LOGMILL_MUTATIONS").map_or(MUTATIONS, |number| number as usize);
    println!("LOGMILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (batches, messages) = (batches(), messages());
    let written: Vec<&[u8]> = batches.iter().map(|batch| &batch[CRC_FROM..]).collect();
    LARGEST.store(0, Ordering::Relaxed);
    for _ in 0..mutations {
        let (first, second) = (
            &batches[random.random_range(0..batches.len())],
            &batches[random.random_range(0..batches.len())],
        );
        let mut bytes = [&first[..], second].concat();
        (0..random.random_range(1..4)).for_each(|_| damage(&mut random, &mut bytes));
        for whole in read(&bytes) {
            assert!(written.contains(&&whole[..]), "a damaged batch passes its checksum");
        }
        // A stranger's damage has a right checksum.
        let mut hostile = first.to_vec();
        (0..random.random_range(1..4)).for_each(|_| damage(&mut random, &mut hostile));
        reseal(&mut hostile);
        read(&hostile);
        let _ = Batch::from_producer(hostile.into(), &RULES, 5_000);
        let mut older = messages.clone();
        damage(&mut random, &mut older);
        read_messages(&older);
    }
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= BYTES_MAX + OVERHEAD_MAX, "somebody asked for {largest} bytes at once");
}
