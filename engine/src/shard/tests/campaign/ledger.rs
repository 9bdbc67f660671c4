//! `Ledger`: what clients sent to each partition, what they were told of it and what they saw; and what a
//! broker that was started after a crash owes them for that.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::broker::{Broker, NOW_MS, dir_of};
use super::notes::Notes;
use crate::Error;
use crate::format::ProducerSequence;
use crate::format::batch::tests::sample_with;
use crate::partition::{Isolation, PartitionId};
use crate::shard::Ticket;

/// Each partition has so many producers, numbered from 0.
pub(super) const PRODUCERS: i64 = 2;
/// So many batches of a producer are known again.
const BATCHES_KNOWN: usize = 5;

/// A batch that was taken.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// As a producer sends it.
    pub(super) bytes: Bytes,
    /// As the log has it.
    stored: Bytes,
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    producer: Option<ProducerSequence>,
    /// The wave that it waits for.
    pub(super) wave: u64,
}

impl Sent {
    pub(super) fn offsets(&self) -> i64 {
        self.last_offset + 1 - self.base_offset
    }
}

/// One partition's part of the ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) sent: Vec<Sent>,
    /// So many of them are acknowledged.
    pub(super) acked: usize,
    /// A reader saw everything in front of it.
    pub(super) seen: i64,
    /// Somebody wanted everything in front of it to be given up.
    pub(super) raised: i64,
}

/// What a crash must not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owed {
    /// Batches from the first one on.
    pub(super) batches: usize,
    /// Offsets.
    seen: i64,
}

/// Every partition's book.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(pub(super) BTreeMap<PartitionId, Book>);

/// What is owed for each partition.
pub(super) type Debts = BTreeMap<PartitionId, Owed>;

impl Book {
    /// The next batch of a producer, or of none.
    pub(super) fn next_batch(&self, producer: Option<i64>, count: i32, payload: &[u8]) -> Bytes {
        let sequence = producer.map(|id| (id, self.next_sequence(id)));
        let bytes = sample_with(count, payload, |header| {
            if let Some((id, first)) = sequence {
                header.set_producer(id, 0, first);
            }
        });
        bytes.into()
    }

    fn next_sequence(&self, producer: i64) -> i32 {
        let of_producer = self.sent.iter().rev().filter_map(|sent| sent.producer);
        let last = of_producer.into_iter().find(|sequence| sequence.id == producer);
        last.map_or(0, |last| last.last + 1)
    }

    /// Takes up a batch that was taken.
    pub(super) fn note(&mut self, bytes: Bytes, base_offset: i64, count: i32, wave: u64) {
        let mut stored = bytes.to_vec();
        stored[..8].copy_from_slice(&base_offset.to_be_bytes());
        stored[12..16].copy_from_slice(&0i32.to_be_bytes());
        let header = crate::format::BatchHeader::view(&stored).expect("a batch has a header");
        let producer = header.producer();
        let last_offset = base_offset + i64::from(count) - 1;
        self.sent.push(Sent { bytes, stored: stored.into(), base_offset, last_offset, producer, wave });
    }

    /// Where the next batch goes.
    pub(super) fn end(&self) -> i64 {
        self.sent.last().map_or(0, |last| last.last_offset + 1)
    }

    /// The last batches of a producer, newest first, that it may send again.
    pub(super) fn last_of(&self, producer: i64) -> impl Iterator<Item = (usize, &Sent)> {
        let of_producer = move |(_, sent): &(usize, &Sent)| sent.producer.is_some_and(|by| by.id == producer);
        self.sent.iter().enumerate().rev().filter(of_producer).take(BATCHES_KNOWN)
    }

    pub(super) fn owed(&self) -> Owed {
        Owed { batches: self.acked, seen: self.seen }
    }

    /// What is owed while everything behind so many batches is taken back.
    pub(super) fn owed_of(&self, batches: usize) -> Owed {
        let end = self.sent.get(batches).map_or(self.end(), |sent| sent.base_offset);
        Owed { batches: self.acked.min(batches), seen: self.seen.min(end) }
    }

    /// Whether what is behind so many batches was taken back is not known.
    pub(super) fn owe_only(&mut self, batches: usize) {
        let Owed { batches: acked, seen } = self.owed_of(batches);
        (self.acked, self.seen) = (acked, seen);
    }

    /// Everything behind so many batches was taken back.
    pub(super) fn take_back(&mut self, batches: usize) {
        self.owe_only(batches);
        self.sent.truncate(batches);
    }

    /// Only these are there after a crash; they are durable and seen.
    pub(super) fn keep(&mut self, batches: usize) {
        self.sent.truncate(batches);
        // They wait for no wave of the next process.
        self.sent.iter_mut().for_each(|sent| sent.wave = 0);
        self.acked = batches;
        self.seen = self.end();
    }
}

impl Ledger {
    /// Sends the next batch of a producer, or of none. The inner result is the broker's refusal.
    pub(super) fn append(
        &mut self,
        broker: &mut Broker,
        id: PartitionId,
        producer: Option<i64>,
        (count, payload): (i32, &[u8]),
    ) -> Result<Result<(), Error>, String> {
        let book = self.0.entry(id).or_default();
        let bytes = book.next_batch(producer, count, payload);
        match broker.shard_of(id).append(id, bytes.clone(), NOW_MS) {
            Ok((appended, _)) if appended.base_offset != book.end() => {
                Err(format!("{id:?}: offset {}, expected {}", appended.base_offset, book.end()))
            }
            Ok((appended, ticket)) => {
                let wave = ticket.ok_or("an append is acknowledged at once")?.wave;
                book.note(bytes, appended.base_offset, count, wave);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes up what a shard has released. True: a directory failed, which is offline on every shard then.
    pub(super) fn progress(&mut self, broker: &mut Broker, shard: usize) -> bool {
        let progress = broker.shards[shard].take_progress();
        for Ticket { dir, wave } in progress.released {
            for (id, book) in &mut self.0 {
                if broker.owner_of(*id) == shard && dir_of(*id) == dir {
                    let released = book.sent.partition_point(|sent| sent.wave <= wave);
                    book.acked = book.acked.max(released);
                }
            }
        }
        for (dir, _) in &progress.failed {
            broker.shards.iter_mut().for_each(|shard| shard.fail_dir(*dir));
        }
        !progress.failed.is_empty()
    }

    pub(super) fn debts(&self) -> Debts {
        self.0.iter().map(|(id, book)| (*id, book.owed())).collect()
    }

    /// Reads every partition to its end, and says what is there: all of it is owed from then on.
    pub(super) fn check(&self, broker: &mut Broker, notes: &Notes, owed: &Debts) -> Result<Debts, String> {
        let mut there = Debts::new();
        for (id, _) in notes.partitions() {
            let Some(book) = self.0.get(&id) else { continue };
            let owed = owed.get(&id).copied().unwrap_or_default();
            let found = book.check(broker, notes, id, owed).map_err(|what| format!("{id:?}: {what}"))?;
            there.insert(id, found);
        }
        Ok(there)
    }

    /// Sends every producer's last batches again, and a new one behind them.
    pub(super) fn challenge(&self, broker: &mut Broker, there: &Debts) -> Result<(), String> {
        for (id, Owed { batches, .. }) in there {
            let mut book = self.0[id].clone();
            book.sent.truncate(*batches);
            book.challenge(broker, *id).map_err(|what| format!("{id:?}: {what}"))?;
        }
        Ok(())
    }
}

impl Book {
    fn check(&self, broker: &mut Broker, notes: &Notes, id: PartitionId, owed: Owed) -> Result<Owed, String> {
        let shard = broker.shard_of(id);
        let bounds = shard.bounds(id).map_err(|error| error.to_string())?;
        let written = notes.marks(id).start;
        if bounds.start < written || bounds.start > self.raised.max(written) {
            return Err(format!("begins at {}, expected {written} to {}", bounds.start, self.raised));
        }
        let given_up = self.sent.partition_point(|sent| sent.last_offset < bounds.start);
        let mut known = given_up;
        let mut offset = bounds.start;
        let mut bytes = Vec::new();
        loop {
            let fetched = shard
                .fetch(id, offset, 1 << 20, Isolation::Uncommitted)
                .map_err(|error| format!("fetching at {offset}: {error}"))?;
            let Some(slice) = fetched.slice else { break };
            bytes.resize(slice.bytes.len as usize, 0);
            let read = slice.bytes.file.read_at(&mut bytes, slice.bytes.position);
            let mut rest = &bytes[..read.map_err(|error| error.to_string())?];
            while !rest.is_empty() {
                let Some(sent) = self.sent.get(known) else {
                    return Err(format!("has bytes at {offset} that nobody sent"));
                };
                rest = rest
                    .strip_prefix(&sent.stored[..])
                    .ok_or_else(|| format!("batch {known} at {offset} is another one than was sent"))?;
                known += 1;
                offset = sent.last_offset + 1;
            }
        }
        if known < owed.batches {
            return Err(format!("has {known} batches, {} are acknowledged", owed.batches));
        }
        if bounds.readable < owed.seen || bounds.readable != offset {
            return Err(format!("ends at {}, read to {offset}, seen to {}", bounds.readable, owed.seen));
        }
        Ok(Owed { batches: known, seen: offset })
    }

    fn challenge(&self, broker: &mut Broker, id: PartitionId) -> Result<(), String> {
        let shard = broker.shard_of(id);
        for producer in 0..PRODUCERS {
            for (index, sent) in self.last_of(producer) {
                let again = shard
                    .append(id, sent.bytes.clone(), NOW_MS)
                    .map_err(|error| format!("batch {index} of producer {producer}, again: {error}"))?;
                if again.0.base_offset != sent.base_offset {
                    return Err(format!(
                        "batch {index} of producer {producer} at {} is stored again at {}",
                        sent.base_offset, again.0.base_offset
                    ));
                }
            }
        }
        let next = self.next_batch(Some(0), 1, b"next");
        let (appended, _) = shard.append(id, next, NOW_MS).map_err(|error| format!("the next: {error}"))?;
        if appended.base_offset == self.end() {
            Ok(())
        } else {
            Err(format!("the next batch goes to {}, expected {}", appended.base_offset, self.end()))
        }
    }
}
