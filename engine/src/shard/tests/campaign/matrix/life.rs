//! The life of a broker in which one thing goes wrong, and what comes of that.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::broker::{
    Broker, DIRS, LARGE_BYTES, NOW_MS, make_topic, new_disk, remove_partition, to_open,
};
use super::super::ledger::{Ledger, PRODUCERS};
use super::super::notes::{Notes, TopicNote};
use crate::Error;
use crate::disk::Disk;
use crate::disk::sim::{Effect, Fault, Operation, SimDisk};
use crate::format::Uuid;
use crate::partition::{Isolation, PartitionId};
use crate::shard::DeleteBefore;

/// What comes of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// A start ends with an error; the next one does not.
    Start,
    /// A topic is not made or deleted; a start finishes it.
    Topic,
    /// A client's append, or deletion of records, is refused.
    Refused,
    /// A reader has an error.
    Reader,
    /// A log directory goes offline.
    Offline,
    /// A stop is no clean one.
    Stop,
    /// Acknowledgements wait.
    Waits,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Start => "start",
            Outcome::Topic => "topic",
            Outcome::Refused => "refused",
            Outcome::Reader => "reader",
            Outcome::Offline => "offline",
            Outcome::Stop => "stop",
            Outcome::Waits => "waits",
        }
    }
}

/// How a life was.
#[derive(Debug, Default)]
pub(super) struct Lived {
    pub(super) outcomes: BTreeSet<Outcome>,
    /// How often the operation was asked for.
    pub(super) asked: u64,
}

const ROUNDS: usize = 20;
const SHARDS: usize = 2;
/// A start that fails again although nothing goes wrong any more is one too many.
const STARTS_MAX: usize = 3;
/// Power cuts at each look.
const CUTS: u64 = 3;
const TOPIC: &str = "topic";
const PARTITIONS: i32 = 3;

struct Life {
    operation: Operation,
    effect: Effect,
    /// So many go well before.
    skips: u64,
    lived: Lived,
    broker: Broker,
    notes: Notes,
    ledger: Ledger,
    topics_made: u8,
    is_checked: bool,
}

/// Everything that a broker does, with an operation that goes wrong behind so many that do not.
pub(super) fn live(operation: Operation, effect: Effect, skips: u64) -> Result<Lived, String> {
    let disk = new_disk(1);
    let broker = Broker { disk: disk.clone(), shards: Vec::new() };
    let mut life = Life {
        operation,
        effect,
        skips,
        lived: Lived::default(),
        broker,
        notes: Notes::default(),
        ledger: Ledger::default(),
        topics_made: 0,
        is_checked: false,
    };
    life.start(disk)?;
    life.make_topic()?;
    for round in 0..ROUNDS {
        life.round(round)?;
        life.go_on()?;
    }
    life.stop()?;
    life.lived.asked += life.broker.disk.times(operation);
    Ok(life.lived)
}

impl Life {
    fn came(&mut self, outcome: Outcome) {
        self.lived.outcomes.insert(outcome);
    }

    /// What a client is told.
    fn told(&mut self, error: &Error) {
        self.came(if matches!(error, Error::Offline(_)) { Outcome::Offline } else { Outcome::Refused });
    }

    fn was_struck(&self) -> bool {
        self.lived.asked + self.broker.disk.times(self.operation) > self.skips
    }

    /// Starts on a disk, and once more where that fails.
    fn start(&mut self, mut disk: SimDisk) -> Result<(), String> {
        for attempt in 0..STARTS_MAX {
            if let Some(skips) = self.skips.checked_sub(self.lived.asked) {
                disk.arm(Fault::new(self.operation, self.effect).after(skips));
            }
            match started(&disk, &self.notes, attempt as u64) {
                Ok(broker) => {
                    self.broker = broker;
                    self.notes = self.notes.unclean();
                    return self.take_over();
                }
                Err(error) if self.lived.asked + disk.times(self.operation) <= self.skips => {
                    return Err(format!("a start failed, and nothing was wrong: {error}"));
                }
                Err(_) => {
                    self.came(Outcome::Start);
                    self.lived.asked += disk.times(self.operation);
                    self.notes = self.notes.unclean();
                    disk = disk.after_kill();
                }
            }
        }
        Err("no start is the last that fails".to_owned())
    }

    /// What was found is what there is from then on.
    fn take_over(&mut self) -> Result<(), String> {
        let debts = self.ledger.debts();
        match self.ledger.check(&mut self.broker, &self.notes, &debts) {
            Ok(there) => {
                for (id, found) in &there {
                    self.ledger.0.get_mut(id).expect("it was checked").keep(found.batches);
                }
                Ok(())
            }
            // A reader of everything met the fault.
            Err(_) if self.was_struck() && !self.is_checked => {
                self.came(Outcome::Reader);
                self.kill_and_start()
            }
            Err(what) => Err(what),
        }
    }

    fn kill_and_start(&mut self) -> Result<(), String> {
        self.check_once()?;
        let disk = self.broker.disk.after_kill();
        self.lived.asked += self.broker.disk.times(self.operation);
        self.start(disk)
    }

    fn make_topic(&mut self) -> Result<(), String> {
        self.topics_made += 1;
        let id = Uuid([self.topics_made; 16]);
        let topic = TopicNote { name: TOPIC, id, partitions: PARTITIONS, is_made: false };
        self.notes.topics.push(topic.clone());
        if make_topic(&self.broker.disk, &topic).is_err() {
            self.came(Outcome::Topic);
            self.kill_and_start()?;
        }
        self.notes.topics.last_mut().expect("it was just added").is_made = true;
        for id in topic.partitions() {
            let mut opened = to_open(&self.notes, id, TOPIC);
            opened.known.was_clean = true;
            if self.broker.shard_of(id).open(&opened, NOW_MS).is_err() {
                self.came(Outcome::Topic);
                return self.kill_and_start();
            }
        }
        Ok(())
    }

    fn ids(&self) -> Vec<PartitionId> {
        self.notes.partitions().map(|(id, _)| id).collect()
    }

    fn round(&mut self, round: usize) -> Result<(), String> {
        for (number, id) in self.ids().into_iter().enumerate() {
            let len = if (round + number).is_multiple_of(5) { LARGE_BYTES } else { 100 + 50 * number };
            let producer = Some((round as i64 + 1) % PRODUCERS);
            let payload = vec![round as u8; len];
            if let Err(error) = self.ledger.append(&mut self.broker, id, producer, (2, &payload))? {
                self.told(&error);
            }
        }
        self.commit()?;
        match round {
            4 | 15 => self.read(),
            6 | 12 | 17 => self.give_up_old_records(),
            8 => self.delete_records(),
            10 => self.truncate()?,
            13 => self.kill_and_start()?,
            14 => self.delete_and_make_again()?,
            _ => (),
        }
        self.commit()
    }

    /// Everything that was appended becomes durable, or its directory fails.
    fn commit(&mut self) -> Result<(), String> {
        for shard in 0..SHARDS {
            loop {
                self.broker.shards[shard].submit();
                let queue = &self.broker.disk.queues()[shard];
                if queue.in_flight() == 0 && queue.late() > 0 {
                    // Thirty seconds go by.
                    self.came(Outcome::Waits);
                    self.progress(shard);
                    self.check()?;
                    queue.release_late();
                }
                if queue.in_flight() == 0 {
                    break;
                }
                queue.finish(queue.in_flight() - 1, Ok(()));
                self.broker.shards[shard].reap();
                self.progress(shard);
            }
            self.progress(shard);
        }
        Ok(())
    }

    fn progress(&mut self, shard: usize) {
        if self.ledger.progress(&mut self.broker, shard) {
            self.came(Outcome::Offline);
        }
        for (id, book) in &mut self.ledger.0 {
            if let Ok(bounds) = self.broker.shard_of(*id).bounds(*id) {
                book.seen = book.seen.max(bounds.readable);
            }
        }
    }

    fn read(&mut self) {
        for id in self.ids() {
            let shard = self.broker.shard_of(id);
            let Ok(bounds) = shard.bounds(id) else { continue };
            let fetched = shard.fetch(id, bounds.start, 1_000, Isolation::Uncommitted);
            let Ok(Some(slice)) = fetched.map(|fetched| fetched.slice) else {
                self.came(Outcome::Reader);
                continue;
            };
            let shard = self.broker.shard_of(id);
            let job = shard.read_in(slice.bytes.clone());
            shard.reap();
            let is_in = shard.take_progress().read_in.contains(&job);
            let mut bytes = vec![0; slice.bytes.len as usize];
            let read = slice.bytes.file.read_at(&mut bytes, slice.bytes.position);
            if read.is_err() || !is_in {
                self.came(Outcome::Reader);
            }
        }
    }

    fn give_up_old_records(&mut self) {
        self.broker.shards.iter_mut().for_each(|shard| shard.upkeep(NOW_MS));
        self.write_marks();
    }

    fn write_marks(&mut self) {
        for (id, book) in &mut self.ledger.0 {
            if let Ok(bounds) = self.broker.shard_of(*id).bounds(*id) {
                book.raised = book.raised.max(bounds.start);
            }
        }
        for shard in &mut self.broker.shards {
            let marks = shard.marks();
            self.notes.write_marks(&marks);
            shard.marks_written(&marks, NOW_MS);
        }
    }

    fn delete_records(&mut self) {
        for id in self.ids() {
            let shard = self.broker.shard_of(id);
            let Ok(bounds) = shard.bounds(id) else { continue };
            let before = DeleteBefore::Offset((bounds.start + bounds.readable) / 2);
            if let Err(error) = shard.delete_records(id, before) {
                self.told(&error);
            }
        }
        self.write_marks();
    }

    fn truncate(&mut self) -> Result<(), String> {
        let Some(id) = self.ids().into_iter().next() else { return Ok(()) };
        let book = self.ledger.0.get_mut(&id).ok_or("nothing was ever appended")?;
        let batches = book.sent.len().saturating_sub(3);
        let Some(offset) = book.sent.get(batches).map(|sent| sent.base_offset) else { return Ok(()) };
        let Ok(bounds) = self.broker.shard_of(id).bounds(id) else { return Ok(()) };
        if offset < bounds.start {
            return Ok(());
        }
        let notes = &mut self.notes;
        let done = self.broker.shard_of(id).truncate(id, offset, NOW_MS, |marks| {
            notes.write_marks(marks);
            Ok(())
        });
        let owner = self.broker.owner_of(id);
        match done {
            Ok(()) => {
                self.progress(owner);
                self.ledger.0.get_mut(&id).expect("it was just there").take_back(batches);
            }
            // What was to be taken back may be there or not.
            Err(error) => {
                self.told(&error);
                self.progress(owner);
                self.ledger.0.get_mut(&id).expect("it was just there").owe_only(batches);
            }
        }
        Ok(())
    }

    fn delete_and_make_again(&mut self) -> Result<(), String> {
        let topic = self.notes.forget(TOPIC);
        for id in topic.partitions() {
            self.ledger.0.remove(&id);
            self.broker.shard_of(id).close(id);
        }
        if topic.partitions().any(|id| remove_partition(&self.broker.disk, id, TOPIC).is_err()) {
            self.came(Outcome::Topic);
            self.kill_and_start()?;
        }
        self.make_topic()
    }

    /// Looks what a power cut leaves, once something went wrong.
    fn check_once(&mut self) -> Result<(), String> {
        if self.is_checked || !self.was_struck() {
            return Ok(());
        }
        self.is_checked = true;
        self.check()
    }

    /// Where a directory failed another process goes on.
    fn go_on(&mut self) -> Result<(), String> {
        self.check_once()?;
        if (0..SHARDS).any(|shard| self.broker.shards[shard].offline_dirs().next().is_some()) {
            self.came(Outcome::Offline);
            self.kill_and_start()?;
        }
        Ok(())
    }

    /// Everything that is acknowledged outlives a kill, and power cuts.
    fn check(&self) -> Result<(), String> {
        let disk = &self.broker.disk;
        let cuts = (0..CUTS).map(|seed| disk.after_crash(seed));
        for left in cuts.chain([disk.after_kill()]) {
            let mut broker = started(&left, &self.notes, 7).map_err(|error| format!("reopened: {error}"))?;
            let there = self.ledger.check(&mut broker, &self.notes, &self.ledger.debts());
            let there = there.map_err(|what| format!("reopened: {what}"))?;
            self.ledger.challenge(&mut broker, &there).map_err(|what| format!("reopened: {what}"))?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        for shard in 0..SHARDS {
            if self.broker.shards[shard].stop().is_err() {
                self.came(Outcome::Stop);
                self.progress(shard);
                return self.check();
            }
            self.progress(shard);
            let marks = self.broker.shards[shard].marks();
            self.notes.write_marks(&marks);
        }
        self.notes.was_clean = true;
        for book in self.ledger.0.values_mut() {
            book.keep(book.sent.len());
        }
        self.check()
    }
}

/// A start, with what a server asks of a disk besides.
fn started(disk: &SimDisk, notes: &Notes, nonce: u64) -> Result<Broker, Error> {
    for dir in DIRS.map(Path::new) {
        disk.lock(&dir.join(".lock")).map_err(Error::io("locking"))?;
        disk.space(dir).map_err(Error::io("asking for room"))?;
    }
    Broker::start(disk, notes, SHARDS, nonce)
}
