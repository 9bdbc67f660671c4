//! `BatchHeader`: the first 61 bytes of a record batch of version 2, viewed where they lie.
//!
//! ```text
//!  0        8        12       16 17       21     23       27             35
//! +--------+--------+--------+--+--------+------+--------+--------------+
//! | base   | length | leader |m | crc32c | attr | last   | base         |
//! | offset | of rest| epoch  |=2|        |      | offset | timestamp    |
//! |        |        |        |  |        |      | delta  |              |
//! +--------+--------+--------+--+--------+------+--------+--------------+
//! 35             43             51      53       57       61
//! +--------------+--------------+-------+--------+--------+---------...
//! | max          | producer id  | prod. | base   | record | records,
//! | timestamp    |              | epoch | seq.   | count  | as one block
//! +--------------+--------------+-------+--------+--------+---------...
//! ```
//!
//! All integers are big-endian. `length` counts from byte 12 on; the checksum covers byte 21 to the end, so
//! base offset and leader epoch are the broker's to set without computing it anew.

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::Codec;
use crate::error::Refusal;

/// Bytes in front of the records.
pub const HEADER_LEN: usize = 61;
/// Bytes in front of what `length` counts.
pub const LENGTH_END: usize = 12;
/// The first byte that the checksum covers.
pub const CRC_FROM: usize = 21;

pub(super) const CODEC_MASK: i16 = 0b111;
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;

/// The first 61 bytes of a batch.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    pub(super) base_offset: I64,
    pub(super) length: I32,
    pub(super) leader_epoch: I32,
    pub(super) magic: i8,
    pub(super) crc: U32,
    pub(super) attributes: I16,
    pub(super) last_offset_delta: I32,
    pub(super) base_timestamp: I64,
    pub(super) max_timestamp: I64,
    pub(super) producer_id: I64,
    pub(super) producer_epoch: I16,
    pub(super) base_sequence: I32,
    pub(super) record_count: I32,
}

const _: () = assert!(size_of::<BatchHeader>() == HEADER_LEN);

impl BatchHeader {
    /// Views the beginning of `bytes`; `None` when they are too few.
    pub fn view(bytes: &[u8]) -> Option<&BatchHeader> {
        BatchHeader::ref_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> i64 {
        self.base_offset.get()
    }

    /// Whether its offsets are numbers that offsets can be. Neither they nor the checksum say so by
    /// themselves.
    pub(crate) fn has_possible_offsets(&self) -> bool {
        let last = self.base_offset.get().checked_add(self.last_offset_delta.get().into());
        self.base_offset.get() >= 0
            && last.is_some_and(|last| (self.base_offset.get()..i64::MAX).contains(&last))
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.get() + i64::from(self.last_offset_delta.get())
    }

    /// Bytes of the whole batch; `None` when the header's length cannot be one.
    pub fn size(&self) -> Option<usize> {
        let rest = usize::try_from(self.length.get()).ok()?;
        (rest >= HEADER_LEN - LENGTH_END).then_some(LENGTH_END + rest)
    }

    /// Version of the format.
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// Checksum as written.
    pub fn crc(&self) -> u32 {
        self.crc.get()
    }

    /// Largest timestamp of its records, in milliseconds.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp.get()
    }

    /// Timestamp that the records' deltas are counted from.
    pub fn base_timestamp(&self) -> i64 {
        self.base_timestamp.get()
    }

    /// Whether the timestamps are the broker's.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes.get() & LOG_APPEND_TIME != 0
    }

    /// How the records are compressed, or the number of a codec that does not exist.
    pub fn codec(&self) -> Result<Codec, u8> {
        let id = (self.attributes.get() & CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(id)
    }

    /// Whether the records are one compressed block.
    pub fn is_compressed(&self) -> bool {
        self.attributes.get() & CODEC_MASK != 0
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.get() & TRANSACTIONAL != 0
    }

    /// Whether its record is the end of a transaction.
    pub fn is_control(&self) -> bool {
        self.attributes.get() & CONTROL != 0
    }

    /// Epoch of the leader that appended it.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.get()
    }

    /// Who wrote it, -1 without idempotence.
    pub fn producer_id(&self) -> i64 {
        self.producer_id.get()
    }

    /// The producer's epoch, -1 without idempotence.
    pub fn producer_epoch(&self) -> i16 {
        self.producer_epoch.get()
    }

    /// Sequence of the first record, -1 in what ends a transaction.
    pub fn base_sequence(&self) -> i32 {
        self.base_sequence.get()
    }

    /// How many offsets the last record is behind the first.
    pub fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta.get()
    }

    /// The time of a record that is so many milliseconds behind the base timestamp.
    pub fn timestamp_of(&self, delta: i64) -> i64 {
        if self.is_log_append_time() {
            self.max_timestamp.get()
        } else {
            // Nobody checks what a producer without an idea of time writes.
            self.base_timestamp.get().wrapping_add(delta)
        }
    }

    /// How many records it says to hold.
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }

    /// Writes the header of a batch in front of its records. Offset and leader epoch are stamped when it is
    /// appended.
    pub(super) fn write(out: &mut [u8], records: &[u8], codec: Codec, new: &NewHeader) {
        let flag = |is_set: bool, flag: i16| if is_set { flag } else { 0 };
        let attributes =
            i16::from(codec.id()) | flag(new.is_transactional, TRANSACTIONAL) | flag(new.is_control, CONTROL);
        let mut header = BatchHeader {
            base_offset: 0.into(),
            length: length_of(records).into(),
            leader_epoch: (-1).into(),
            magic: 2,
            crc: 0.into(),
            attributes: attributes.into(),
            last_offset_delta: (new.count - 1).into(),
            base_timestamp: new.base_timestamp.into(),
            max_timestamp: new.max_timestamp.into(),
            producer_id: new.producer_id.into(),
            producer_epoch: new.producer_epoch.into(),
            base_sequence: new.base_sequence.into(),
            record_count: new.count.into(),
        };
        header.seal(records);
        out.copy_from_slice(header.as_bytes());
    }

    /// The checksum over header and records.
    pub(super) fn compute_crc(&self, records: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.as_bytes()[CRC_FROM..]), records)
    }

    pub(super) fn seal(&mut self, records: &[u8]) {
        self.crc.set(self.compute_crc(records));
    }

    /// Who wrote it, `None` without idempotence.
    pub fn producer(&self) -> Option<ProducerSequence> {
        (self.producer_id.get() >= 0).then(|| ProducerSequence {
            id: self.producer_id.get(),
            epoch: self.producer_epoch.get(),
            first: self.base_sequence.get(),
            last: sequence_after(self.base_sequence.get(), self.last_offset_delta.get()),
        })
    }
}

/// What a batch's builder says of it.
#[derive(Debug)]
pub(super) struct NewHeader {
    pub(super) is_transactional: bool,
    pub(super) is_control: bool,
    pub(super) count: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
}

/// The sequence numbers that an idempotent producer gave a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSequence {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub first: i32,
    /// Sequence of the last record.
    pub last: i32,
}

/// `by` steps after `sequence`; past `i32::MAX` sequences begin at 0 again.
pub fn sequence_after(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) & i64::from(i32::MAX)) as i32
}

impl BatchHeader {
    /// Whether offsets and number of records agree.
    pub(super) fn check_counts(&self) -> Result<(), Refusal> {
        let count = self.record_count.get();
        let delta = self.last_offset_delta.get();
        if delta < 0 {
            return Err(Refusal::Invalid(format!("Batch has an invalid offset range: [0, {delta}]")));
        }
        if count <= 0 {
            return Err(Refusal::Invalid(format!("Invalid reported count for record batch: {count}")));
        }
        if i64::from(delta) + 1 != i64::from(count) {
            return Err(Refusal::Invalid(format!(
                "Inconsistent batch offset range [0, {delta}] and count of records {count}"
            )));
        }
        Ok(())
    }

    /// What a client may still get wrong in a whole and undamaged batch.
    pub(super) fn check_producer(&self) -> Result<(), Refusal> {
        self.check_counts()?;
        if self.is_control() {
            return Err(Refusal::Invalid("Clients are not allowed to write control records".to_owned()));
        }
        if self.is_log_append_time() {
            return Err(Refusal::Timestamp(
                "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."
                    .to_owned(),
            ));
        }
        if self.producer_id.get() >= 0 && self.base_sequence.get() < 0 {
            return Err(Refusal::Invalid(format!(
                "Invalid sequence number {} in record batch with producerId {}",
                self.base_sequence.get(),
                self.producer_id.get()
            )));
        }
        if self.is_transactional() {
            return Err(Refusal::NotInTransaction);
        }
        Ok(())
    }
}

/// What a header's length says with these records.
pub(super) fn length_of(records: &[u8]) -> i32 {
    i32::try_from(HEADER_LEN - LENGTH_END + records.len()).expect("a batch is far below 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_after(7, 3), 10);
    }
}
