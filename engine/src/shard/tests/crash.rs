//! A shard with a journal, cut off at every step of the disk and started again: nothing acknowledged is lost
//! or changed, and nothing appears that was not appended.

use super::*;
use crate::disk::sim::{SimDisk, Step};
use crate::format::batch::{CRC_FROM, HEADER_LEN};
use crate::journal::{JournalConfig, read_all};
use crate::partition::{Isolation, Marks};

const DIR: &str = "/data";
const PARTITIONS: i32 = 3;
/// A few appends fill one: the journal turns many times in a run.
const JOURNAL_FILE_BYTES: u64 = 8 * 1024;
/// A few appends fill one of these too.
const SEGMENT_BYTES: u64 = 4_000;
/// So much of a partition is kept.
const RETENTION_BYTES: u64 = SEGMENT_BYTES;
/// Larger than what a wave puts into the journal.
const LARGE_BYTES: usize = 66_000;

/// A small generator: the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What was appended to a partition.
#[derive(Debug, Clone, Default)]
struct Expected {
    /// Each batch as it lies in the log.
    batches: Vec<Vec<u8>>,
    /// So many of them are acknowledged.
    acked: usize,
    /// The wave that each waits for.
    waves: Vec<u64>,
}

/// What happened, over all runs.
#[derive(Debug, Default)]
struct Tally {
    crashes: usize,
    /// Partitions that a start went on with in the middle of a segment.
    in_the_middle: usize,
}

/// A run of a shard, with all that it was asked and answered.
struct Run {
    disk: SimDisk,
    shard: Shard,
    expected: Vec<Expected>,
    /// What was written down of the partitions last.
    marks: Vec<Marks>,
    numbers: Numbers,
}

/// What is written down of a partition that nobody has looked at.
const NO_MARKS: Marks = Marks { recovery_point: 0, start: 0, high_watermark: 0 };

fn start(disk: &SimDisk, shard_index: usize, marks: &[Marks], tally: &mut Tally) -> Result<Shard, Error> {
    let dir = PathBuf::from(DIR);
    let mut recovered = read_all(disk, &dir)?;
    let journal = JournalConfig {
        log_dir: dir.clone(),
        shard: shard_index,
        file_bytes: JOURNAL_FILE_BYTES,
        nonce: recovered.next_generation ^ 0x5eed,
        first_generation: recovered.next_generation,
        first_slot: recovered.first_slot(shard_index),
    };
    let config =
        ShardConfig { log_dirs: vec![dir], journals: vec![journal], limits: CommitLimits::default() };
    let mut shard = Shard::new(Arc::new(disk.clone()), config)?;
    for index in 0..PARTITIONS {
        let replay = recovered.take(id(index));
        tally.in_the_middle += replay.state.iter().filter(|state| !state.payload.is_empty()).count();
        let mut opened = OpenPartition { replay, ..partition(index, Ack::Durable) };
        opened.config.log.segment_bytes = SEGMENT_BYTES;
        opened.config.retention.bytes = Some(RETENTION_BYTES);
        opened.config.delete_delay_ms = 0;
        let marks = &marks[index as usize];
        (opened.known.recovery_point, opened.known.start_offset) = (marks.recovery_point, marks.start);
        shard.open(&opened, NOW_MS)?;
    }
    shard.begin()?;
    Ok(shard)
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        for index in 0..PARTITIONS {
            directory::create(&disk, Path::new(DIR), "t", id(index)).unwrap();
        }
        disk.settle();
        let marks = vec![NO_MARKS; PARTITIONS as usize];
        let shard = start(&disk, 0, &marks, &mut Tally::default()).unwrap();
        let expected = vec![Expected::default(); PARTITIONS as usize];
        Run { disk, shard, expected, marks, numbers: Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1) }
    }

    /// One thing that a shard's thread may do.
    fn act(&mut self) {
        match self.numbers.below(17) {
            0..=7 => self.append(),
            8..=9 => self.shard.submit(),
            10 => self.upkeep(),
            _ => self.finish_one(),
        }
    }

    /// Gives old records up. Whoever writes marks down does so durably, and says so then.
    fn upkeep(&mut self) {
        self.shard.upkeep(NOW_MS);
        let written = self.shard.marks();
        self.marks = written.iter().map(|written| written.marks).collect();
        self.shard.marks_written(&written, NOW_MS);
    }

    fn append(&mut self) {
        let index = self.numbers.below(PARTITIONS as usize);
        let payload_len = match self.numbers.below(40) {
            0 => LARGE_BYTES,
            _ => self.numbers.below(900),
        };
        let payload = vec![self.numbers.below(256) as u8; payload_len];
        let count = 1 + self.numbers.below(3) as i32;
        let bytes = sample(count, &payload);
        let (appended, ticket) = self.shard.append(id(index as i32), bytes.clone().into(), NOW_MS).unwrap();
        let expected = &mut self.expected[index];
        expected.batches.push(stamped(bytes, appended.base_offset));
        expected.waves.push(ticket.expect("an append waits for a wave").wave);
    }

    fn finish_one(&mut self) {
        let queue = self.disk.queues().pop().unwrap();
        if queue.in_flight() > 0 {
            queue.finish(self.numbers.below(queue.in_flight()), Ok(()));
            self.reap();
        }
    }

    fn reap(&mut self) {
        self.shard.reap();
        let progress = self.shard.take_progress();
        assert!(progress.failed.is_empty() || self.disk.is_off(), "{:?}", progress.failed);
        for Ticket { wave, .. } in progress.released {
            for expected in &mut self.expected {
                expected.acked = expected.waves.partition_point(|waits_for| *waits_for <= wave);
            }
        }
    }
}

/// A batch as the log has it.
fn stamped(mut bytes: Vec<u8>, base_offset: i64) -> Vec<u8> {
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&0i32.to_be_bytes());
    bytes
}

/// All batches of a partition, as a reader gets them.
fn read_all_batches(shard: &mut Shard, index: i32) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut offset = shard.bounds(id(index)).unwrap().start;
    loop {
        let fetched = shard.fetch(id(index), offset, 1 << 20, Isolation::Uncommitted).unwrap();
        let Some(slice) = fetched.slice else { return batches };
        let mut bytes = vec![0; slice.bytes.len as usize];
        let read = slice.bytes.file.read_at(&mut bytes, slice.bytes.position).unwrap();
        assert_eq!(read, bytes.len());
        let mut rest = &bytes[..];
        while let Some(header) = BatchHeader::view(rest) {
            let Some(batch) = rest.get(..header.size().unwrap()) else { break };
            assert_eq!(crc32c::crc32c(&batch[CRC_FROM..]), header.crc());
            offset = header.last_offset() + 1;
            batches.push(batch.to_vec());
            rest = &rest[batch.len()..];
        }
        assert!(HEADER_LEN <= bytes.len());
    }
}

fn check(shard: &mut Shard, expected: &[Expected], what: &str) {
    for (index, Expected { batches, acked, .. }) in expected.iter().enumerate() {
        let start = shard.bounds(id(index as i32)).unwrap().start;
        let found = read_all_batches(shard, index as i32);
        let is_given_up = |batch: &Vec<u8>| BatchHeader::view(batch).unwrap().last_offset() < start;
        let given_up = batches.partition_point(is_given_up);
        let known = given_up + found.len();
        assert!(known >= *acked, "{what}: partition {index} has {known} of {acked} batches");
        assert!(known <= batches.len(), "{what}: partition {index} has batches that nobody appended");
        for (position, (found, appended)) in found.iter().zip(&batches[given_up..]).enumerate() {
            assert!(found == appended, "{what}: partition {index}: batch {position} is another one");
        }
    }
}

/// Starts on what a crash left, and once more on what a crash of that start leaves.
fn check_crash(
    disk: &SimDisk,
    step: &Step,
    seed: u64,
    (expected, marks): (&[Expected], &[Marks]),
    tally: &mut Tally,
) {
    tally.crashes += 1;
    let what = format!("seed {seed}, {step}");
    disk.keep_crash_points();
    // Another shard may own the partitions.
    let mut shard =
        start(disk, seed as usize % 3, marks, tally).unwrap_or_else(|error| panic!("{what}: {error}"));
    check(&mut shard, expected, &what);
    let points = disk.take_crash_points();
    if points.is_empty() {
        return;
    }
    let (step, again) = &points[seed as usize % points.len()];
    let what = format!("{what}, then {step}");
    for again in [again.after_crash(seed), again.after_kill()] {
        let mut shard = start(&again, 0, marks, tally).unwrap_or_else(|error| panic!("{what}: {error}"));
        check(&mut shard, expected, &what);
    }
}

/// Runs a workload and crashes it at every step.
fn crash_everywhere(seed: u64, acts: usize, tally: &mut Tally) {
    let mut run = Run::new(seed);
    run.disk.keep_crash_points();
    for act in 0..acts {
        // An acknowledgement may leave only when the act has ended: what was acknowledged before it counts.
        let acked: Vec<usize> = run.expected.iter().map(|expected| expected.acked).collect();
        run.act();
        for (step, point) in run.disk.take_crash_points() {
            let mut expected = run.expected.clone();
            expected.iter_mut().zip(&acked).for_each(|(expected, acked)| expected.acked = *acked);
            let seed = seed * 1_000_003 + act as u64;
            let known = (&expected[..], &run.marks[..]);
            check_crash(&point.after_crash(seed), &step, seed, known, tally);
            check_crash(&point.after_kill(), &step, seed, known, tally);
        }
    }
    assert!(run.marks.iter().any(|marks| marks.start > 0), "nothing was given up");
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_goes() {
    let mut tally = Tally::default();
    for seed in 1..=6 {
        crash_everywhere(seed, 150, &mut tally);
    }
    assert!(tally.crashes > 1_000 && tally.in_the_middle > tally.crashes, "{tally:?}");
}
