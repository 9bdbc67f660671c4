//! The records in what a fetch brought.

use std::collections::HashSet;
use std::io;

use kafka_protocol::messages::fetch_response::AbortedTransaction;
use logmill_engine::format::legacy::LegacyEntry;
use logmill_engine::format::{BatchView, ControlRecord};

use super::format::{Consumed, Form};

/// What the records of one batch may come to.
const RECORDS_BYTES_MAX: usize = 256 << 20;

/// How records are printed.
pub(super) struct Shown {
    pub(super) form: Form,
    pub(super) null: Vec<u8>,
}

/// What was fetched of a partition.
pub(super) struct Share<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    /// The first offset that was asked for; the first batch may begin in front of it.
    pub(super) from: i64,
    /// The first one that is not wanted.
    pub(super) end: i64,
    pub(super) bytes: &'a [u8],
    /// Transactions in it whose records are not wanted.
    pub(super) aborted: Vec<AbortedTransaction>,
}

/// What became of a share.
pub(super) struct Taken {
    /// Where the next one begins.
    pub(super) next: i64,
    pub(super) printed: u64,
}

impl Share<'_> {
    /// Prints its records, `max` at most.
    pub(super) fn print(mut self, max: u64, shown: &Shown, to: &mut Vec<u8>) -> Result<Taken, String> {
        self.aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut taken = Taken { next: self.from, printed: 0 };
        let mut aborted = Aborted { begin: self.aborted.iter().peekable(), now: HashSet::new() };
        let mut rest = self.bytes;
        while taken.printed < max && taken.next < self.end {
            if let Some((entry, behind)) = LegacyEntry::split_first(rest) {
                let printed = self.print_messages(&entry, max, shown, to, &mut taken);
                printed.map_err(|fault| self.damaged(taken.next, &fault))?;
                rest = behind;
                continue;
            }
            // The last one may be cut.
            let Some((batch, behind)) = BatchView::split_first(rest) else { break };
            batch.check().map_err(|fault| self.damaged(batch.header.base_offset(), &fault))?;
            rest = behind;
            let is_wanted = aborted.take(&batch) && !batch.header.is_control();
            if is_wanted {
                let printed = self.print_batch(&batch, max, shown, to, &mut taken);
                printed.map_err(|fault| self.damaged(batch.header.base_offset(), &fault))?;
            }
            if taken.printed < max {
                taken.next = taken.next.max(batch.header.last_offset() + 1);
            }
        }
        Ok(taken)
    }

    fn damaged(&self, offset: i64, fault: &str) -> String {
        format!("{}-{}: the batch at offset {offset} is damaged: {fault}", self.topic, self.partition)
    }

    fn print_batch(
        &self,
        batch: &BatchView<'_>,
        max: u64,
        shown: &Shown,
        to: &mut Vec<u8>,
        taken: &mut Taken,
    ) -> Result<(), String> {
        let bytes = batch.uncompressed(RECORDS_BYTES_MAX).map_err(|error| error.to_string())?;
        for record in batch.records_in(&bytes) {
            let record = record.map_err(|bad| bad.to_string())?;
            let offset = batch.header.base_offset() + record.time.offset_delta;
            if offset < self.from || offset >= self.end || taken.printed == max {
                continue;
            }
            let headers: Vec<_> = record.headers.collect();
            let consumed = Consumed {
                topic: self.topic,
                partition: self.partition,
                offset,
                timestamp: batch.header.timestamp_of(record.time.timestamp_delta),
                key: record.key,
                value: record.value,
                headers: &headers,
            };
            self.print_one(&consumed, shown, to, taken).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn print_messages(
        &self,
        entry: &LegacyEntry<'_>,
        max: u64,
        shown: &Shown,
        to: &mut Vec<u8>,
        taken: &mut Taken,
    ) -> Result<(), String> {
        let mut written = Ok(());
        entry.messages(RECORDS_BYTES_MAX, |message| {
            if message.offset < self.from || message.offset >= self.end || taken.printed == max {
                return;
            }
            let consumed = Consumed {
                topic: self.topic,
                partition: self.partition,
                offset: message.offset,
                timestamp: message.timestamp,
                key: message.key,
                value: message.value,
                headers: &[],
            };
            if written.is_ok() {
                written = self.print_one(&consumed, shown, to, taken);
            }
        })?;
        written.map_err(|error| error.to_string())
    }

    fn print_one(
        &self,
        consumed: &Consumed<'_>,
        shown: &Shown,
        to: &mut Vec<u8>,
        taken: &mut Taken,
    ) -> io::Result<()> {
        taken.next = consumed.offset + 1;
        taken.printed += 1;
        shown.form.write(consumed, &shown.null, to)
    }
}

/// Which producers' transactions are aborted where the walk is.
struct Aborted<'a> {
    begin: std::iter::Peekable<std::slice::Iter<'a, AbortedTransaction>>,
    now: HashSet<i64>,
}

impl Aborted<'_> {
    /// Takes up a batch; whether its records are wanted.
    fn take(&mut self, batch: &BatchView<'_>) -> bool {
        let id = batch.header.producer_id();
        while let Some(begun) = self.begin.next_if(|one| one.first_offset <= batch.header.last_offset()) {
            self.now.insert(begun.producer_id.0);
        }
        if batch.header.is_control() {
            let record = batch.records_in(batch.records).next().and_then(Result::ok);
            let end = record.and_then(|record| ControlRecord::read(&record).ok());
            if matches!(end, Some(ControlRecord::Abort { .. })) {
                self.now.remove(&id);
            }
            return false;
        }
        !(batch.header.is_transactional() && self.now.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::{BatchBuilder, NewRecord};

    use super::super::format::Format;
    use super::*;

    /// A batch of records with these values, as it stands at an offset.
    fn at(offset: i64, builder: BatchBuilder, values: &[&str]) -> Vec<u8> {
        let mut builder = builder;
        for value in values {
            let value = Some(value.as_bytes());
            builder.push(&NewRecord { key: None, value, timestamp: 5, headers: &[] });
        }
        placed(offset, &builder.finish())
    }

    fn placed(offset: i64, batch: &[u8]) -> Vec<u8> {
        [&offset.to_be_bytes(), &batch[8..]].concat()
    }

    fn taken(bytes: &[u8], from: i64, max: u64, aborted: &[(i64, i64)]) -> (String, i64) {
        let aborted = aborted.iter().map(|(id, first)| {
            AbortedTransaction::default().with_producer_id((*id).into()).with_first_offset(*first)
        });
        let share =
            Share { topic: "t", partition: 0, from, end: i64::MAX, bytes, aborted: aborted.collect() };
        let shown = Shown { form: Form::Format(Format::parse("%o%s ").unwrap()), null: Vec::new() };
        let mut printed = Vec::new();
        let taken = share.print(max, &shown, &mut printed).unwrap();
        (String::from_utf8(printed).unwrap(), taken.next)
    }

    #[test]
    fn records_are_taken_from_an_offset_on_and_no_more_than_wanted() {
        let plain = BatchBuilder::new;
        let bytes = [at(4, plain(), &["a", "b"]), at(6, plain(), &["c"])].concat();
        assert_eq!(taken(&bytes, 4, 100, &[]), ("4a 5b 6c ".to_owned(), 7));
        assert_eq!(taken(&bytes, 5, 100, &[]), ("5b 6c ".to_owned(), 7));
        assert_eq!(taken(&bytes, 4, 1, &[]), ("4a ".to_owned(), 5));
        // A batch that is cut is fetched again.
        assert_eq!(taken(&bytes[..bytes.len() - 1], 4, 100, &[]), ("4a 5b ".to_owned(), 6));
    }

    #[test]
    fn ends_of_transactions_are_passed_and_aborted_ones_left_out_where_that_is_asked() {
        let of = |id| BatchBuilder::new().producer(id, 0, 0).transactional();
        let end =
            |offset, id, is_commit| placed(offset, &BatchBuilder::transaction_end(id, 0, is_commit, 0, 5));
        let bytes = [
            at(0, of(7), &["a"]),
            at(1, of(8), &["b"]),
            end(2, 7, false),
            at(3, of(7), &["c"]),
            end(4, 8, true),
            end(5, 7, true),
        ]
        .concat();
        assert_eq!(taken(&bytes, 0, 100, &[]), ("0a 1b 3c ".to_owned(), 6));
        assert_eq!(taken(&bytes, 0, 100, &[(7, 0)]), ("1b 3c ".to_owned(), 6));
    }

    #[test]
    fn a_damaged_batch_is_an_error_with_its_offset() {
        let mut bytes = at(4, BatchBuilder::new(), &["a"]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let share =
            Share { topic: "t", partition: 0, from: 4, end: i64::MAX, bytes: &bytes, aborted: Vec::new() };
        let shown = Shown { form: Form::Json, null: Vec::new() };
        let fault = share.print(1, &shown, &mut Vec::new()).err().unwrap();
        assert!(fault.starts_with("t-0: the batch at offset 4 is damaged: crc"), "{fault}");
    }
}
