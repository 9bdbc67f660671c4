//! `Producer`: what a partition knows of one idempotent producer, and what it may write next.

use std::collections::VecDeque;

use crate::error::Refusal;
use crate::format::batch::sequence_after;
use crate::format::producer_batches::BATCHES_MAX;
use crate::format::{BatchHeader, BatchNote, ProducerBatches, ProducerEntry, ProducerSequence};

/// Stands for a sequence where there is none, as in the batches of coordinators.
const NO_SEQUENCE: i32 = -1;
/// Stands for the epoch of a coordinator that has not written yet.
const NO_EPOCH: i32 = -1;

/// A batch that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredBatch {
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    pub(super) first_sequence: i32,
    pub(super) last_sequence: i32,
    /// Its largest timestamp.
    pub(super) timestamp: i64,
}

impl StoredBatch {
    /// A batch of a producer as its header in the log says.
    pub(super) fn of(header: &BatchHeader, sequence: ProducerSequence) -> StoredBatch {
        let has_sequence = sequence.first >= 0;
        StoredBatch {
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            first_sequence: if has_sequence { sequence.first } else { NO_SEQUENCE },
            last_sequence: if has_sequence { sequence.last } else { NO_SEQUENCE },
            timestamp: header.max_timestamp(),
        }
    }

    fn of_note(note: &BatchNote) -> StoredBatch {
        let delta = note.offset_delta.max(0);
        StoredBatch {
            base_offset: note.last_offset - i64::from(delta),
            last_offset: note.last_offset,
            first_sequence: match note.last_sequence {
                0.. => sequence_after(note.last_sequence, -delta),
                _ => NO_SEQUENCE,
            },
            last_sequence: note.last_sequence,
            timestamp: note.timestamp,
        }
    }

    fn note(&self) -> BatchNote {
        BatchNote {
            last_sequence: self.last_sequence,
            last_offset: self.last_offset,
            offset_delta: (self.last_offset - self.base_offset) as i32,
            timestamp: self.timestamp,
        }
    }

    /// Whether `next` may follow it: its sequences go on and it lies behind.
    fn is_followed_by(&self, next: &StoredBatch) -> bool {
        self.last_offset < next.base_offset
            && self.last_sequence >= 0
            && sequence_after(self.last_sequence, 1) == next.first_sequence
    }
}

/// The end of a transaction, as a coordinator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction ends.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The coordinator's epoch.
    pub coordinator_epoch: i32,
    /// Whether its records count.
    pub is_commit: bool,
}

/// One producer. Its batches are all of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    epoch: i16,
    coordinator_epoch: i32,
    /// Oldest first, at most [`BATCHES_MAX`].
    batches: VecDeque<StoredBatch>,
    /// Where its open transaction begins.
    transaction_start: Option<i64>,
    /// Timestamp of its last batch or marker.
    last_timestamp: i64,
    /// When it wrote last, by the broker's clock.
    last_write_ms: i64,
}

impl Producer {
    /// A producer of this epoch that has not written.
    pub(super) fn new(epoch: i16, now_ms: i64) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: NO_EPOCH,
            batches: VecDeque::new(),
            transaction_start: None,
            last_timestamp: -1,
            last_write_ms: now_ms,
        }
    }

    /// Whether a batch continues its batches. `Some`: it is there already.
    pub(super) fn check(
        &self,
        batch: ProducerSequence,
        is_transactional: bool,
    ) -> Result<Option<StoredBatch>, Refusal> {
        let is_stored = |stored: &&StoredBatch| {
            (stored.first_sequence, stored.last_sequence) == (batch.first, batch.last)
        };
        if batch.epoch == self.epoch
            && let Some(stored) = self.batches.iter().find(is_stored)
        {
            return Ok(Some(*stored));
        }
        self.check_epoch(batch.id, batch.epoch)?;
        let is_open = self.transaction_start.is_some();
        if is_transactional && !(is_open && batch.epoch == self.epoch) {
            return Err(Refusal::NotInTransaction);
        }
        let expected = match self.batches.back() {
            Some(last) if batch.epoch == self.epoch => sequence_after(last.last_sequence, 1),
            _ => 0,
        };
        if batch.first != expected {
            return Err(Refusal::OutOfOrderSequence { producer_id: batch.id, expected, found: batch.first });
        }
        if is_open && !is_transactional {
            return Err(Refusal::InTransaction { producer_id: batch.id });
        }
        Ok(None)
    }

    /// Whether a newer producer with the same id has not written.
    pub(super) fn check_epoch(&self, producer_id: i64, epoch: i16) -> Result<(), Refusal> {
        if epoch < self.epoch {
            return Err(Refusal::StaleProducerEpoch { producer_id, current: self.epoch, found: epoch });
        }
        Ok(())
    }

    /// Whether a coordinator's marker may end its transaction. A repeated marker may.
    pub(super) fn check_marker(&self, marker: &Marker) -> Result<(), Refusal> {
        self.check_epoch(marker.producer_id, marker.epoch)?;
        if marker.coordinator_epoch < self.coordinator_epoch {
            return Err(Refusal::StaleCoordinatorEpoch {
                producer_id: marker.producer_id,
                current: self.coordinator_epoch,
                found: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Remembers a batch that is in the log. `Some`: a transaction begins with it.
    pub(super) fn note(
        &mut self,
        epoch: i16,
        batch: StoredBatch,
        is_transactional: bool,
        now_ms: i64,
    ) -> Option<i64> {
        self.change_epoch(epoch);
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
        self.last_timestamp = batch.timestamp;
        self.last_write_ms = now_ms;
        let begins = is_transactional && self.transaction_start.is_none();
        begins.then(|| *self.transaction_start.insert(batch.base_offset))
    }

    /// Remembers a marker that is in the log. `Some`: where the transaction begins that it ended.
    pub(super) fn note_marker(&mut self, marker: &Marker, timestamp: i64, now_ms: i64) -> Option<i64> {
        self.change_epoch(marker.epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = timestamp;
        self.last_write_ms = now_ms;
        self.transaction_start.take()
    }

    fn change_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    /// Whether it has been idle for so long that it is forgotten.
    pub(super) fn is_expired(&self, expiration_ms: i64, now_ms: i64) -> bool {
        self.transaction_start.is_none() && now_ms.saturating_sub(self.last_write_ms) >= expiration_ms
    }

    /// Where its open transaction begins.
    pub(super) fn transaction_start(&self) -> Option<i64> {
        self.transaction_start
    }

    /// Whether it may have written batches that are not known and would be, were they found.
    pub(super) fn lacks_batches(&self) -> bool {
        // A batch that begins at 0 is the first one of its epoch, or 2^31 records behind that.
        self.batches.len() < BATCHES_MAX && self.batches.front().is_some_and(|first| first.first_sequence > 0)
    }

    /// Takes up a batch that was found in front of those it knows; not if it is no such batch.
    pub(super) fn note_earlier(&mut self, epoch: i16, batch: StoredBatch) {
        if epoch == self.epoch
            && self.batches.len() < BATCHES_MAX
            && self.batches.front().is_some_and(|first| batch.is_followed_by(first))
        {
            self.batches.push_front(batch);
        }
    }

    /// As Apache Kafka's snapshot has it, which knows the last batch only. It says when the producer wrote by
    /// the timestamp of what it wrote.
    pub(super) fn of_entry(entry: &ProducerEntry) -> Producer {
        let note = BatchNote {
            last_sequence: entry.last_sequence,
            last_offset: entry.last_offset,
            offset_delta: entry.offset_delta,
            timestamp: entry.timestamp,
        };
        Producer {
            epoch: entry.epoch,
            coordinator_epoch: entry.coordinator_epoch,
            batches: (entry.last_offset >= 0).then(|| StoredBatch::of_note(&note)).into_iter().collect(),
            transaction_start: entry.transaction_start,
            last_timestamp: entry.timestamp,
            last_write_ms: entry.timestamp,
        }
    }

    /// What Apache Kafka's snapshot has of it.
    pub(super) fn entry(&self, producer_id: i64) -> ProducerEntry {
        let last = self.batches.back().map(StoredBatch::note);
        ProducerEntry {
            producer_id,
            epoch: self.epoch,
            last_sequence: last.map_or(NO_SEQUENCE, |last| last.last_sequence),
            last_offset: last.map_or(-1, |last| last.last_offset),
            offset_delta: last.map_or(0, |last| last.offset_delta),
            timestamp: self.last_timestamp,
            coordinator_epoch: self.coordinator_epoch,
            transaction_start: self.transaction_start,
        }
    }

    /// All its batches; `None` when it has none.
    pub(super) fn all_batches(&self, producer_id: i64) -> Option<ProducerBatches> {
        (!self.batches.is_empty()).then(|| ProducerBatches {
            producer_id,
            epoch: self.epoch,
            last_write_ms: self.last_write_ms,
            batches: self.batches.iter().map(StoredBatch::note).collect(),
        })
    }

    /// Takes up all its batches, known by the last one only; not if they do not end with that one, or do not
    /// follow each other: then another broker has written in the meantime.
    pub(super) fn take_batches(&mut self, known: &ProducerBatches) -> bool {
        let batches: VecDeque<StoredBatch> = known.batches.iter().map(StoredBatch::of_note).collect();
        let follow = batches.iter().zip(batches.iter().skip(1)).all(|(a, b)| {
            // Coordinators write without sequences.
            a.is_followed_by(b)
                || (a.last_sequence < 0 || b.first_sequence < 0) && a.last_offset < b.base_offset
        });
        let agrees = known.epoch == self.epoch && follow && batches.back() == self.batches.back();
        if agrees {
            self.batches = batches;
            self.last_write_ms = known.last_write_ms;
        }
        agrees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: i64 = 9;

    fn sequence(epoch: i16, first: i32, last: i32) -> ProducerSequence {
        ProducerSequence { id: ID, epoch, first, last }
    }

    fn stored(base_offset: i64, first: i32, last: i32) -> StoredBatch {
        let records = sequence_after(last, -first);
        StoredBatch {
            base_offset,
            last_offset: base_offset + i64::from(records),
            first_sequence: first,
            last_sequence: last,
            timestamp: base_offset + 1,
        }
    }

    /// Has written batches of ten records, a hundred offsets apart.
    fn writer(epoch: i16, firsts: impl IntoIterator<Item = i32>) -> Producer {
        let mut producer = Producer::new(epoch, 0);
        for (index, first) in firsts.into_iter().enumerate() {
            producer.note(epoch, stored(index as i64 * 100, first, sequence_after(first, 9)), false, 0);
        }
        producer
    }

    fn marker(epoch: i16, coordinator_epoch: i32) -> Marker {
        Marker { producer_id: ID, epoch, coordinator_epoch, is_commit: true }
    }

    #[track_caller]
    fn check_refused(producer: &Producer, batch: ProducerSequence, expected: i32) {
        assert_eq!(
            producer.check(batch, false),
            Err(Refusal::OutOfOrderSequence { producer_id: ID, expected, found: batch.first })
        );
    }

    #[test]
    fn the_last_five_batches_are_known_again_and_the_sixth_is_not() {
        let producer = writer(0, [0, 10, 20, 30, 40, 50]);
        for (index, first) in [10, 20, 30, 40, 50].into_iter().enumerate() {
            let found = producer.check(sequence(0, first, first + 9), false).unwrap().unwrap();
            assert_eq!(
                (found.base_offset, found.timestamp),
                ((index as i64 + 1) * 100, found.base_offset + 1)
            );
        }
        check_refused(&producer, sequence(0, 0, 9), 60);
    }

    #[test]
    fn a_batch_that_is_known_in_part_is_out_of_order() {
        let producer = writer(0, [0, 10]);
        for (first, last) in [(0, 19), (10, 15), (5, 14), (10, 20)] {
            check_refused(&producer, sequence(0, first, last), 20);
        }
    }

    #[test]
    fn a_gap_is_refused_and_names_both_sequences() {
        let producer = writer(0, [0]);
        check_refused(&producer, sequence(0, 11, 12), 10);
        assert_eq!(producer.check(sequence(0, 10, 12), false), Ok(None));
    }

    #[test]
    fn a_sequence_goes_on_at_zero_behind_the_largest() {
        let producer = writer(0, [i32::MAX - 9]);
        assert_eq!(producer.check(sequence(0, 0, 3), false), Ok(None));
        let across = writer(0, [i32::MAX - 4]);
        assert_eq!(across.check(sequence(0, i32::MAX - 4, 4), false).unwrap().unwrap().base_offset, 0);
        assert_eq!(across.check(sequence(0, 5, 5), false), Ok(None));
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_ends_the_old_one() {
        let mut producer = writer(3, [0]);
        check_refused(&producer, sequence(4, 10, 11), 0);
        assert_eq!(producer.check(sequence(4, 0, 9), false), Ok(None));
        producer.note(4, stored(100, 0, 9), false, 0);
        assert_eq!(
            producer.check(sequence(3, 0, 9), false),
            Err(Refusal::StaleProducerEpoch { producer_id: ID, current: 4, found: 3 })
        );
        assert_eq!(producer.check(sequence(4, 0, 9), false).unwrap().unwrap().base_offset, 100);
    }

    #[test]
    fn after_a_marker_of_a_new_epoch_sequences_begin_at_zero() {
        let mut producer = writer(3, [0]);
        producer.note_marker(&marker(4, 0), 0, 0);
        check_refused(&producer, sequence(4, 10, 19), 0);
        assert_eq!(producer.check(sequence(4, 0, 9), false), Ok(None));
        producer.note_marker(&marker(4, 0), 0, 0);
        assert_eq!(producer.entry(ID).last_offset, -1);
    }

    #[test]
    fn a_transaction_begins_with_its_first_batch_and_ends_with_its_marker() {
        let mut producer = Producer::new(0, 0);
        assert_eq!(producer.check(sequence(0, 0, 9), true), Err(Refusal::NotInTransaction));
        assert_eq!(producer.note(0, stored(7, 0, 9), true, 0), Some(7));
        assert_eq!(producer.check(sequence(0, 10, 19), true), Ok(None));
        assert_eq!(
            producer.check(sequence(0, 10, 19), false),
            Err(Refusal::InTransaction { producer_id: ID })
        );
        assert_eq!(producer.check(sequence(1, 0, 9), true), Err(Refusal::NotInTransaction));
        assert_eq!(producer.note(0, stored(20, 10, 19), true, 0), None);
        assert_eq!(producer.note_marker(&marker(0, 5), 0, 0), Some(7));
        assert_eq!(producer.note_marker(&marker(0, 5), 0, 0), None);
        assert_eq!(producer.check(sequence(0, 20, 29), false), Ok(None));
    }

    #[test]
    fn a_marker_of_an_old_epoch_or_an_old_coordinator_is_refused() {
        let mut producer = writer(3, [0]);
        producer.note_marker(&marker(3, 5), 0, 0);
        for (epoch, coordinator_epoch, is_ok) in [(3, 5, true), (4, 6, true), (2, 5, false), (3, 4, false)] {
            let checked = producer.check_marker(&marker(epoch, coordinator_epoch));
            assert_eq!(checked.is_ok(), is_ok, "{checked:?}");
        }
    }

    #[test]
    fn a_producer_with_an_open_transaction_never_expires() {
        let mut producer = writer(0, [0]);
        assert!(!producer.is_expired(1_000, 999) && producer.is_expired(1_000, 1_000));
        producer.note(0, stored(100, 10, 19), true, 0);
        assert!(!producer.is_expired(1_000, i64::MAX));
    }

    #[test]
    fn what_a_snapshot_and_the_batches_beside_it_say_is_all_there_was() {
        let mut original = writer(2, [i32::MAX - 14, i32::MAX - 4, 5, 15, 25, 35]);
        original.note_marker(&marker(2, 8), 77, 5_000);
        original.note(2, stored(900, 45, 45), true, 6_000);
        let mut loaded = Producer::of_entry(&original.entry(ID));
        assert_ne!(loaded, original);
        assert!(loaded.take_batches(&original.all_batches(ID).unwrap()));
        assert_eq!(loaded, original);
    }

    #[test]
    fn batches_that_do_not_agree_with_the_snapshot_are_not_believed() {
        let original = writer(0, [0, 10, 20]);
        let entry = original.entry(ID);
        let batches = original.all_batches(ID).unwrap();
        let refuses = |change: fn(&mut ProducerBatches)| {
            let mut changed = batches.clone();
            change(&mut changed);
            let mut loaded = Producer::of_entry(&entry);
            assert!(!loaded.take_batches(&changed), "{changed:?}");
            assert_eq!(loaded, Producer::of_entry(&entry));
        };
        refuses(|known| known.epoch = 1);
        refuses(|known| known.batches.truncate(2));
        refuses(|known| {
            known.batches.remove(1);
        });
        refuses(|known| known.batches[2].timestamp += 1);
        refuses(|known| known.batches[0].last_offset = 150);
    }

    #[test]
    fn earlier_batches_are_taken_up_as_far_as_they_follow_each_other() {
        let original = writer(0, [70, 80, 90]);
        let mut loaded = Producer::of_entry(&original.entry(ID));
        assert!(loaded.lacks_batches());
        for (epoch, batch) in [
            (1, stored(100, 80, 89)),
            (0, stored(100, 79, 88)),
            (0, stored(100, 80, 89)),
            (0, stored(100, 80, 89)),
            (0, stored(0, 70, 79)),
        ] {
            loaded.note_earlier(epoch, batch);
        }
        assert_eq!(loaded.batches, original.batches);
        assert!(!writer(0, [0, 10]).lacks_batches() && !writer(0, [10, 20, 30, 40, 50]).lacks_batches());
    }
}
