//! Batches whose records are any bytes: the broker looks at none of them.

use bytes::Bytes;
use logmill_engine::format::BatchHeader;
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN};

/// Who numbers a batch, and how: id, epoch, sequence.
pub(super) type Numbered = (i64, i16, i32);

/// A batch of one record, by hand.
pub(super) fn batch(payload: &[u8], producer: Option<Numbered>) -> Bytes {
    let mut bytes = vec![0; HEADER_LEN];
    bytes.extend_from_slice(payload);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let (id, epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    bytes[43..51].copy_from_slice(&id.to_be_bytes());
    bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// Base offset and payload of each whole batch.
pub(super) fn read_batches(mut bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut batches = Vec::new();
    while let Some(header) = BatchHeader::view(bytes) {
        let Some((batch, rest)) = bytes.split_at_checked(header.size().unwrap()) else { break };
        assert_eq!(crc32c::crc32c(&batch[CRC_FROM..]), header.crc());
        batches.push((header.base_offset(), batch[HEADER_LEN..].to_vec()));
        bytes = rest;
    }
    batches
}
