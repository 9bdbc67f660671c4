//! What indexes say, held against the batches that they point to, which come in their order: so neither has to
//! be in memory whole.

use logmill_engine::format::control::ControlRecord;
use logmill_engine::format::index_entry::entries;
use logmill_engine::format::{AbortedEntry, OffsetEntry, TimeEntry};

use super::walk::{Found, FoundBatch};

/// An entry that is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryFault {
    /// Which one, from 0.
    pub(crate) index: usize,
    pub(crate) fault: String,
}

/// Whole entries that are nothing but zeros, at the end of a file that had room for more. `None` where the bytes
/// in front of them are no whole number of entries.
fn padding<E>(bytes: &[u8]) -> usize {
    let len = size_of::<E>();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / len + 1);
    (bytes.len() / len).saturating_sub(used)
}

/// Bytes behind the last whole entry.
fn odd_bytes<E>(bytes: &[u8]) -> usize {
    bytes.len() % size_of::<E>()
}

/// Entries of `.index` beside the batches of their segment.
pub(crate) struct OffsetCheck<'a> {
    base_offset: i64,
    entries: &'a [OffsetEntry],
    /// Entries without bytes at the end, which a broker that was killed leaves.
    pub(crate) padding: usize,
    pub(crate) odd_bytes: usize,
    next: usize,
    pub(crate) faults: Vec<EntryFault>,
}

impl<'a> OffsetCheck<'a> {
    pub(crate) fn new(bytes: &'a [u8], base_offset: i64) -> OffsetCheck<'a> {
        let padding = padding::<OffsetEntry>(bytes);
        let all = entries::<OffsetEntry>(bytes);
        let entries = &all[..all.len() - padding];
        let odd_bytes = odd_bytes::<OffsetEntry>(bytes);
        OffsetCheck { base_offset, entries, padding, odd_bytes, next: 0, faults: Vec::new() }
    }

    pub(crate) fn entries(&self) -> &'a [OffsetEntry] {
        self.entries
    }

    /// The next batch.
    pub(crate) fn see(&mut self, found: &Found<'_>) {
        while let Some((offset, position)) = self.claim() {
            if position > found.position {
                break;
            }
            if position < found.position {
                self.fault(format!("position {position}, where no batch begins"));
            } else if offset != found.batch.last_offset() {
                let last = found.batch.last_offset();
                self.fault(format!("offset {offset}, the batch at position {position} ends with {last}"));
            }
            self.next += 1;
        }
    }

    /// Behind the last batch.
    pub(crate) fn finish(&mut self) {
        while let Some((_, position)) = self.claim() {
            self.fault(format!("position {position}, where no batch begins"));
            self.next += 1;
        }
    }

    /// Offset and position of the next entry; those that cannot be any are told of.
    fn claim(&mut self) -> Option<(i64, u64)> {
        loop {
            let entry = self.entries.get(self.next)?;
            let claim = entry.last_offset(self.base_offset).zip(entry.position());
            let before = self.next.checked_sub(1).map(|index| &self.entries[index]);
            let before = before.and_then(|entry| entry.last_offset(self.base_offset).zip(entry.position()));
            match (claim, before) {
                (None, _) => self.fault("no offset and position of this segment".to_owned()),
                (Some((offset, position)), Some((offset_before, position_before)))
                    if offset <= offset_before || position <= position_before =>
                {
                    self.fault(format!(
                        "offset {offset} and position {position}, behind {offset_before} and {position_before}"
                    ));
                }
                (Some(claim), _) => return Some(claim),
            }
            self.next += 1;
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(EntryFault { index: self.next, fault });
    }
}

/// Entries of `.timeindex` beside the batches of their segment.
pub(crate) struct TimeCheck<'a> {
    base_offset: i64,
    entries: &'a [TimeEntry],
    pub(crate) padding: usize,
    pub(crate) odd_bytes: usize,
    next: usize,
    /// The largest timestamp of the batches so far.
    largest: i64,
    pub(crate) faults: Vec<EntryFault>,
}

impl<'a> TimeCheck<'a> {
    pub(crate) fn new(bytes: &'a [u8], base_offset: i64) -> TimeCheck<'a> {
        let padding = padding::<TimeEntry>(bytes);
        let all = entries::<TimeEntry>(bytes);
        let entries = &all[..all.len() - padding];
        let odd_bytes = odd_bytes::<TimeEntry>(bytes);
        TimeCheck { base_offset, entries, padding, odd_bytes, next: 0, largest: -1, faults: Vec::new() }
    }

    pub(crate) fn entries(&self) -> &'a [TimeEntry] {
        self.entries
    }

    /// The next batch.
    pub(crate) fn see(&mut self, found: &Found<'_>) {
        let (base, last, max) =
            (found.batch.base_offset(), found.batch.last_offset(), found.batch.max_timestamp());
        while let Some((timestamp, offset)) = self.claim() {
            if offset > last {
                break;
            }
            // Of magic 0 and 1 a batch does not say where it begins.
            let is_here = offset >= base || matches!(found.batch, FoundBatch::Legacy(_));
            if !is_here {
                self.fault(format!("offset {offset}, which no batch has"));
            } else if timestamp != max {
                self.fault(format!(
                    "timestamp {timestamp}, the largest of the batch with offset {offset} is {max}"
                ));
            } else if self.largest > timestamp {
                let largest = self.largest;
                self.fault(format!("timestamp {timestamp}, in front of offset {offset} there is {largest}"));
            }
            self.next += 1;
        }
        self.largest = self.largest.max(max);
    }

    /// Behind the last batch.
    pub(crate) fn finish(&mut self) {
        while let Some((_, offset)) = self.claim() {
            self.fault(format!("offset {offset}, which no batch has"));
            self.next += 1;
        }
    }

    /// The largest timestamp of the segment, where no entry has it.
    pub(crate) fn lacks(&self) -> Option<i64> {
        let last = self.entries.last().map_or(-1, TimeEntry::timestamp);
        (self.largest > last).then_some(self.largest)
    }

    fn claim(&mut self) -> Option<(i64, i64)> {
        loop {
            let entry = self.entries.get(self.next)?;
            let before = self.next.checked_sub(1).map(|index| &self.entries[index]);
            let (timestamp, offset) = (entry.timestamp(), entry.last_offset(self.base_offset));
            match (offset, before) {
                (None, _) => self.fault("no offset of this segment".to_owned()),
                (Some(_), Some(before)) if timestamp <= before.timestamp() => {
                    self.fault(format!("timestamp {timestamp}, behind {}", before.timestamp()));
                }
                (Some(offset), Some(before)) if before.last_offset(self.base_offset) > Some(offset) => {
                    self.fault(format!("offset {offset}, behind a larger one"));
                }
                (Some(offset), _) => return Some((timestamp, offset)),
            }
            self.next += 1;
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(EntryFault { index: self.next, fault });
    }
}

/// The end of a transaction that a batch is, if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: i64,
    pub(crate) offset: i64,
    pub(crate) is_abort: bool,
}

/// What a batch that is a marker says.
pub(crate) fn marker(found: &Found<'_>) -> Option<Marker> {
    let FoundBatch::Batch(batch) = found.batch else { return None };
    if !batch.header.is_control() || found.fault.is_some() {
        return None;
    }
    let record = batch.records_in(batch.records).next()?.ok()?;
    let is_abort = match ControlRecord::read(&record).ok()? {
        ControlRecord::Abort { .. } => true,
        ControlRecord::Commit { .. } => false,
        ControlRecord::Other(_) => return None,
    };
    Some(Marker { producer_id: batch.header.producer_id(), offset: batch.header.base_offset(), is_abort })
}

/// Entries of `.txnindex`, which stand in the order of their markers, beside those markers.
pub(crate) struct AbortedCheck<'a> {
    entries: &'a [AbortedEntry],
    pub(crate) odd_bytes: usize,
    next: usize,
    pub(crate) faults: Vec<EntryFault>,
    /// Markers that have no entry.
    pub(crate) missing: Vec<Marker>,
}

impl<'a> AbortedCheck<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> AbortedCheck<'a> {
        let odd_bytes = odd_bytes::<AbortedEntry>(bytes);
        AbortedCheck { entries: entries(bytes), odd_bytes, next: 0, faults: Vec::new(), missing: Vec::new() }
    }

    pub(crate) fn entries(&self) -> &'a [AbortedEntry] {
        self.entries
    }

    /// A marker that aborts a transaction. `began`: where that began, if its beginning was seen; one that was
    /// seen to begin nowhere is `None` too, and needs no entry.
    pub(crate) fn see(&mut self, marker: Marker, began: Option<i64>) {
        while let Some(entry) = self.entries.get(self.next) {
            if entry.last_offset() > marker.offset {
                break;
            }
            self.next += 1;
            let index = self.next - 1;
            let (id, first, last) = (entry.producer_id(), entry.first_offset(), entry.last_offset());
            let fault = if last < marker.offset {
                format!("last offset {last}, where no transaction is aborted")
            } else if id != marker.producer_id {
                format!("producer {id}, at offset {last} one of producer {} is aborted", marker.producer_id)
            } else if began.is_some_and(|began| began != first) {
                format!("first offset {first}, the transaction begins at {}", began.unwrap_or_default())
            } else {
                return;
            };
            self.faults.push(EntryFault { index, fault });
            if last == marker.offset {
                return;
            }
        }
        if began.is_some() {
            self.missing.push(marker);
        }
    }

    /// Behind the last batch.
    pub(crate) fn finish(&mut self) {
        for (index, entry) in self.entries.iter().enumerate().skip(self.next) {
            let fault = format!("last offset {}, where no transaction is aborted", entry.last_offset());
            self.faults.push(EntryFault { index, fault });
        }
        self.next = self.entries.len();
    }
}
