//! Decisions that meet a log on the simulated disk, and what a start finds of them.

use std::path::Path;
use std::sync::Arc;

use logmill_engine::disk::sim::SimDisk;
use logmill_engine::disk::{Disk, OpenMode};
use logmill_engine::format::{Batch, BatchRules, BatchView, Compression, Uuid};
use logmill_engine::log::LogLimits;
use logmill_engine::partition::{Known, PartitionConfig, directory};
use logmill_engine::shard::{CommitLimits, OpenPartition, ShardConfig};

use super::*;
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::records::tests::apaches_commits;
use crate::group::{Join, NewOffset};
use crate::wire::Text;

const NOW_MS: i64 = 1_795_257_924_194;
const ID: PartitionId = PartitionId { topic: Uuid([1; 16]), index: 9 };
const DIR: &str = "/data";

/// The segment that Apache Kafka 4.3.1 wrote for [`apaches_commits`], at [`NOW_MS`].
const APACHES_SEGMENT: &str = "\
    00000000000000000000 00ca000000000 21d93b3e1000000000001000001a1fd\
    b5fa62000001a1fdb5fa62ffffffffffffffffffff00000000000000029c0100\
    00002e0001000762696c6c696e6700066f72646572730000000062000400000000\
    0000002a0000000708 6772c3b6c39f65000001a1fdb5fa5d010010d4f4bb36\
    185e47a1b1e8a0d9bbf5ba95008e0100\
    00022e0001000762696c6c696e6700066f7264657273000000015400040000\
    0001004ccb00ffffffff01000001a1fdb5fa5d010010d4f4bb36185e47a1b1e8a0\
    d9bbf5ba9500";

fn apaches_segment() -> Vec<u8> {
    let digits: Vec<u8> = APACHES_SEGMENT.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A shard with the one partition, whose segments hold few batches.
fn shard_on(disk: &SimDisk) -> Shard {
    let config =
        ShardConfig { log_dirs: vec![DIR.into()], journals: Vec::new(), limits: CommitLimits::default() };
    let mut shard = Shard::new(Arc::new(disk.clone()), config).unwrap();
    let partition = OpenPartition {
        id: ID,
        topic: CONSUMER_OFFSETS.to_owned(),
        dir: 0,
        config: PartitionConfig {
            batch: BatchRules { size_max: 1_000, ..BatchRules::default() },
            log: LogLimits { segment_bytes: 400, index_interval_bytes: 100, ..LogLimits::default() },
            ..PartitionConfig::default()
        },
        known: Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false },
        replay: Default::default(),
    };
    shard.open(&partition, NOW_MS).unwrap();
    shard
}

fn at(ms: i64) -> Now {
    Now { steady_ms: ms, wall_ms: NOW_MS + ms }
}

fn settings() -> GroupSettings {
    GroupSettings {
        session_ms_min: 6_000,
        session_ms_max: 1_800_000,
        initial_delay_ms: 3_000,
        size_max: 100,
        offsets_retention_ms: 10_000,
        offsets_check_interval_ms: 1_000,
    }
}

fn disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    directory::create(&disk, Path::new(DIR), CONSUMER_OFFSETS, ID).unwrap();
    disk
}

/// A disk whose log of the partition is these bytes.
fn disk_with(segment: &[u8]) -> SimDisk {
    let disk = disk();
    let path = format!("{DIR}/{CONSUMER_OFFSETS}-9/00000000000000000000.log");
    let file = disk.open(Path::new(&path), OpenMode::Replace).unwrap();
    file.write_all_at([segment, &[]], 0).unwrap();
    disk
}

fn opened(engine: &mut Shard) -> Coordinators {
    let mut coordinators = Coordinators::new(4_096, settings(), at(0));
    coordinators.open(engine, ID);
    coordinators.await_members(engine, ID, at(0));
    coordinators
}

fn commit(partition: i32, offset: i64) -> Commit {
    let offset = NewOffset {
        topic: Text::from_static("orders"),
        topic_id: Uuid([2; 16]),
        partition,
        offset,
        leader_epoch: -1,
        metadata: Text::EMPTY,
    };
    Commit {
        group: Text::from_static("billing"),
        member_id: Text::EMPTY,
        instance: None,
        generation: -1,
        knows_group_not_found: true,
        retention_ms: None,
        offsets: vec![offset],
    }
}

fn fetch(coordinators: &Coordinators) -> Result<(Vec<FetchedTopic>, RestsOn), ErrorCode> {
    coordinators.fetch(ID, &Query { group: Text::from_static("billing"), topics: None })
}

fn offsets(coordinators: &Coordinators) -> Vec<(i32, i64)> {
    let (topics, _) = fetch(coordinators).unwrap();
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|(index, value)| (*index, value.as_ref().unwrap().offset)).collect()
}

#[test]
fn a_commit_is_written_byte_for_byte_as_apache_kafka_writes_it() {
    let batch = batch_of(&apaches_commits(), NOW_MS);
    let batch = Batch::from_coordinator(batch, 1_000).unwrap();
    let (header, records) = batch.stamped(0, 0);
    let expected = apaches_segment();
    let (view, _) = BatchView::split_first(&expected).unwrap();
    assert_eq!(records, view.records);
    assert_eq!(format!("{header:?}"), format!("{:?}", view.header));
}

#[test]
fn what_apache_kafka_wrote_is_found() {
    let mut shard = shard_on(&disk_with(&apaches_segment()));
    let coordinators = opened(&mut shard);
    assert_eq!(offsets(&coordinators), [(0, 42), (1, 4_300_000_000)]);
    let (topics, rests_on) = fetch(&coordinators).unwrap();
    let value = topics[0].partitions[0].1.as_ref().unwrap();
    assert_eq!((&*value.metadata, value.leader_epoch), ("größe", 7));
    assert_eq!(rests_on, None);
}

#[test]
fn commits_are_found_in_batches_of_every_codec_and_no_more_comes_out_than_the_limit() {
    for compression in [
        Compression::Gzip { level: -1 },
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd { level: 3 },
    ] {
        let mut batch = BatchBuilder::new().compressed(compression);
        for record in apaches_commits() {
            let (key, value) = record.encode();
            let value = value.as_deref();
            batch.push(&NewRecord { key: Some(&key), value, timestamp: NOW_MS, headers: &[] });
        }
        let mut shard = shard_on(&disk_with(&batch.finish()));
        assert_eq!(offsets(&opened(&mut shard)), [(0, 42), (1, 4_300_000_000)], "{compression:?}");
    }
    let mut bomb = BatchBuilder::new().compressed(Compression::Zstd { level: 3 });
    let zeros = vec![0; 64 << 20];
    bomb.push(&NewRecord { key: Some(b"k"), value: Some(&zeros), timestamp: NOW_MS, headers: &[] });
    let mut shard = shard_on(&disk_with(&bomb.finish()));
    let error = replay(&mut shard, ID, |_| ()).unwrap_err().to_string();
    assert!(error.contains("segment 00000000000000000000.log: batch at offset 0"), "{error}");
    assert_eq!(fetch(&opened(&mut shard)), Err(ErrorCode::CoordinatorNotAvailable));
}

#[test]
fn a_flipped_bit_is_named_and_no_commit_is_made_of_it() {
    let mut segment = apaches_segment();
    // In an offset that was committed.
    segment[110] ^= 1;
    let error = replay(&mut shard_on(&disk_with(&segment)), ID, |_| ()).unwrap_err().to_string();
    assert!(error.contains("batch at position 0: crc 0x1d93b3e1, expected"), "{error}");
}

#[test]
fn a_start_finds_every_commit_across_segments() {
    let disk = disk();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    for offset in 0..20 {
        let partition = (offset % 3) as i32;
        let (codes, rests_on) =
            coordinators.commit(&mut shard, ID, &commit(partition, offset), at(0)).unwrap();
        assert_eq!(codes, [ErrorCode::None]);
        // Reads too wait for the wave of the last commit.
        assert!(rests_on.is_some_and(|(_, ticket)| ticket.is_some()));
        assert_eq!(fetch(&coordinators).unwrap().1, rests_on);
    }
    let expected = [(0, 18), (1, 19), (2, 17)];
    assert_eq!(offsets(&coordinators), expected);
    shard.stop().unwrap();
    let files = disk.list(Path::new(&format!("{DIR}/{CONSUMER_OFFSETS}-9"))).unwrap();
    assert!(files.iter().filter(|file| file.name.ends_with(".log")).count() > 2, "{files:?}");
    assert_eq!(offsets(&opened(&mut shard_on(&disk))), expected);
}

#[test]
fn a_refused_append_changes_nothing() {
    let mut shard = shard_on(&disk());
    let mut coordinators = opened(&mut shard);
    coordinators.commit(&mut shard, ID, &commit(0, 7), at(0)).unwrap();
    let mut large = commit(0, 8);
    large.offsets[0].metadata = "m".repeat(1_000).into();
    let refused = coordinators.commit(&mut shard, ID, &large, at(0)).unwrap_err();
    assert_eq!(refused, ErrorCode::UnknownServerError);
    assert_eq!(offsets(&coordinators), [(0, 7)]);
}

fn join(coordinators: &mut Coordinators, shard: &mut Shard, group: &'static str) -> Told {
    let join = Join {
        member_id: Text::EMPTY,
        fresh_id: "fresh".to_owned(),
        comes_back_with_id: true,
        knows_skipping: true,
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_ms: 10_000,
        rebalance_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::new())],
        reason: None,
    };
    let (reply, _) = tokio::sync::oneshot::channel();
    coordinators.join(shard, ID, &Text::from_static(group), &join, reply, at(0));
    let mut told = coordinators.take_told();
    assert_eq!(told.len(), 1);
    told.remove(0)
}

fn names(coordinators: &Coordinators) -> Vec<String> {
    let lists = coordinators.list().into_iter().flat_map(|(list, _)| list);
    lists.map(|group| group.name.to_string()).collect()
}

#[test]
fn a_group_is_there_from_the_first_join_until_nothing_of_it_is_kept_any_more() {
    let disk = disk();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    let Told::Join(_, answer, rests_on) = join(&mut coordinators, &mut shard, "billing") else { panic!() };
    assert_eq!(answer.code, ErrorCode::MemberIdRequired);
    assert!(rests_on.is_some(), "the answer waits for what was written");
    shard.stop().unwrap();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    assert_eq!(names(&coordinators), ["billing"]);
    coordinators.pass_time(&mut shard, at(1_000));
    assert_eq!(names(&coordinators), [""; 0]);
    shard.stop().unwrap();
    assert_eq!(names(&opened(&mut shard_on(&disk))), [""; 0]);
}

#[test]
fn a_group_that_cannot_be_written_is_not_made() {
    let disk = disk();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    shard.fail_dir(0);
    let Told::Join(_, answer, _) = join(&mut coordinators, &mut shard, "billing") else { panic!() };
    assert_eq!(answer.code, ErrorCode::NotCoordinator);
    assert_eq!(names(&coordinators), [""; 0]);
}

#[test]
fn offsets_expire_behind_their_retention_and_the_start_after_it_knows() {
    let disk = disk();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    coordinators.commit(&mut shard, ID, &commit(0, 7), at(0)).unwrap();
    coordinators.commit(&mut shard, ID, &commit(1, 8), at(5_000)).unwrap();
    let retention_ms = settings().offsets_retention_ms;
    coordinators.pass_time(&mut shard, at(retention_ms - 1));
    assert_eq!(offsets(&coordinators), [(0, 7), (1, 8)]);
    coordinators.pass_time(&mut shard, at(retention_ms + 1_000));
    assert_eq!(offsets(&coordinators), [(1, 8)]);
    shard.stop().unwrap();
    assert_eq!(offsets(&opened(&mut shard_on(&disk))), [(1, 8)]);
}

#[test]
fn a_coordinator_whose_directory_failed_is_gone() {
    let disk = disk();
    let mut shard = shard_on(&disk);
    let mut coordinators = opened(&mut shard);
    coordinators.commit(&mut shard, ID, &commit(0, 7), at(0)).unwrap();
    shard.submit();
    disk.queues()[0].finish(0, Err(std::io::ErrorKind::Other.into()));
    shard.reap();
    coordinators.drop_offline(&shard);
    assert_eq!(fetch(&coordinators), Err(ErrorCode::CoordinatorNotAvailable));
    let refused = coordinators.commit(&mut shard, ID, &commit(0, 8), at(0));
    assert_eq!(refused.unwrap_err(), ErrorCode::CoordinatorNotAvailable);
}

#[test]
fn a_log_that_cannot_be_read_has_no_coordinator() {
    // A record without a key, in an otherwise whole batch.
    let mut batch = BatchBuilder::new();
    batch.push(&NewRecord { key: None, value: Some(b"v"), timestamp: NOW_MS, headers: &[] });
    let mut shard = shard_on(&disk_with(&batch.finish()));
    assert_eq!(fetch(&opened(&mut shard)), Err(ErrorCode::CoordinatorNotAvailable));
}
