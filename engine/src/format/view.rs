//! `BatchView`: a whole batch in memory, as it was read from a log.

use std::borrow::Cow;

use super::codec::{Undecodable, decompress};
use super::header::{BatchHeader, HEADER_LEN};
use super::record::Records;

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

    /// Whether these are the bytes that somebody wrote as a batch.
    pub fn check(&self) -> Result<(), String> {
        if self.header.magic() != 2 {
            return Err(format!("magic {}, expected 2", self.header.magic()));
        }
        let (crc, computed) = (self.header.crc(), self.header.compute_crc(self.records));
        if crc != computed {
            return Err(format!("crc {crc:#010x}, expected {computed:#010x}"));
        }
        Ok(())
    }

    /// Its records' bytes: as they lie there, or decompressed to `bytes_max` at most.
    pub fn uncompressed(&self, bytes_max: usize) -> Result<Cow<'a, [u8]>, Undecodable> {
        let codec =
            self.header.codec().map_err(|id| Undecodable::Damaged(format!("codec {id} does not exist")))?;
        decompress(codec, self.records, bytes_max)
    }

    /// Walks its records in the bytes that [`BatchView::uncompressed`] gave.
    pub fn records_in<'b>(&self, uncompressed: &'b [u8]) -> Records<'b> {
        Records::new(uncompressed, self.header.record_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::batch::CRC_FROM;
    use crate::format::batch::tests::sample;
    use crate::format::codec::Compression;
    use crate::format::{BatchBuilder, NewRecord};

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

    #[test]
    fn a_flipped_bit_under_the_checksum_is_named_with_both_values() {
        let mut bytes = sample(1, b"first");
        let (whole, _) = BatchView::split_first(&bytes).unwrap();
        assert_eq!(whole.check(), Ok(()));
        let crc = whole.header.crc();
        bytes[CRC_FROM - 1] ^= 1;
        let (damaged, _) = BatchView::split_first(&bytes).unwrap();
        assert_eq!(damaged.check(), Err(format!("crc {:#010x}, expected {crc:#010x}", crc ^ 1)));
        bytes[16] = 1;
        let (older, _) = BatchView::split_first(&bytes).unwrap();
        assert_eq!(older.check(), Err("magic 1, expected 2".to_owned()));
    }

    #[test]
    fn records_of_every_codec_are_read() {
        for compression in [
            Compression::None,
            Compression::Gzip { level: -1 },
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd { level: 3 },
        ] {
            let mut builder = BatchBuilder::new().compressed(compression);
            for value in [&b"first"[..], b"second"] {
                builder.push(&NewRecord { key: None, value: Some(value), timestamp: 5, headers: &[] });
            }
            let bytes = builder.finish();
            let (batch, _) = BatchView::split_first(&bytes).unwrap();
            assert_eq!((batch.header.codec(), batch.check()), (Ok(compression.codec()), Ok(())));
            let uncompressed = batch.uncompressed(1_000).unwrap();
            let values: Vec<_> = batch
                .records_in(&uncompressed)
                .map(|record| record.unwrap().value.unwrap().to_vec())
                .collect();
            assert_eq!(values, [&b"first"[..], b"second"]);
        }
    }
}
