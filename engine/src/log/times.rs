//! Offsets by time, as Apache Kafka answers for them.

use super::cache::{Cache, Place};
use super::log::{Log, LogEnd, TimedOffset, readable_bytes};
use super::scan::{BatchAt, HEADERS_WINDOW};
use super::segment::{NO_TIMESTAMP, next_batch, reading};
use crate::disk::OpenFile;
use crate::error::Error;
use crate::format::codec::decompressed_bytes_max;
use crate::format::legacy::LegacyEntry;
use crate::format::{BatchHeader, BatchView};

impl Log {
    /// The first record between the log's start and `end` with a timestamp of `timestamp` or later.
    pub fn offset_at_time(
        &mut self,
        cache: &mut Cache,
        timestamp: i64,
        end: LogEnd,
    ) -> Result<Option<TimedOffset>, Error> {
        for index in self.segment_of(self.start_offset)..self.segments.len() {
            if self.segments[index].base_offset > end.segment {
                break;
            }
            if self.largest_of(cache, index)?.timestamp >= timestamp
                && let Some(found) = self.time_in_segment(cache, index, timestamp, end)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record in front of `end` with the largest timestamp of all.
    pub fn offset_of_max_timestamp(
        &mut self,
        cache: &mut Cache,
        end: LogEnd,
    ) -> Result<Option<TimedOffset>, Error> {
        let mut max = end.max_timestamp;
        for index in self.segment_of(self.start_offset)..self.segments.len() {
            if self.segments[index].base_offset >= end.segment {
                break;
            }
            max = max.max(self.largest_of(cache, index)?.timestamp);
        }
        if max <= NO_TIMESTAMP { Ok(None) } else { self.offset_at_time(cache, max, end) }
    }

    /// The largest timestamp of a segment, and the last offset of the first batch that has it.
    pub(super) fn largest_of(&mut self, cache: &mut Cache, index: usize) -> Result<TimedOffset, Error> {
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(index);
        segment.largest(cache, &place, interval)
    }

    fn time_in_segment(
        &mut self,
        cache: &mut Cache,
        index: usize,
        timestamp: i64,
        end: LogEnd,
    ) -> Result<Option<TimedOffset>, Error> {
        let interval = self.limits.index_interval_bytes;
        let start_offset = self.start_offset;
        let (segment, place) = self.segment(index);
        let from = match segment.times.batch_before(cache, &place, timestamp) {
            Ok(None) => place.base_offset,
            Ok(Some(entry)) if segment.has_batch(cache, &place, entry, interval)? => entry.offset,
            Ok(Some(entry)) => {
                segment.rebuild(cache, &place, interval, &format!("{entry:?} is no batch's"))?;
                place.base_offset
            }
            Err(error) => {
                segment.rebuild(cache, &place, interval, &error.to_string())?;
                place.base_offset
            }
        };
        let file = segment.file(cache, &place)?;
        let mut window = [0; HEADERS_WINDOW];
        let from = from.max(start_offset);
        let mut walk = segment.walk_to(cache, &place, interval, from, (&file, &mut window))?;
        walk.end_at(readable_bytes(segment, end));
        let is_candidate =
            |batch: &BatchAt| batch.max_timestamp() >= timestamp && batch.last_offset() >= start_offset;
        while let Some(batch) = next_batch(&mut walk, &place, is_candidate)? {
            if let Some(found) = record_in(&batch, &file, &place, timestamp, start_offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The first record of `batch` with a timestamp of `timestamp` or later, from `start_offset` on.
fn record_in(
    batch: &BatchAt,
    file: &OpenFile,
    place: &Place<'_>,
    timestamp: i64,
    start_offset: i64,
) -> Result<Option<TimedOffset>, Error> {
    let first =
        TimedOffset { offset: batch.base_offset().max(start_offset), timestamp: batch.max_timestamp() };
    let is_wanted = |found: &TimedOffset| found.timestamp >= timestamp && found.offset >= start_offset;
    let bytes = batch.read(file).map_err(reading(place))?;
    let bytes_max = decompressed_bytes_max(bytes.len());
    let found = match batch.header() {
        Some(header) => first_record(header, &bytes, bytes_max, is_wanted),
        None => first_message(&bytes, bytes_max, is_wanted),
    };
    // What records say of themselves was not always checked: where they say nothing of use, the header does.
    Ok(found.unwrap_or(Some(first)))
}

/// `None` when the records cannot be read.
fn first_record(
    header: &BatchHeader,
    bytes: &[u8],
    bytes_max: usize,
    is_wanted: impl Fn(&TimedOffset) -> bool,
) -> Option<Option<TimedOffset>> {
    let (view, _) = BatchView::split_first(bytes)?;
    let records = view.uncompressed(bytes_max).ok()?;
    for record in view.records_in(&records) {
        let time = record.ok()?.time;
        let offset = header.base_offset().checked_add(time.offset_delta)?;
        let found = TimedOffset { offset, timestamp: header.timestamp_of(time.timestamp_delta) };
        if offset > header.last_offset() || offset < header.base_offset() {
            return None;
        }
        if is_wanted(&found) {
            return Some(Some(found));
        }
    }
    Some(None)
}

/// The same of magic 0 and 1.
fn first_message(
    bytes: &[u8],
    bytes_max: usize,
    is_wanted: impl Fn(&TimedOffset) -> bool,
) -> Option<Option<TimedOffset>> {
    let (entry, _) = LegacyEntry::split_first(bytes)?;
    let mut first = None;
    entry
        .messages(bytes_max, |message| {
            let found = TimedOffset { offset: message.offset, timestamp: message.timestamp };
            if first.is_none() && is_wanted(&found) {
                first = Some(found);
            }
        })
        .ok()?;
    Some(first)
}
