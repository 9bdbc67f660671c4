//! `Book`: what was sent, acknowledged and seen of each partition, and everything that contradicts it.
//!
//! | what is held against the book | kind |
//! |---|---|
//! | an acknowledged record is there | lost |
//! | what a reader saw is there after any crash | lost |
//! | a record is at the offset where it was acknowledged or seen, whoever looks and whenever | moved |
//! | every byte was sent, by a client of ours, to this partition | foreign |
//! | a producer's records are each there once | doubled |
//! | and in the order in which they were sent, without a gap | reordered |
//! | offsets follow one another, and begin where they began | offsets |
//! | the broker takes every record in the end | refused |

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record::{Identity, identify};

/// Contradictions told in full; of the others only the number is.
const EXAMPLES_MAX: usize = 8;

/// One for all clients of a run.
#[derive(Debug)]
pub(crate) struct Book {
    /// Makes this run's records its own.
    pub(super) run: u64,
    pages: Vec<Mutex<Page>>,
    contradictions: Mutex<Contradictions>,
}

/// One partition.
#[derive(Debug, Default)]
struct Page {
    /// For each producer, how many of its records were sent, acknowledged.
    producers: BTreeMap<u32, Counts>,
    /// What is known to be at each offset.
    at: Vec<Option<Identity>>,
    /// How many of them are known.
    known: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    sent: u64,
    acknowledged: u64,
}

/// What speaks against the broker.
#[derive(Debug, Default)]
struct Contradictions {
    counts: BTreeMap<&'static str, u64>,
    examples: Vec<String>,
}

/// Records of all partitions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Records sent.
    pub(crate) sent: u64,
    /// Those that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Those whose offset is known: acknowledged there or seen there.
    pub(crate) known: u64,
}

impl Book {
    pub(crate) fn new(run: u64, partitions: usize) -> Book {
        let pages = (0..partitions).map(|_| Mutex::default()).collect();
        Book { run, pages, contradictions: Mutex::default() }
    }

    pub(super) fn partitions(&self) -> i32 {
        self.pages.len() as i32
    }

    /// Before they are sent.
    pub(super) fn sending(&self, partition: i32, producer: u32, numbers: Range<u64>) {
        let mut page = self.page(partition);
        let counts = page.producers.entry(producer).or_default();
        counts.sent = counts.sent.max(numbers.end);
    }

    /// After the answer came. The offset is not known of every batch that was sent twice.
    pub(super) fn acknowledged(
        &self,
        partition: i32,
        producer: u32,
        numbers: Range<u64>,
        base_offset: Option<i64>,
    ) {
        let mut page = self.page(partition);
        let counts = page.producers.entry(producer).or_default();
        counts.acknowledged = counts.acknowledged.max(numbers.end);
        let Some(base_offset) = base_offset else { return };
        for number in numbers.clone() {
            let offset = base_offset + (number - numbers.start) as i64;
            if let Err(other) = page.note(offset, Identity { producer, number }) {
                self.contradict(
                    "moved",
                    format!(
                        "partition {partition}: record {number} of producer {producer} is acknowledged at \
                     offset {offset}, where {other:?} is"
                    ),
                );
            }
        }
    }

    /// A reader saw this value at this offset. Says who sent it.
    pub(super) fn seen(&self, partition: i32, offset: i64, value: &[u8]) -> Option<Identity> {
        let identity = match identify(self.run, partition, value) {
            Ok(identity) => identity,
            Err(why) => {
                self.contradict("foreign", format!("partition {partition}: offset {offset}: {why}"));
                return None;
            }
        };
        if let Err(other) = self.page(partition).note(offset, identity) {
            let what =
                format!("partition {partition}: offset {offset} has {identity:?}, where {other:?} was");
            self.contradict("moved", what);
        }
        Some(identity)
    }

    /// Holds a partition that was read from its beginning to its end against the book.
    pub(super) fn check(&self, partition: i32, log_start: i64, read: &[(i64, Option<Identity>)]) {
        if log_start != 0 {
            self.contradict("offsets", format!("partition {partition} begins at offset {log_start}"));
        }
        let mut next = BTreeMap::<u32, u64>::new();
        for (expected, (offset, identity)) in (0..).zip(read) {
            if *offset != expected {
                let what = format!("partition {partition}: offset {offset} stands where {expected} belongs");
                self.contradict("offsets", what);
                return;
            }
            let Some(Identity { producer, number }) = *identity else { continue };
            let next = next.entry(producer).or_default();
            if number != *next {
                let kind = if number < *next { "doubled" } else { "reordered" };
                let what = format!(
                    "partition {partition}: offset {offset} has record {number} of producer {producer}, \
                     whose next one is {next}"
                );
                self.contradict(kind, what);
            }
            *next = (*next).max(number + 1);
        }
        self.check_end(partition, read.len(), &next);
    }

    fn check_end(&self, partition: i32, end: usize, present: &BTreeMap<u32, u64>) {
        let page = self.page(partition);
        if end < page.at.len() {
            let gone = &page.at[end..];
            self.contradict("lost", format!(
                "partition {partition} ends at offset {end}; {} records behind it were acknowledged or seen, \
                 the first {:?}",
                gone.iter().flatten().count(),
                gone.iter().flatten().next(),
            ));
        }
        for (producer, counts) in &page.producers {
            let present = present.get(producer).copied().unwrap_or(0);
            if present < counts.acknowledged {
                let what = format!(
                    "partition {partition}: producer {producer} has {present} of {} acknowledged records",
                    counts.acknowledged
                );
                self.contradict("lost", what);
            }
            if present > counts.sent {
                let what = format!(
                    "partition {partition}: producer {producer} has {present} records and sent {}",
                    counts.sent
                );
                self.contradict("foreign", what);
            }
        }
    }

    /// Something that must not be, by its kind.
    pub(super) fn contradict(&self, kind: &'static str, what: String) {
        let mut contradictions = self.contradictions();
        *contradictions.counts.entry(kind).or_default() += 1;
        if contradictions.examples.len() < EXAMPLES_MAX {
            contradictions.examples.push(format!("{kind}: {what}"));
        }
    }

    /// How often each kind of contradiction occurred; empty when the broker kept its word.
    pub(crate) fn verdict(&self) -> BTreeMap<&'static str, u64> {
        self.contradictions().counts.clone()
    }

    /// How much was done so far.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for page in &self.pages {
            let page = page.lock().unwrap_or_else(PoisonError::into_inner);
            tally.sent += page.producers.values().map(|counts| counts.sent).sum::<u64>();
            tally.acknowledged += page.producers.values().map(|counts| counts.acknowledged).sum::<u64>();
            tally.known += page.known;
        }
        tally
    }

    fn page(&self, partition: i32) -> MutexGuard<'_, Page> {
        self.pages[partition as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contradictions(&self) -> MutexGuard<'_, Contradictions> {
        self.contradictions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// What was noted there before, if it is another record.
    fn note(&mut self, offset: i64, identity: Identity) -> Result<(), Option<Identity>> {
        let Ok(at) = usize::try_from(offset) else { return Err(None) };
        if self.at.len() <= at {
            self.at.resize(at + 1, None);
        }
        match self.at[at].replace(identity) {
            None => self.known += 1,
            Some(other) if other != identity => return Err(Some(other)),
            Some(_) => {}
        }
        Ok(())
    }
}

impl fmt::Display for Book {
    /// The contradictions, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contradictions = self.contradictions();
        let all: u64 = contradictions.counts.values().sum();
        writeln!(f, "{all} contradictions: {:?}", contradictions.counts)?;
        contradictions.examples.iter().try_for_each(|example| writeln!(f, "  {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::value;

    fn id(producer: u32, number: u64) -> Identity {
        Identity { producer, number }
    }

    /// A book in which producer 0 sent ten records, six acknowledged at offset 0 and up.
    fn book() -> Book {
        let book = Book::new(1, 1);
        book.sending(0, 0, 0..10);
        book.acknowledged(0, 0, 0..4, Some(0));
        book.acknowledged(0, 0, 4..6, Some(4));
        book
    }

    fn check(book: &Book, numbers: &[u64]) -> Vec<&'static str> {
        let read: Vec<_> = (0..).zip(numbers.iter().map(|number| Some(id(0, *number)))).collect();
        for (offset, identity) in &read {
            book.seen(0, *offset, &value(1, 0, identity.unwrap()));
        }
        book.check(0, 0, &read);
        book.verdict().into_keys().collect()
    }

    #[test]
    fn what_was_sent_and_not_acknowledged_may_be_there_or_not() {
        assert_eq!(check(&book(), &[0, 1, 2, 3, 4, 5]), [""; 0]);
        assert_eq!(check(&book(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), [""; 0]);
    }

    #[test]
    fn an_acknowledged_record_that_is_not_there_is_lost() {
        assert_eq!(check(&book(), &[0, 1, 2, 3, 4]), ["lost"]);
        let unknown_offset = Book::new(1, 1);
        unknown_offset.sending(0, 0, 0..2);
        unknown_offset.acknowledged(0, 0, 0..2, None);
        assert_eq!(check(&unknown_offset, &[0]), ["lost"]);
    }

    #[test]
    fn what_a_reader_saw_and_nobody_acknowledged_is_lost_too() {
        let book = book();
        book.seen(0, 6, &value(1, 0, id(0, 6)));
        assert_eq!(check(&book, &[0, 1, 2, 3, 4, 5]), ["lost"]);
    }

    #[test]
    fn a_record_at_two_offsets_is_doubled() {
        assert_eq!(check(&book(), &[0, 1, 2, 3, 4, 5, 5]), ["doubled"]);
    }

    #[test]
    fn a_gap_or_a_change_of_places_is_seen() {
        assert_eq!(check(&book(), &[0, 1, 2, 3, 4, 5, 7]), ["reordered"]);
        assert!(check(&book(), &[0, 1, 3, 2, 4, 5]).contains(&"reordered"));
    }

    #[test]
    fn a_record_that_is_elsewhere_than_before_has_moved() {
        let book = book();
        book.seen(0, 3, &value(1, 0, id(0, 7)));
        assert_eq!(book.verdict(), BTreeMap::from([("moved", 1)]));
        let book = self::book();
        book.acknowledged(0, 0, 6..7, Some(2));
        assert_eq!(book.verdict(), BTreeMap::from([("moved", 1)]));
    }

    #[test]
    fn what_nobody_sent_is_foreign() {
        let book = book();
        assert_eq!(book.seen(0, 6, b"who knows"), None);
        assert_eq!(book.verdict(), BTreeMap::from([("foreign", 1)]));
        assert_eq!(check(&self::book(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), ["foreign"]);
    }

    #[test]
    fn offsets_that_jump_or_begin_elsewhere_are_seen() {
        let book = book();
        book.check(0, 0, &[(0, Some(id(0, 0))), (2, Some(id(0, 1)))]);
        assert_eq!(book.verdict(), BTreeMap::from([("offsets", 1)]));
        book.check(0, 5, &[]);
        assert_eq!(book.verdict()["offsets"], 2);
    }
}
