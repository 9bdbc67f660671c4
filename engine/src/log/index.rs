//! `SparseIndex`: which position a segment's batches begin at, one entry for every few kilobytes.

/// One batch that can be found without reading those in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// Base offset of the batch.
    pub(crate) offset: i64,
    /// Where it begins in the segment's file.
    pub(crate) position: u64,
    /// Largest timestamp of all batches in front of it.
    pub(crate) max_timestamp_before: i64,
}

/// Entries in rising order of offset, position and timestamp. The first batch always has one.
#[derive(Debug, Default)]
pub(crate) struct SparseIndex {
    entries: Vec<IndexEntry>,
    bytes_since_entry: u64,
}

impl SparseIndex {
    /// Notes a batch of `size` bytes, and gives it an entry when the last one is more than `interval` away.
    pub(crate) fn note(&mut self, entry: IndexEntry, size: u64, interval: u64) {
        if self.entries.is_empty() || self.bytes_since_entry > interval {
            self.entries.push(entry);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += size;
    }

    /// Where to begin to look for the batch that holds `offset`.
    pub(crate) fn position_before_offset(&self, offset: i64) -> u64 {
        let behind = self.entries.partition_point(|entry| entry.offset <= offset);
        self.position_before(behind)
    }

    /// Where to begin to look for the first batch that holds a timestamp of `timestamp` or later.
    pub(crate) fn position_before_timestamp(&self, timestamp: i64) -> u64 {
        let behind = self.entries.partition_point(|entry| entry.max_timestamp_before < timestamp);
        self.position_before(behind)
    }

    fn position_before(&self, behind: usize) -> u64 {
        behind.checked_sub(1).map_or(0, |last| self.entries[last].position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of 100 bytes and 10 offsets each, an entry behind every 250 bytes.
    fn sample() -> SparseIndex {
        let mut index = SparseIndex::default();
        for batch in 0..10 {
            let entry = IndexEntry {
                offset: batch * 10,
                position: batch as u64 * 100,
                max_timestamp_before: if batch == 0 { -1 } else { batch * 1_000 - 1_000 },
            };
            index.note(entry, 100, 250);
        }
        index
    }

    #[test]
    fn entries_are_an_interval_apart() {
        let offsets: Vec<i64> = sample().entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, [0, 30, 60, 90]);
    }

    #[test]
    fn a_search_begins_at_or_before_the_batch() {
        let index = sample();
        for (offset, position) in [(0, 0), (29, 0), (30, 300), (59, 300), (95, 900), (1_000, 900)] {
            assert_eq!(index.position_before_offset(offset), position, "offset {offset}");
        }
        // The batch at position 300 is the first behind timestamps up to 2,000.
        for (timestamp, position) in [(0, 0), (2_000, 0), (2_001, 300), (3_000, 300), (99_999, 900)] {
            assert_eq!(index.position_before_timestamp(timestamp), position, "timestamp {timestamp}");
        }
        assert_eq!(SparseIndex::default().position_before_offset(5), 0);
    }
}
