//! A metadata log on disks that lose power, fail and are damaged.

use logmill_engine::disk::sim::{Effect, Fault, Operation, SimDisk};
use rustix::io::Errno;

use super::*;
use crate::metadata::records::settings::{ConfigRecord, FeatureLevelRecord};
use crate::metadata::records::topics::{PartitionRecord, TopicRecord};
use crate::metadata::records::voters::Voter as QuorumVoter;
use crate::wire::Text;

const LOG_DIR: &str = "/data";
const LEADER: Leader = Leader { node_id: 1 };
const LIMITS: Limits = Limits {
    segment_bytes: 1 << 20,
    bytes_between_snapshots: 1 << 20,
    snapshot_interval_ms: 0,
    retention_bytes: -1,
    retention_ms: -1,
};

fn made(has_voters: bool) -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir_all(LOG_DIR.as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    let voters = VotersRecord {
        voters: vec![QuorumVoter { voter_id: 1, ..Default::default() }],
        ..Default::default()
    };
    MetadataLog::create(&disk, LOG_DIR.as_ref(), has_voters.then_some(voters), 5).unwrap();
    disk
}

fn open_with(disk: &SimDisk, limits: Limits) -> Result<MetadataLog, Error> {
    MetadataLog::open(Arc::new(disk.clone()), LOG_DIR.as_ref(), limits)
}

fn open(disk: &SimDisk) -> MetadataLog {
    open_with(disk, LIMITS).unwrap()
}

/// A log that is led, of this level.
fn led(disk: &SimDisk, limits: Limits) -> MetadataLog {
    let mut log = open_with(disk, limits).unwrap();
    log.lead(LEADER, 10).unwrap();
    let name = Text::from("metadata.version");
    log.append(vec![FeatureLevelRecord { name, feature_level: 30 }.into()], 10).unwrap();
    log
}

fn topic(number: u8) -> Vec<Record> {
    let topic_id = Uuid([number; 16]);
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid([9; 16])],
        ..Default::default()
    };
    vec![TopicRecord { name: format!("t{number}").into(), topic_id }.into(), partition.into()]
}

fn topics(log: &MetadataLog) -> Vec<String> {
    log.cluster()
        .topics()
        .map(|(_, topic)| {
            assert_eq!(topic.partitions.len(), 1, "{}", topic.name);
            topic.name.to_string()
        })
        .collect()
}

fn names(disk: &SimDisk) -> Vec<String> {
    let dir = Path::new(LOG_DIR).join(METADATA_LOG);
    disk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// What a kill and some power cuts leave in the middle of each step of `change`, which begins on `before`.
fn crash_everywhere(before: &SimDisk, change: impl Fn(&SimDisk), check: impl Fn(&SimDisk, u64)) -> u64 {
    for crash_at in 0.. {
        let disk = before.after_kill();
        disk.crash_at(disk.steps() + crash_at);
        change(&disk);
        if !disk.is_off() {
            return crash_at;
        }
        for left in (0..6).map(|seed| disk.after_crash(seed)).chain([disk.after_kill()]) {
            check(&left, crash_at);
        }
    }
    unreachable!("a change ends")
}

#[test]
fn what_was_appended_is_there_after_a_start_and_epochs_rise() {
    for has_voters in [false, true] {
        let disk = made(has_voters);
        let mut log = led(&disk, LIMITS);
        log.append(topic(1), 11).unwrap();
        let (cluster, end) = (log.cluster().clone(), log.next_offset());
        // The leader's records, the level, two of the topic.
        assert_eq!((log.epoch, end), (1, if has_voters { 6 } else { 4 }));
        assert_eq!(log.state.kraft_version, i16::from(has_voters));
        let again = open(&disk);
        assert_eq!((again.cluster(), again.next_offset(), again.epoch), (&cluster, end, 1));
        let mut again = open(&disk);
        again.lead(LEADER, 12).unwrap();
        assert_eq!((again.epoch, again.next_offset()), (2, end + 1));
        let state = disk.read(&Path::new(LOG_DIR).join("__cluster_metadata-0/quorum-state")).unwrap();
        assert_eq!(quorum_state::read_epoch(&state), Ok(2));
        assert_eq!(open(&disk).state.kraft_version, i16::from(has_voters));
    }
}

#[test]
fn an_epoch_that_was_told_is_never_led_again_though_nothing_was_written_in_it() {
    let disk = made(false);
    let path = Path::new(LOG_DIR).join("__cluster_metadata-0/quorum-state");
    replace_file(&disk, &path, quorum_state::write(1, 40, false).as_bytes()).unwrap();
    let mut log = open(&disk);
    log.lead(LEADER, 1).unwrap();
    assert_eq!(log.epoch, 41);
    replace_file(&disk, &path, b"{}").unwrap();
    let error = open(&disk).lead(LEADER, 1).unwrap_err().to_string();
    assert!(error.contains("quorum-state"), "{error}");
}

#[test]
fn a_change_cut_short_anywhere_is_whole_or_not_there_and_what_was_answered_is() {
    let before = made(true);
    drop(led(&before, LIMITS));
    let change = |disk: &SimDisk| {
        let _ = open_with(disk, LIMITS).and_then(|mut log| {
            log.append(topic(1), 11)?;
            log.append(topic(2), 12)
        });
    };
    let places = crash_everywhere(&before, change, |disk, crash_at| {
        let mut log = open(disk);
        let found = topics(&log);
        assert!(
            [&[][..], &["t1"], &["t1", "t2"]].contains(&&found.iter().map(|t| &**t).collect::<Vec<_>>()[..]),
            "crash at {crash_at}: {found:?}"
        );
        log.append(topic(3), 13).unwrap();
        let again = open(disk);
        assert_eq!(again.cluster(), log.cluster(), "crash at {crash_at}");
    });
    assert!(places >= 4, "only {places} places to crash");
}

/// A change that takes several batches.
fn large() -> Vec<Record> {
    let value = Some("x".repeat(30_000).into());
    let setting = |number: u8| ConfigRecord {
        resource_type: 2,
        resource_name: "t7".into(),
        name: format!("s{number}").into(),
        value: value.clone(),
    };
    topic(7).into_iter().chain((0..60).map(|number| setting(number).into())).collect()
}

#[test]
fn a_change_of_several_batches_is_whole_or_not_there() {
    let before = made(false);
    drop(led(&before, LIMITS));
    let settings = |log: &MetadataLog| log.cluster().configs(2, "t7").count();
    let change = |disk: &SimDisk| {
        let _ = open_with(disk, LIMITS).and_then(|mut log| log.append(large(), 11));
    };
    let (mut whole, mut none) = (0, 0);
    let found = std::cell::RefCell::new((&mut whole, &mut none));
    let places = crash_everywhere(&before, change, |disk, crash_at| {
        let mut log = open(disk);
        let mut found = found.borrow_mut();
        match settings(&log) {
            60 => *found.0 += 1,
            0 => *found.1 += 1,
            other => panic!("crash at {crash_at}: {other} settings"),
        }
        // A leader goes on behind a transaction that was not ended.
        let before = log.cluster().clone();
        log.lead(LEADER, 12).unwrap();
        log.append(topic(8), 12).unwrap();
        assert!(topics(&log).contains(&"t8".to_owned()), "crash at {crash_at}");
        let again = open(disk);
        assert_eq!(again.cluster(), log.cluster(), "crash at {crash_at}");
        assert!(before.topic(Uuid([8; 16])).is_none());
    });
    assert!(places >= 10 && none > 0 && whole > 0, "{places} places, {none} without, {whole} with");
    let disk = before.after_kill();
    let mut log = open(&disk);
    log.append(large(), 11).unwrap();
    assert_eq!((settings(&log), log.segments.len()), (60, 2), "it rolled in between");
    assert_eq!(open(&disk).cluster(), log.cluster());
}

#[test]
fn a_snapshot_says_the_same_as_the_log_in_front_of_it_wherever_it_was_cut_short() {
    let before = made(true);
    let mut log = led(&before, LIMITS);
    for number in 1..=5 {
        log.append(topic(number), 20).unwrap();
    }
    let cluster = log.cluster().clone();
    let change = |disk: &SimDisk| {
        let _ = open_with(disk, LIMITS).and_then(|mut log| log.take_snapshot(30));
    };
    let places = crash_everywhere(&before, change, |disk, crash_at| {
        let mut log = open(disk);
        assert_eq!(log.cluster(), &cluster, "crash at {crash_at}");
        log.append(topic(6), 31).unwrap();
        assert_eq!(open(disk).cluster(), log.cluster(), "crash at {crash_at}");
    });
    assert!(places >= 6, "only {places} places to crash");
    log.take_snapshot(30).unwrap();
    log.append(topic(6), 31).unwrap();
    let end = log.next_offset();
    // The next start reads nothing in front of the snapshot.
    let first = Path::new(LOG_DIR).join(METADATA_LOG).join(file_name(0, FileKind::Log));
    replace_file(&before, &first, b"nonsense").unwrap();
    let again = open(&before);
    assert_eq!((again.cluster(), again.next_offset()), (log.cluster(), end));
    assert_eq!(again.state.kraft_version, 1, "voters stand in the snapshot, too");
}

#[test]
fn snapshots_are_taken_when_they_are_due_and_old_ones_go_with_their_segments() {
    let limits = Limits { bytes_between_snapshots: 400, retention_bytes: 1, ..LIMITS };
    let disk = made(false);
    let mut log = led(&disk, limits);
    log.upkeep(10).unwrap();
    assert!(log.snapshots.is_empty(), "nothing is due");
    for number in 1..=9 {
        log.append(topic(number), 20).unwrap();
        log.upkeep(20).unwrap();
    }
    assert_eq!(log.snapshots.len(), 1, "all but one are too much");
    let (cluster, files) = (log.cluster().clone(), names(&disk));
    let count = |ending: &str| files.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!((count(".checkpoint"), count(".log")), (1, 1), "{files:?}");
    assert_eq!(open(&disk).cluster(), &cluster);

    let mut late = open_with(&disk, Limits { snapshot_interval_ms: 1_000, ..LIMITS }).unwrap();
    late.append(topic(10), 500).unwrap();
    late.upkeep(1_000).unwrap();
    assert_eq!(late.snapshots.len(), 1);
    late.upkeep(2_000).unwrap();
    assert_eq!(late.snapshots.len(), 2);
    late.upkeep(9_000).unwrap();
    assert_eq!(late.snapshots.len(), 2, "nothing has come since");
}

#[test]
fn old_snapshots_go_after_their_time_wherever_that_is_cut_short() {
    let before = made(false);
    let mut log = led(&before, LIMITS);
    for number in 1..=3 {
        log.append(topic(number), i64::from(number) * 100).unwrap();
        log.take_snapshot(i64::from(number) * 100).unwrap();
    }
    let cluster = log.cluster().clone();
    let limits = Limits { retention_ms: 250, ..LIMITS };
    let change = |disk: &SimDisk| {
        let _ = open_with(disk, limits).and_then(|mut log| log.upkeep(460));
    };
    let places = crash_everywhere(&before, change, |disk, crash_at| {
        let mut log = open_with(disk, limits).unwrap();
        assert_eq!(log.cluster(), &cluster, "crash at {crash_at}");
        log.upkeep(460).unwrap();
        assert_eq!(log.snapshots.len(), 1, "crash at {crash_at}");
    });
    assert!(places >= 6, "only {places} places to crash");
}

#[test]
fn every_flipped_bit_in_front_of_the_last_change_is_refused_and_later_ones_cut_it_off() {
    let disk = made(false);
    let mut log = led(&disk, LIMITS);
    log.append(topic(1), 11).unwrap();
    let (before, kept) = (log.active_end().1, log.cluster().clone());
    log.append(topic(2), 12).unwrap();
    let path = log.path(0);
    let content = disk.read(&path).unwrap();
    // Of the batches, only the leader's epoch has no checksum.
    let mut starts = Vec::new();
    let mut rest = &content[..];
    while let Some((batch, behind)) = logmill_engine::format::BatchView::split_first(rest) {
        starts.push(content.len() - rest.len());
        assert!(batch.check().is_ok());
        rest = behind;
    }
    for bit in 0..content.len() * 8 {
        let byte = bit / 8;
        let start = *starts.iter().rfind(|start| **start <= byte).unwrap();
        if (12..16).contains(&(byte - start)) {
            continue;
        }
        let mut damaged = content.clone();
        damaged[byte] ^= 1 << (bit % 8);
        replace_file(&disk, &path, &damaged).unwrap();
        match open_with(&disk, LIMITS) {
            Ok(log) => {
                assert!(byte as u64 >= before, "bit {bit} was taken for the end");
                assert_eq!(log.cluster(), &kept, "bit {bit}");
            }
            Err(error) => {
                assert!((byte as u64) < before, "bit {bit}: {error}");
                assert!(error.to_string().contains("00000000000000000000.log: batch at"), "{error}");
            }
        }
    }
}

#[test]
fn after_a_sync_that_failed_nothing_is_appended_any_more() {
    let disk = made(false);
    let mut log = led(&disk, LIMITS);
    disk.arm(Fault::new(Operation::Sync, Effect::Fail(Errno::IO)));
    log.append(topic(1), 11).unwrap_err();
    let error = log.append(topic(2), 12).unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error}");
    assert_eq!(topics(&log), [""; 0]);
}

#[test]
fn what_a_full_disk_refuses_is_not_there_and_the_next_change_is() {
    let disk = made(false);
    let mut log = led(&disk, LIMITS);
    disk.arm(Fault::new(Operation::Write, Effect::Fail(Errno::NOSPC)));
    log.append(topic(1), 11).unwrap_err();
    log.append(topic(2), 12).unwrap();
    assert_eq!((topics(&log), topics(&open(&disk))), (vec!["t2".to_owned()], vec!["t2".to_owned()]));
}

#[test]
fn a_log_whose_beginning_is_gone_is_refused() {
    let disk = made(false);
    let mut log = led(&disk, LIMITS);
    log.append(topic(1), 11).unwrap();
    log.take_snapshot(12).unwrap();
    let id = *log.snapshots.keys().next_back().unwrap();
    disk.remove_file(&log.path(0)).unwrap();
    assert_eq!(topics(&open(&disk)), ["t1"]);
    let snapshot = log.dir.join(id.file_name());
    let content = disk.read(&snapshot).unwrap();
    replace_file(&disk, &snapshot, &content[..content.len() - 80]).unwrap();
    let error = open_with(&disk, LIMITS).unwrap_err().to_string();
    assert!(error.contains(&id.file_name()), "{error}");
    disk.remove_file(&snapshot).unwrap();
    let error = open_with(&disk, LIMITS).unwrap_err().to_string();
    assert!(error.contains("begins at offset 4"), "{error}");
}

#[test]
fn what_interrupted_processes_left_of_snapshots_is_removed() {
    let disk = made(false);
    drop(led(&disk, LIMITS));
    let dir = Path::new(LOG_DIR).join(METADATA_LOG);
    for name in [
        "00000000000000000004-0000000001-77.checkpoint.part",
        "00000000000000000002-0000000001.checkpoint.deleted",
    ] {
        replace_file(&disk, &dir.join(name), b"half").unwrap();
    }
    drop(open(&disk));
    assert!(!names(&disk).iter().any(|name| name.contains("checkpoint")), "{:?}", names(&disk));
}
