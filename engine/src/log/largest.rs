//! A segment's largest timestamp: what its time index says, and whether the batches agree.

use super::cache::{Cache, Place};
use super::log::TimedOffset;
use super::scan::{HEADERS_WINDOW, Walk};
use super::segment::{NO_TIMESTAMP, Segment, next_batch};
use crate::error::Error;

/// Bytes of batches behind that of the last entry that are looked at: where one of them is later, the index
/// has lost entries at its end. Mostly there are none, because the last batch is the latest.
const LOOKED_AT_BEHIND: u64 = 1 << 20;

impl Segment {
    /// Its largest timestamp, and where.
    pub(crate) fn largest(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        interval: u64,
    ) -> Result<TimedOffset, Error> {
        if let Some(largest) = self.largest {
            return Ok(largest);
        }
        let none = TimedOffset { offset: self.base_offset, timestamp: NO_TIMESTAMP };
        let fault = match self.times.last(cache, place) {
            Ok(None) if self.size == 0 => {
                self.largest = Some(none);
                return Ok(none);
            }
            Ok(None) => "no timestamp".to_owned(),
            Ok(Some(entry)) => match self.last_entry_fault(cache, place, entry, interval)? {
                None => {
                    self.largest = Some(entry);
                    return Ok(entry);
                }
                Some(fault) => fault,
            },
            Err(error) => error.to_string(),
        };
        self.rebuild(cache, place, interval, &fault)?;
        Ok(self.largest.unwrap_or(none))
    }

    /// Whether there is a batch that ends at the offset and has the timestamp for its largest.
    pub(crate) fn has_batch(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        entry: TimedOffset,
        interval: u64,
    ) -> Result<bool, Error> {
        let batch = self.find_offset(cache, place, interval, entry.offset, self.size)?;
        Ok(batch.is_some_and(|batch| {
            batch.last_offset() == entry.offset && batch.max_timestamp() == entry.timestamp
        }))
    }

    /// What is wrong with the last entry of the time index; `None` when a batch has what it says, and none
    /// behind that is later.
    fn last_entry_fault(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        entry: TimedOffset,
        interval: u64,
    ) -> Result<Option<String>, Error> {
        let Some(batch) = self.find_offset(cache, place, interval, entry.offset, self.size)? else {
            return Ok(Some(format!("{entry:?} is no batch's")));
        };
        if batch.last_offset() != entry.offset || batch.max_timestamp() != entry.timestamp {
            return Ok(Some(format!("{entry:?} is no batch's")));
        }
        let file = self.file(cache, place)?;
        let mut window = [0; HEADERS_WINDOW];
        let end = self.size.min(batch.end() + LOOKED_AT_BEHIND);
        let mut walk = Walk::new(&file, batch.end(), self.size, &mut window);
        while walk.position() < end {
            let Some(behind) = next_batch(&mut walk, place, |_| true)? else { break };
            if behind.max_timestamp() > entry.timestamp {
                let later = behind.max_timestamp();
                return Ok(Some(format!("{entry:?} is the last one, and a batch behind has {later}")));
            }
        }
        Ok(None)
    }
}
