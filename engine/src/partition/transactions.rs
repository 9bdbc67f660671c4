//! `Transactions`: which are open, and which have ended with a marker that readers do not see yet.

use std::collections::{BTreeMap, BTreeSet};

/// Transactions by their first offset: no two begin at the same one.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: BTreeSet<i64>,
    /// Those whose marker is not below the high watermark, with the marker's offset.
    ended: BTreeMap<i64, i64>,
}

impl Transactions {
    /// One begins.
    pub(super) fn begin(&mut self, first_offset: i64) {
        self.open.insert(first_offset);
    }

    /// One ends with the marker at `marker_offset`. Returns the last stable offset behind that marker, as far as
    /// transactions say.
    pub(super) fn end(&mut self, first_offset: i64, marker_offset: i64) -> i64 {
        self.open.remove(&first_offset);
        self.ended.insert(first_offset, marker_offset);
        self.open.first().copied().unwrap_or(marker_offset + 1)
    }

    /// Readers see markers up to here.
    pub(super) fn advance(&mut self, high_watermark: i64) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, marker_offset| *marker_offset >= high_watermark);
        }
    }

    /// The first offset whose fate is not decided for every reader.
    pub(super) fn first_unstable(&self) -> Option<i64> {
        let open = self.open.first().copied();
        let ended = self.ended.first_key_value().map(|(first_offset, _)| *first_offset);
        open.into_iter().chain(ended).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_transaction_is_unstable_until_its_marker_is_seen() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.first_unstable(), None);
        transactions.begin(10);
        transactions.begin(20);
        assert_eq!(transactions.end(10, 30), 20, "another one is open");
        assert_eq!(transactions.first_unstable(), Some(10));
        transactions.advance(30);
        assert_eq!(transactions.first_unstable(), Some(10), "the marker itself is not seen");
        transactions.advance(31);
        assert_eq!(transactions.first_unstable(), Some(20));
        assert_eq!(transactions.end(20, 40), 41);
        transactions.advance(41);
        assert_eq!(transactions.first_unstable(), None);
    }

    #[test]
    fn a_later_transaction_that_ends_first_changes_nothing_for_the_earlier_one() {
        let mut transactions = Transactions::default();
        transactions.begin(10);
        transactions.begin(20);
        assert_eq!(transactions.end(20, 30), 10);
        transactions.advance(100);
        assert_eq!(transactions.first_unstable(), Some(10));
    }
}
