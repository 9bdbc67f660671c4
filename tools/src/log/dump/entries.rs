//! `.index`, `.timeindex` and `.txnindex`: their entries, each held against the log where that is there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::disk::{Disk, OpenMode};
use logmill_engine::log::{FileKind, file_name};

use super::{Dump, Dumped};
use crate::log::indexes::{AbortedCheck, EntryFault, OffsetCheck, TimeCheck, marker};
use crate::log::walk::{Found, SegmentWalk};
use crate::print::{Cell, Fields};

impl Dump {
    pub(super) fn offset_index(&mut self, path: &Path, base_offset: i64) -> Dumped {
        let bytes = self.read(path, "offset index")?;
        let mut check = OffsetCheck::new(&bytes, base_offset);
        let is_held = walk_segment(path, base_offset, |found| check.see(found))?;
        if is_held {
            check.finish();
        }
        let entries = check.entries().iter().map(|entry| {
            Fields::default()
                .with("offset", entry.last_offset(base_offset))
                .with("position", entry.position())
        });
        self.entries("entry", entries.collect(), &check.faults)?;
        self.behind(check.padding, check.odd_bytes)
    }

    pub(super) fn time_index(&mut self, path: &Path, base_offset: i64) -> Dumped {
        let bytes = self.read(path, "time index")?;
        let mut check = TimeCheck::new(&bytes, base_offset);
        let is_held = walk_segment(path, base_offset, |found| check.see(found))?;
        if is_held {
            check.finish();
        }
        let entries = check.entries().iter().map(|entry| {
            Fields::default()
                .with("timestamp", Cell::Time(entry.timestamp()))
                .with("offset", entry.last_offset(base_offset))
        });
        self.entries("entry", entries.collect(), &check.faults)?;
        self.behind(check.padding, check.odd_bytes)
    }

    pub(super) fn aborted_index(&mut self, path: &Path, base_offset: i64) -> Dumped {
        let bytes = self.read(path, "aborted transactions")?;
        let mut check = AbortedCheck::new(&bytes);
        let see = |found: &Found<'_>| {
            if let Some(marker) = marker(found).filter(|marker| marker.is_abort) {
                check.see(marker, None);
            }
        };
        if walk_segment(path, base_offset, see)? {
            check.finish();
        }
        let entries = check.entries().iter().map(|entry| {
            Fields::default()
                .with("producer_id", entry.producer_id())
                .with("first_offset", entry.first_offset())
                .with("last_offset", entry.last_offset())
                .with("last_stable_offset", entry.last_stable_offset())
        });
        self.entries("aborted", entries.collect(), &check.faults)?;
        self.behind(0, check.odd_bytes)
    }

    fn entries(&mut self, kind: &'static str, entries: Vec<Fields>, faults: &[EntryFault]) -> Dumped {
        let mut faults: BTreeMap<usize, &str> =
            faults.iter().map(|fault| (fault.index, fault.fault.as_str())).collect();
        for (index, fields) in entries.into_iter().enumerate() {
            let fault = faults.remove(&index);
            self.faults += u64::from(fault.is_some());
            self.line(kind, &fields.with("fault", fault))?;
        }
        Ok(())
    }

    fn behind(&mut self, padding: usize, odd_bytes: usize) -> Dumped {
        if padding > 0 {
            self.line("padding", &Fields::default().with("entries", padding))?;
        }
        if odd_bytes > 0 {
            self.fault(None, &format!("{odd_bytes} bytes behind the last whole entry"))?;
        }
        Ok(())
    }
}

/// Shows the batches of the segment beside a file; `false` where it is not there.
fn walk_segment(path: &Path, base_offset: i64, mut see: impl FnMut(&Found<'_>)) -> Dumped<bool> {
    let log = path.with_file_name(file_name(base_offset, FileKind::Log));
    let file = match ReadOnlyDisk.open(&log, OpenMode::Existing) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("{}: {error}", log.display()).into()),
    };
    let mut walk = SegmentWalk::new(&file)?;
    while let Some(found) = walk.next()? {
        see(&found);
    }
    Ok(true)
}
