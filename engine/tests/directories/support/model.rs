//! `Model`: what must be found of some steps, worked out from the steps alone.

use std::collections::BTreeMap;

use super::recipe::{COORDINATOR_EPOCH, Step};
use super::tell::{MAX_TIMESTAMP, TimeAnswer, Told, ToldProducer, ToldRecord};

/// What readers must be told after these steps.
pub(crate) fn told(steps: &[Step], times: &[i64]) -> Told {
    let uncommitted = records(steps, |_, _| true);
    let (start, end) = (0, steps.iter().map(Step::offsets).sum());
    let open = open_transactions(steps);
    let stable = open.values().copied().min().unwrap_or(end);
    let aborted = aborted_transactions(steps);
    let is_aborted = |producer: i64, offset: i64| {
        aborted.iter().any(|(id, first, last)| *id == producer && (*first..*last).contains(&offset))
    };
    let committed = records(steps, |offset, producer| {
        offset < stable && producer.is_none_or(|producer| !is_aborted(producer, offset))
    });
    let timed = timestamps(steps);
    let latest = timed.iter().map(|(_, timestamp)| *timestamp).max();
    let answer = |time: &i64| {
        let wanted = if *time == MAX_TIMESTAMP { latest.unwrap_or_default() } else { *time };
        let found = timed.iter().find(|(_, timestamp)| *timestamp >= wanted);
        TimeAnswer { time: *time, found: found.copied() }
    };
    let times = times.iter().map(answer).collect();
    let producers = producers(steps, &open);
    Told { start, end, stable, uncommitted, committed, times, producers }
}

/// Those that are wanted, by offset and by the producer of a transaction.
fn records(steps: &[Step], is_wanted: impl Fn(i64, Option<i64>) -> bool) -> Vec<ToldRecord> {
    let mut told = Vec::new();
    for_each(steps, |base, step| {
        let Step::Records(batch) = step else { return };
        let producer = batch.producer.filter(|_| batch.is_transactional).map(|(id, ..)| id);
        for (offset, record) in (base..).zip(&batch.records) {
            if is_wanted(offset, producer) {
                let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
                let headers = record.headers.iter();
                told.push(ToldRecord {
                    offset,
                    timestamp: record.timestamp,
                    key: bytes(&record.key),
                    value: bytes(&record.value),
                    headers: headers
                        .map(|(name, value)| ((*name).to_owned(), value.map(|value| value.into())))
                        .collect(),
                });
            }
        }
    });
    told
}

/// Offset and timestamp of each record, those that end transactions included.
fn timestamps(steps: &[Step]) -> Vec<(i64, i64)> {
    let mut timed = Vec::new();
    for_each(steps, |base, step| match step {
        Step::Records(batch) => {
            timed.extend((base..).zip(batch.records.iter().map(|record| record.timestamp)));
        }
        Step::End { timestamp, .. } => timed.push((base, *timestamp)),
    });
    timed
}

/// Producer, first offset, and the offset of the marker.
pub(crate) fn aborted_transactions(steps: &[Step]) -> Vec<(i64, i64, i64)> {
    let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
    for_each(steps, |base, step| match step {
        Step::Records(batch) if batch.is_transactional => {
            let (id, ..) = batch.producer.expect("a transaction has a producer");
            open.entry(id).or_insert(base);
        }
        Step::End { producer, is_commit, .. } => {
            let first = open.remove(producer).expect("it was begun");
            if !is_commit {
                aborted.push((*producer, first, base));
            }
        }
        Step::Records(_) => (),
    });
    aborted
}

/// By producer, where its open transaction begins.
fn open_transactions(steps: &[Step]) -> BTreeMap<i64, i64> {
    let mut open = BTreeMap::new();
    for_each(steps, |base, step| match step {
        Step::Records(batch) if batch.is_transactional => {
            let (id, ..) = batch.producer.expect("a transaction has a producer");
            open.entry(id).or_insert(base);
        }
        Step::End { producer, .. } => drop(open.remove(producer)),
        Step::Records(_) => (),
    });
    open
}

fn producers(steps: &[Step], open: &BTreeMap<i64, i64>) -> Vec<ToldProducer> {
    let mut told: BTreeMap<i64, ToldProducer> = BTreeMap::new();
    for_each(steps, |_, step| match step {
        Step::Records(batch) => {
            let Some((id, epoch, first)) = batch.producer else { return };
            let coordinator_epoch = told.get(&id).map_or(-1, |known| known.coordinator_epoch);
            let last_sequence = first + batch.records.len() as i32 - 1;
            let last_timestamp = batch.records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
            let transaction_start = open.get(&id).copied();
            told.insert(
                id,
                ToldProducer {
                    id,
                    epoch,
                    last_sequence,
                    last_timestamp,
                    coordinator_epoch,
                    transaction_start,
                },
            );
        }
        Step::End { producer, epoch, timestamp, .. } => {
            let known = told.get_mut(producer).expect("it has written");
            if known.epoch != *epoch {
                // A new epoch begins without batches.
                known.last_sequence = -1;
            }
            known.epoch = *epoch;
            known.last_timestamp = *timestamp;
            known.coordinator_epoch = COORDINATOR_EPOCH;
        }
    });
    told.into_values().collect()
}

fn for_each<'s>(steps: &'s [Step], mut see: impl FnMut(i64, &'s Step)) {
    let mut base = 0;
    for step in steps {
        see(base, step);
        base += step.offsets();
    }
}
