//! `EntryFile`: the entries of one index, the older ones in its file, the newest in memory.

use std::io;
use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::cache::{Cache, PAGE_LEN, Place};
use super::file_name::FileKind;
use crate::disk::{OpenFile, OpenMode};
use crate::format::EntriesState;
use crate::format::index_entry::entries;

/// An entry of an index file.
pub(crate) trait Entry: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned + Copy {
    /// The file that holds such entries.
    const KIND: FileKind;
}

/// As many entries gather in memory before they are written.
const TAIL_LEN_MAX: usize = 512;

/// Entries in rising order. What is in the file is read through the cache, page by page.
#[derive(Debug)]
pub(crate) struct EntryFile<E> {
    /// Entries that the file holds. What lies behind them in it does not exist.
    in_file: u32,
    /// Entries behind those.
    tail: Vec<E>,
    /// So many entries are known to be on the device, of a file that grows.
    synced: u32,
    /// Checksum of the entries behind those.
    crc: u32,
    /// The file, held from its first write to the sync that covers it: a failure to write back is told to
    /// those who had it open.
    written: Option<OpenFile>,
    entry: PhantomData<E>,
}

impl<E: Entry> EntryFile<E> {
    const PER_PAGE: u32 = (PAGE_LEN / size_of::<E>()) as u32;

    /// No entries, and nothing in the file that counts.
    pub(crate) fn empty() -> EntryFile<E> {
        EntryFile::in_file(0)
    }

    /// A file that holds so many whole entries, on the device.
    pub(crate) fn in_file(in_file: u32) -> EntryFile<E> {
        let (tail, written) = (Vec::new(), None);
        EntryFile { in_file, tail, synced: in_file, crc: 0, written, entry: PhantomData }
    }

    /// A file that holds what [`EntryFile::state`] said of it, not all of which was synced.
    pub(crate) fn in_state(state: &EntriesState, file: OpenFile) -> EntryFile<E> {
        let EntriesState { synced, count, crc } = *state;
        EntryFile { synced, crc, written: Some(file), ..EntryFile::in_file(count) }
    }

    /// What is true of the file when [`EntryFile::write_tail`] has returned.
    pub(crate) fn state(&self) -> EntriesState {
        EntriesState { synced: self.synced, count: self.len(), crc: self.crc }
    }

    /// How many entries `len` bytes are; `None` when they are not whole ones.
    pub(crate) fn count(len: u64) -> Option<u32> {
        let size = size_of::<E>() as u64;
        len.is_multiple_of(size).then(|| u32::try_from(len / size).ok()).flatten()
    }

    pub(crate) fn len(&self) -> u32 {
        self.in_file + self.tail.len() as u32
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.crc = crc32c::crc32c_append(self.crc, entry.as_bytes());
        self.tail.push(entry);
    }

    /// Whether so many have gathered that they should be written.
    pub(crate) fn is_tail_full(&self) -> bool {
        self.tail.len() >= TAIL_LEN_MAX
    }

    /// Whether the file lacks entries.
    pub(crate) fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    pub(crate) fn get(&self, cache: &mut Cache, place: &Place<'_>, index: u32) -> io::Result<E> {
        match index.checked_sub(self.in_file) {
            Some(in_tail) => Ok(self.tail[in_tail as usize]),
            None => Ok(self.page(cache, place, index / Self::PER_PAGE)?[(index % Self::PER_PAGE) as usize]),
        }
    }

    pub(crate) fn last(&self, cache: &mut Cache, place: &Place<'_>) -> io::Result<Option<E>> {
        self.len().checked_sub(1).map(|last| self.get(cache, place, last)).transpose()
    }

    /// The last entry for which `is_before` holds, which it does for all in front of that; and the one behind it,
    /// where that is at hand.
    pub(crate) fn floor(
        &self,
        cache: &mut Cache,
        place: &Place<'_>,
        is_before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<(E, Option<E>)>> {
        let last_of = |entries: &[E]| {
            let behind = entries.partition_point(&is_before);
            behind.checked_sub(1).map(|last| (entries[last], entries.get(behind).copied()))
        };
        if self.tail.first().is_some_and(&is_before) {
            return Ok(last_of(&self.tail));
        }
        let (mut from, mut to) = (0, self.in_file.div_ceil(Self::PER_PAGE));
        while from < to {
            let middle = from + (to - from) / 2;
            if is_before(&self.page(cache, place, middle)?[0]) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        let Some(page) = from.checked_sub(1) else { return Ok(None) };
        Ok(last_of(self.page(cache, place, page)?))
    }

    /// The first entry for which `is_before` does not hold, which it does for all in front of that.
    pub(crate) fn ceiling(
        &self,
        cache: &mut Cache,
        place: &Place<'_>,
        is_before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            if is_before(&self.get(cache, place, middle)?) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        (from < self.len()).then(|| self.get(cache, place, from)).transpose()
    }

    fn page<'c>(&self, cache: &'c mut Cache, place: &Place<'_>, number: u32) -> io::Result<&'c [E]> {
        let count = Self::PER_PAGE.min(self.in_file - number * Self::PER_PAGE) as usize;
        let page_len = Self::PER_PAGE as usize * size_of::<E>();
        cache.page(place, E::KIND, number, page_len, count * size_of::<E>()).map(entries)
    }

    /// Writes what the file lacks. When it fails nothing has changed, and it can be tried again.
    pub(crate) fn write_tail(&mut self, cache: &Cache, place: &Place<'_>) -> io::Result<()> {
        let file = match &self.written {
            Some(file) => file,
            None => {
                let mode = if self.in_file == 0 { OpenMode::Replace } else { OpenMode::Existing };
                self.written.insert(cache.disk().open(&place.path(E::KIND), mode)?)
            }
        };
        let position = u64::from(self.in_file) * size_of::<E>() as u64;
        file.write_all_at([self.tail.as_bytes(), &[]], position)?;
        self.in_file = self.len();
        self.tail = Vec::new();
        Ok(())
    }

    /// The file, when it was written to since it was last taken.
    pub(crate) fn take_written(&mut self) -> Option<OpenFile> {
        self.written.take()
    }
}
