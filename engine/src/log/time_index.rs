//! `TimeIndex`: which batches have the largest timestamps so far.

use std::io;

use super::cache::{Cache, Place};
use super::entry_file::{Entry, EntryFile};
use super::file_name::FileKind;
use super::log::TimedOffset;
use crate::format::index_entry::TimeEntry;

impl Entry for TimeEntry {
    const KIND: FileKind = FileKind::TimeIndex;
}

/// Entries with rising timestamps, each with the last offset of the batch that has it first.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    pub(crate) entries: EntryFile<TimeEntry>,
    /// Timestamp of the last entry; `None` when it was not read yet.
    last_timestamp: Option<i64>,
}

impl TimeIndex {
    pub(crate) fn empty() -> TimeIndex {
        TimeIndex { entries: EntryFile::empty(), last_timestamp: Some(-1) }
    }

    pub(crate) fn in_file(count: u32) -> TimeIndex {
        TimeIndex { entries: EntryFile::in_file(count), last_timestamp: (count == 0).then_some(-1) }
    }

    /// Entries that go on behind the last one.
    pub(crate) fn going_on(entries: EntryFile<TimeEntry>, last: Option<&TimeEntry>) -> TimeIndex {
        TimeIndex { entries, last_timestamp: Some(last.map_or(-1, TimeEntry::timestamp)) }
    }

    /// The last entry.
    pub(crate) fn last(&mut self, cache: &mut Cache, place: &Place<'_>) -> io::Result<Option<TimedOffset>> {
        let last = self.entries.last(cache, place)?.map(|entry| timed(&entry, place));
        self.last_timestamp = Some(last.map_or(-1, |last| last.timestamp));
        Ok(last)
    }

    /// Adds an entry when the largest timestamp has grown since the last one, which was read.
    pub(crate) fn note(&mut self, base_offset: i64, largest: TimedOffset) {
        let last = self.last_timestamp.expect("the last entry is read before one is added");
        if largest.timestamp > last
            && let Some(entry) = TimeEntry::new(base_offset, largest.timestamp, largest.offset)
        {
            self.entries.push(entry);
            self.last_timestamp = Some(largest.timestamp);
        }
    }

    /// The last entry that is not later than `timestamp`: no batch in front of its has a later record.
    pub(crate) fn batch_before(
        &self,
        cache: &mut Cache,
        place: &Place<'_>,
        timestamp: i64,
    ) -> io::Result<Option<TimedOffset>> {
        let found = self.entries.floor(cache, place, |entry| entry.timestamp() <= timestamp)?;
        Ok(found.map(|(entry, _)| timed(&entry, place)))
    }
}

fn timed(entry: &TimeEntry, place: &Place<'_>) -> TimedOffset {
    // An offset that cannot be one is confirmed by no batch.
    TimedOffset { offset: entry.last_offset(place.base_offset).unwrap_or(-1), timestamp: entry.timestamp() }
}
