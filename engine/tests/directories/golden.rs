//! Directories that stay in the repository: earlier builds wrote them, or Apache Kafka did, and every later
//! build opens them. docs/FORMAT.md says when one is added, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::disk::sim::SimDisk;
use logmill_engine::disk::{Disk, OpenMode, replace_file};
use logmill_engine::format::checkpoint::write_offsets;
use logmill_engine::format::clean_shutdown;
use logmill_engine::journal::{JournalConfig, journal_files, read_all};
use logmill_engine::log::{FileKind, file_name};
use logmill_engine::partition::{Isolation, Known, PartitionId, directory};
use logmill_engine::shard::{CommitLimits, OpenPartition, Shard, ShardConfig};
use zerocopy::IntoBytes;

use crate::support::model;
use crate::support::open::{ID, NEW, TOPIC, append, config, known, open, producers_at};
use crate::support::recipe::{Recipe, Step, TIME};
use crate::support::tell::{MAX_TIMESTAMP, for_each_batch, tell};

const LOG_DIR: &str = "/data";
/// So small that there are several.
const SEGMENT_BYTES: u64 = 2_500;
/// So small that frames fill more than one.
const JOURNAL_FILE_BYTES: u64 = 16 * 1024;
/// What must be told of a directory, beside it.
const TOLD: &str = "told.txt";
/// The directory, in that of its name.
const LOG: &str = "log";
const BATCHES_KNOWN: usize = 5;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/directories")
}

/// Copies files onto a disk.
fn load(from: &Path, disk: &SimDisk, to: &Path) {
    disk.create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let path = to.join(entry.file_name());
        if entry.path().is_dir() {
            load(&entry.path(), disk, &path);
        } else {
            let content = std::fs::read(entry.path()).unwrap();
            disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at([&content, &[]], 0).unwrap();
        }
    }
}

/// Copies a disk's files into a directory that must not be there.
fn store(disk: &SimDisk, from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::create_dir(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in disk.list(from).unwrap() {
        let (path, to) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir {
            store(disk, &path, &to);
        } else {
            std::fs::write(to, disk.read(&path).unwrap()).unwrap();
        }
    }
}

/// A shard with the partition, whatever the log directory holds for it.
fn shard(disk: &SimDisk, known: &Known, now_ms: i64) -> (Shard, PartitionId) {
    let dir = PathBuf::from(LOG_DIR);
    let has_journal = !journal_files(disk, &dir).unwrap().is_empty();
    let mut recovered = read_all(disk, &dir).unwrap();
    let journal = JournalConfig {
        log_dir: dir.clone(),
        shard: 0,
        file_bytes: JOURNAL_FILE_BYTES,
        nonce: 17,
        first_generation: recovered.next_generation,
        first_slot: recovered.first_slot(0),
    };
    let journals = if has_journal || known == &WITH_JOURNAL { vec![journal] } else { Vec::new() };
    let mut shard = Shard::new(
        Arc::new(disk.clone()),
        ShardConfig { log_dirs: vec![dir], journals, limits: CommitLimits::default() },
    )
    .unwrap();
    let partition = OpenPartition {
        id: ID,
        topic: TOPIC.to_owned(),
        dir: 0,
        config: config(SEGMENT_BYTES),
        known: *known,
        replay: recovered.take(ID),
    };
    shard.open(&partition, now_ms).unwrap();
    shard.begin().unwrap();
    (shard, ID)
}

/// Of a partition that is new, in a shard that begins a journal.
const WITH_JOURNAL: Known = Known { was_clean: false, ..NEW };

/// The last batches of producers without transactions, as they were sent, and where they lie.
fn last_batches(partition: &mut (Shard, PartitionId)) -> Vec<(Bytes, i64)> {
    let mut batches: BTreeMap<(i64, i16), Vec<(Bytes, i64)>> = BTreeMap::new();
    for_each_batch(partition, Isolation::Uncommitted, |batch, _, _| {
        let header = batch.header;
        if header.producer_id() >= 0 && !header.is_transactional() {
            let mut bytes = [header.as_bytes(), batch.records].concat();
            bytes[..8].fill(0);
            let of_producer = batches.entry((header.producer_id(), header.producer_epoch())).or_default();
            of_producer.push((bytes.into(), header.base_offset()));
        }
        Ok(())
    })
    .unwrap();
    let known = |batches: Vec<_>| batches.into_iter().rev().take(BATCHES_KNOWN);
    batches.into_values().flat_map(known).collect()
}

fn check(set: &Path) {
    let text = std::fs::read_to_string(set.join(TOLD)).unwrap();
    let (now, expected) = text.split_once('\n').unwrap();
    let now_ms = now.strip_prefix("now ").unwrap().parse().unwrap();
    let disk = SimDisk::default();
    load(&set.join(LOG), &disk, Path::new(LOG_DIR));
    disk.settle();
    let known = known(&disk, Path::new(LOG_DIR)).unwrap();
    let mut partition = shard(&disk, &known, now_ms);

    let asked = expected.lines().filter_map(|line| line.strip_prefix("time ")?.split(' ').next());
    let times: Vec<i64> = asked.map(|time| time.parse().unwrap()).collect();
    let mut told = tell(&mut partition, &times).unwrap();
    let repeated = last_batches(&mut partition);
    assert!(!repeated.is_empty(), "{}", set.display());
    for (bytes, base_offset) in repeated {
        let (appended, _) = partition.0.append(ID, bytes, now_ms).unwrap();
        assert_eq!(appended.base_offset, base_offset, "{}: a repeated batch", set.display());
    }
    partition.0.stop().unwrap();
    told.producers = producers_at(&disk, &Path::new(LOG_DIR).join(directory::name(TOPIC, 0)), told.end);
    assert_eq!(told.to_string(), expected, "{}", set.display());
}

#[test]
fn every_golden_directory_opens_and_tells_what_was_written() {
    let sets: Vec<PathBuf> =
        std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for kind in ["-clean", "-killed", "-journal", "-apache-clean", "-apache-killed"] {
        assert!(sets.iter().any(|set| set.to_str().unwrap().ends_with(kind)), "none of {kind}");
    }
    sets.iter().for_each(|set| check(set));
}

/// Notes down beside a partition how far it had come.
fn write_checkpoints(disk: &SimDisk, recovery_point: i64) {
    let content = write_offsets([(TOPIC, 0, recovery_point)].into_iter());
    let path = Path::new(LOG_DIR).join("recovery-point-offset-checkpoint");
    replace_file(disk, &path, content.as_bytes()).unwrap();
}

/// Puts a disk's log directory into the repository, with what must be told of it.
fn add(set: &str, disk: &SimDisk, steps: &[Step]) {
    let set = golden().join(set);
    store(disk, Path::new(LOG_DIR), &set.join(LOG));
    let times: Vec<i64> = (TIME - 40..TIME + 900).step_by(13).chain([MAX_TIMESTAMP]).collect();
    let told = model::told(steps, &times);
    std::fs::write(set.join(TOLD), format!("now {TIME}\n{told}")).unwrap();
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(LOG_DIR)).unwrap();
    directory::create(&disk, Path::new(LOG_DIR), TOPIC, ID).unwrap();
    disk
}

fn write_clean(set: &str, steps: &[Step]) {
    let disk = new_disk();
    let mut partition =
        open(&(Arc::new(disk.clone()) as Arc<dyn Disk>), LOG_DIR.as_ref(), &NEW, config(SEGMENT_BYTES), TIME)
            .unwrap();
    append(&mut partition, steps);
    partition.0.stop(&mut partition.1).unwrap();
    write_checkpoints(&disk, partition.0.recovery_point());
    let path = Path::new(LOG_DIR).join(clean_shutdown::FILE_NAME);
    replace_file(&disk, &path, clean_shutdown::write(0).as_bytes()).unwrap();
    add(set, &disk, steps);
}

/// Killed when two thirds were durable.
fn write_killed(set: &str, steps: &[Step]) {
    let disk = new_disk();
    let mut partition =
        open(&(Arc::new(disk.clone()) as Arc<dyn Disk>), LOG_DIR.as_ref(), &NEW, config(SEGMENT_BYTES), TIME)
            .unwrap();
    let (durable, rest) = steps.split_at(steps.len() * 2 / 3);
    append(&mut partition, durable);
    let end = partition.0.end();
    partition.0.take_unsynced(|file, _| file.sync().unwrap());
    partition.0.durable_to(end);
    write_checkpoints(&disk, partition.0.recovery_point());
    append(&mut partition, rest);
    add(set, &disk.after_kill(), steps);
}

/// The power went when everything was in the journal, and little of it in segments.
fn write_journal(set: &str, steps: &[Step]) {
    let steps: Vec<Step> = steps
        .iter()
        .filter(|step| matches!(step, Step::Records(batch) if !batch.is_transactional))
        .cloned()
        .collect();
    let disk = new_disk();
    disk.settle();
    let (mut shard, id) = shard(&disk, &WITH_JOURNAL, TIME);
    let queue = disk.queues()[0].clone();
    let waves = steps.len().div_ceil(3);
    for (wave, batches) in steps.chunks(3).enumerate() {
        for step in batches {
            shard.append(id, step.bytes(), TIME).unwrap();
        }
        shard.submit();
        // The frame; of the syncs behind it those that give the journal a recovery point to tell of.
        let syncs = queue.syncs();
        let has_synced = wave + 2 < waves;
        for op in (0..queue.in_flight()).rev().filter(|op| has_synced || !syncs.contains(op)) {
            queue.finish(op, Ok(()));
        }
        shard.reap();
    }
    let end = shard.bounds(id).unwrap().readable;
    assert_eq!(end, steps.iter().map(Step::offsets).sum::<i64>(), "all is acknowledged");
    let log = Path::new(LOG_DIR).join(directory::name(TOPIC, 0)).join(file_name(0, FileKind::Log));
    let sent: usize = steps.iter().map(|step| step.bytes().len()).sum();
    let lacks_some = |disk: &SimDisk| disk.read(&log).is_ok_and(|bytes| bytes.len() < sent);
    let disk = (0..100).map(|seed| disk.after_crash(seed)).find(lacks_some).expect("a power cut loses bytes");
    let state = read_all(&disk, Path::new(LOG_DIR)).unwrap().take(ID).state;
    assert!(
        state.is_some_and(|state| !state.payload.is_empty()),
        "a start begins in the middle of a segment"
    );
    write_checkpoints(&disk, 0);
    add(set, &disk, &steps);
}

#[test]
#[ignore = "adds directories to the repository: docs/FORMAT.md"]
fn write_golden_directories() {
    let name = std::env::var("LOGMILL_GOLDEN").expect("LOGMILL_GOLDEN is the new directories' name");
    let steps = Recipe::of_rounds(6, 3);
    write_clean(&format!("{name}-clean"), &steps);
    write_killed(&format!("{name}-killed"), &steps);
    // Enough for syncs behind the journal, so that it has states of the partition to tell.
    write_journal(&format!("{name}-journal"), &Recipe::of_rounds(24, 3));
}
