//! A log over files in memory, so small that every third append rolls and every batch has an index entry.

mod crash;
mod damage;
mod growth;
mod legacy;
mod lookup;
mod removal;
mod replay;
mod restart;
mod resume;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::disk::sim::SimDisk;
use crate::disk::{Disk, OpenMode};
use crate::error::Error;
use crate::format::batch::tests::sample_with;
use crate::format::{Batch, BatchHeader};

const DIR: &str = "/data/t-0";
const NOW_MS: i64 = 10_000;
const LIMITS: LogLimits = LogLimits {
    segment_bytes: 250,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_bytes_max: 10 << 20,
    index_interval_bytes: 10,
};
const FROM_THE_START: Opening<'_> = Opening {
    was_clean: false,
    recovery_point: 0,
    resume: None,
    replayed: &[],
    start_offset: 0,
    visit_from: 0,
    has_gaps: false,
};
const CLEAN: Opening<'_> = Opening { was_clean: true, ..FROM_THE_START };

/// A disk, a cache of few files and pages, and a log.
struct Bench {
    disk: SimDisk,
    cache: Cache,
    log: Log,
}

impl Bench {
    fn new(limits: LogLimits) -> Bench {
        let disk = SimDisk::default();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        Log::create(&disk, Path::new(DIR)).unwrap();
        Bench::open(&disk, limits, CLEAN).unwrap()
    }

    /// So many batches of two records, the first one's timestamp 1,000 and each one's 10 later.
    fn with_batches(count: i64) -> Bench {
        let mut bench = Bench::new(LIMITS);
        bench.append_some(count);
        bench
    }

    fn append_some(&mut self, count: i64) {
        for _ in 0..count {
            self.append(2);
        }
    }

    fn open(disk: &SimDisk, limits: LogLimits, opening: Opening<'_>) -> Result<Bench, Error> {
        Bench::visiting(disk, limits, opening, |_| ()).map(|(bench, _)| bench)
    }

    fn visiting(
        disk: &SimDisk,
        limits: LogLimits,
        opening: Opening<'_>,
        mut visit: impl FnMut(Visit<'_>),
    ) -> Result<(Bench, Opened), Error> {
        let mut cache = Cache::new(Arc::new(disk.clone()), CacheLimits { files: 3, pages: 4 });
        let (log, opened) = Log::open(&mut cache, Path::new(DIR), limits, &opening, &mut |seen| {
            visit(seen);
            Ok(())
        })?;
        Ok((Bench { disk: disk.clone(), cache, log }, opened))
    }

    fn append(&mut self, records: i32) -> i64 {
        let base = 1_000 + self.log.end().offset * 5;
        self.append_at(records, base)
    }

    fn append_at(&mut self, records: i32, max_timestamp: i64) -> i64 {
        let bytes = sample_with(records, b"payload", |header| header.set_times(max_timestamp, max_timestamp));
        self.append_bytes(bytes).unwrap()
    }

    fn append_bytes(&mut self, bytes: Vec<u8>) -> Result<i64, Error> {
        let batch = Batch::from_coordinator(bytes.into(), 1 << 20).unwrap();
        self.log.append(&mut self.cache, &batch, 0, NOW_MS)
    }

    /// What a wave syncs, and what is true when it has returned.
    fn wave(&mut self) -> std::io::Result<ResumePoint> {
        let end = self.log.end();
        let state = self.log.segment_state(&self.cache).map_err(std::io::Error::other)?;
        let mut files = Vec::new();
        self.log.take_unsynced(|file, _| files.push(file));
        files.iter().try_for_each(|file| file.sync())?;
        self.log.durable_to(end);
        Ok(ResumePoint { end, state })
    }

    fn stop(mut self) -> SimDisk {
        self.log.stop(&mut self.cache).unwrap();
        self.disk
    }

    /// All bytes from `offset` on, slice by slice.
    fn read(&mut self, mut offset: i64, len_max: u32) -> Result<Vec<u8>, Error> {
        let end = self.log.end();
        let mut bytes = Vec::new();
        while let Some(slice) = self.log.slice(&mut self.cache, offset, end, len_max)? {
            let mut part = vec![0; slice.bytes.len as usize];
            slice.bytes.file.read_at(&mut part, slice.bytes.position).unwrap();
            let mut rest = &part[..];
            while let Some(header) = BatchHeader::view(rest)
                && let Some(batch) = header.size().and_then(|size| rest.get(..size))
            {
                offset = header.last_offset() + 1;
                bytes.extend_from_slice(batch);
                rest = &rest[batch.len()..];
            }
        }
        Ok(bytes)
    }

    /// The batch that holds an offset.
    fn read_one(&mut self, offset: i64) -> Vec<u8> {
        let end = self.log.end();
        let slice = self.log.slice(&mut self.cache, offset, end, 1).unwrap().unwrap();
        let mut bytes = vec![0; slice.bytes.len as usize];
        slice.bytes.file.read_at(&mut bytes, slice.bytes.position).unwrap();
        bytes
    }

    /// Base offsets of all batches that a reader gets from the log's start on.
    fn offsets(&mut self) -> Vec<i64> {
        let start = self.log.start_offset();
        base_offsets(&self.read(start, 1_000).unwrap())
    }

    fn bases(&self) -> Vec<i64> {
        self.log.segment_bases().collect()
    }
}

fn base_offsets(mut bytes: &[u8]) -> Vec<i64> {
    let mut offsets = Vec::new();
    while let Some(header) = BatchHeader::view(bytes) {
        offsets.push(header.base_offset());
        bytes = &bytes[header.size().unwrap()..];
    }
    offsets
}

fn every_second(to: i64) -> Vec<i64> {
    (0..to).step_by(2).collect()
}

/// Bytes of one batch of [`Bench::append`].
fn batch_len() -> u64 {
    sample_with(2, b"payload", |_| ()).len() as u64
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn content(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.read(&path(name)).unwrap()
}

fn put(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let file = disk.open(&path(name), OpenMode::Replace).unwrap();
    file.write_all_at([bytes, &[]], 0).unwrap();
}

/// Flips a bit of a file.
fn flip(disk: &SimDisk, name: &str, at: usize) {
    let mut bytes = content(disk, name);
    bytes[at] ^= 1 << (at % 8);
    put(disk, name, &bytes);
}
