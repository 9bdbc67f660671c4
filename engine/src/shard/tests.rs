use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

mod campaign;

use super::*;
use crate::Error;
use crate::disk::sim::SimDisk;
use crate::disk::{Disk, OpenMode};
use crate::format::batch::tests::{sample, sample_of_producer, sample_with};
use crate::format::{BatchHeader, ProducerSequence, Uuid};
use crate::journal::PartitionReplay;
use crate::log::{LogLimits, TimedOffset};
use crate::partition::{Ack, Bounds, Isolation, Known, PartitionConfig, PartitionId, TimeQuery, directory};

const NOW_MS: i64 = 10_000;
/// Small enough that every third append rolls.
const SEGMENT_BYTES: u64 = 200;

fn id(index: i32) -> PartitionId {
    PartitionId { topic: Uuid([1; 16]), index }
}

fn partition(index: i32, ack: Ack) -> OpenPartition {
    OpenPartition {
        id: id(index),
        topic: "t".to_owned(),
        dir: 0,
        config: PartitionConfig {
            log: LogLimits {
                segment_bytes: SEGMENT_BYTES,
                index_interval_bytes: 100,
                ..LogLimits::default()
            },
            ack,
            ..PartitionConfig::default()
        },
        known: Known { was_clean: false, recovery_point: 0, start_offset: 0, has_gaps: false },
        replay: PartitionReplay::default(),
    }
}

/// A shard over files in memory, with two partitions.
fn shard_on(disk: &SimDisk, ack: Ack) -> Shard {
    let dir = PathBuf::from("/data");
    disk.create_dir_all(&dir).unwrap();
    let config =
        ShardConfig { log_dirs: vec![dir.clone()], journals: Vec::new(), limits: CommitLimits::default() };
    let mut shard = Shard::new(Arc::new(disk.clone()), config).unwrap();
    for index in 0..2 {
        directory::create(disk, &dir, "t", id(index)).unwrap();
        shard.open(&partition(index, ack), NOW_MS).unwrap();
    }
    shard
}

fn append(shard: &mut Shard, index: i32) -> (i64, Option<Ticket>) {
    let (appended, ticket) = shard.append(id(index), sample(2, b"payload").into(), NOW_MS).unwrap();
    (appended.base_offset, ticket)
}

fn finish_syncs(disk: &SimDisk, shard: &mut Shard) -> Progress {
    let queue = disk.queues().pop().unwrap();
    while queue.in_flight() > 0 {
        queue.finish(queue.in_flight() - 1, Ok(()));
    }
    shard.reap();
    shard.take_progress()
}

fn readable(shard: &Shard, index: i32) -> i64 {
    shard.bounds(id(index)).unwrap().readable
}

#[test]
fn nothing_is_released_or_seen_before_every_sync_of_its_wave_returned() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    let (_, first) = append(&mut shard, 0);
    let (_, second) = append(&mut shard, 1);
    assert_eq!(first, second, "one wave covers both partitions");
    shard.submit();
    let queue = disk.queues().pop().unwrap();
    assert_eq!(queue.in_flight(), 2);
    queue.finish(1, Ok(()));
    shard.reap();
    let progress = shard.take_progress();
    assert!(progress.released.is_empty() && progress.advanced.is_empty(), "{progress:?}");
    assert_eq!((readable(&shard, 0), readable(&shard, 1)), (0, 0));
    let progress = finish_syncs(&disk, &mut shard);
    assert_eq!(progress.released, [first.unwrap()]);
    assert_eq!((readable(&shard, 0), readable(&shard, 1)), (2, 2));
}

#[test]
fn an_append_during_a_wave_waits_for_the_next_one() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    let (_, first) = append(&mut shard, 0);
    shard.submit();
    let (_, second) = append(&mut shard, 0);
    shard.submit();
    assert_eq!(disk.queues()[0].in_flight(), 1, "one wave in flight at a time");
    assert_eq!(finish_syncs(&disk, &mut shard).released, [first.unwrap()]);
    assert_eq!(readable(&shard, 0), 2);
    shard.submit();
    assert_eq!(finish_syncs(&disk, &mut shard).released, [second.unwrap()]);
    assert_eq!(readable(&shard, 0), 4);
}

#[test]
fn in_page_cache_mode_an_append_is_released_and_seen_at_once() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::PageCache);
    assert_eq!(append(&mut shard, 0), (0, None));
    shard.submit();
    assert_eq!((readable(&shard, 0), disk.queues()[0].in_flight()), (2, 0));
    assert_eq!(shard.take_progress().advanced, [id(0)]);
}

#[test]
fn a_repeated_batch_gets_its_first_offset_and_waits_for_the_same_wave() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    let batch: Bytes = sample_of_producer(ProducerSequence { id: 7, epoch: 0, first: 0, last: 4 }).into();
    let (first, ticket) = shard.append(id(0), batch.clone(), NOW_MS).unwrap();
    for is_submitted in [false, true] {
        if is_submitted {
            shard.submit();
        }
        let (again, ticket_again) = shard.append(id(0), batch.clone(), NOW_MS).unwrap();
        assert_eq!((again.base_offset, ticket_again), (first.base_offset, ticket));
    }
    finish_syncs(&disk, &mut shard);
    let (again, ticket_again) = shard.append(id(0), batch, NOW_MS).unwrap();
    assert_eq!((again.base_offset, ticket_again), (first.base_offset, None));
    assert_eq!(readable(&shard, 0), 5, "stored once");
}

#[test]
fn a_start_finds_every_record_and_the_producers_again() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    for first in [0, 5, 10, 15] {
        let sequence = ProducerSequence { id: 7, epoch: 0, first, last: first + 4 };
        shard.append(id(0), sample_of_producer(sequence).into(), NOW_MS).unwrap();
    }
    shard.stop().unwrap();
    let mut again = shard_on(&disk, Ack::Durable);
    assert_eq!(again.bounds(id(0)).unwrap(), Bounds { start: 0, readable: 20, stable: 20 });
    let repeated = sample_of_producer(ProducerSequence { id: 7, epoch: 0, first: 5, last: 9 });
    assert_eq!(again.append(id(0), repeated.into(), NOW_MS).unwrap().0.base_offset, 5);
    let gap = sample_of_producer(ProducerSequence { id: 7, epoch: 0, first: 25, last: 29 });
    assert!(matches!(again.append(id(0), gap.into(), NOW_MS), Err(Error::Refused(_))));
}

#[test]
fn a_tail_that_was_cut_short_is_dropped_and_its_offsets_are_used_again() {
    let whole = sample(2, b"payload").len() as u64;
    for cut in 1..whole {
        let disk = SimDisk::default();
        let mut shard = shard_on(&disk, Ack::Durable);
        append(&mut shard, 0);
        append(&mut shard, 0);
        let path = PathBuf::from("/data/t-0/00000000000000000000.log");
        let file = disk.open(&path, OpenMode::Existing).unwrap();
        file.set_len(2 * whole - cut).unwrap();
        let mut again = shard_on(&disk, Ack::Durable);
        assert_eq!(file.len().unwrap(), whole, "cut by {cut}");
        assert_eq!(append(&mut again, 0).0, 2, "cut by {cut}");
    }
}

/// A log of several segments whose second batch has a flipped byte, and what an opening of it says.
fn reopened_after_damage(was_clean: bool) -> (SimDisk, Result<Shard, Error>) {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    for _ in 0..7 {
        append(&mut shard, 0);
    }
    let batch = sample(2, b"payload").len() as u64;
    let file = disk.open(&PathBuf::from("/data/t-0/00000000000000000000.log"), OpenMode::Existing).unwrap();
    file.write_all_at([&[9], &[]], batch + 16).unwrap();
    let config =
        ShardConfig { log_dirs: vec!["/data".into()], journals: Vec::new(), limits: CommitLimits::default() };
    let mut again = Shard::new(Arc::new(disk.clone()), config).unwrap();
    let unclean = partition(0, Ack::Durable);
    let opened =
        again.open(&OpenPartition { known: Known { was_clean, ..unclean.known }, ..unclean }, NOW_MS);
    (disk, opened.map(|()| again))
}

fn segments(disk: &SimDisk) -> usize {
    let entries = disk.list(Path::new("/data/t-0")).unwrap();
    entries.iter().filter(|entry| entry.name.ends_with(".log")).count()
}

#[test]
fn after_a_clean_stop_damage_is_refused_and_named_by_who_reads_it_and_nothing_is_cut() {
    let (disk, opened) = reopened_after_damage(true);
    let error = opened.unwrap().fetch(id(0), 2, 100, Isolation::Uncommitted).unwrap_err().to_string();
    assert!(error.contains("00000000000000000000.log") && error.contains("magic 9, expected 2"), "{error}");
    assert_eq!(segments(&disk), 4);
}

#[test]
fn after_a_crash_the_log_ends_at_the_first_batch_that_is_not_whole() {
    let (disk, opened) = reopened_after_damage(false);
    let mut again = opened.unwrap();
    assert_eq!(again.bounds(id(0)).unwrap(), Bounds { start: 0, readable: 2, stable: 2 });
    assert_eq!(segments(&disk), 1, "later segments are gone");
    assert_eq!(append(&mut again, 0).0, 2);
}

#[test]
fn after_a_crash_a_segment_that_lost_its_end_takes_the_later_ones_with_it() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    for _ in 0..7 {
        append(&mut shard, 0);
    }
    // Cut on the border of a batch: only the next segment's name tells that something is missing.
    let batch = sample(2, b"payload").len() as u64;
    let file = disk.open(&PathBuf::from("/data/t-0/00000000000000000000.log"), OpenMode::Existing).unwrap();
    file.set_len(batch).unwrap();
    let again = shard_on(&disk, Ack::Durable);
    assert_eq!(again.bounds(id(0)).unwrap(), Bounds { start: 0, readable: 2, stable: 2 });
}

/// Reads all that is there from `offset` on, slice by slice.
fn read_all(shard: &mut Shard, mut offset: i64, len_max: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(slice) = shard.fetch(id(0), offset, len_max, Isolation::Uncommitted).unwrap().slice {
        let mut part = vec![0; slice.bytes.len as usize];
        slice.bytes.file.read_at(&mut part, slice.bytes.position).unwrap();
        let mut at = 0;
        while let Some(header) = BatchHeader::view(&part[at..])
            && at + header.size().unwrap() <= part.len()
        {
            offset = header.last_offset() + 1;
            let end = at + header.size().unwrap();
            bytes.extend_from_slice(&part[at..end]);
            at = end;
        }
    }
    bytes
}

#[test]
fn a_reader_gets_every_batch_across_segments_whatever_it_asks_for() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::PageCache);
    for _ in 0..20 {
        append(&mut shard, 0);
    }
    let batch = sample(2, b"payload").len();
    for len_max in [1, 50, 100, 1_000_000] {
        assert_eq!(read_all(&mut shard, 0, len_max).len(), 20 * batch, "at most {len_max} a fetch");
    }
    for offset in 0..40 {
        let bytes = read_all(&mut shard, offset, 100);
        let first = BatchHeader::view(&bytes).unwrap();
        assert!((first.base_offset()..=first.last_offset()).contains(&offset), "offset {offset}");
    }
    assert!(read_all(&mut shard, 40, 100).is_empty());
    let mut is_out = |offset| {
        matches!(shard.fetch(id(0), offset, 100, Isolation::Uncommitted), Err(Error::OutOfRange { .. }))
    };
    assert!(is_out(-1) && is_out(41));
}

#[test]
fn a_first_batch_that_is_larger_than_the_fetch_comes_whole() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::PageCache);
    append(&mut shard, 0);
    append(&mut shard, 0);
    let whole = sample(2, b"payload").len() as u32;
    let slice = shard.fetch(id(0), 0, 10, Isolation::Uncommitted).unwrap().slice.unwrap();
    assert_eq!((slice.bytes.len, slice.first_len), (whole, whole));
    let slice = shard.fetch(id(0), 0, whole + 10, Isolation::Uncommitted).unwrap().slice.unwrap();
    assert_eq!((slice.bytes.len, slice.first_len), (whole + 10, whole));
}

#[test]
fn times_are_found_among_what_readers_see() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    // Two records each, by hand: the second one's timestamp is 3 ms behind the first one's.
    let records = [14, 0, 0, 0, 1, 2, b'a', 0, 14, 0, 6, 2, 1, 2, b'b', 0];
    for base in [100, 300, 200] {
        let bytes = sample_with(2, &records, |header| header.set_times(base, base + 3));
        shard.append(id(0), bytes.into(), NOW_MS).unwrap();
    }
    let at = |shard: &mut Shard, query| shard.offset_at(id(0), query, Isolation::Uncommitted).unwrap();
    assert_eq!(at(&mut shard, TimeQuery::From(0)), None, "nothing is durable yet");
    assert_eq!(at(&mut shard, TimeQuery::Max), None);
    shard.submit();
    finish_syncs(&disk, &mut shard);
    let found = |offset, timestamp| Some(TimedOffset { offset, timestamp });
    for (query, expected) in [
        (TimeQuery::From(0), found(0, 100)),
        (TimeQuery::From(101), found(1, 103)),
        (TimeQuery::From(104), found(2, 300)),
        (TimeQuery::From(303), found(3, 303)),
        (TimeQuery::From(304), None),
        (TimeQuery::Max, found(3, 303)),
    ] {
        assert_eq!(at(&mut shard, query), expected, "{query:?}");
    }
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_takes_the_directory_offline() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    append(&mut shard, 0);
    append(&mut shard, 1);
    shard.submit();
    let queue = disk.queues().pop().unwrap();
    queue.finish(0, Ok(()));
    queue.finish(0, Err(std::io::Error::other("the device is gone")));
    shard.reap();
    let progress = shard.take_progress();
    assert!(progress.released.is_empty() && progress.advanced.is_empty(), "{progress:?}");
    assert_eq!(progress.failed.len(), 1);
    let refused = shard.append(id(0), sample(1, b"x").into(), NOW_MS);
    assert!(matches!(refused, Err(Error::Offline(_))), "{refused:?}");
    assert!(matches!(shard.fetch(id(0), 0, 100, Isolation::Uncommitted), Err(Error::Offline(_))));
    assert!(shard.is_all_offline());
}

#[test]
fn a_full_disk_refuses_appends_and_serves_readers_until_there_is_room_again() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::Durable);
    append(&mut shard, 0);
    shard.submit();
    finish_syncs(&disk, &mut shard);
    disk.limit_space(Path::new("/data"), 2_048);
    let refused = loop {
        match shard.append(id(0), sample(2, &[7; 100]).into(), NOW_MS) {
            Ok(_) => {
                shard.submit();
                assert!(finish_syncs(&disk, &mut shard).failed.is_empty());
            }
            Err(refused) => break refused,
        }
    };
    assert!(matches!(&refused, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull));
    let end = shard.bounds(id(0)).unwrap().readable;
    assert!(shard.fetch(id(0), 0, 100, Isolation::Uncommitted).unwrap().slice.is_some());
    assert!(shard.append(id(0), sample(2, &[7; 100]).into(), NOW_MS).is_err(), "still full");
    disk.limit_space(Path::new("/data"), 1 << 20);
    let (appended, ticket) = shard.append(id(0), sample(2, &[7; 100]).into(), NOW_MS).unwrap();
    shard.submit();
    assert_eq!(finish_syncs(&disk, &mut shard).released, [ticket.unwrap()]);
    assert_eq!((appended.base_offset, readable(&shard, 0)), (end, end + 2));
}

/// A shard of one partition that keeps what fits into a few segments.
fn shard_that_keeps(disk: &SimDisk, bytes: u64, ack: Ack) -> Shard {
    let dir = PathBuf::from("/data");
    disk.create_dir_all(&dir).unwrap();
    directory::create(disk, &dir, "t", id(0)).unwrap();
    let mut shard = Shard::new(
        Arc::new(disk.clone()),
        ShardConfig { log_dirs: vec![dir], journals: Vec::new(), limits: CommitLimits::default() },
    )
    .unwrap();
    let mut opened = partition(0, ack);
    opened.config.retention.bytes = Some(bytes);
    shard.open(&opened, NOW_MS).unwrap();
    shard
}

#[test]
fn old_records_are_hidden_first_then_written_off_then_deleted_and_their_files_last() {
    let disk = SimDisk::default();
    let mut shard = shard_that_keeps(&disk, 2 * SEGMENT_BYTES, Ack::Durable);
    for _ in 0..10 {
        append(&mut shard, 0);
    }
    shard.submit();
    finish_syncs(&disk, &mut shard);
    let before = segments(&disk);
    shard.upkeep(NOW_MS);
    let start = shard.bounds(id(0)).unwrap().start;
    assert!(start > 0);
    assert_eq!(
        segments(&disk),
        before,
        "a crash would bring them back, and nobody would know that they are gone"
    );
    let marks = shard.marks();
    assert_eq!(
        (marks[0].marks.start, marks[0].marks.recovery_point, marks[0].marks.high_watermark),
        (start, 20, 20)
    );
    shard.marks_written(&marks, NOW_MS);
    assert!(segments(&disk) < before);
    let deleted = || {
        let entries = disk.list(Path::new("/data/t-0")).unwrap();
        entries.iter().filter(|entry| entry.name.ends_with(".deleted")).count()
    };
    shard.upkeep(NOW_MS + 59_999);
    assert!(deleted() > 0, "readers may have them open");
    shard.upkeep(NOW_MS + 60_000);
    assert_eq!(deleted(), 0);
    assert!(matches!(
        shard.fetch(id(0), start - 1, 100, Isolation::Uncommitted),
        Err(Error::OutOfRange { .. })
    ));
    assert!(shard.fetch(id(0), start, 100, Isolation::Uncommitted).unwrap().slice.is_some());
}

#[test]
fn a_partition_that_keeps_nothing_is_empty_after_a_wave() {
    let disk = SimDisk::default();
    let mut shard = shard_that_keeps(&disk, 0, Ack::Durable);
    for _ in 0..4 {
        append(&mut shard, 0);
    }
    for _ in 0..2 {
        shard.submit();
        finish_syncs(&disk, &mut shard);
        shard.upkeep(NOW_MS);
        let marks = shard.marks();
        shard.marks_written(&marks, NOW_MS);
    }
    let bounds = shard.bounds(id(0)).unwrap();
    assert_eq!((bounds.start, bounds.readable, segments(&disk)), (8, 8, 1));
    assert_eq!(append(&mut shard, 0).0, 8);
}

#[test]
fn in_page_cache_mode_a_roll_moves_the_recovery_point() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::PageCache);
    for _ in 0..10 {
        append(&mut shard, 0);
        shard.submit();
        finish_syncs(&disk, &mut shard);
    }
    let marks = shard.marks();
    assert!(marks[0].marks.recovery_point > 10, "{marks:?}");
}

#[test]
fn records_that_a_client_deletes_stay_gone_once_a_wave_has_passed_them() {
    let disk = SimDisk::default();
    let mut shard = shard_on(&disk, Ack::PageCache);
    // Not so many that the log rolls, which would bring them to the device.
    for _ in 0..2 {
        append(&mut shard, 0);
    }
    shard.submit();
    let start = |shard: &Shard| shard.marks()[0].marks.start;
    let (answer, ticket) = shard.delete_records(id(0), DeleteBefore::HighWatermark).unwrap();
    assert_eq!((answer.start_offset, shard.bounds(id(0)).unwrap().start), (4, 4));
    assert_eq!(start(&shard), 0, "a start of the process would read what is not on the device");
    shard.submit();
    assert_eq!(finish_syncs(&disk, &mut shard).released, [ticket.unwrap()]);
    assert_eq!(start(&shard), 4);
    let (answer, ticket) = shard.delete_records(id(0), DeleteBefore::Offset(2)).unwrap();
    assert_eq!((answer.start_offset, ticket), (4, None), "a start never goes back");
    for (before, index) in
        [(DeleteBefore::Offset(5), 0), (DeleteBefore::Offset(-2), 0), (DeleteBefore::Offset(1), 1)]
    {
        let refused = shard.delete_records(id(index), before);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{before:?}: {refused:?}");
    }
}
