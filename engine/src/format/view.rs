//! `BatchView`: a whole batch in memory, as it was read from a log.

use super::batch::{BatchHeader, HEADER_LEN};

/// A batch and where its records lie. What is in a log was checked when it was appended.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    /// Its header.
    pub header: &'a BatchHeader,
    /// The bytes behind the header.
    pub records: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The first batch of `bytes` and what lies behind it; `None` when not all of it is there.
    pub fn split_first(bytes: &'a [u8]) -> Option<(BatchView<'a>, &'a [u8])> {
        let header = BatchHeader::view(bytes)?;
        let (batch, behind) = bytes.split_at_checked(header.size()?)?;
        Some((BatchView { header, records: &batch[HEADER_LEN..] }, behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::batch::tests::sample;

    #[test]
    fn batches_are_taken_off_one_by_one_until_one_is_cut() {
        let bytes = [sample(1, b"first"), sample(2, b"second")].concat();
        let (first, behind) = BatchView::split_first(&bytes).unwrap();
        let (second, end) = BatchView::split_first(behind).unwrap();
        assert_eq!((first.records, second.records), (&b"first"[..], &b"second"[..]));
        assert!(end.is_empty() && BatchView::split_first(end).is_none());
        for len in 0..behind.len() {
            assert!(BatchView::split_first(&behind[..len]).is_none(), "cut at {len}");
        }
    }
}
