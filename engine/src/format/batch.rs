//! `Batch`: a producer's record batch, checked before anything else looks at it, stamped without a copy.

use bytes::Bytes;

use super::codec::{Compression, compress};
use super::header::{BatchHeader, CODEC_MASK, LOG_APPEND_TIME, length_of};
pub use super::header::{CRC_FROM, HEADER_LEN, LENGTH_END, sequence_after};
use crate::error::Refusal;

/// Apache Kafka's smallest record of any version; a shorter one cannot be read past.
const LENGTH_MIN: usize = 14;

/// One whole batch from a producer, found valid. The records stay where the network put them.
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Takes what a coordinator of this broker built: a batch of records or the end of a transaction.
    pub fn from_coordinator(bytes: Bytes, size_max: usize) -> Result<Batch, Refusal> {
        let batch = Batch::whole(bytes, size_max)?;
        batch.header.check_counts()?;
        Ok(batch)
    }

    /// Takes bytes that must be exactly one batch, undamaged.
    ///
    /// The order of the checks is Apache Kafka's, so that a batch with several faults gets the same answer.
    pub(super) fn whole(bytes: Bytes, size_max: usize) -> Result<Batch, Refusal> {
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
        if size > size_max {
            return Err(Refusal::TooLarge { size, max: size_max });
        }
        let computed = crc32c::crc32c(&bytes[CRC_FROM..]);
        if computed != header.crc.get() {
            return Err(Refusal::Damaged(format!(
                "Record is corrupt (stored crc = {}, computed crc = {computed})",
                header.crc.get()
            )));
        }
        header.codec().map_err(Refusal::UnknownCodec)?;
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

    /// The bytes behind the header.
    pub(crate) fn records(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Gives every record the broker's time, which costs a new checksum.
    pub(super) fn stamp_append_time(&mut self, now_ms: i64) {
        self.header.attributes.set(self.header.attributes.get() | LOG_APPEND_TIME);
        self.header.max_timestamp.set(now_ms);
        self.header.seal(&self.bytes[HEADER_LEN..]);
    }

    /// Says which of its records' times is the largest; costs a new checksum where it said another one.
    pub(super) fn correct_max_timestamp(&mut self, max_timestamp: i64) {
        if self.header.max_timestamp.get() != max_timestamp {
            self.header.max_timestamp.set(max_timestamp);
            self.header.seal(&self.bytes[HEADER_LEN..]);
        }
    }

    /// Takes the same records compressed in another way.
    pub(super) fn recompress(&mut self, compression: Compression, uncompressed: &[u8]) {
        let mut bytes = vec![0; HEADER_LEN];
        compress(compression, uncompressed, &mut bytes);
        let attributes = self.header.attributes.get() & !CODEC_MASK | i16::from(compression.codec().id());
        self.header.attributes.set(attributes);
        self.header.length.set(length_of(&bytes[HEADER_LEN..]));
        self.header.seal(&bytes[HEADER_LEN..]);
        self.bytes = bytes.into();
    }

    /// The batch as it is written: its header at `base_offset` and `leader_epoch`, and its records.
    pub fn stamped(&self, base_offset: i64, leader_epoch: i32) -> (BatchHeader, &[u8]) {
        let mut header = self.header;
        header.base_offset.set(base_offset);
        header.leader_epoch.set(leader_epoch);
        (header, &self.bytes[HEADER_LEN..])
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

pub(super) fn invalid(what: &str) -> Refusal {
    Refusal::Invalid(what.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::format::header::{CONTROL, TRANSACTIONAL};
    use crate::format::{BatchRules, Codec, ProducerSequence};

    use crate::format::rules::tests::RULES;

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
        pub(crate) fn set_codec(&mut self, codec: Codec) {
            self.attributes.set(codec.id().into());
        }

        pub(crate) fn set_times(&mut self, base: i64, max: i64) {
            self.base_timestamp.set(base);
            self.max_timestamp.set(max);
        }

        pub(crate) fn set_producer(&mut self, id: i64, epoch: i16, sequence: i32) {
            self.producer_id.set(id);
            self.producer_epoch.set(epoch);
            self.base_sequence.set(sequence);
        }

        pub(crate) fn set_transactional(&mut self, is_transactional: bool) {
            let others = self.attributes.get() & !TRANSACTIONAL;
            self.attributes.set(if is_transactional { others | TRANSACTIONAL } else { others });
        }

        pub(crate) fn set_base_offset(&mut self, base_offset: i64) {
            self.base_offset.set(base_offset);
        }
    }

    fn sealed(mut header: BatchHeader, payload: &[u8]) -> Vec<u8> {
        header.seal(payload);
        [header.as_bytes(), payload].concat()
    }

    fn check(bytes: Vec<u8>, expected: Result<(), fn(&Refusal) -> bool>) {
        match (Batch::from_producer(bytes.into(), &RULES, 0), expected) {
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
            assert!(Batch::from_producer(whole[..len].to_vec().into(), &RULES, 0).is_err(), "cut at {len}");
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
            assert!(Batch::from_producer(bytes.into(), &RULES, 0).is_err(), "length {length}");
        }
    }

    #[test]
    fn an_oversized_batch_names_both_sizes() {
        let bytes = sample(1, &[0; 100]);
        let refusal =
            Batch::from_producer(bytes.into(), &BatchRules { size_max: 160, ..RULES }, 0).unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { size: 161, max: 160 });
    }

    #[test]
    fn stamping_offset_and_epoch_keeps_the_checksum_valid() {
        let batch = Batch::from_producer(sample(2, b"xyz").into(), &RULES, 0).unwrap();
        let (header, records) = batch.stamped(77, 5);
        let written = [header.as_bytes(), records].concat();
        let read = BatchHeader::view(&written).unwrap();
        assert_eq!((read.base_offset(), read.last_offset(), read.leader_epoch.get()), (77, 78, 5));
        assert_eq!(crc32c::crc32c(&written[CRC_FROM..]), read.crc());
    }

    #[test]
    fn stamping_the_append_time_computes_the_checksum_anew() {
        let mut batch = Batch::from_producer(sample(2, b"xyz").into(), &RULES, 0).unwrap();
        batch.stamp_append_time(123_456);
        let (header, records) = batch.stamped(0, 0);
        let written = [header.as_bytes(), records].concat();
        let read = BatchHeader::view(&written).unwrap();
        assert_eq!((read.max_timestamp(), read.is_log_append_time()), (123_456, true));
        assert_eq!(crc32c::crc32c(&written[CRC_FROM..]), read.crc());
    }
}
