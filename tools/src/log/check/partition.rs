//! One partition: its segments in their order, and the files that speak of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use logmill_engine::disk::Disk;
use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::format::{
    PartitionId, checkpoint, partition_metadata, producer_batches, producer_snapshot,
};
use logmill_engine::log::{FileKind, file_name as segment_file};

use super::log_dir::{Offsets, Standing, read_file, read_whole};
use super::producers::Producers;
use super::report::Report;
use super::segment;
use crate::log::files::{
    Content, EPOCH_CHECKPOINT, METADATA_TOPIC, PartitionName, READABLE_CHECKPOINT, RECOVERY_CHECKPOINT,
    START_CHECKPOINT, file_name,
};

/// What is known of a partition while its segments are walked.
pub(super) struct State {
    /// In front of it everything must be whole; what is behind a start cuts, mends or builds anew.
    pub(super) settled: i64,
    /// In front of it offsets may be missing: the log was compacted.
    pub(super) gaps_below: i64,
    /// The offset that the next batch has; `None` where what is in front of it was damaged.
    pub(super) next: Option<i64>,
    /// A batch could not be looked at: what follows from all of them is not known.
    pub(super) is_damaged: bool,
    pub(super) producers: Producers,
}

impl State {
    /// What a fault at an offset is followed by.
    pub(super) fn tell(
        &self,
        report: &mut Report,
        path: &Path,
        position: Option<u64>,
        offset: i64,
        fault: &str,
    ) -> io::Result<()> {
        if offset < self.settled {
            return report.wrong(path, position, fault);
        }
        let settled = self.settled;
        report.note(
            path,
            position,
            &format!("{fault}; behind the recovery point {settled}, a start mends it"),
        )
    }
}

/// Names in a partition's directory, by what they hold.
#[derive(Default)]
struct Names {
    segments: BTreeSet<i64>,
    others: BTreeMap<FileKind, BTreeSet<i64>>,
    has_epochs: bool,
    has_topic_id: bool,
    snapshots_of_metadata: Vec<String>,
}

/// Checks a partition's directory.
pub(super) fn check(
    dir: &Path,
    name: &PartitionName,
    standing: &mut Standing,
    report: &mut Report,
) -> io::Result<()> {
    report.counts.partitions += 1;
    let names = names(dir, report)?;
    let topic_id = match names.has_topic_id {
        true => {
            let path = dir.join(partition_metadata::FILE_NAME);
            read_whole(&path, report, partition_metadata::read)?
        }
        false => {
            if name.topic != METADATA_TOPIC {
                let path = dir.join(partition_metadata::FILE_NAME);
                report.note(&path, None, "is missing: the partition was being made")?;
            }
            None
        }
    };
    let key = (name.topic.clone(), name.partition);
    let replay = topic_id
        .map(|topic| standing.journals.take(PartitionId { topic, index: name.partition }))
        .unwrap_or_default();
    let of = |offsets: &Offsets| name.fate.is_none().then(|| offsets.get(&key)).flatten().copied();
    let durable = replay.state.as_ref().map(|state| state.place.offset);
    let settled = match (standing.is_clean, &*name.topic) {
        (true, _) => i64::MAX,
        // Nobody writes down how far it is durable: only its last segment may be cut.
        (false, METADATA_TOPIC) => names.segments.last().copied().unwrap_or(0),
        (false, _) => of(&standing.recovery_points).max(durable).unwrap_or(0),
    };
    let mut state = State {
        settled,
        gaps_below: of(&standing.compacted).unwrap_or(0),
        next: None,
        is_damaged: false,
        producers: Producers::default(),
    };
    for base in &names.segments {
        check_chain(dir, *base, &mut state, report)?;
        check_snapshot(dir, *base, &names, &state, report)?;
        let is_last = names.segments.last() == Some(base);
        segment::check(dir, *base, |kind| has(&names, kind, *base), is_last, &mut state, report)?;
    }
    let end = state.next.or_else(|| names.segments.last().copied()).unwrap_or(0);
    check_files_behind(dir, end, &names, &state, report)?;
    for name in &names.snapshots_of_metadata {
        segment::check_metadata_snapshot(&dir.join(name), report)?;
    }
    if names.has_epochs {
        check_epochs(dir, end, &state, report)?;
    }
    let journalled = replay.pieces.iter().map(|piece| piece.place.offset).max().unwrap_or(0);
    let log_dir = dir.parent().unwrap_or(Path::new("."));
    let checks = [
        (RECOVERY_CHECKPOINT, of(&standing.recovery_points), end),
        (START_CHECKPOINT, of(&standing.starts), end.max(journalled)),
        (READABLE_CHECKPOINT, of(&standing.readable), end.max(journalled)),
    ];
    for (file, offset, max) in checks {
        // Where the end is not known for damage nothing can be said of what lies behind.
        if let Some(offset) = offset.filter(|offset| state.next.is_some() && !(0..=max).contains(offset)) {
            let what = format!("{}-{}: offset {offset}, the log ends at {max}", key.0, key.1);
            report.wrong(&log_dir.join(file), None, &what)?;
        }
    }
    Ok(())
}

fn has(names: &Names, kind: FileKind, base: i64) -> bool {
    names.others.get(&kind).is_some_and(|bases| bases.contains(&base))
}

/// Takes the names apart; tells of those that a process left behind.
fn names(dir: &Path, report: &mut Report) -> io::Result<Names> {
    let mut names = Names::default();
    let entries = match ReadOnlyDisk.list(dir) {
        Ok(entries) => entries,
        Err(error) => {
            report.wrong(dir, None, &format!("listing it: {error}"))?;
            return Ok(names);
        }
    };
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        let path = dir.join(&entry.name);
        let Some(name) = file_name(&entry.name) else {
            report.note(&path, None, "a file of nobody's")?;
            continue;
        };
        match (name.fate, name.content) {
            (Some(".deleted"), _) => report.note(&path, None, "on its way out: a start removes it")?,
            (Some(".naming"), _) => report.note(&path, None, "a start gives it its name")?,
            (Some(fate), _) => {
                report.note(&path, None, &format!("{fate}: was under way when a process ended"))?;
            }
            (None, Content::Segment(FileKind::Log, base)) => _ = names.segments.insert(base),
            (None, Content::Segment(kind, base)) => _ = names.others.entry(kind).or_default().insert(base),
            (None, Content::MetadataSnapshot) => names.snapshots_of_metadata.push(entry.name.clone()),
            (None, Content::LeaderEpochs) => names.has_epochs = true,
            (None, Content::TopicId) => names.has_topic_id = true,
            (None, _) => (),
        }
    }
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
        for base in names.others.get(&kind).into_iter().flatten() {
            if !names.segments.contains(base) {
                let path = dir.join(segment_file(*base, kind));
                report.note(&path, None, "an index without its segment: a start removes it")?;
            }
        }
    }
    Ok(names)
}

/// Whether a segment begins where the one in front of it ends.
fn check_chain(dir: &Path, base: i64, state: &mut State, report: &mut Report) -> io::Result<()> {
    if let Some(next) = state.next
        && next != base
        && (base < next || next >= state.gaps_below)
    {
        let path = dir.join(segment_file(base, FileKind::Log));
        let fault = format!("begins at offset {base}, the segment in front of it ends at {next}");
        state.tell(report, &path, None, next, &fault)?;
        state.is_damaged = true;
    }
    state.next = Some(base);
    Ok(())
}

/// The snapshot at the beginning of a segment, or at the end of the log.
fn check_snapshot(
    dir: &Path,
    offset: i64,
    names: &Names,
    state: &State,
    report: &mut Report,
) -> io::Result<()> {
    let path = dir.join(segment_file(offset, FileKind::Snapshot));
    if has(names, FileKind::Snapshot, offset) {
        match read_file(&path, producer_snapshot::read) {
            // In a compacted log batches are gone that it tells of.
            Ok(entries) if state.gaps_below == 0 && !state.is_damaged => {
                for fault in state.producers.faults(&entries, offset) {
                    state.tell(report, &path, None, offset - 1, &fault)?;
                }
            }
            Ok(_) => (),
            Err(fault) => state.tell(report, &path, None, offset - 1, &fault)?,
        }
    }
    check_batches(dir, offset, names, state, report)
}

fn check_batches(
    dir: &Path,
    offset: i64,
    names: &Names,
    state: &State,
    report: &mut Report,
) -> io::Result<()> {
    let path = dir.join(segment_file(offset, FileKind::Batches));
    match read_file(&path, producer_batches::read) {
        Err(fault) if has(names, FileKind::Batches, offset) => {
            state.tell(report, &path, None, offset - 1, &fault)
        }
        _ => Ok(()),
    }
}

/// Snapshots that stand at no segment's beginning: at the log's end, or left over.
fn check_files_behind(
    dir: &Path,
    end: i64,
    names: &Names,
    state: &State,
    report: &mut Report,
) -> io::Result<()> {
    let both = [FileKind::Snapshot, FileKind::Batches].map(|kind| names.others.get(&kind).cloned());
    let offsets: BTreeSet<i64> = both.into_iter().flatten().flatten().collect();
    for offset in offsets.difference(&names.segments).copied() {
        let path = dir.join(segment_file(offset, FileKind::Snapshot));
        if offset == end {
            check_snapshot(dir, offset, names, state, report)?;
        } else if offset > end && state.next.is_some() {
            let fault = format!("a snapshot at offset {offset}, the log ends at {end}");
            state.tell(report, &path, None, end, &fault)?;
        } else {
            if has(names, FileKind::Snapshot, offset)
                && let Err(fault) = read_file(&path, producer_snapshot::read)
            {
                state.tell(report, &path, None, offset - 1, &fault)?;
            }
            check_batches(dir, offset, names, state, report)?;
        }
    }
    Ok(())
}

fn check_epochs(dir: &Path, end: i64, state: &State, report: &mut Report) -> io::Result<()> {
    let path = dir.join(EPOCH_CHECKPOINT);
    let Some(epochs) = read_whole(&path, report, checkpoint::read_epochs)? else { return Ok(()) };
    for pair in epochs.windows(2) {
        let [one, next] = pair else { continue };
        if next.epoch <= one.epoch || next.start < one.start {
            let what = format!(
                "epoch {} from offset {} on, behind epoch {} from {} on",
                next.epoch, next.start, one.epoch, one.start
            );
            report.wrong(&path, None, &what)?;
        }
    }
    if let Some(last) = epochs.last().filter(|last| last.start > end && state.next.is_some()) {
        let fault = format!("epoch {} from offset {} on, the log ends at {end}", last.epoch, last.start);
        state.tell(report, &path, None, last.start, &fault)?;
    }
    Ok(())
}
