//! The power is cut in the middle of every operation of a partition's life, and again in the middle of every
//! operation of the start after that: appends, rolls, waves, retention, deleted records, truncation, and the
//! deletion of the topic and another one of its name.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::IntoBytes;

use super::*;
use crate::format::{BatchView, CheckedBatches, Uuid};

const LOG_DIR: &str = "/data";
const TOPIC: &str = "t";
/// How many batches of a producer are known after a start.
const BATCHES_KNOWN: usize = 5;
/// What a power cut leaves is drawn so often.
const SEEDS: u64 = 2;

/// The topics of the name, one after the other.
fn id(topic: u8) -> PartitionId {
    PartitionId { topic: Uuid([topic; 16]), index: 0 }
}

/// Whose directory there has to be after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directory {
    Must(u8),
    /// That topic's, or none.
    May(u8),
}

/// A batch that is in the log.
#[derive(Debug, Clone)]
struct Written {
    /// As the log has it.
    bytes: Vec<u8>,
    /// As its producer sent it, if it may send it again.
    sent: Option<Bytes>,
    base_offset: i64,
}

impl Written {
    fn end(&self) -> i64 {
        BatchView::split_first(&self.bytes).unwrap().0.header.last_offset() + 1
    }
}

/// What a crash may take nothing of, from a step on.
#[derive(Debug, Clone)]
struct Promise {
    from_step: u64,
    directory: Directory,
    /// Batches that are durable.
    durable: Vec<Written>,
    /// As somebody wrote it down durably.
    recovery_point: i64,
    start: i64,
}

/// A partition, and everything that was done to it.
struct Life {
    running: Running,
    topic: u8,
    log: Vec<Written>,
    /// Everything that was ever appended, by its first bytes: topic and base offset.
    ever: BTreeMap<(u8, i64), Vec<Vec<u8>>>,
    promises: Vec<Promise>,
    appended: i64,
}

impl Life {
    fn new() -> Life {
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new(LOG_DIR)).unwrap();
        disk.settle();
        disk.keep_crash_points();
        let promise = Promise {
            from_step: 0,
            directory: Directory::May(1),
            durable: Vec::new(),
            recovery_point: 0,
            start: 0,
        };
        create(&disk, 1);
        let mut life = Life {
            running: Running::start(disk, NEW),
            topic: 1,
            log: Vec::new(),
            ever: BTreeMap::new(),
            promises: vec![promise],
            appended: 0,
        };
        life.promise(|promise| promise.directory = Directory::Must(1));
        life
    }

    /// From here on something else holds.
    fn promise(&mut self, change: impl FnOnce(&mut Promise)) {
        let mut promise = self.promises[self.promises.len() - 1].clone();
        promise.from_step = self.running.disk.steps();
        change(&mut promise);
        self.promises.push(promise);
    }

    fn note(&mut self, sent: &Bytes, appended: &Appended, can_repeat: bool) {
        let mut bytes = sent.to_vec();
        bytes[..8].copy_from_slice(&appended.base_offset.to_be_bytes());
        bytes[12..16].fill(0);
        let key = (self.topic, appended.base_offset);
        self.ever.entry(key).or_default().push(bytes.clone());
        let sent = can_repeat.then(|| sent.clone());
        self.log.push(Written { bytes, sent, base_offset: appended.base_offset });
    }

    /// A batch of the producer without transactions. No two are alike.
    fn append(&mut self) {
        self.appended += 1;
        let last = self.log.iter().rev().find_map(|written| written.sent.as_ref());
        let first = last.map_or(0, |sent| {
            let header = BatchView::split_first(sent).unwrap().0.header;
            header.base_sequence() + header.record_count()
        });
        let mut builder = BatchBuilder::new().producer(7, 0, first);
        let value = format!("batch {}", self.appended);
        let timestamp = NOW_MS + self.appended;
        for _ in 0..2 {
            builder.push(&NewRecord { key: None, value: Some(value.as_bytes()), timestamp, headers: &[] });
        }
        let bytes = builder.finish();
        let appended = self.running.append(bytes.clone()).unwrap();
        self.note(&bytes, &appended, true);
    }

    /// A transaction of one batch that is aborted.
    fn abort(&mut self) {
        self.appended += 1;
        let mut builder = BatchBuilder::new().producer(9, 0, self.appended as i32).transactional();
        record(&mut builder, NOW_MS + self.appended);
        let end = BatchBuilder::transaction_end(9, 0, false, 0, NOW_MS + self.appended);
        for bytes in [builder.finish(), end] {
            let appended = self.running.append_of_coordinator(bytes.clone()).unwrap();
            self.note(&bytes, &appended, false);
        }
    }

    /// Makes everything durable; the marks are written down.
    fn wave(&mut self) {
        self.running.wave().unwrap();
        let durable = self.log.clone();
        let marks = self.running.partition.marks();
        self.promise(|promise| {
            promise.durable = durable;
            promise.recovery_point = marks.recovery_point;
            promise.start = marks.start;
        });
    }

    /// Gives up what lies in front of an offset, for a client or because it is old.
    fn delete_records(&mut self, offset: i64) {
        let start = self.running.partition.delete_records_before(offset).unwrap();
        let start = start.min(self.running.partition.recovery_point());
        self.promise(|promise| promise.start = promise.start.max(start));
        let Running { partition, cache, .. } = &mut self.running;
        partition.delete_below_start(cache, start, NOW_MS, NOW_MS).unwrap();
        partition.remove_due(cache, NOW_MS).unwrap();
    }

    fn retain(&mut self, bytes: u64) {
        let Running { partition, cache, .. } = &mut self.running;
        let retention = Retention { ms: None, bytes: Some(bytes) };
        let Some(start) = partition.expire(cache, retention, NOW_MS).unwrap() else { return };
        self.delete_records(start);
    }

    /// The last batches are taken back. What will be told of the log is written down first.
    fn truncate(&mut self, batches: usize) {
        let kept = self.log.len() - batches;
        let offset = self.log[kept].base_offset;
        self.promise(|promise| {
            promise.durable.retain(|written| written.end() <= offset);
            promise.recovery_point = promise.recovery_point.min(offset);
        });
        self.log.truncate(kept);
        let Running { partition, cache, .. } = &mut self.running;
        partition.truncate_to(cache, offset, NOW_MS, NOW_MS).unwrap();
        assert_eq!(partition.end().offset, offset);
    }

    /// The topic is deleted, and another one of its name is made.
    fn delete_and_recreate(&mut self) {
        let (disk, topic) = (self.running.disk.clone(), self.topic);
        // Marks of a topic go before its directory does.
        self.promise(|promise| {
            promise.directory = Directory::May(topic);
            (promise.recovery_point, promise.start) = (0, promise.start);
        });
        directory::rename_deleted(&disk, LOG_DIR.as_ref(), TOPIC, id(topic)).unwrap();
        disk.sync_dir(LOG_DIR.as_ref()).unwrap();
        self.topic += 1;
        let topic = self.topic;
        self.promise(|promise| {
            promise.directory = Directory::May(topic);
            (promise.recovery_point, promise.start) = (0, 0);
            promise.durable.clear();
        });
        self.log.clear();
        directory::remove_renamed(&disk, LOG_DIR.as_ref(), TOPIC, id(topic - 1)).unwrap();
        create(&disk, topic);
        self.running = Running::start(disk, NEW);
        self.promise(|promise| promise.directory = Directory::Must(topic));
    }
}

fn create(disk: &SimDisk, topic: u8) {
    directory::create(disk, LOG_DIR.as_ref(), TOPIC, id(topic)).unwrap();
    disk.sync_dir(LOG_DIR.as_ref()).unwrap();
}

/// All that may happen to a partition, rolls at every third batch included.
fn life() -> Life {
    let mut life = Life::new();
    for topic in 0..2 {
        for round in 0..8 {
            life.append();
            life.append();
            if round % 2 == topic {
                life.abort();
            }
            if round % 3 != 1 {
                life.wave();
            }
            match round {
                2 => life.truncate(1),
                3 => life.delete_records(3),
                5 => life.truncate(4),
                6 => life.retain(2 * SEGMENT_BYTES),
                _ => (),
            }
        }
        if topic == 0 {
            life.delete_and_recreate();
        }
    }
    life
}

/// Starts on what a crash left, and compares it with what was promised and what was ever appended.
fn check(disk: &SimDisk, promise: &Promise, life: &Life, what: &str) {
    let found = directory::find_all(disk, LOG_DIR.as_ref()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let topic = match (&found[..], promise.directory) {
        ([], Directory::May(_)) => return,
        ([found], Directory::Must(topic) | Directory::May(topic)) if found.id == id(topic) => topic,
        _ => panic!("{what}: {found:?}, expected {:?}", promise.directory),
    };
    let Promise { recovery_point, start, durable, .. } = promise;
    let known = Known { recovery_point: *recovery_point, start_offset: *start, ..KILLED };
    let mut running =
        Running::try_start(disk.clone(), known).unwrap_or_else(|error| panic!("{what}: {error}"));
    let read = read_all(&mut running, what);
    for (base_offset, bytes) in &read {
        let ever = life.ever.get(&(topic, *base_offset));
        assert!(
            ever.is_some_and(|ever| ever.contains(bytes)),
            "{what}: nobody wrote what is at {base_offset}"
        );
    }
    let start = running.partition.bounds().start;
    for Written { bytes, base_offset, .. } in durable.iter().filter(|written| written.end() > start) {
        assert!(read.get(base_offset) == Some(bytes), "{what}: what was durable at {base_offset} is gone");
    }
    check_aborted(&mut running, &read, what);
    check_repeated_ones(&mut running, durable, &read, what);
}

/// By base offset, each batch that a reader gets, without a gap.
fn read_all(running: &mut Running, what: &str) -> BTreeMap<i64, Vec<u8>> {
    let mut read = BTreeMap::new();
    let mut offset = running.partition.bounds().start;
    loop {
        let Running { partition, cache, .. } = running;
        let fetched = partition.fetch(cache, offset, 1 << 20, Isolation::Uncommitted).unwrap();
        let Some(slice) = fetched.slice else { break };
        let mut bytes = vec![0; slice.bytes.len as usize];
        slice.bytes.file.read_at(&mut bytes, slice.bytes.position).unwrap();
        let mut batches = CheckedBatches::new(&bytes, slice.bytes.position, offset, false);
        for batch in &mut batches {
            let batch = batch.unwrap_or_else(|bad| panic!("{what}: {bad}"));
            read.insert(batch.header.base_offset(), [batch.header.as_bytes(), batch.records].concat());
        }
        assert!(batches.next_offset() > offset, "{what}: no batch at {offset}");
        offset = batches.next_offset();
    }
    assert_eq!(offset, running.partition.end().offset, "{what}");
    read
}

/// Readers of committed records are told of the aborted transactions that the log holds, and of no others.
fn check_aborted(running: &mut Running, read: &BTreeMap<i64, Vec<u8>>, what: &str) {
    let Running { partition, cache, .. } = running;
    let bounds = partition.bounds();
    let (mut open, mut expected) = (None, BTreeSet::new());
    for (base_offset, bytes) in read {
        let header = BatchView::split_first(bytes).unwrap().0.header;
        if header.is_control() {
            // One that begins in front of the start is told of too.
            expected.extend(open.take().is_none_or(|first| first < bounds.stable).then_some(*base_offset));
        } else if header.is_transactional() {
            open.get_or_insert(*base_offset);
        }
    }
    let mut found = BTreeSet::new();
    for base_offset in read.keys().filter(|base_offset| **base_offset < bounds.stable) {
        let offset = bounds.start.max(*base_offset);
        let fetched = partition.fetch(cache, offset, 0, Isolation::Committed).unwrap();
        found.extend(fetched.aborted.iter().map(|entry| entry.last_offset()));
    }
    if bounds.start < bounds.stable {
        assert_eq!(found, expected, "{what}");
    }
}

/// The last durable batches of the producer are known again.
fn check_repeated_ones(
    running: &mut Running,
    durable: &[Written],
    read: &BTreeMap<i64, Vec<u8>>,
    what: &str,
) {
    let sent = |written: &Written| written.sent.clone().map(|sent| (sent, written.base_offset));
    // Others may have come behind them: those that are in the log count.
    let later = read.iter().filter(|(base_offset, bytes)| {
        let header = BatchView::split_first(bytes).unwrap().0.header;
        header.producer_id() == 7 && durable.last().is_none_or(|last| **base_offset > last.base_offset)
    });
    let known = BATCHES_KNOWN.saturating_sub(later.count());
    for (bytes, base_offset) in durable.iter().rev().filter_map(sent).take(known) {
        let appended = running.append(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(appended.base_offset, base_offset, "{what}: a repeated batch is stored twice");
    }
}

#[test]
fn nothing_durable_is_lost_and_nothing_else_appears_whatever_a_crash_interrupts() {
    let life = life();
    let points = life.running.disk.take_crash_points();
    assert!(points.len() > 250, "{} steps", points.len());
    assert!(life.promises.iter().any(|promise| promise.start > 0));
    for (step, disk) in points {
        let promise = life.promises.iter().rfind(|promise| promise.from_step <= step.number).unwrap();
        check(&disk.after_kill(), promise, &life, &format!("killed at {step}"));
        for seed in 0..SEEDS {
            let disk = disk.after_crash(seed);
            disk.keep_crash_points();
            let what = format!("crashed at {step}, seed {seed}");
            check(&disk, promise, &life, &what);
            for (again, disk) in disk.take_crash_points() {
                check(&disk.after_crash(seed + 1), promise, &life, &format!("{what}, then at {again}"));
            }
        }
    }
}
