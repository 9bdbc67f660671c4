//! What no crash does: a segment loses bytes that were on the device.

use std::path::Path;

use super::broker::{DIRS, dir_of};
use super::ledger::Book;
use super::numbers::Numbers;
use crate::disk::sim::SimDisk;
use crate::disk::{Disk, OpenMode};
use crate::log::{FileKind, base_of};
use crate::partition::{Marks, PartitionId, directory};

/// Cuts the last segment in front of the recovery point. False: nothing in it lies in front of that.
pub(super) fn shorten(
    disk: &SimDisk,
    id: PartitionId,
    name: &str,
    marks: Marks,
    book: &Book,
    seed: u64,
) -> bool {
    let dir = Path::new(DIRS[dir_of(id)]).join(directory::name(name, id.index));
    let entries = disk.list(&dir).unwrap_or_default();
    let bases = entries.iter().filter_map(|entry| Some((base_of(&entry.name, FileKind::Log)?, entry)));
    let point = marks.recovery_point;
    let Some((base, entry)) = bases.max_by_key(|(base, _)| *base) else { return false };
    let durable = book.sent.iter().filter(|sent| sent.base_offset >= base && sent.last_offset < point);
    let bytes: usize = durable.map(|sent| sent.bytes.len()).sum();
    if bytes == 0 {
        return false;
    }
    let file = disk.open(&dir.join(&entry.name), OpenMode::Existing).unwrap();
    file.set_len(Numbers::new(seed).below(bytes) as u64).unwrap();
    file.sync().unwrap();
    true
}
