//! One segment: its batches, and its indexes against them.

use std::io;
use std::path::Path;

use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::disk::{Disk, OpenFile, OpenMode};
use logmill_engine::log::{FileKind, file_name};

use super::partition::State;
use super::report::Report;
use crate::log::indexes::{AbortedCheck, EntryFault, OffsetCheck, TimeCheck, marker};
use crate::log::walk::{End, Found, FoundBatch, SegmentWalk};

/// What the records of one batch may come to.
const RECORDS_BYTES_MAX: usize = 1 << 30;

/// Checks the segment from `base` on; `has` says which of its files there are.
pub(super) fn check(
    dir: &Path,
    base: i64,
    has: impl Fn(FileKind) -> bool,
    is_last: bool,
    state: &mut State,
    report: &mut Report,
) -> io::Result<()> {
    report.counts.segments += 1;
    let path = dir.join(file_name(base, FileKind::Log));
    let Some(file) = open(&path, report)? else {
        state.next = None;
        return Ok(());
    };
    let mut read = |kind| match has(kind) {
        true => read_index(&dir.join(file_name(base, kind)), report),
        false => Ok(None),
    };
    let (offsets, times, aborted) =
        (read(FileKind::OffsetIndex)?, read(FileKind::TimeIndex)?, read(FileKind::TransactionIndex)?);
    let mut checks = Checks {
        offsets: offsets.as_deref().map(|bytes| OffsetCheck::new(bytes, base)),
        times: times.as_deref().map(|bytes| TimeCheck::new(bytes, base)),
        // Of a compacted log neither transactions nor their ends need be there.
        aborted: (base >= state.gaps_below && !state.is_damaged)
            .then(|| AbortedCheck::new(aborted.as_deref().unwrap_or_default())),
    };
    let is_whole = walk(&path, &file, state, &mut checks, report)?;
    // The batches are unknown that entries point to behind damage.
    if !is_whole {
        state.is_damaged = true;
        return Ok(());
    }
    let end = state.next.unwrap_or(base);
    let is_settled = end <= state.settled;
    let mut say = |kind: FileKind, what: &str| {
        let path = dir.join(file_name(base, kind));
        if is_settled {
            report.wrong(&path, None, what)
        } else {
            let settled = state.settled;
            report.note(
                &path,
                None,
                &format!("{what}; behind the recovery point {settled}, a start builds it anew"),
            )
        }
    };
    if let Some(mut check) = checks.offsets {
        check.finish();
        told(FileKind::OffsetIndex, &check.faults, check.odd_bytes, &mut say)?;
        padded(FileKind::OffsetIndex, check.padding, is_last && !is_settled, &mut say)?;
    }
    if let Some(mut check) = checks.times {
        check.finish();
        told(FileKind::TimeIndex, &check.faults, check.odd_bytes, &mut say)?;
        padded(FileKind::TimeIndex, check.padding, is_last && !is_settled, &mut say)?;
        if let Some(largest) = check.lacks().filter(|_| !is_last || is_settled) {
            let last = check.entries().last().map_or(-1, |entry| entry.timestamp());
            say(
                FileKind::TimeIndex,
                &format!("ends with timestamp {last}, the segment's largest is {largest}"),
            )?;
        }
    }
    if let Some(mut check) = checks.aborted {
        check.finish();
        told(FileKind::TransactionIndex, &check.faults, check.odd_bytes, &mut say)?;
        for marker in &check.missing {
            let (id, offset) = (marker.producer_id, marker.offset);
            say(
                FileKind::TransactionIndex,
                &format!("no entry for the transaction of producer {id} that is aborted at offset {offset}"),
            )?;
        }
    }
    Ok(())
}

/// What the indexes are held against as the batches come.
struct Checks<'a> {
    offsets: Option<OffsetCheck<'a>>,
    times: Option<TimeCheck<'a>>,
    aborted: Option<AbortedCheck<'a>>,
}

impl Checks<'_> {
    fn see(&mut self, found: &Found<'_>, state: &mut State) {
        self.offsets.iter_mut().for_each(|check| check.see(found));
        self.times.iter_mut().for_each(|check| check.see(found));
        match marker(found) {
            Some(marker) => {
                let began = state.producers.end(marker);
                if let Some(check) = self.aborted.as_mut().filter(|_| marker.is_abort) {
                    check.see(marker, began);
                }
            }
            None => state.producers.see(found),
        }
    }
}

/// Walks the batches; `false` where damage ends the walk or hides one.
fn walk(
    path: &Path,
    file: &OpenFile,
    state: &mut State,
    checks: &mut Checks<'_>,
    report: &mut Report,
) -> io::Result<bool> {
    let mut walk = SegmentWalk::new(file)?;
    let mut is_whole = true;
    loop {
        let found = match walk.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                report.wrong(path, None, &format!("reading it: {error}"))?;
                state.next = None;
                return Ok(false);
            }
        };
        report.counts.batches += 1;
        report.progress(found.size);
        let position = found.position;
        let expected = state.next;
        let at = expected.unwrap_or(found.batch.base_offset());
        if let Some(fault) = &found.fault {
            is_whole = false;
            state.tell(report, path, Some(position), at, fault)?;
            // Its length fits: what is behind it can be looked at, if not be counted on.
            let is_in_place = expected == Some(found.batch.base_offset());
            state.next = is_in_place.then(|| found.batch.last_offset().checked_add(1)).flatten();
            continue;
        }
        if let Some(fault) = offsets_fault(&found, expected, state.gaps_below) {
            is_whole = false;
            state.tell(report, path, Some(position), at, &fault)?;
        }
        if report.has_records
            && let Some(fault) = records_fault(&found)
        {
            state.tell(report, path, Some(position), at, &fault)?;
        }
        state.next = Some(found.batch.last_offset() + 1);
        checks.see(&found, state);
    }
    if let End::Cut { position, rest, fault } = walk.end() {
        is_whole = false;
        let at = state.next.unwrap_or(i64::MAX - 1);
        report.progress(rest);
        state.tell(report, path, Some(position), at, &format!("{fault} ({rest} bytes are left)"))?;
        state.next = state.next.filter(|next| *next >= state.settled);
    }
    Ok(is_whole)
}

fn offsets_fault(found: &Found<'_>, expected: Option<i64>, gaps_below: i64) -> Option<String> {
    let expected = expected?;
    let (base, last) = (found.batch.base_offset(), found.batch.last_offset());
    // A compressed message of magic 0 or 1 does not say where it begins.
    let may_leave_out = expected < gaps_below || matches!(found.batch, FoundBatch::Legacy(_));
    let is_wrong = base < expected || (base > expected && !may_leave_out);
    is_wrong.then(|| format!("offsets {base} to {last}, expected {expected}"))
}

/// What is wrong with the records of an undamaged batch.
fn records_fault(found: &Found<'_>) -> Option<String> {
    let batch = match found.batch {
        FoundBatch::Batch(batch) => batch,
        FoundBatch::Legacy(entry) => return entry.messages(RECORDS_BYTES_MAX, |_| ()).err(),
    };
    let bytes = match batch.uncompressed(RECORDS_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return Some(error.to_string()),
    };
    let mut before = -1;
    for record in batch.records_in(&bytes) {
        let delta = match record {
            Ok(record) => record.time.offset_delta,
            Err(bad) => return Some(bad.to_string()),
        };
        let last = i64::from(batch.header.last_offset_delta());
        if delta <= before || delta > last {
            return Some(format!(
                "a record {delta} behind the first offset, expected {} to {last}",
                before + 1
            ));
        }
        before = delta;
    }
    None
}

fn open(path: &Path, report: &mut Report) -> io::Result<Option<OpenFile>> {
    match ReadOnlyDisk.open(path, OpenMode::Existing) {
        Ok(file) => Ok(Some(file)),
        Err(error) => {
            report.wrong(path, None, &format!("opening it: {error}"))?;
            Ok(None)
        }
    }
}

fn read_index(path: &Path, report: &mut Report) -> io::Result<Option<Vec<u8>>> {
    match ReadOnlyDisk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => {
            report.wrong(path, None, &format!("reading it: {error}"))?;
            Ok(None)
        }
    }
}

fn told(
    kind: FileKind,
    faults: &[EntryFault],
    odd_bytes: usize,
    say: &mut impl FnMut(FileKind, &str) -> io::Result<()>,
) -> io::Result<()> {
    for EntryFault { index, fault } in faults {
        say(kind, &format!("entry {index}: {fault}"))?;
    }
    if odd_bytes > 0 {
        say(kind, &format!("{odd_bytes} bytes behind the last whole entry"))?;
    }
    Ok(())
}

/// Room that a broker made for entries and did not use. One that was killed leaves it in its last segment.
fn padded(
    kind: FileKind,
    padding: usize,
    is_usual: bool,
    say: &mut impl FnMut(FileKind, &str) -> io::Result<()>,
) -> io::Result<()> {
    if padding == 0 || is_usual {
        return Ok(());
    }
    say(kind, &format!("zeros in the place of the last {padding} entries"))
}

/// Checks a snapshot of the metadata log.
pub(super) fn check_metadata_snapshot(path: &Path, report: &mut Report) -> io::Result<()> {
    let Some(file) = open(path, report)? else { return Ok(()) };
    let mut walk = SegmentWalk::new(&file)?;
    while let Some(found) = walk.next()? {
        report.counts.batches += 1;
        let fault = found.fault.clone().or_else(|| records_fault(&found));
        if let Some(fault) = fault {
            report.wrong(path, Some(found.position), &fault)?;
        }
    }
    match walk.end() {
        End::Whole => Ok(()),
        End::Cut { position, rest, fault } => {
            report.wrong(path, Some(position), &format!("{fault} ({rest} bytes are left)"))
        }
    }
}
