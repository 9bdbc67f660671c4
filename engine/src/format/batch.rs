//! `Batch`: a record batch of version 2, checked before anything else looks at it, stamped without a copy.
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

use bytes::Bytes;
use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::Refusal;

/// Bytes in front of the records.
pub const HEADER_LEN: usize = 61;
/// Bytes in front of what `length` counts.
pub const LENGTH_END: usize = 12;
/// The first byte that the checksum covers.
pub const CRC_FROM: usize = 21;
/// Apache Kafka's smallest record of any version; a shorter one cannot be read past.
const LENGTH_MIN: usize = 14;

const CODEC_MASK: i16 = 0b111;
const CODEC_MAX: i16 = 4;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The first 61 bytes of a batch.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    base_offset: I64,
    length: I32,
    leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    record_count: I32,
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

    /// How many records it says to hold.
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }

    /// Writes the header of a batch of nobody's in front of its records. Offset and leader epoch are stamped
    /// when it is appended.
    pub(super) fn write(out: &mut [u8], records: &[u8], count: i32, base_timestamp: i64, max_timestamp: i64) {
        let mut header = BatchHeader {
            base_offset: 0.into(),
            length: ((HEADER_LEN - LENGTH_END + records.len()) as i32).into(),
            leader_epoch: (-1).into(),
            magic: 2,
            crc: 0.into(),
            attributes: 0.into(),
            last_offset_delta: (count - 1).into(),
            base_timestamp: base_timestamp.into(),
            max_timestamp: max_timestamp.into(),
            producer_id: (-1).into(),
            producer_epoch: (-1).into(),
            // Without a producer it means nothing, and Apache Kafka's coordinators leave it at 0.
            base_sequence: 0.into(),
            record_count: count.into(),
        };
        header.seal(records);
        out.copy_from_slice(header.as_bytes());
    }

    /// Computes the checksum over header and records.
    fn seal(&mut self, records: &[u8]) {
        let crc = crc32c::crc32c(&self.as_bytes()[CRC_FROM..]);
        self.crc.set(crc32c::crc32c_append(crc, records));
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

/// One whole batch from a producer, found valid. The records stay where the network put them.
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

/// What a topic demands of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Largest batch in bytes.
    pub size_max: usize,
}

impl Batch {
    /// Takes the bytes that a producer sent for one partition, which must be exactly one batch.
    ///
    /// The order of the checks is Apache Kafka's, so that a batch with several faults gets the same answer.
    pub fn from_producer(bytes: Bytes, limits: BatchLimits) -> Result<Batch, Refusal> {
        let size = first_batch_size(&bytes)?;
        let header = *BatchHeader::view(&bytes).filter(|header| header.magic == 2).ok_or_else(|| {
            invalid("Produce requests are only allowed to contain record batches with magic version 2")
        })?;
        if size < HEADER_LEN {
            return Err(Refusal::Damaged(format!("batch of {size} bytes is shorter than its header")));
        }
        if size != bytes.len() {
            return Err(invalid(
                "Produce requests are only allowed to contain exactly one record batch per partition",
            ));
        }
        if header.base_offset.get() != 0 {
            return Err(invalid(&format!(
                "The baseOffset of the record batch should be 0, but it is {}",
                header.base_offset.get()
            )));
        }
        if size > limits.size_max {
            return Err(Refusal::TooLarge { size, max: limits.size_max });
        }
        let computed = crc32c::crc32c(&bytes[CRC_FROM..]);
        if computed != header.crc.get() {
            return Err(Refusal::Damaged(format!(
                "Record is corrupt (stored crc = {}, computed crc = {computed})",
                header.crc.get()
            )));
        }
        header.check_rules()?;
        Ok(Batch { header, bytes })
    }

    /// The header as the producer sent it.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of the batch.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The number of offsets that it takes.
    pub fn offsets(&self) -> i64 {
        i64::from(self.header.record_count.get())
    }

    /// Gives every record the broker's time. The only stamp that costs a new checksum.
    pub fn stamp_append_time(&mut self, now_ms: i64) {
        self.header.attributes.set(self.header.attributes.get() | LOG_APPEND_TIME);
        self.header.max_timestamp.set(now_ms);
        self.header.seal(&self.bytes[HEADER_LEN..]);
    }

    /// The batch as it is written: its header at `base_offset` and `leader_epoch`, and its records.
    pub fn stamped(&self, base_offset: i64, leader_epoch: i32) -> (BatchHeader, &[u8]) {
        let mut header = self.header;
        header.base_offset.set(base_offset);
        header.leader_epoch.set(leader_epoch);
        (header, &self.bytes[HEADER_LEN..])
    }
}

impl BatchHeader {
    /// What a whole and undamaged batch of a client may still get wrong.
    fn check_rules(&self) -> Result<(), Refusal> {
        let count = self.record_count.get();
        let delta = self.last_offset_delta.get();
        if delta < 0 {
            return Err(invalid(&format!("Batch has an invalid offset range: [0, {delta}]")));
        }
        if count <= 0 {
            return Err(invalid(&format!("Invalid reported count for record batch: {count}")));
        }
        if i64::from(delta) + 1 != i64::from(count) {
            return Err(invalid(&format!(
                "Inconsistent batch offset range [0, {delta}] and count of records {count}"
            )));
        }
        let attributes = self.attributes.get();
        if attributes & CONTROL != 0 {
            return Err(invalid("Clients are not allowed to write control records"));
        }
        if attributes & CODEC_MASK > CODEC_MAX {
            return Err(Refusal::UnknownCodec((attributes & CODEC_MASK) as u8));
        }
        if self.is_log_append_time() {
            return Err(Refusal::Timestamp(
                "Invalid timestamp type in message: a producer must not set LogAppendTime".to_owned(),
            ));
        }
        if self.producer_id.get() >= 0 && self.base_sequence.get() < 0 {
            return Err(invalid(&format!(
                "Invalid sequence number {} in record batch with producerId {}",
                self.base_sequence.get(),
                self.producer_id.get()
            )));
        }
        if attributes & TRANSACTIONAL != 0 {
            return Err(Refusal::NotInTransaction);
        }
        Ok(())
    }
}

/// The size that the first batch of `bytes` declares, when all of it is there.
fn first_batch_size(bytes: &[u8]) -> Result<usize, Refusal> {
    let none = || invalid("Produce requests must have at least one record batch per partition");
    let declared: [u8; 4] = bytes.get(8..LENGTH_END).ok_or_else(none)?.try_into().expect("four bytes");
    let declared = i32::from_be_bytes(declared);
    let rest = usize::try_from(declared).ok().filter(|rest| *rest >= LENGTH_MIN).ok_or_else(|| {
        Refusal::Damaged(format!(
            "Record size {declared} is less than the minimum record overhead ({LENGTH_MIN})"
        ))
    })?;
    if bytes.len() - LENGTH_END < rest {
        return Err(none());
    }
    Ok(LENGTH_END + rest)
}

fn invalid(what: &str) -> Refusal {
    Refusal::Invalid(what.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { size_max: 1 << 20 };

    /// A valid batch of `count` records of which only the header matters, with `payload` for records.
    pub(crate) fn sample(count: i32, payload: &[u8]) -> Vec<u8> {
        sample_with(count, payload, |_| ())
    }

    pub(crate) fn sample_with(count: i32, payload: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
        let mut header = <BatchHeader as zerocopy::FromZeros>::new_zeroed();
        header.length.set((HEADER_LEN - LENGTH_END + payload.len()) as i32);
        header.leader_epoch.set(-1);
        header.magic = 2;
        header.last_offset_delta.set(count - 1);
        header.base_timestamp.set(1_000);
        header.max_timestamp.set(2_000);
        header.producer_id.set(-1);
        header.producer_epoch.set(-1);
        header.base_sequence.set(-1);
        header.record_count.set(count);
        change(&mut header);
        sealed(header, payload)
    }

    pub(crate) fn sample_of_producer(producer: ProducerSequence) -> Vec<u8> {
        sample_with(producer.last - producer.first + 1, b"records", |header| {
            header.producer_id.set(producer.id);
            header.producer_epoch.set(producer.epoch);
            header.base_sequence.set(producer.first);
        })
    }

    impl BatchHeader {
        pub(crate) fn set_times(&mut self, base: i64, max: i64) {
            self.base_timestamp.set(base);
            self.max_timestamp.set(max);
        }
    }

    fn sealed(mut header: BatchHeader, payload: &[u8]) -> Vec<u8> {
        header.seal(payload);
        [header.as_bytes(), payload].concat()
    }

    fn check(bytes: Vec<u8>, expected: Result<(), fn(&Refusal) -> bool>) {
        match (Batch::from_producer(bytes.into(), LIMITS), expected) {
            (Ok(_), Ok(())) => (),
            (Err(refusal), Err(is_expected)) => assert!(is_expected(&refusal), "{refusal:?}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[test]
    fn a_whole_batch_is_taken() {
        check(sample(3, b"records"), Ok(()));
    }

    #[test]
    fn every_flipped_bit_under_the_checksum_is_damage() {
        let whole = sample(2, b"some records");
        for byte in CRC_FROM..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << (byte % 8);
            check(bytes, Err(|refusal| matches!(refusal, Refusal::Damaged(_))));
        }
    }

    #[test]
    fn a_batch_cut_anywhere_is_refused() {
        let whole = sample(2, b"some records");
        for len in 0..whole.len() {
            assert!(Batch::from_producer(whole[..len].to_vec().into(), LIMITS).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn two_batches_for_one_partition_are_refused() {
        let two = [sample(1, b"a"), sample(1, b"b")].concat();
        check(two, Err(|refusal| matches!(refusal, Refusal::Invalid(_))));
    }

    #[test]
    fn counts_that_disagree_are_refused() {
        for change in [
            (|header| header.record_count.set(0)) as fn(&mut BatchHeader),
            |header| header.record_count.set(4),
            |header| header.record_count.set(i32::MAX),
            |header| header.last_offset_delta.set(-1),
            |header| header.last_offset_delta.set(i32::MAX),
        ] {
            check(sample_with(3, b"x", change), Err(|refusal| matches!(refusal, Refusal::Invalid(_))));
        }
    }

    #[test]
    fn control_batches_and_transactions_are_not_a_clients_to_write() {
        check(
            sample_with(1, b"x", |header| header.attributes.set(CONTROL)),
            Err(|refusal| matches!(refusal, Refusal::Invalid(_))),
        );
        check(
            sample_with(1, b"x", |header| header.attributes.set(TRANSACTIONAL)),
            Err(|refusal| *refusal == Refusal::NotInTransaction),
        );
        check(
            sample_with(1, b"x", |header| header.attributes.set(7)),
            Err(|refusal| *refusal == Refusal::UnknownCodec(7)),
        );
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for length in [i32::MIN, -1, 0, 13, 14, 48, 49, i32::MAX] {
            let mut bytes = sample(1, b"x");
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            assert!(Batch::from_producer(bytes.into(), LIMITS).is_err(), "length {length}");
        }
    }

    #[test]
    fn an_oversized_batch_names_both_sizes() {
        let bytes = sample(1, &[0; 100]);
        let refusal = Batch::from_producer(bytes.into(), BatchLimits { size_max: 160 }).unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { size: 161, max: 160 });
    }

    #[test]
    fn stamping_offset_and_epoch_keeps_the_checksum_valid() {
        let batch = Batch::from_producer(sample(2, b"xyz").into(), LIMITS).unwrap();
        let (header, records) = batch.stamped(77, 5);
        let written = [header.as_bytes(), records].concat();
        let read = BatchHeader::view(&written).unwrap();
        assert_eq!((read.base_offset(), read.last_offset(), read.leader_epoch.get()), (77, 78, 5));
        assert_eq!(crc32c::crc32c(&written[CRC_FROM..]), read.crc());
    }

    #[test]
    fn stamping_the_append_time_computes_the_checksum_anew() {
        let mut batch = Batch::from_producer(sample(2, b"xyz").into(), LIMITS).unwrap();
        batch.stamp_append_time(123_456);
        let (header, records) = batch.stamped(0, 0);
        let written = [header.as_bytes(), records].concat();
        let read = BatchHeader::view(&written).unwrap();
        assert_eq!((read.max_timestamp(), read.is_log_append_time()), (123_456, true));
        assert_eq!(crc32c::crc32c(&written[CRC_FROM..]), read.crc());
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_after(7, 3), 10);
    }
}
