//! `Producers`: every idempotent producer of a partition, so that no batch is stored twice or out of order,
//! and their transactions.

use std::collections::BTreeMap;

use super::producer::{Marker, Producer, StoredBatch};
use super::transactions::Transactions;
use crate::error::Refusal;
use crate::format::{AbortedEntry, BatchHeader, ProducerBatches, ProducerEntry, ProducerSequence};

/// Producers below which nobody looks for idle ones.
const SWEEP_FROM: usize = 1_024;
/// Ids from here on are no broker's: a client has made them up, and ids that begin above them would soon be
/// used up.
const MADE_UP_FROM: i64 = i64::MAX / 2;

/// Producers by id. Clients make ids up, so they are compared rather than hashed: no choice of ids makes that
/// slow, and one among few is found sooner than by a hash that is safe to use.
#[derive(Debug)]
pub(super) struct Producers {
    by_id: BTreeMap<i64, Producer>,
    transactions: Transactions,
    /// One that has written nothing for so long is forgotten: `producer.id.expiration.ms`.
    expiration_ms: i64,
    sweep_at: usize,
    /// The largest id ever seen, of forgotten ones too, that a broker may have given out.
    id_max: Option<i64>,
}

impl Producers {
    pub(super) fn new(expiration_ms: i64) -> Producers {
        Producers {
            by_id: BTreeMap::new(),
            transactions: Transactions::default(),
            expiration_ms,
            sweep_at: SWEEP_FROM,
            id_max: None,
        }
    }

    /// What a snapshot says, and of those with more than one batch what the file beside it says, as far as
    /// the two agree.
    pub(super) fn load(
        expiration_ms: i64,
        entries: &[ProducerEntry],
        batches: &[ProducerBatches],
        now_ms: i64,
    ) -> Producers {
        let mut producers = Producers::new(expiration_ms);
        for entry in entries {
            producers.see_id(entry.producer_id);
            producers.by_id.insert(entry.producer_id, Producer::of_entry(entry));
        }
        for known in batches {
            if let Some(producer) = producers.by_id.get_mut(&known.producer_id)
                && !producer.take_batches(known)
            {
                tracing::warn!(
                    "batches of producer {} do not agree with the snapshot beside them: not believed",
                    known.producer_id
                );
            }
        }
        producers.forget_idle(now_ms);
        let starts = producers.by_id.values().filter_map(Producer::transaction_start);
        starts.for_each(|start| producers.transactions.begin(start));
        producers
    }

    /// Takes note of an id that was found somewhere.
    pub(super) fn see_id(&mut self, id: i64) {
        if id < MADE_UP_FROM {
            self.id_max = self.id_max.max(Some(id));
        }
    }

    /// The largest id of a producer that was ever seen here.
    pub(super) fn id_max(&self) -> Option<i64> {
        self.id_max
    }

    /// Whether a client's batch continues its producer's batches. `Some`: it is there already.
    ///
    /// A producer that is not known may begin anywhere: its earlier batches may have been deleted.
    pub(super) fn check(
        &self,
        batch: ProducerSequence,
        is_transactional: bool,
    ) -> Result<Option<StoredBatch>, Refusal> {
        match self.by_id.get(&batch.id) {
            Some(producer) => producer.check(batch, is_transactional),
            None if is_transactional => Err(Refusal::NotInTransaction),
            None => Ok(None),
        }
    }

    /// Whether a coordinator may write for a producer. It numbers no batches.
    pub(super) fn check_epoch(&self, id: i64, epoch: i16) -> Result<(), Refusal> {
        self.by_id.get(&id).map_or(Ok(()), |producer| producer.check_epoch(id, epoch))
    }

    /// Whether a coordinator's marker may be written.
    pub(super) fn check_marker(&self, marker: &Marker) -> Result<(), Refusal> {
        self.by_id.get(&marker.producer_id).map_or(Ok(()), |producer| producer.check_marker(marker))
    }

    /// Remembers a batch that is in the log, whatever came before it. Batches without a producer and markers
    /// are nothing to it.
    pub(super) fn note(&mut self, header: &BatchHeader, now_ms: i64) {
        let Some(sequence) = header.producer().filter(|_| !header.is_control()) else { return };
        let stored = StoredBatch::of(header, sequence);
        let producer = self.enter(sequence.id, sequence.epoch, now_ms);
        if let Some(start) = producer.note(sequence.epoch, stored, header.is_transactional(), now_ms) {
            self.transactions.begin(start);
        }
    }

    /// Remembers a marker that is in the log at `offset`. `Some`: the aborted transaction that it ended.
    pub(super) fn note_marker(
        &mut self,
        marker: &Marker,
        offset: i64,
        timestamp: i64,
        now_ms: i64,
    ) -> Option<AbortedEntry> {
        let producer = self.enter(marker.producer_id, marker.epoch, now_ms);
        let start = producer.note_marker(marker, timestamp, now_ms)?;
        let last_stable_offset = self.transactions.end(start, offset);
        (!marker.is_commit).then(|| AbortedEntry::new(marker.producer_id, start, offset, last_stable_offset))
    }

    fn enter(&mut self, id: i64, epoch: i16, now_ms: i64) -> &mut Producer {
        self.see_id(id);
        // Looked for each time the number of producers has doubled, so that the cost is spread evenly.
        if self.by_id.len() >= self.sweep_at {
            self.forget_idle(now_ms);
        }
        self.by_id.entry(id).or_insert_with(|| Producer::new(epoch, now_ms))
    }

    /// Forgets those who have been idle for too long.
    pub(super) fn forget_idle(&mut self, now_ms: i64) {
        let expiration_ms = self.expiration_ms;
        self.by_id.retain(|_, producer| !producer.is_expired(expiration_ms, now_ms));
        self.sweep_at = SWEEP_FROM.max(self.by_id.len() * 2);
    }

    /// Readers see up to here.
    pub(super) fn advance(&mut self, high_watermark: i64) {
        self.transactions.advance(high_watermark);
    }

    /// The first offset whose transaction is not decided for every reader.
    pub(super) fn first_unstable(&self) -> Option<i64> {
        self.transactions.first_unstable()
    }

    /// Whether earlier batches of somebody would be taken up.
    pub(super) fn lack_batches(&self) -> bool {
        self.by_id.values().any(Producer::lacks_batches)
    }

    /// Takes up a batch that was found in the log in front of those that are known; the latest one first.
    pub(super) fn note_earlier(&mut self, header: &BatchHeader) {
        if let Some(sequence) = header.producer().filter(|_| !header.is_control())
            && let Some(producer) = self.by_id.get_mut(&sequence.id)
        {
            producer.note_earlier(sequence.epoch, StoredBatch::of(header, sequence));
        }
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What a snapshot has of them, by id.
    pub(super) fn entries(&self) -> Vec<ProducerEntry> {
        self.by_id.iter().map(|(id, producer)| producer.entry(*id)).collect()
    }

    /// What the file beside a snapshot has of them, by id.
    pub(super) fn all_batches(&self) -> Vec<ProducerBatches> {
        self.by_id.iter().filter_map(|(id, producer)| producer.all_batches(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::batch::tests::sample_with;

    const DAY_MS: i64 = 86_400_000;

    /// The header of a batch of ten records as it lies in the log.
    fn header(id: i64, epoch: i16, first: i32, base_offset: i64, is_transactional: bool) -> BatchHeader {
        let bytes = sample_with(10, b"records", |header| {
            header.set_producer(id, epoch, first);
            header.set_transactional(is_transactional);
        });
        let mut header = *BatchHeader::view(&bytes).unwrap();
        header.set_base_offset(base_offset);
        header
    }

    fn marker(producer_id: i64, is_commit: bool) -> Marker {
        Marker { producer_id, epoch: 0, coordinator_epoch: 0, is_commit }
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere_but_in_a_transaction() {
        let producers = Producers::new(DAY_MS);
        let batch = ProducerSequence { id: 9, epoch: 3, first: 77, last: 78 };
        assert_eq!(producers.check(batch, false), Ok(None));
        assert_eq!(producers.check(batch, true), Err(Refusal::NotInTransaction));
    }

    #[test]
    fn producers_do_not_know_of_each_other() {
        let mut producers = Producers::new(DAY_MS);
        producers.note(&header(1, 0, 0, 0, false), 0);
        producers.note(&header(2, 0, 0, 10, false), 0);
        let repeated = |id| producers.check(ProducerSequence { id, epoch: 0, first: 0, last: 9 }, false);
        assert_eq!([1, 2].map(|id| repeated(id).unwrap().unwrap().base_offset), [0, 10]);
        producers.note(&header(i64::MAX, 0, 0, 20, false), 0);
        assert_eq!(producers.id_max(), Some(2), "no broker has given out the other one");
    }

    #[test]
    fn idle_producers_are_forgotten_when_many_come_and_their_ids_are_not() {
        let mut producers = Producers::new(DAY_MS);
        for id in 0..SWEEP_FROM as i64 {
            producers.note(&header(id, 0, 0, id * 10, false), 0);
        }
        producers.note(&header(0, 0, 10, 100_000, false), DAY_MS - 1);
        assert_eq!(producers.by_id.len(), SWEEP_FROM, "nobody was idle for long enough");
        producers.sweep_at = SWEEP_FROM;
        producers.note(&header(0, 0, 20, 100_010, false), DAY_MS);
        assert_eq!(producers.by_id.len(), 1);
        assert_eq!(producers.id_max(), Some(SWEEP_FROM as i64 - 1));
    }

    #[test]
    fn an_aborted_transaction_is_told_and_a_committed_one_is_not() {
        let mut producers = Producers::new(DAY_MS);
        producers.note(&header(1, 0, 0, 100, true), 0);
        producers.note(&header(2, 0, 0, 110, true), 0);
        assert_eq!(producers.first_unstable(), Some(100));
        let aborted = producers.note_marker(&marker(1, false), 120, 0, 0);
        assert_eq!(aborted, Some(AbortedEntry::new(1, 100, 120, 110)));
        assert_eq!(producers.note_marker(&marker(2, true), 121, 0, 0), None);
        assert_eq!(producers.note_marker(&marker(3, false), 122, 0, 0), None, "nothing was open");
        producers.advance(123);
        assert_eq!(producers.first_unstable(), None);
        assert_eq!(producers.id_max(), Some(3));
    }

    #[test]
    fn what_is_written_at_a_roll_is_all_that_was_known() {
        let mut producers = Producers::new(DAY_MS);
        for (index, first) in [0, 10, 20, 30, 40, 50].into_iter().enumerate() {
            producers.note(&header(1, 0, first, index as i64 * 10, false), 1_000);
        }
        producers.note(&header(2, 5, 70, 60, true), 2_000);
        producers.note_marker(&marker(3, true), 70, 1, 3_000);
        let (entries, batches) = (producers.entries(), producers.all_batches());
        assert_eq!((entries.len(), batches.len()), (3, 2));
        let loaded = Producers::load(DAY_MS, &entries, &batches, 3_000);
        assert_eq!(loaded.by_id.get(&1), producers.by_id.get(&1));
        assert_eq!(loaded.by_id.get(&2), producers.by_id.get(&2));
        assert_eq!((loaded.first_unstable(), loaded.id_max()), (Some(60), Some(3)));
        assert_eq!((loaded.entries(), loaded.all_batches()), (entries, batches));
    }

    #[test]
    fn a_producer_that_writes_old_timestamps_is_idle_by_the_brokers_clock() {
        let mut producers = Producers::new(DAY_MS);
        producers.note(&header(1, 0, 0, 0, false), 10 * DAY_MS);
        let (entries, batches) = (producers.entries(), producers.all_batches());
        let knows = |batches: &[ProducerBatches], now_ms| {
            Producers::load(DAY_MS, &entries, batches, now_ms).by_id.contains_key(&1)
        };
        assert!(knows(&batches, 11 * DAY_MS - 1) && !knows(&batches, 11 * DAY_MS));
        assert!(!knows(&[], 11 * DAY_MS - 1), "Apache Kafka's snapshot knows the batch's timestamp only");
    }

    #[test]
    fn earlier_batches_are_looked_for_when_only_the_snapshot_is_there() {
        let mut producers = Producers::new(DAY_MS);
        let headers: Vec<_> = [70, 80, 90].map(|first| header(1, 0, first, i64::from(first), false)).into();
        headers.iter().for_each(|header| producers.note(header, 2_000));
        let mut loaded = Producers::load(DAY_MS, &producers.entries(), &[], 0);
        assert!(loaded.lack_batches());
        headers.iter().rev().for_each(|header| loaded.note_earlier(header));
        assert_eq!(loaded.by_id, producers.by_id);
    }
}
