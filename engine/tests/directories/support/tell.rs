//! `Told`: all that readers are told of a partition, as lines of text. `Partition.java` beside the tests of
//! Apache Kafka prints the same lines of what a broker answers.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use logmill_engine::Error;
use logmill_engine::format::codec::decompressed_bytes_max;
use logmill_engine::format::{AbortedEntry, BatchView, CheckedBatches, ControlRecord};
use logmill_engine::log::{Cache, TimedOffset};
use logmill_engine::partition::{Bounds, Fetched, Isolation, Partition, PartitionId, TimeQuery};
use logmill_engine::shard::Shard;

/// Asks for the largest timestamp, as in the protocol.
pub(crate) const MAX_TIMESTAMP: i64 = -3;
/// Bytes of one fetch, so that there are several.
const FETCH_BYTES: u32 = 4_096;

/// What readers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) stable: i64,
    pub(crate) uncommitted: Vec<ToldRecord>,
    pub(crate) committed: Vec<ToldRecord>,
    pub(crate) times: Vec<TimeAnswer>,
    pub(crate) producers: Vec<ToldProducer>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToldRecord {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The offset and the timestamp that stand at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeAnswer {
    pub(crate) time: i64,
    pub(crate) found: Option<(i64, i64)>,
}

/// A producer, as the broker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToldProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) coordinator_epoch: i32,
    pub(crate) transaction_start: Option<i64>,
}

/// Who answers readers.
pub(crate) trait Answers {
    fn bounds(&self) -> Bounds;
    fn fetch(&mut self, offset: i64, len_max: u32, isolation: Isolation) -> Result<Fetched, Error>;
    fn offset_at(&mut self, query: TimeQuery) -> Result<Option<TimedOffset>, Error>;
}

impl Answers for (Partition, Cache) {
    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    fn fetch(&mut self, offset: i64, len_max: u32, isolation: Isolation) -> Result<Fetched, Error> {
        self.0.fetch(&mut self.1, offset, len_max, isolation)
    }

    fn offset_at(&mut self, query: TimeQuery) -> Result<Option<TimedOffset>, Error> {
        self.0.offset_at(&mut self.1, query, Isolation::Uncommitted)
    }
}

impl Answers for (Shard, PartitionId) {
    fn bounds(&self) -> Bounds {
        self.0.bounds(self.1).expect("the partition is open")
    }

    fn fetch(&mut self, offset: i64, len_max: u32, isolation: Isolation) -> Result<Fetched, Error> {
        self.0.fetch(self.1, offset, len_max, isolation)
    }

    fn offset_at(&mut self, query: TimeQuery) -> Result<Option<TimedOffset>, Error> {
        self.0.offset_at(self.1, query, Isolation::Uncommitted)
    }
}

/// All that readers are told but of producers, whose state is in snapshots.
pub(crate) fn tell(partition: &mut impl Answers, times: &[i64]) -> Result<Told, Error> {
    let bounds = partition.bounds();
    let uncommitted = read(partition, Isolation::Uncommitted)?;
    let committed = read(partition, Isolation::Committed)?;
    let mut answers = Vec::new();
    for time in times {
        let query = if *time == MAX_TIMESTAMP { TimeQuery::Max } else { TimeQuery::From(*time) };
        let found = partition.offset_at(query)?;
        let found = found.map(|TimedOffset { offset, timestamp }| (offset, timestamp));
        answers.push(TimeAnswer { time: *time, found });
    }
    Ok(Told {
        start: bounds.start,
        end: bounds.readable,
        stable: bounds.stable,
        uncommitted,
        committed,
        times: answers,
        producers: Vec::new(),
    })
}

/// All records that such a reader gets.
fn read(partition: &mut impl Answers, isolation: Isolation) -> Result<Vec<ToldRecord>, Error> {
    let mut told = Vec::new();
    for_each_batch(partition, isolation, |batch, plain, is_left_out| {
        if is_left_out { Ok(()) } else { records(batch, plain, &mut told) }
    })?;
    // The first batch may begin in front of the log's start.
    let start = partition.bounds().start;
    told.retain(|record| record.offset >= start);
    Ok(told)
}

/// Shows every batch that such a reader gets, verified, its records as they were before they were compressed,
/// and whether the reader leaves it out.
pub(crate) fn for_each_batch(
    partition: &mut impl Answers,
    isolation: Isolation,
    mut see: impl FnMut(&BatchView<'_>, &[u8], bool) -> Result<(), String>,
) -> Result<(), Error> {
    let mut offset = partition.bounds().start;
    loop {
        let fetched = partition.fetch(offset, FETCH_BYTES, isolation)?;
        let Some(slice) = fetched.slice else { return Ok(()) };
        let mut bytes = vec![0; slice.bytes.len as usize];
        let read = slice.bytes.file.read_at(&mut bytes, slice.bytes.position).expect("the file can be read");
        let corrupt = |what: &str| Error::Corrupt(format!("segment {:020}.log: {what}", slice.segment));
        let mut leave_out = LeaveOut::new(fetched.aborted);
        let mut batches = CheckedBatches::new(&bytes[..read], slice.bytes.position, offset, false);
        for batch in &mut batches {
            let batch = batch.map_err(|bad| corrupt(&bad.to_string()))?;
            let plain = batch
                .uncompressed(decompressed_bytes_max(batch.records.len()))
                .map_err(|error| corrupt(&error.to_string()))?;
            leave_out
                .sees(&batch, &plain)
                .and_then(|is_left_out| see(&batch, &plain, is_left_out))
                .map_err(|fault| corrupt(&fault))?;
        }
        if batches.next_offset() == offset {
            let position = slice.bytes.position;
            return Err(corrupt(&format!("batch at position {position}: not whole, at offset {offset}")));
        }
        offset = batches.next_offset();
    }
}

fn records(batch: &BatchView<'_>, plain: &[u8], told: &mut Vec<ToldRecord>) -> Result<(), String> {
    for record in batch.records_in(plain) {
        let record = record.map_err(|bad| bad.to_string())?;
        let headers = record
            .headers
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)));
        told.push(ToldRecord {
            offset: batch.header.base_offset() + record.time.offset_delta,
            timestamp: batch.header.timestamp_of(record.time.timestamp_delta),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        });
    }
    Ok(())
}

/// Which batches a reader of committed records leaves out, as Apache Kafka's consumer decides it.
struct LeaveOut {
    /// By their first offset.
    to_come: VecDeque<AbortedEntry>,
    aborted: BTreeSet<i64>,
}

impl LeaveOut {
    fn new(mut aborted: Vec<AbortedEntry>) -> LeaveOut {
        aborted.sort_by_key(AbortedEntry::first_offset);
        LeaveOut { to_come: aborted.into(), aborted: BTreeSet::new() }
    }

    /// Whether a batch is no record's: a marker, or one of an aborted transaction.
    fn sees(&mut self, batch: &BatchView<'_>, plain: &[u8]) -> Result<bool, String> {
        let header = batch.header;
        while let Some(next) = self.to_come.front().filter(|next| next.first_offset() <= header.last_offset())
        {
            self.aborted.insert(next.producer_id());
            self.to_come.pop_front();
        }
        if header.is_control() {
            for record in batch.records_in(plain) {
                let record = record.map_err(|bad| bad.to_string())?;
                if let ControlRecord::Abort { .. } = ControlRecord::read(&record)? {
                    self.aborted.remove(&header.producer_id());
                }
            }
            return Ok(true);
        }
        Ok(header.is_transactional() && self.aborted.contains(&header.producer_id()))
    }
}

/// Length and checksum, `-` for null.
struct Sum<'a>(Option<&'a [u8]>);

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(bytes) => write!(f, "{}:{:08x}", bytes.len(), crc32c::crc32c(bytes)),
        }
    }
}

impl fmt::Display for ToldRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (Sum(self.key.as_deref()), Sum(self.value.as_deref()));
        write!(f, "{} {} {key} {value}", self.offset, self.timestamp)?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, " {name}={}", Sum(value.as_deref())))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "offsets {} {} {}", self.start, self.end, self.stable)?;
        self.uncommitted.iter().try_for_each(|record| writeln!(f, "all {record}"))?;
        self.committed.iter().try_for_each(|record| writeln!(f, "committed {record}"))?;
        for TimeAnswer { time, found } in &self.times {
            match found {
                Some((offset, timestamp)) => writeln!(f, "time {time} {offset} {timestamp}")?,
                None => writeln!(f, "time {time} none")?,
            }
        }
        self.producers.iter().try_for_each(|producer| writeln!(f, "{producer}"))
    }
}

impl fmt::Display for ToldProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ToldProducer { id, epoch, last_sequence, last_timestamp, coordinator_epoch, transaction_start } =
            self;
        let start = transaction_start.unwrap_or(-1);
        write!(f, "producer {id} {epoch} {last_sequence} {last_timestamp} {coordinator_epoch} {start}")
    }
}
