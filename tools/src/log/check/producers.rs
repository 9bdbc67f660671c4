//! `Producers`: what the batches of a log say of their producers, to be held against its snapshots.

use std::collections::HashMap;

use logmill_engine::format::ProducerEntry;

use crate::log::indexes::Marker;
use crate::log::walk::{Found, FoundBatch};

/// A producer's last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastBatch {
    epoch: i16,
    last_sequence: i32,
    last_offset: i64,
}

/// Of all producers, up to where the log was walked.
#[derive(Debug, Default)]
pub(super) struct Producers {
    last: HashMap<i64, LastBatch>,
    /// Where open transactions begin.
    open: HashMap<i64, i64>,
    /// The first offset that was walked: of what is in front nothing is known.
    from: Option<i64>,
}

impl Producers {
    /// Takes up a batch that is no marker.
    pub(super) fn see(&mut self, found: &Found<'_>) {
        self.from.get_or_insert(found.batch.base_offset());
        let FoundBatch::Batch(batch) = found.batch else { return };
        let Some(producer) = batch.header.producer().filter(|_| !batch.header.is_control()) else { return };
        let last_offset = batch.header.last_offset();
        let last = LastBatch { epoch: producer.epoch, last_sequence: producer.last, last_offset };
        self.last.insert(producer.id, last);
        if batch.header.is_transactional() {
            self.open.entry(producer.id).or_insert(batch.header.base_offset());
        }
    }

    /// Takes up the end of a transaction; where that began.
    pub(super) fn end(&mut self, marker: Marker) -> Option<i64> {
        self.from.get_or_insert(marker.offset);
        self.open.remove(&marker.producer_id)
    }

    /// What a snapshot at the offset up to which the log was walked says, and the log does not.
    pub(super) fn faults(&self, entries: &[ProducerEntry], offset: i64) -> Vec<String> {
        let from = self.from.unwrap_or(offset);
        entries.iter().filter_map(|entry| self.fault(entry, from, offset)).collect()
    }

    fn fault(&self, entry: &ProducerEntry, from: i64, offset: i64) -> Option<String> {
        let id = entry.producer_id;
        if entry.last_offset >= offset || entry.transaction_start >= Some(offset) {
            let (last, start) = (entry.last_offset, entry.transaction_start.unwrap_or(-1));
            return Some(format!(
                "producer {id}: offset {last}, transaction from {start} on, expected below {offset}"
            ));
        }
        // Batches in front of the log's first one are gone, and an entry without a batch says nothing of any.
        if entry.last_sequence >= 0 && entry.last_offset >= from {
            let said = LastBatch {
                epoch: entry.epoch,
                last_sequence: entry.last_sequence,
                last_offset: entry.last_offset,
            };
            let found = self.last.get(&id);
            if found != Some(&said) {
                let told = |last: &LastBatch| {
                    format!(
                        "epoch {}, sequence {}, offset {}",
                        last.epoch, last.last_sequence, last.last_offset
                    )
                };
                let found = found.map_or("no batch".to_owned(), told);
                return Some(format!("producer {id}: {}, the log has {found}", told(&said)));
            }
        }
        match (entry.transaction_start, self.open.get(&id)) {
            (Some(start), open) if start >= from && open != Some(&start) => Some(match open {
                Some(open) => {
                    format!("producer {id}: transaction from {start} on, in the log from {open} on")
                }
                None => format!("producer {id}: transaction from {start} on, the log has none"),
            }),
            (None, Some(open)) => {
                Some(format!("producer {id}: no transaction, the log has one from {open} on"))
            }
            _ => None,
        }
    }
}
