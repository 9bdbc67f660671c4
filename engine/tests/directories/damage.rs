//! Damage to any file of a directory: what readers get is what was written, byte for byte, or an error that
//! names the place, or less than was written where that was never durable. Never a panic.
//!
//! `LOGMILL_MUTATIONS=1000000 cargo test --release --workspace --test directories damage` makes a
//! million. `LOGMILL_SEED` repeats a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::disk::sim::SimDisk;
use logmill_engine::disk::{Disk, OpenMode, replace_file};
use logmill_engine::format::checkpoint::write_offsets;
use logmill_engine::format::clean_shutdown;
use logmill_engine::log::Cache;
use logmill_engine::partition::{Partition, directory};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::model;
use crate::support::open::{ID, NEW, TOPIC, append, config, known, open};
use crate::support::recipe::{Recipe, Step, TIME};
use crate::support::tell::{MAX_TIMESTAMP, Told, tell};

const LOG_DIR: &str = "/data";
/// So small that there are several.
const SEGMENT_BYTES: u64 = 1_200;
/// Enough for CI.
const MUTATIONS: u64 = 4_000;
/// What a device writes whole or not at all, divided so that several fit into a file.
const BLOCK: usize = 64;
const BATCHES_KNOWN: usize = 5;

/// A directory before it is damaged, and what is true of it.
struct Whole {
    disk: SimDisk,
    /// What must be told of all that is in it.
    told: Told,
    /// Everything in front of it is durable.
    durable: i64,
    /// Batches that their producers may send again, and where they lie.
    repeated: Vec<(Bytes, i64)>,
    files: Vec<PathBuf>,
}

/// Written, and stopped cleanly, or killed when a part was durable: with sealed segments on both sides.
fn whole(is_clean: bool) -> Whole {
    let steps = Recipe::of_rounds(5, 2);
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(LOG_DIR)).unwrap();
    directory::create(&disk, Path::new(LOG_DIR), TOPIC, ID).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut partition = open(&shared, LOG_DIR.as_ref(), &NEW, config(SEGMENT_BYTES), TIME).unwrap();
    let (durable, rest) = steps.split_at(steps.len() * 2 / 3);
    append(&mut partition, durable);
    let end = partition.0.end();
    partition.0.take_unsynced(|file, _| file.sync().unwrap());
    partition.0.durable_to(end);
    let mut recovery_point = partition.0.recovery_point();
    append(&mut partition, rest);
    if is_clean {
        partition.0.stop(&mut partition.1).unwrap();
        recovery_point = partition.0.recovery_point();
        let path = Path::new(LOG_DIR).join(clean_shutdown::FILE_NAME);
        replace_file(&disk, &path, clean_shutdown::write(clean_shutdown::NO_EPOCH).as_bytes()).unwrap();
    }
    for (name, offset) in
        [("recovery-point-offset-checkpoint", recovery_point), ("log-start-offset-checkpoint", 0)]
    {
        let content = write_offsets([(TOPIC, 0, offset)].into_iter());
        replace_file(&disk, &Path::new(LOG_DIR).join(name), content.as_bytes()).unwrap();
    }
    disk.settle();
    let mut files: Vec<PathBuf> = ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"]
        .map(|name| Path::new(LOG_DIR).join(name))
        .into();
    let dir = Path::new(LOG_DIR).join(directory::name(TOPIC, 0));
    files.extend(
        disk.list(&dir).unwrap().iter().filter(|entry| entry.len > 0).map(|entry| dir.join(&entry.name)),
    );
    files.retain(|path| !path.ends_with("partition.metadata"));
    let times: Vec<i64> = (TIME - 40..TIME + 900).step_by(97).chain([MAX_TIMESTAMP]).collect();
    Whole {
        disk,
        told: model::told(&steps, &times),
        durable: recovery_point,
        repeated: repeated(&steps),
        files,
    }
}

/// The last batches of the producer that has no transactions.
fn repeated(steps: &[Step]) -> Vec<(Bytes, i64)> {
    let (mut batches, mut base_offset) = (Vec::new(), 0);
    for step in steps {
        if let Step::Records(batch) = step
            && batch.producer.is_some()
            && !batch.is_transactional
        {
            batches.push((step.bytes(), base_offset));
        }
        base_offset += step.offsets();
    }
    batches.split_off(batches.len() - BATCHES_KNOWN)
}

/// Changes one file, and says which.
fn damage<'w>(whole: &'w Whole, disk: &SimDisk, random: &mut StdRng) -> &'w Path {
    let path = &whole.files[random.random_range(0..whole.files.len())];
    let mut bytes = disk.read(path).unwrap();
    for _ in 0..random.random_range(1..=3) {
        if !bytes.is_empty() {
            change(whole, disk, &mut bytes, random);
        }
    }
    let file = disk.open(path, OpenMode::Replace).unwrap();
    file.write_all_at([&bytes, &[]], 0).unwrap();
    file.sync().unwrap();
    path
}

fn change(whole: &Whole, disk: &SimDisk, bytes: &mut Vec<u8>, random: &mut StdRng) {
    let at = random.random_range(0..bytes.len());
    let block = at / BLOCK * BLOCK..(at / BLOCK * BLOCK + BLOCK).min(bytes.len());
    match random.random_range(0..9) {
        0..3 => bytes[at] ^= 1 << random.random_range(0..8),
        3 => bytes.truncate(at),
        4 => bytes[block].fill(0),
        5 => random.fill(&mut bytes[block]),
        6 => {
            // Two blocks in each other's place.
            let other = random.random_range(0..bytes.len()) / BLOCK * BLOCK;
            let len = block.len().min(bytes.len() - other);
            let (from, to) =
                (bytes[block.start..block.start + len].to_vec(), bytes[other..other + len].to_vec());
            bytes[block.start..block.start + len].copy_from_slice(&to);
            bytes[other..other + len].copy_from_slice(&from);
        }
        7 => {
            // What belongs into another file.
            let other = disk.read(&whole.files[random.random_range(0..whole.files.len())]).unwrap();
            let len = block.len().min(other.len());
            bytes[block.start..block.start + len].copy_from_slice(&other[..len]);
        }
        _ => bytes.extend((0..random.random_range(1..=BLOCK)).map(|_| 0)),
    }
}

/// Says which file it was, should the test fail.
struct Shown<'p>(&'p Path);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("damaged: {}", self.0.display());
        }
    }
}

/// How a mutation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Exact,
    Refused,
    Cut,
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.to_str().unwrap().ends_with(suffix)
}

/// An error names a file, and where in it or both values.
#[track_caller]
fn assert_named(error: &str) {
    let names = [".log", ".txnindex", "log /data/t-0", "/data/t-0: "];
    let is_place = names.iter().any(|name| error.contains(name))
        && ["position", "offset"].iter().any(|place| error.contains(place));
    assert!(is_place || error.contains("checkpoint: "), "{error}");
}

fn mutate(whole: &Whole, random: &mut StdRng) -> Outcome {
    let disk = whole.disk.after_kill();
    let damaged = damage(whole, &disk, random);
    let _shown = Shown(damaged);
    let known = match known(&disk, Path::new(LOG_DIR)) {
        Ok(known) => known,
        Err(fault) => {
            assert_named(&fault);
            return Outcome::Refused;
        }
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut partition = match open(&shared, LOG_DIR.as_ref(), &known, config(SEGMENT_BYTES), TIME) {
        Ok(partition) => partition,
        Err(error) => {
            assert_named(&error.to_string());
            return Outcome::Refused;
        }
    };
    let asked: Vec<i64> = whole.told.times.iter().map(|answer| answer.time).collect();
    let outcome = match tell(&mut partition, &asked) {
        Ok(told) => {
            check(whole, damaged, &told);
            if told.end == whole.told.end { Outcome::Exact } else { Outcome::Cut }
        }
        Err(error) => {
            assert_named(&error.to_string());
            Outcome::Refused
        }
    };
    use_further(whole, damaged, outcome, &mut partition);
    outcome
}

/// What was told is what was written.
fn check(whole: &Whole, damaged: &Path, told: &Told) {
    let expected = &whole.told;
    let is_of = |suffix: &str| ends_with(damaged, suffix);
    assert!(told.end <= expected.end, "records that nobody wrote");
    if told.end < expected.end {
        assert!(is_of(".log") && told.end >= whole.durable, "cut at {} of {}", told.end, expected.end);
    }
    // Where a log begins, only that file says.
    assert!(told.start == 0 || is_of("log-start-offset-checkpoint"));
    let wanted = |offset: i64| (told.start..told.end).contains(&offset);
    let all: Vec<_> = expected.uncommitted.iter().filter(|record| wanted(record.offset)).collect();
    assert!(told.uncommitted.iter().eq(all), "records that are not those that were written");
    if told.end == expected.end && told.start == 0 {
        assert_eq!(told.stable, expected.stable);
        assert_eq!(told.times, expected.times);
        // An index of aborted transactions that lost whole entries cannot be told from a whole one.
        if !is_of(".txnindex") {
            assert_eq!(told.committed, expected.committed);
        }
    }
    assert!(told.committed.iter().all(|record| expected.uncommitted.contains(record)));
}

/// Whatever was found, the partition can be used: producers that repeat themselves are recognized, and what
/// is appended is there, also after a stop and a start.
fn use_further(whole: &Whole, damaged: &Path, outcome: Outcome, partition: &mut (Partition, Cache)) {
    let (partition, cache) = partition;
    for (bytes, base_offset) in &whole.repeated {
        let appended = partition.append(cache, bytes.clone(), TIME, |_, _| ());
        if outcome == Outcome::Exact && !ends_with(damaged, "log-start-offset-checkpoint") {
            let appended = appended.map(|appended| appended.base_offset);
            assert_eq!(appended.unwrap(), *base_offset, "a repeated batch");
        }
    }
    let Ok(appended) = partition.append(cache, Recipe::of_rounds(1, 1)[0].bytes(), TIME, |_, _| ()) else {
        return;
    };
    assert!(appended.base_offset >= whole.durable.min(whole.told.end));
    partition.publish(partition.end());
    let _ = partition.stop(cache);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn damage_to_any_file_changes_no_record_is_refused_or_cuts_what_was_never_durable() {
    let seed = number("LOGMILL_SEED").unwrap_or_else(rand::random);
    let mutations = number("LOGMILL_MUTATIONS").unwrap_or(MUTATIONS);
    println!("LOGMILL_SEED={seed}");
    let wholes = [whole(true), whole(false)];
    let mut counts = [0_u64; 3];
    for number in 0..mutations {
        let whole = &wholes[(number % 2) as usize];
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
        let outcome = catch_unwind(AssertUnwindSafe(|| mutate(whole, &mut random)));
        let outcome = outcome.unwrap_or_else(|_| panic!("LOGMILL_SEED={seed}, mutation {number}"));
        counts[outcome as usize] += 1;
        assert!(outcome != Outcome::Cut || number % 2 == 1, "cut after a clean stop, mutation {number}");
    }
    let [exact, refused, cut] = counts;
    println!("{mutations} mutations: {exact} exact, {refused} refused, {cut} cut");
    assert!(counts.iter().all(|count| *count > mutations / 100), "{counts:?}");
}
