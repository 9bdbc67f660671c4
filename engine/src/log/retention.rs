//! `Retention`: how long and how much of a log is kept.

use super::cache::Cache;
use super::log::Log;
use super::segment::{NO_TIMESTAMP, reading};
use crate::error::Error;

/// What a topic keeps. Whole segments go, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A segment goes when its largest timestamp is longer ago; one whose records have none, when its file was
    /// last modified longer ago.
    pub ms: Option<i64>,
    /// A segment goes when the log without it has so many bytes still.
    pub bytes: Option<u64>,
}

impl Log {
    /// Where the log would begin without what need not be kept, when that is later than it does. Nothing
    /// behind `limit_offset` goes.
    pub fn expired_below(
        &mut self,
        cache: &mut Cache,
        retention: Retention,
        now_ms: i64,
        limit_offset: i64,
    ) -> Result<Option<i64>, Error> {
        let mut spare = retention.bytes.map_or(0, |bytes| self.size().saturating_sub(bytes));
        let is_over = retention.bytes.is_some() && spare > 0;
        let mut start = None;
        for index in 0..self.segments.len() {
            let size = self.segments[index].size;
            let end = self.segments.get(index + 1).map_or(self.next_offset, |next| next.base_offset);
            let is_last_and_empty = index + 1 == self.segments.len() && size == 0;
            if end > limit_offset || is_last_and_empty {
                break;
            }
            // What lies in front of the start goes anyway.
            let is_too_much = is_over && spare >= size;
            if end > self.start_offset && !is_too_much && !self.is_too_old(cache, index, retention, now_ms)? {
                break;
            }
            spare = spare.saturating_sub(size);
            start = Some(end);
        }
        Ok(start.filter(|start| *start > self.start_offset))
    }

    fn is_too_old(
        &mut self,
        cache: &mut Cache,
        index: usize,
        retention: Retention,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let Some(ms) = retention.ms else { return Ok(false) };
        let largest = self.largest_of(cache, index)?.timestamp;
        let newest = if largest > NO_TIMESTAMP {
            largest
        } else {
            // None of its records has a time. As in Apache Kafka they are as old as the file.
            let (segment, place) = self.segment(index);
            segment.file(cache, &place)?.modified_ms().map_err(reading(&place))?
        };
        Ok(now_ms.saturating_sub(newest) > ms)
    }
}
