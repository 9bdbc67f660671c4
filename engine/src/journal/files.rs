//! `Files`: the files that a journal's frames go into, in turn, and which of them may be written anew.

use std::io;
use std::path::Path;

use super::name::{JournalName, SLOTS};
use crate::disk::{DIRECT_ALIGN, Disk, OpenFile, OpenMode};
use crate::error::Error;
use crate::format::{PartitionId, PartitionMap};

/// A ring of files. One is written, from its beginning; those behind it are needed until all that they hold
/// is durable elsewhere; the others are free. One is always free: the newest frame on the device never names the
/// file that is begun next, so that a first frame which a power cut tears leaves no hole in front of the newest.
#[derive(Debug)]
pub(super) struct Files {
    slots: Vec<Slot>,
    file_bytes: u64,
    current: usize,
    /// Where the next frame goes in the current file.
    position: u64,
    generation: u64,
}

#[derive(Debug)]
struct Slot {
    file: OpenFile,
    /// The generation that is in it, `None` when it is free.
    generation: Option<u64>,
    /// Partitions with pieces in it that are above their durable recovery points, and the offset behind the
    /// last of these.
    needed: PartitionMap<i64>,
}

impl Files {
    /// Makes the files that are missing. All are free; `generation` begins in `first_slot`.
    pub(super) fn open(
        disk: &dyn Disk,
        log_dir: &Path,
        shard: usize,
        file_bytes: u64,
        first_slot: usize,
        generation: u64,
    ) -> Result<Files, Error> {
        assert!(file_bytes > 0 && file_bytes.is_multiple_of(DIRECT_ALIGN as u64) && first_slot < SLOTS);
        let mut slots = Vec::with_capacity(SLOTS);
        let mut made = Vec::new();
        for slot in 0..SLOTS {
            let path = log_dir.join(JournalName { shard, slot }.to_string());
            let opening = || format!("opening {}", path.display());
            if make_file(disk, &path, file_bytes).map_err(Error::io(opening()))? {
                made.push(path.clone());
            }
            let file = disk.open(&path, OpenMode::Direct).map_err(Error::io(opening()))?;
            slots.push(Slot { file, generation: None, needed: PartitionMap::default() });
        }
        // Those that are there may be a process's that was killed before its sync.
        if let Err(source) = disk.sync_dir(log_dir) {
            // The kernel may go on to show names that the device does not have: the next process must not
            // believe them.
            made.iter().for_each(|path| drop(disk.remove_file(path)));
            return Err(Error::io(format_args!("syncing {}", log_dir.display()))(source));
        }
        slots[first_slot].generation = Some(generation);
        Ok(Files { slots, file_bytes, current: first_slot, position: 0, generation })
    }

    /// Whether frames go past the page cache.
    pub(super) fn are_direct(&self) -> bool {
        self.slots.iter().all(|slot| slot.file.is_direct())
    }

    /// Whether a frame of so many bytes can be written.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let len = len as u64;
        len <= self.file_bytes && (self.position + len <= self.file_bytes || self.has_free_next())
    }

    /// Whether a frame of so many bytes can be written and leaves `reserved` of the last file that can be.
    pub(super) fn has_room_beside(&self, len: usize, reserved: u64) -> bool {
        let len = len as u64;
        let (file, end) = match self.position + len <= self.file_bytes {
            true => (self.current, self.position + len),
            false if self.has_free_next() => (self.current + 1, len),
            false => return false,
        };
        let is_last = !self.has_free_behind(file);
        end + if is_last { reserved } else { 0 } <= self.file_bytes
    }

    /// Whether the next file may be begun, which leaves a free one behind it.
    fn has_free_next(&self) -> bool {
        self.has_free_behind(self.current)
    }

    /// Whether the file behind the one in a slot may be begun once that one is written.
    fn has_free_behind(&self, slot: usize) -> bool {
        [1, 2].into_iter().all(|next| {
            let next = (slot + next) % SLOTS;
            next != self.current && self.slots[next].generation.is_none()
        })
    }

    /// Gives a frame its place, in the next file when the current one is full: file, position, generation.
    pub(super) fn place(
        &mut self,
        len: usize,
        ends: impl Iterator<Item = (PartitionId, i64)>,
    ) -> (OpenFile, u64, u64) {
        if self.position + len as u64 > self.file_bytes {
            assert!(self.has_free_next(), "a frame is built only where there is room for it");
            self.current = (self.current + 1) % SLOTS;
            self.position = 0;
            self.generation += 1;
            self.slots[self.current].generation = Some(self.generation);
        }
        let position = self.position;
        self.position += len as u64;
        let slot = &mut self.slots[self.current];
        slot.needed.extend(ends);
        (slot.file.clone(), position, self.generation)
    }

    /// Bytes of each of them.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The oldest generation that is needed.
    pub(super) fn oldest_generation(&self) -> u64 {
        self.slots.iter().filter_map(|slot| slot.generation).min().expect("one is being written")
    }

    /// Takes up that a partition's recovery point is durable.
    pub(super) fn release(&mut self, id: PartitionId, recovery_point: i64) {
        for slot in &mut self.slots {
            if slot.needed.get(&id).is_some_and(|end| *end <= recovery_point) {
                slot.needed.remove(&id);
            }
        }
    }

    /// Takes up that a partition is gone.
    pub(super) fn forget(&mut self, id: PartitionId) {
        self.release(id, i64::MAX);
    }

    /// The oldest file, but for the one that is written.
    fn oldest_full(&self) -> Option<usize> {
        let full = (0..SLOTS).filter(|slot| *slot != self.current && self.slots[*slot].generation.is_some());
        full.min_by_key(|slot| self.slots[*slot].generation)
    }

    /// Partitions with pieces in the oldest full file, and the offset behind the last of these. In no order.
    pub(super) fn needed_by(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        let oldest = self.oldest_full().into_iter();
        oldest.flat_map(|slot| self.slots[slot].needed.iter().map(|(id, end)| (*id, *end)))
    }

    /// The generation of the oldest full file.
    pub(super) fn oldest_full_generation(&self) -> Option<u64> {
        self.oldest_full().and_then(|slot| self.slots[slot].generation)
    }

    /// The generation of the oldest full file, once no more than `free_min` are free.
    pub(super) fn generation_to_free(&self, free_min: usize) -> Option<u64> {
        if self.free() > free_min { None } else { self.oldest_full_generation() }
    }

    /// The generation of the oldest full file, when no piece of it is needed any more.
    pub(super) fn unneeded_generation(&self) -> Option<u64> {
        let oldest = &self.slots[self.oldest_full()?];
        oldest.needed.is_empty().then_some(oldest.generation).flatten()
    }

    /// Frees the oldest full file.
    pub(super) fn free_oldest(&mut self) {
        let oldest = self.oldest_full().expect("there is one to be freed");
        assert!(self.slots[oldest].needed.is_empty(), "nothing in a free file is needed");
        self.slots[oldest].generation = None;
    }

    /// How many may be written anew, besides the one that is always free.
    pub(super) fn free(&self) -> usize {
        self.slots.iter().filter(|slot| slot.generation.is_none()).count() - 1
    }
}

/// True: the file was not there in this size.
fn make_file(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<bool> {
    match disk.open(path, OpenMode::Existing) {
        Ok(file) if file.len()? == len => return Ok(false),
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        Err(error) => return Err(error),
    }
    let file = disk.open(path, OpenMode::Replace)?;
    file.allocate(len)?;
    file.sync()?;
    Ok(true)
}
