//! `Step`: what is appended to a partition, one after the other: batches of every codec, producers with and
//! without transactions, and how these end.

use bytes::Bytes;
use logmill_engine::format::{BatchBuilder, Compression, NewRecord};

/// When the first record was made.
pub(crate) const TIME: i64 = 1_700_000_000_000;
/// The epoch of the coordinator that ends transactions.
pub(crate) const COORDINATOR_EPOCH: i32 = 4;

pub(crate) const COMPRESSIONS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip { level: -1 },
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd { level: 3 },
];

/// One append.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Records(Records),
    /// A transaction of this producer ends.
    End {
        producer: i64,
        epoch: i16,
        is_commit: bool,
        timestamp: i64,
    },
}

/// A batch of records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) compression: Compression,
    /// Its id, epoch and first sequence.
    pub(crate) producer: Option<(i64, i16, i32)>,
    pub(crate) is_transactional: bool,
    pub(crate) records: Vec<Record>,
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(&'static str, Option<&'static str>)>,
}

impl Step {
    /// How many offsets it takes.
    pub(crate) fn offsets(&self) -> i64 {
        match self {
            Step::Records(batch) => batch.records.len() as i64,
            Step::End { .. } => 1,
        }
    }

    /// As it is sent.
    pub(crate) fn bytes(&self) -> Bytes {
        match self {
            Step::Records(batch) => batch.bytes(),
            Step::End { producer, epoch, is_commit, timestamp } => {
                BatchBuilder::transaction_end(*producer, *epoch, *is_commit, COORDINATOR_EPOCH, *timestamp)
            }
        }
    }
}

impl Records {
    fn bytes(&self) -> Bytes {
        let mut builder = BatchBuilder::new().compressed(self.compression);
        // A batch without a producer has no sequence, as clients send it.
        let (id, epoch, first) = self.producer.unwrap_or((-1, -1, -1));
        builder = builder.producer(id, epoch, first);
        if self.is_transactional {
            builder = builder.transactional();
        }
        for record in &self.records {
            let headers: Vec<(&str, Option<&[u8]>)> =
                record.headers.iter().map(|(name, value)| (*name, value.map(str::as_bytes))).collect();
            builder.push(&NewRecord {
                key: record.key.as_deref().map(str::as_bytes),
                value: record.value.as_deref().map(str::as_bytes),
                timestamp: record.timestamp,
                headers: &headers,
            });
        }
        builder.finish()
    }
}

/// Makes steps.
pub(crate) struct Recipe {
    pub(crate) steps: Vec<Step>,
    /// How many records were made.
    made: i64,
    value_repeats: usize,
}

/// A producer as it knows itself.
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    next: i32,
}

impl Producer {
    pub(crate) fn new(id: i64) -> Producer {
        Producer { id, epoch: 0, next: 0 }
    }
}

impl Recipe {
    /// So many rounds, each of a batch of every codec and a transaction that is committed, one that is aborted,
    /// and one around both. The last round leaves two transactions open.
    pub(crate) fn of_rounds(rounds: usize, value_repeats: usize) -> Vec<Step> {
        let mut recipe = Recipe { steps: Vec::new(), made: 0, value_repeats };
        let (mut idempotent, mut first) = (Producer::new(7), Producer::new(9));
        let (mut around, mut open) = (Producer::new(11), Producer::new(12));
        for round in 0..rounds {
            let codec = |step: usize| COMPRESSIONS[(round + step) % COMPRESSIONS.len()];
            recipe.append(None, false, codec(0), 1 + round % 3);
            recipe.append(Some(&mut idempotent), false, codec(1), 2);
            recipe.append(Some(&mut around), true, codec(2), 2);
            recipe.append(Some(&mut first), true, codec(3), 3);
            recipe.append(Some(&mut idempotent), false, codec(4), 1);
            recipe.append(Some(&mut first), true, codec(2), 1);
            recipe.end(&mut first, round % 2 == 0, false);
            recipe.append(Some(&mut around), true, codec(3), 1);
            if round + 1 < rounds {
                // As a coordinator of Apache Kafka 4 does it: with the next epoch.
                recipe.end(&mut around, round % 3 == 1, true);
            }
        }
        recipe.append(Some(&mut open), true, COMPRESSIONS[4], 2);
        recipe.append(None, false, COMPRESSIONS[0], 1);
        recipe.steps
    }

    fn append(
        &mut self,
        producer: Option<&mut Producer>,
        is_transactional: bool,
        compression: Compression,
        count: usize,
    ) {
        let producer = producer.map(|producer| {
            let first = producer.next;
            producer.next += count as i32;
            (producer.id, producer.epoch, first)
        });
        let records = (0..count).map(|_| self.record()).collect();
        self.steps.push(Step::Records(Records { compression, producer, is_transactional, records }));
    }

    fn end(&mut self, producer: &mut Producer, is_commit: bool, is_epoch_raised: bool) {
        if is_epoch_raised {
            producer.epoch += 1;
            producer.next = 0;
        }
        let timestamp = TIME + self.made * 10;
        self.steps.push(Step::End { producer: producer.id, epoch: producer.epoch, is_commit, timestamp });
    }

    fn record(&mut self) -> Record {
        let number = self.made;
        self.made += 1;
        // Now and then a clock is behind.
        let late = if number % 7 == 3 { 35 } else { 0 };
        let value = format!("value {number} ").repeat(self.value_repeats);
        Record {
            timestamp: TIME + number * 10 - late,
            key: (number % 5 != 1).then(|| format!("key-{number}")),
            value: (number % 9 != 4).then_some(value),
            headers: match number % 4 {
                0 => vec![("trace", Some("id")), ("empty", None)],
                _ => Vec::new(),
            },
        }
    }
}
