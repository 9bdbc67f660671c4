//! `CheckedBatches`: batches that follow each other, each verified before anybody looks at what is in it.

use std::fmt;

use super::header::{BatchHeader, HEADER_LEN, LENGTH_END};
use super::view::BatchView;

/// Walks bytes that were read from a log, from the batch that holds an offset on. A batch is given out when it
/// has the checksum that it was written with and begins where the one before it ends. Behind one that does not
/// there is nothing; one that is cut at the end of the bytes is not given out.
#[derive(Debug)]
pub struct CheckedBatches<'a> {
    bytes: &'a [u8],
    position: u64,
    next_offset: i64,
    is_first: bool,
    has_gaps: bool,
}

/// A batch that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBatch {
    /// Where it begins in its file.
    pub position: u64,
    /// What is there, and what should be.
    pub fault: String,
}

impl fmt::Display for BadBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch at position {}: {}", self.position, self.fault)
    }
}

impl std::error::Error for BadBatch {}

impl<'a> CheckedBatches<'a> {
    /// Of `bytes`, which lie at `position` of a file and begin with the batch that holds `offset`. A log that
    /// was compacted `has_gaps`: offsets may be missing.
    pub fn new(bytes: &'a [u8], position: u64, offset: i64, has_gaps: bool) -> CheckedBatches<'a> {
        CheckedBatches { bytes, position, next_offset: offset, is_first: true, has_gaps }
    }

    /// The offset behind the last batch that was given out; the one asked for in front of the first.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The first batch of the bytes; `None` when it is cut.
    fn first(&self) -> Result<Option<(BatchView<'a>, &'a [u8])>, String> {
        let Some(header) = BatchHeader::view(self.bytes) else { return Ok(None) };
        if header.magic() != 2 {
            return Err(format!("magic {}, expected 2", header.magic()));
        }
        if header.size().is_none() {
            return Err(format!("a length below {}", HEADER_LEN - LENGTH_END));
        }
        let Some((batch, behind)) = BatchView::split_first(self.bytes) else { return Ok(None) };
        batch.check()?;
        if !header.has_possible_offsets() {
            return Err(format!("impossible offsets from {} on", header.base_offset()));
        }
        let (base, last, next) = (header.base_offset(), header.last_offset(), self.next_offset);
        let is_early = if self.is_first { last < next } else { base < next };
        if is_early || (base > next && !self.has_gaps) {
            return Err(format!("offsets {base} to {last}, expected {next}"));
        }
        Ok(Some((batch, behind)))
    }
}

impl<'a> Iterator for CheckedBatches<'a> {
    type Item = Result<BatchView<'a>, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.first() {
            Ok(None) => None,
            Ok(Some((batch, behind))) => {
                self.position += (self.bytes.len() - behind.len()) as u64;
                self.bytes = behind;
                self.next_offset = batch.header.last_offset() + 1;
                self.is_first = false;
                Some(Ok(batch))
            }
            Err(fault) => {
                self.bytes = &[];
                Some(Err(BadBatch { position: self.position, fault }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::batch::tests::sample_with;

    /// Where the bytes lie in their file.
    const POSITION: u64 = 1_000;

    /// Batches of two records at these offsets.
    fn log(bases: &[i64]) -> Vec<u8> {
        let batch = |base: &i64| sample_with(2, b"records", |header| header.set_base_offset(*base));
        bases.iter().flat_map(batch).collect()
    }

    fn batch_len() -> usize {
        log(&[0]).len()
    }

    #[track_caller]
    fn check(bytes: &[u8], offset: i64, has_gaps: bool, bases: &[i64], fault: Option<&str>) {
        let mut batches = CheckedBatches::new(bytes, POSITION, offset, has_gaps);
        let (mut found, mut bad) = (Vec::new(), None);
        for batch in &mut batches {
            match batch {
                Ok(batch) => found.push(batch.header.base_offset()),
                Err(fault) => bad = Some(fault.to_string()),
            }
        }
        assert_eq!(found, bases);
        assert_eq!(bad.as_deref(), fault);
        assert_eq!(batches.next_offset(), bases.last().map_or(offset, |base| base + 2));
    }

    #[test]
    fn batches_that_follow_each_other_are_given_out_until_one_is_cut() {
        let bytes = log(&[4, 6, 8]);
        for offset in [4, 5] {
            check(&bytes, offset, false, &[4, 6, 8], None);
            check(&bytes[..bytes.len() - 1], offset, false, &[4, 6], None);
        }
        for len in 0..batch_len() {
            check(&bytes[..len], 4, false, &[], None);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_but_for_the_leader_epoch_and_a_length_behind_the_end() {
        let bytes = log(&[4, 6, 8]);
        for bit in 0..batch_len() * 8 {
            let mut damaged = bytes.clone();
            damaged[batch_len() + bit / 8] ^= 1 << (bit % 8);
            let batches: Vec<_> = CheckedBatches::new(&damaged, POSITION, 4, false).collect();
            match bit / 8 {
                12..16 => assert!(batches.len() == 3 && batches.iter().all(Result::is_ok), "bit {bit}"),
                // One that seems to be cut ends the walk.
                8..12 if batches.len() == 1 => assert!(batches[0].is_ok()),
                _ => {
                    assert_eq!(batches.len(), 2, "bit {bit}");
                    let bad = batches[1].as_ref().unwrap_err();
                    assert_eq!(bad.position, POSITION + batch_len() as u64, "bit {bit}: {bad}");
                }
            }
        }
    }

    #[test]
    fn a_batch_that_is_missing_twice_there_or_elsewhere_is_named_with_both_offsets() {
        let at = |batch: usize| POSITION + (batch * batch_len()) as u64;
        let fault = |batch, what: &str| Some(format!("batch at position {}: offsets {what}", at(batch)));
        check(&log(&[4, 8]), 4, false, &[4], fault(1, "8 to 9, expected 6").as_deref());
        check(&log(&[4, 4]), 4, false, &[4], fault(1, "4 to 5, expected 6").as_deref());
        check(&log(&[4, 6]), 2, false, &[], fault(0, "4 to 5, expected 2").as_deref());
        check(&log(&[4, 6]), 6, false, &[], fault(0, "4 to 5, expected 6").as_deref());
        check(
            &log(&[i64::MAX - 1]),
            6,
            true,
            &[],
            Some(&format!("batch at position {POSITION}: impossible offsets from {} on", i64::MAX - 1)),
        );
    }

    #[test]
    fn a_compacted_log_may_leave_offsets_out_and_may_not_go_back() {
        check(&log(&[4, 8, 30]), 2, true, &[4, 8, 30], None);
        let at = POSITION + 2 * batch_len() as u64;
        let fault = format!("batch at position {at}: offsets 6 to 7, expected 10");
        check(&log(&[4, 8, 6]), 4, true, &[4, 8], Some(&fault));
    }
}
