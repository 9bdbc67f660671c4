//! The partition as a whole over the simulated disk: what producers, transactions and readers may rely on,
//! whatever ended the process before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::Error;
use crate::disk::sim::SimDisk;
use crate::disk::{Disk, SyncKind};
use crate::error::Refusal;
use crate::format::{BatchBuilder, NewRecord, PointState, point_state};
use crate::log::{Cache, CacheLimits, LogEnd, LogLimits, Retention};

mod crash;
mod model;
mod transactions;

const DIR: &str = "/data/t-0";
const NOW_MS: i64 = 1_000_000;
const DAY_MS: i64 = 86_400_000;
/// So small that every third batch or so begins a segment, with a snapshot.
const SEGMENT_BYTES: u64 = 300;

const NEW: Known = Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false };
const KILLED: Known = Known { was_clean: false, ..NEW };

fn config() -> PartitionConfig {
    PartitionConfig {
        log: LogLimits { segment_bytes: SEGMENT_BYTES, index_interval_bytes: 100, ..LogLimits::default() },
        producer_expiration_ms: DAY_MS,
        ..PartitionConfig::default()
    }
}

/// An empty disk with the directory.
fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.settle();
    disk
}

/// A partition in a process of its own.
struct Running {
    disk: SimDisk,
    cache: Cache,
    partition: Partition,
    /// The newest point that a wave made durable, and what is true there.
    point: Option<(LogEnd, PointState)>,
}

impl Running {
    fn start(disk: SimDisk, known: Known) -> Running {
        Running::try_start(disk, known).unwrap()
    }

    fn try_start(disk: SimDisk, known: Known) -> Result<Running, Error> {
        Running::try_go_on(disk, known, None)
    }

    /// Starts with what a journal says of a point.
    fn try_go_on(
        disk: SimDisk,
        mut known: Known,
        point: Option<(LogEnd, PointState)>,
    ) -> Result<Running, Error> {
        let mut cache = Cache::new(Arc::new(disk.clone()), CacheLimits { files: 8, pages: 8 });
        let of_journal = point.as_ref().map_or(0, |(end, _)| end.offset);
        known.recovery_point = known.recovery_point.max(of_journal);
        let journalled = Journalled { point: point.clone(), replayed: &[] };
        let known = (&known, &journalled);
        let (partition, _) = Partition::open(&mut cache, Path::new(DIR), config(), known, NOW_MS)?;
        Ok(Running { disk, cache, partition, point })
    }

    fn append(&mut self, bytes: Bytes) -> Result<Appended, Error> {
        self.partition.append(&mut self.cache, bytes, NOW_MS, |_, _| ())
    }

    fn append_of_coordinator(&mut self, bytes: Bytes) -> Result<Appended, Error> {
        self.partition.append_of_coordinator(&mut self.cache, bytes, NOW_MS, |_, _| ())
    }

    /// A wave: everything so far becomes durable, and readers see it.
    fn wave(&mut self) -> std::io::Result<()> {
        let end = self.partition.end();
        let state = self.partition.point_state(&self.cache);
        let mut result = Ok(());
        let disk = &self.disk;
        self.partition.take_unsynced(|file, kind| {
            if result.is_ok() {
                result = match kind {
                    SyncKind::Data => file.sync(),
                    SyncKind::Entries => disk.sync_dir(Path::new(DIR)),
                };
            }
        });
        result?;
        self.partition.publish(end);
        self.partition.durable_to(end);
        // As a journal keeps it.
        let kept = |state| (end, point_state::read(&point_state::write(&state)).unwrap());
        self.point = state.map(kept).or(self.point.take());
        Ok(())
    }

    /// Stops cleanly, and starts again.
    fn restart(mut self) -> Running {
        self.partition.stop(&mut self.cache).unwrap();
        let known = Known { recovery_point: self.partition.recovery_point(), ..NEW };
        Running::start(self.disk.after_kill(), known)
    }

    /// Is killed, and starts again knowing of a recovery point.
    fn kill(self, recovery_point: i64) -> Running {
        Running::start(self.disk.after_kill(), Known { recovery_point, ..KILLED })
    }

    fn names(&self, suffix: &str) -> Vec<String> {
        let entries = self.disk.list(Path::new(DIR)).unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect()
    }

    fn remove(&self, suffix: &str) {
        for name in self.names(suffix) {
            self.disk.remove_file(&PathBuf::from(DIR).join(name)).unwrap();
        }
    }
}

fn record(builder: &mut BatchBuilder, timestamp: i64) {
    builder.push(&NewRecord { key: None, value: Some(b"value"), timestamp, headers: &[] });
}

/// So many records of a producer from a sequence on, each a millisecond after the one before it.
fn batch(id: i64, epoch: i16, first: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(id, epoch, first);
    (0..count).for_each(|index| record(&mut builder, NOW_MS + i64::from(first) + i64::from(index)));
    builder.finish()
}

#[track_caller]
fn check_repeated(running: &mut Running, bytes: &Bytes, base_offset: i64) {
    let end = running.partition.end();
    let again = running.append(bytes.clone()).unwrap();
    assert_eq!(again.base_offset, base_offset);
    assert_eq!(running.partition.end(), end, "it is not stored twice");
}

/// Six batches of ten records each by two producers, taking turns, and what they are.
fn two_writers(running: &mut Running) -> VecDeque<(Bytes, i64)> {
    let mut written = VecDeque::new();
    for turn in 0..6 {
        for id in [1, 2] {
            let bytes = batch(id, 0, turn * 10, 10);
            let appended = running.append(bytes.clone()).unwrap();
            written.push_back((bytes, appended.base_offset));
        }
    }
    running.wave().unwrap();
    written
}

/// The last five batches of each of the two writers are known, and the sixth is not.
#[track_caller]
fn check_two_writers(running: &mut Running, written: &VecDeque<(Bytes, i64)>) {
    for (bytes, base_offset) in written.iter().skip(2) {
        check_repeated(running, bytes, *base_offset);
    }
    for (bytes, _) in written.iter().take(2) {
        let refused = running.append(bytes.clone());
        assert!(
            matches!(
                refused,
                Err(Error::Refused(Refusal::OutOfOrderSequence { expected: 60, found: 0, .. }))
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_repeated_batch_tells_the_first_ones_offset_and_its_timestamp() {
    let mut running = Running::start(new_disk(0), NEW);
    let written = two_writers(&mut running);
    let again = running.append(written[7].0.clone()).unwrap();
    assert_eq!((again.base_offset, again.append_time_ms), (written[7].1, Some(NOW_MS + 39)));
    check_two_writers(&mut running, &written);
}

#[test]
fn after_every_end_the_last_five_batches_of_each_producer_are_known() {
    let mut running = Running::start(new_disk(0), NEW);
    let written = two_writers(&mut running);
    running = running.restart();
    check_two_writers(&mut running, &written);
    for recovery_point in [0, 1, 60, 119, 120] {
        running = running.kill(recovery_point);
        check_two_writers(&mut running, &written);
    }
    running = running.restart();
    check_two_writers(&mut running, &written);
}

#[test]
fn where_only_apache_kafkas_snapshots_are_the_other_batches_are_read_from_the_log() {
    let mut running = Running::start(new_disk(0), NEW);
    let written = two_writers(&mut running);
    running.partition.stop(&mut running.cache).unwrap();
    running.remove(".batches");
    assert!(!running.names(".snapshot").is_empty());
    let disk = running.disk.after_kill();
    for known in [NEW, KILLED, Known { recovery_point: 100, ..KILLED }] {
        let mut again = Running::start(disk.after_kill(), known);
        check_two_writers(&mut again, &written);
    }
    // Once known they are written down beside the snapshot that lacked them.
    let mut again = Running::start(disk, NEW).restart();
    assert!(!again.names(".batches").is_empty());
    check_two_writers(&mut again, &written);
}

#[test]
fn damaged_snapshots_cost_time_and_nothing_else() {
    let mut running = Running::start(new_disk(0), NEW);
    let written = two_writers(&mut running);
    running.partition.stop(&mut running.cache).unwrap();
    let snapshots: Vec<String> = [".snapshot", ".batches"].iter().flat_map(|s| running.names(s)).collect();
    assert!(snapshots.len() > 6, "{snapshots:?}");
    for damaged in 1..1 << snapshots.len().min(6) {
        for known in [NEW, Known { recovery_point: 60, ..KILLED }] {
            let disk = running.disk.after_kill();
            for (index, name) in
                snapshots.iter().rev().enumerate().filter(|(index, _)| damaged >> index & 1 == 1)
            {
                disk.damage(&Path::new(DIR).join(name), 8 + index as u64, 1).unwrap();
            }
            check_two_writers(&mut Running::start(disk, known), &written);
        }
    }
}

#[test]
fn snapshots_stand_at_rolls_and_at_the_end_and_go_with_their_segments() {
    let mut running = Running::start(new_disk(0), NEW);
    two_writers(&mut running);
    let bases = |running: &Running| -> Vec<String> {
        running.names(".log").iter().map(|name| name.replace(".log", "")).collect()
    };
    let snapshots = |running: &Running| -> Vec<String> {
        running.names(".snapshot").iter().map(|name| name.replace(".snapshot", "")).collect()
    };
    assert_eq!(snapshots(&running), bases(&running)[1..]);
    running = running.restart();
    let at_end = format!("{:020}", 120);
    let expected: Vec<String> = bases(&running)[1..].iter().cloned().chain([at_end.clone()]).collect();
    assert_eq!(snapshots(&running), expected);
    running.append(batch(3, 0, 0, 10)).unwrap();
    running.wave().unwrap();
    running = running.kill(100);
    assert_eq!(snapshots(&running), bases(&running)[1..], "no other one belongs to a segment");

    assert_eq!(running.partition.delete_records_before(85).unwrap(), 85);
    let deleted = running.partition.delete_below_start(&mut running.cache, i64::MAX, NOW_MS, NOW_MS).unwrap();
    assert!(deleted > 1, "{deleted} segments");
    running.partition.remove_due(&running.cache, NOW_MS).unwrap();
    assert_eq!(snapshots(&running), bases(&running));
    assert_eq!(running.names(".batches").len(), bases(&running).len());
}

#[test]
fn producers_of_deleted_segments_are_known_on_and_after_a_restart() {
    let mut running = Running::start(new_disk(0), NEW);
    let written = two_writers(&mut running);
    assert_eq!(running.partition.delete_records_before(120).unwrap(), 120);
    for _ in 0..2 {
        running.partition.delete_below_start(&mut running.cache, i64::MAX, NOW_MS, NOW_MS).unwrap();
        running.wave().unwrap();
    }
    assert_eq!(running.names(".log"), [format!("{:020}.log", 120)]);
    check_two_writers(&mut running, &written);
    let known = Known { start_offset: 120, recovery_point: 120, ..KILLED };
    let mut running = Running::start(running.disk.after_kill(), known);
    check_two_writers(&mut running, &written);
    assert_eq!(running.partition.bounds(), Bounds { start: 120, readable: 120, stable: 120 });
}

#[test]
fn records_are_deleted_up_to_what_readers_see_and_no_further() {
    let mut running = Running::start(new_disk(0), NEW);
    two_writers(&mut running);
    running.append(batch(3, 0, 0, 10)).unwrap();
    for offset in [-1, 121, i64::MAX] {
        let refused = running.partition.delete_records_before(offset);
        assert!(matches!(refused, Err(Error::OutOfRange { start: 0, end: 120, .. })), "{refused:?}");
    }
    assert_eq!(running.partition.delete_records_before(55).unwrap(), 55);
    assert_eq!(running.partition.delete_records_before(20).unwrap(), 55, "a start never goes back");
    let fetched = running.partition.fetch(&mut running.cache, 54, 100, Isolation::Uncommitted);
    assert!(matches!(fetched, Err(Error::OutOfRange { start: 55, .. })));
}

#[test]
fn retention_moves_the_start_and_never_past_what_readers_see() {
    let mut running = Running::start(new_disk(0), NEW);
    two_writers(&mut running);
    running.append(batch(3, 0, 0, 10)).unwrap();
    let nothing = Retention { ms: Some(DAY_MS), bytes: None };
    assert_eq!(running.partition.expire(&mut running.cache, nothing, NOW_MS).unwrap(), None);
    let all = Retention { ms: None, bytes: Some(0) };
    let start = running.partition.expire(&mut running.cache, all, NOW_MS).unwrap().unwrap();
    assert!((1..=120).contains(&start), "{start}");
    assert_eq!(running.partition.bounds().start, start);
    assert!(running.partition.delete_below_start(&mut running.cache, i64::MAX, NOW_MS, NOW_MS).unwrap() > 0);
}

#[test]
fn a_cut_log_knows_what_it_knew_when_it_was_so_long() {
    for offset in [0, 10, 35, 60, 119] {
        let mut running = Running::start(new_disk(0), NEW);
        let written = two_writers(&mut running);
        running.partition.truncate_to(&mut running.cache, offset, NOW_MS, NOW_MS).unwrap();
        running.wave().unwrap();
        for is_killed in [false, true] {
            let end = running.partition.end().offset;
            assert!(end <= offset && end > offset - 10);
            let kept: Vec<_> = written.iter().filter(|(_, base_offset)| *base_offset < end).collect();
            for (bytes, base_offset) in kept.iter().rev().take(10).rev() {
                check_repeated(&mut running, bytes, *base_offset);
            }
            running = if is_killed { running } else { running.kill(0) };
        }
        let (bytes, base_offset) = &written[(running.partition.end().offset / 10) as usize];
        assert_eq!(running.append(bytes.clone()).unwrap().base_offset, *base_offset);
    }
}

#[test]
fn a_cut_log_knows_what_lies_in_front_of_its_start_too() {
    for start in (5..120).step_by(5) {
        for cut in (start..120).step_by(10) {
            let mut running = Running::start(new_disk(0), NEW);
            let written = two_writers(&mut running);
            running.wave().unwrap();
            running.partition.delete_records_before(start).unwrap();
            running.partition.delete_below_start(&mut running.cache, i64::MAX, NOW_MS, NOW_MS).unwrap();
            running.partition.truncate_to(&mut running.cache, cut, NOW_MS, NOW_MS).unwrap();
            let end = running.partition.end().offset;
            let kept = written.iter().filter(|(_, base_offset)| *base_offset < end);
            let kept: Vec<_> = kept.collect();
            for (bytes, base_offset) in kept.iter().rev().take(10).rev() {
                check_repeated(&mut running, bytes, *base_offset);
            }
        }
    }
}

#[test]
fn leader_epochs_are_known_after_every_end() {
    let mut running = Running::start(new_disk(0), NEW);
    let with_epoch = |running: Running, leader_epoch, known| {
        let mut cache = Cache::new(Arc::new(running.disk.clone()), CacheLimits { files: 8, pages: 8 });
        let config = PartitionConfig { leader_epoch, ..config() };
        let known = (&known, &Journalled::default());
        let (partition, _) = Partition::open(&mut cache, Path::new(DIR), config, known, NOW_MS).unwrap();
        Running { disk: running.disk, cache, partition, point: None }
    };
    let check = |running: &Running, asked, expected: Option<(i32, i64)>| {
        let end = running.partition.end_of_epoch(asked).map(|end| (end.epoch, end.end));
        assert_eq!(end, expected, "epoch {asked}");
    };
    check(&running, 0, Some((0, 0)));
    assert_eq!(running.partition.epoch_at(0), Some(0));
    running.append(batch(1, 0, 0, 10)).unwrap();
    check(&running, 0, Some((0, 0)));
    running.wave().unwrap();
    running = with_epoch(running, 3, KILLED);
    check(&running, 0, Some((0, 10)));
    running.append(batch(1, 0, 10, 10)).unwrap();
    check(&running, 3, Some((3, 10)));
    running.wave().unwrap();
    let check_all = |running: &Running| {
        for (asked, expected) in
            [(-1, None), (0, Some((0, 10))), (2, Some((0, 10))), (3, Some((3, 20))), (4, None)]
        {
            check(running, asked, expected);
        }
        assert_eq!([9, 10, 20].map(|offset| running.partition.epoch_at(offset)), [Some(0), Some(3), Some(3)]);
    };
    check_all(&running);
    running = with_epoch(running, 3, KILLED);
    check_all(&running);
    running.partition.stop(&mut running.cache).unwrap();
    running = with_epoch(running, 3, NEW);
    check_all(&running);
    let checkpoint = running.disk.read(&Path::new(DIR).join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(checkpoint, b"0\n2\n0 0\n3 10\n");
}

#[test]
fn the_largest_producer_id_is_found_in_logs_and_snapshots() {
    let mut running = Running::start(new_disk(0), NEW);
    two_writers(&mut running);
    running.append(batch(70, 0, 0, 10)).unwrap();
    running.wave().unwrap();
    for mut running in [running.kill(0).restart(), Running::start(new_disk(1), NEW)] {
        let expected = if running.partition.end().offset > 0 { Some(70) } else { None };
        assert_eq!(running.partition.producer_id_max(), expected);
        running.partition.stop(&mut running.cache).unwrap();
    }
}
