//! `Producers`: the last batches of every idempotent producer, so that none is stored twice or out of order.

use std::collections::{HashMap, VecDeque};

use crate::error::Refusal;
use crate::format::ProducerSequence;
use crate::format::batch::sequence_after;

/// Batches remembered of each producer: as many as a client may have in flight.
const BATCHES_MAX: usize = 5;
/// A producer that wrote nothing for so long is forgotten: Apache Kafka's `producer.id.expiration.ms`.
const IDLE_MS_MAX: i64 = 86_400_000;
/// Producers below which nobody looks for idle ones.
const SWEEP_FROM: usize = 1_024;

/// A batch that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredBatch {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    first_sequence: i32,
    last_sequence: i32,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    batches: VecDeque<StoredBatch>,
    last_write_ms: i64,
}

/// Producers by id.
#[derive(Debug)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    sweep_at: usize,
}

impl Producers {
    pub(crate) fn new() -> Producers {
        Producers { by_id: HashMap::new(), sweep_at: SWEEP_FROM }
    }

    /// Whether a batch continues its producer's batches. `Some`: it is there already.
    ///
    /// A producer that is not known may begin anywhere: its earlier batches may have been deleted.
    pub(crate) fn check(&self, batch: ProducerSequence) -> Result<Option<StoredBatch>, Refusal> {
        let Some(producer) = self.by_id.get(&batch.id) else { return Ok(None) };
        let out_of_order =
            |expected| Refusal::OutOfOrderSequence { producer_id: batch.id, expected, found: batch.first };
        if batch.epoch < producer.epoch {
            return Err(Refusal::StaleProducerEpoch {
                producer_id: batch.id,
                current: producer.epoch,
                found: batch.epoch,
            });
        }
        if batch.epoch > producer.epoch {
            return if batch.first == 0 { Ok(None) } else { Err(out_of_order(0)) };
        }
        let is_stored = |stored: &&StoredBatch| {
            (stored.first_sequence, stored.last_sequence) == (batch.first, batch.last)
        };
        if let Some(stored) = producer.batches.iter().find(is_stored) {
            return Ok(Some(*stored));
        }
        let expected =
            sequence_after(producer.batches.back().expect("a producer has a batch").last_sequence, 1);
        if batch.first == expected { Ok(None) } else { Err(out_of_order(expected)) }
    }

    /// Remembers a batch that went into the log.
    pub(crate) fn note(&mut self, batch: ProducerSequence, base_offset: i64, last_offset: i64, now_ms: i64) {
        self.forget_idle(now_ms);
        let producer = self.by_id.entry(batch.id).or_insert_with(|| Producer {
            epoch: batch.epoch,
            batches: VecDeque::with_capacity(BATCHES_MAX),
            last_write_ms: now_ms,
        });
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == BATCHES_MAX {
            producer.batches.pop_front();
        }
        producer.batches.push_back(StoredBatch {
            base_offset,
            last_offset,
            first_sequence: batch.first,
            last_sequence: batch.last,
        });
        producer.last_write_ms = now_ms;
    }

    /// Looked for each time the number of producers has doubled, so that the cost is spread evenly.
    fn forget_idle(&mut self, now_ms: i64) {
        if self.by_id.len() >= self.sweep_at {
            self.by_id.retain(|_, producer| now_ms - producer.last_write_ms < IDLE_MS_MAX);
            self.sweep_at = SWEEP_FROM.max(self.by_id.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, last: i32) -> ProducerSequence {
        ProducerSequence { id: 9, epoch, first, last }
    }

    fn noted(batches: &[ProducerSequence]) -> Producers {
        let mut producers = Producers::new();
        for (index, batch) in batches.iter().enumerate() {
            let base_offset = index as i64 * 100;
            producers.note(*batch, base_offset, base_offset + 9, 0);
        }
        producers
    }

    #[test]
    fn the_last_five_batches_are_known_again_and_the_sixth_is_not() {
        let producers = noted(&[0, 10, 20, 30, 40, 50].map(|first| batch(0, first, first + 9)));
        for (index, first) in [10, 20, 30, 40, 50].into_iter().enumerate() {
            let stored = producers.check(batch(0, first, first + 9)).unwrap().unwrap();
            assert_eq!(stored.base_offset, (index as i64 + 1) * 100);
        }
        assert!(matches!(
            producers.check(batch(0, 0, 9)),
            Err(Refusal::OutOfOrderSequence { expected: 60, found: 0, .. })
        ));
    }

    #[test]
    fn a_gap_is_refused_and_names_both_sequences() {
        let producers = noted(&[batch(0, 0, 9)]);
        assert_eq!(
            producers.check(batch(0, 11, 12)),
            Err(Refusal::OutOfOrderSequence { producer_id: 9, expected: 10, found: 11 })
        );
        assert_eq!(producers.check(batch(0, 10, 12)), Ok(None));
    }

    #[test]
    fn a_sequence_goes_on_at_zero_behind_the_largest() {
        let producers = noted(&[batch(0, i32::MAX - 1, i32::MAX)]);
        assert_eq!(producers.check(batch(0, 0, 3)), Ok(None));
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_ends_the_old_one() {
        let mut producers = noted(&[batch(3, 0, 9)]);
        assert!(matches!(producers.check(batch(4, 10, 11)), Err(Refusal::OutOfOrderSequence { .. })));
        assert_eq!(producers.check(batch(4, 0, 1)), Ok(None));
        producers.note(batch(4, 0, 1), 10, 11, 0);
        assert_eq!(
            producers.check(batch(3, 10, 11)),
            Err(Refusal::StaleProducerEpoch { producer_id: 9, current: 4, found: 3 })
        );
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        assert_eq!(Producers::new().check(batch(0, 77, 78)), Ok(None));
    }

    #[test]
    fn idle_producers_are_forgotten_when_many_come() {
        let mut producers = Producers::new();
        for id in 0..SWEEP_FROM as i64 {
            producers.note(ProducerSequence { id, epoch: 0, first: 0, last: 0 }, id, id, 0);
        }
        producers.note(batch(0, 0, 0), 0, 0, IDLE_MS_MAX - 1);
        assert_eq!(
            producers.by_id.len(),
            SWEEP_FROM,
            "producer 9 was there, nobody was idle for long enough"
        );
        producers.sweep_at = SWEEP_FROM;
        producers.note(batch(0, 1, 1), 1, 1, IDLE_MS_MAX);
        assert_eq!(producers.by_id.len(), 1);
    }
}
