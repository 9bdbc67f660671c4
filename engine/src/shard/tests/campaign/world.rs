//! `World`: a broker and its clients, one act after the other, and a crash in the middle of every step.

use super::broker::{Broker, LARGE_BYTES, NOW_MS, make_topic, new_disk, remove_partition, to_open};
use super::crash::{Cut, crash};
use super::ledger::{Debts, Ledger, PRODUCERS};
use super::notes::{Notes, TopicNote};
use super::numbers::Numbers;
use super::tally::{Tally, What};
use crate::Error;
use crate::disk::sim::{SimDisk, Step};
use crate::format::Uuid;
use crate::partition::PartitionId;
use crate::shard::{CommitCounts, DeleteBefore};

/// Shards of one process and of the next.
const SHARDS: [usize; 3] = [4, 1, 3];
/// The topic that stays, and the one that is deleted and made again.
const TOPICS: [(&str, i32); 2] = [("stays", 3), ("comes-and-goes", 2)];

/// Everything that a run knows.
pub(super) struct World {
    numbers: Numbers,
    broker: Broker,
    notes: Notes,
    ledger: Ledger,
    /// What was owed when the act began: an acknowledgement leaves when it has ended.
    debts: Debts,
    /// How many processes there were.
    processes: usize,
    topics_made: u8,
    acts: usize,
    /// How the processes before this one ended.
    ends: Vec<String>,
    /// What crashes were survived.
    pub(super) tally: Tally,
    /// What is done just now, for the tally.
    act: What,
    counts: CommitCounts,
}

impl World {
    pub(super) fn new(seed: u64) -> Result<World, String> {
        let mut numbers = Numbers::new(seed);
        let disk = new_disk(seed);
        let shards = SHARDS[numbers.below(SHARDS.len())];
        let broker = Broker::start(&disk, &Notes::default(), shards, numbers.next()).map_err(in_words)?;
        let mut world = World {
            numbers,
            broker,
            notes: Notes::default(),
            ledger: Ledger::default(),
            debts: Debts::new(),
            processes: 0,
            topics_made: 0,
            acts: 0,
            ends: Vec::new(),
            tally: Tally::default(),
            act: What::DeletionAndRecreation,
            counts: CommitCounts::default(),
        };
        for (name, partitions) in TOPICS {
            world.make_topic(name, partitions)?;
        }
        world.broker.disk.keep_crash_points();
        Ok(world)
    }

    /// One thing that clients, the disk or the broker do, and crashes in every step of it.
    pub(super) fn act(&mut self) -> Result<(), String> {
        self.acts += 1;
        self.debts = self.ledger.debts();
        let number = self.numbers.below(200);
        self.act = match number {
            100..188 => What::Wave,
            188..192 => What::Retention,
            192..194 => What::DeleteRecords,
            194 => What::DeletionAndRecreation,
            196 => What::CleanStop,
            _ => What::Append,
        };
        match number {
            0..87 => self.append(),
            90..98 => self.append_again(),
            98..100 => self.take_back(),
            100..124 => self.submit(),
            124..188 => self.finish_one(Ok(())),
            188..192 => self.give_up_old_records(),
            192..194 => self.delete_records(),
            194 => self.delete_and_make_again(),
            87..90 | 195 => self.fail_one(),
            196 => self.stop_and_start(),
            197 => self.be_shortened(),
            _ => self.crash_and_go_on(),
        }?;
        self.crash_in_steps()?;
        let counts = self.counts();
        self.tally.add(What::SyncBehind, counts.behind_syncs.saturating_sub(self.counts.behind_syncs));
        self.counts = counts;
        for (id, book) in &mut self.ledger.0 {
            if let Ok(bounds) = self.broker.shard_of(*id).bounds(*id) {
                book.seen = book.seen.max(bounds.readable);
            }
        }
        Ok(())
    }

    /// What commits took in this process.
    fn counts(&self) -> CommitCounts {
        let mut counts = CommitCounts::default();
        self.broker.shards.iter().for_each(|shard| counts += shard.commit_counts());
        counts
    }

    /// Crashes in the steps since the last time, with what was known in them.
    fn crash_in_steps(&mut self) -> Result<(), String> {
        let points = self.broker.disk.take_crash_points();
        let notes = self.notes.clone();
        self.crash_in(points, &notes)
    }

    fn crash_in(&mut self, points: Vec<(Step, SimDisk)>, notes: &Notes) -> Result<(), String> {
        for (step, point) in points {
            let cut = Cut { seed: self.numbers.next(), shards: SHARDS[self.numbers.below(SHARDS.len())] };
            self.tally.add_step(&step, self.act);
            if cut.shards != self.broker.shards.len() {
                self.tally.add(What::shards_next(cut.shards), 1);
            }
            crash(&point, &cut, notes, &self.ledger, &self.debts, &mut self.tally)
                .map_err(|what| format!("{step}: {cut}: {what}"))?;
        }
        Ok(())
    }

    fn partition(&mut self) -> PartitionId {
        let ids: Vec<PartitionId> = self.notes.partitions().map(|(id, _)| id).collect();
        ids[self.numbers.below(ids.len())]
    }

    fn append(&mut self) -> Result<(), String> {
        let id = self.partition();
        let len = match self.numbers.below(20) {
            0 => LARGE_BYTES,
            _ => self.numbers.below(900),
        };
        let payload = vec![self.numbers.next() as u8; len];
        let count = 1 + self.numbers.below(3) as i32;
        let producer = self.numbers.below(PRODUCERS as usize + 1) as i64;
        let producer = (producer < PRODUCERS).then_some(producer);
        match self.ledger.append(&mut self.broker, id, producer, (count, &payload))? {
            Ok(()) | Err(Error::Offline(_)) => Ok(()),
            Err(error) => Err(in_words(error)),
        }
    }

    /// A producer has no answer and sends a batch again.
    fn append_again(&mut self) -> Result<(), String> {
        let id = self.partition();
        let (producer, which) = (self.numbers.below(PRODUCERS as usize) as i64, self.numbers.below(5));
        let Some(book) = self.ledger.0.get_mut(&id) else { return Ok(()) };
        let Some((index, sent)) = book.last_of(producer).nth(which) else { return Ok(()) };
        match self.broker.shard_of(id).append(id, sent.bytes.clone(), NOW_MS) {
            Ok((appended, _)) if appended.base_offset != sent.base_offset => {
                Err(format!("{id:?}: batch {index} is stored again at {}", appended.base_offset))
            }
            Ok((_, None)) => {
                book.acked = book.acked.max(index + 1);
                Ok(())
            }
            Ok((_, Some(_))) | Err(Error::Offline(_)) => Ok(()),
            Err(error) => Err(in_words(error)),
        }
    }

    fn submit(&mut self) -> Result<(), String> {
        let shard = self.numbers.below(self.broker.shards.len());
        self.broker.shards[shard].submit();
        self.ledger.progress(&mut self.broker, shard);
        Ok(())
    }

    /// The disk finishes something that a shard has submitted.
    fn finish_one(&mut self, result: std::io::Result<()>) -> Result<(), String> {
        let queues = self.broker.disk.queues();
        let busy: Vec<usize> = (0..queues.len()).filter(|shard| queues[*shard].in_flight() > 0).collect();
        if busy.is_empty() {
            return self.submit();
        }
        let shard = busy[self.numbers.below(busy.len())];
        let at = self.numbers.below(queues[shard].in_flight());
        self.finish(shard, at, result);
        Ok(())
    }

    fn finish(&mut self, shard: usize, at: usize, result: std::io::Result<()>) {
        self.broker.disk.queues()[shard].finish(at, result);
        self.broker.shards[shard].reap();
        self.ledger.progress(&mut self.broker, shard);
    }

    /// What settings do not keep goes, in the steps of a broker: nobody reads it, that is written down, it goes.
    fn give_up_old_records(&mut self) -> Result<(), String> {
        self.broker.shards.iter_mut().for_each(|shard| shard.upkeep(NOW_MS));
        self.write_marks()
    }

    fn write_marks(&mut self) -> Result<(), String> {
        for (id, book) in &mut self.ledger.0 {
            if let Ok(bounds) = self.broker.shard_of(*id).bounds(*id) {
                book.raised = book.raised.max(bounds.start);
            }
        }
        self.crash_in_steps()?;
        for shard in 0..self.broker.shards.len() {
            let marks = self.broker.shards[shard].marks();
            self.notes.write_marks(&marks);
            self.broker.shards[shard].marks_written(&marks, NOW_MS);
            self.crash_in_steps()?;
        }
        Ok(())
    }

    fn delete_records(&mut self) -> Result<(), String> {
        let id = self.partition();
        let Ok(bounds) = self.broker.shard_of(id).bounds(id) else { return Ok(()) };
        let some = self.numbers.below((bounds.readable - bounds.start) as usize + 1) as i64;
        let shard = self.broker.shard_of(id);
        shard.delete_records(id, DeleteBefore::Offset(bounds.start + some)).map_err(in_words)?;
        self.write_marks()
    }

    /// A partition's log is cut, as a replica's is that another one's leader contradicts. What is behind may be
    /// there after a crash, or not.
    fn take_back(&mut self) -> Result<(), String> {
        let id = self.partition();
        let Ok(bounds) = self.broker.shard_of(id).bounds(id) else { return Ok(()) };
        let Some(book) = self.ledger.0.get(&id) else { return Ok(()) };
        let first = book.sent.partition_point(|sent| sent.base_offset < bounds.start);
        let batches = first + self.numbers.below(book.sent.len() - first + 1);
        let Some(taken) = book.sent.get(batches) else { return Ok(()) };
        let offset = taken.base_offset + self.numbers.below(taken.offsets() as usize) as i64;
        self.debts.insert(id, book.owed_of(batches));
        self.act = What::Truncation;
        let disk = self.broker.disk.clone();
        let (mut before, mut written) = (Vec::new(), self.notes.clone());
        let done = self.broker.shard_of(id).truncate(id, offset, NOW_MS, |marks| {
            before = disk.take_crash_points();
            written.write_marks(marks);
            Ok(())
        });
        match done {
            Ok(()) => (),
            Err(Error::Offline(_)) => return Ok(()),
            Err(error) => return Err(in_words(error)),
        }
        let notes = std::mem::replace(&mut self.notes, written);
        self.crash_in(before, &notes)?;
        self.crash_in_steps()?;
        self.ledger.0.get_mut(&id).expect("it was just there").take_back(batches);
        let owner = self.broker.owner_of(id);
        self.ledger.progress(&mut self.broker, owner);
        Ok(())
    }

    fn delete_and_make_again(&mut self) -> Result<(), String> {
        let (name, partitions) = TOPICS[1];
        let topic = self.notes.forget(name);
        for id in topic.partitions() {
            self.ledger.0.remove(&id);
            self.broker.shard_of(id).close(id);
        }
        for id in topic.partitions() {
            remove_partition(&self.broker.disk, id, name).map_err(in_words)?;
        }
        self.crash_in_steps()?;
        self.make_topic(name, partitions)
    }

    fn make_topic(&mut self, name: &'static str, partitions: i32) -> Result<(), String> {
        self.topics_made += 1;
        let topic = TopicNote { name, id: Uuid([self.topics_made; 16]), partitions, is_made: false };
        self.notes.topics.push(topic.clone());
        make_topic(&self.broker.disk, &topic).map_err(in_words)?;
        self.crash_in_steps()?;
        self.notes.topics.last_mut().expect("it was just added").is_made = true;
        for id in topic.partitions() {
            let mut opened = to_open(&self.notes, id, name);
            // Nobody has written to it.
            opened.known.was_clean = true;
            match self.broker.shard_of(id).open(&opened, NOW_MS) {
                // Its directory has failed; the next process has it.
                Ok(()) | Err(Error::Offline(_)) => (),
                Err(error) => return Err(in_words(error)),
            }
        }
        Ok(())
    }

    /// A sync or a write fails. Its directory is offline from then on, and the process ends sooner or later;
    /// the next one finds the page cache as it was.
    fn fail_one(&mut self) -> Result<(), String> {
        self.broker.disk.keep_trace();
        // Most of what is in flight are writes of the journal.
        let queues = self.broker.disk.queues();
        let syncs =
            (0..queues.len()).flat_map(|shard| queues[shard].syncs().into_iter().map(move |at| (shard, at)));
        let syncs: Vec<(usize, usize)> = syncs.collect();
        let failed = Err(rustix::io::Errno::IO.into());
        if syncs.is_empty() || self.numbers.is_one_in(4) {
            self.finish_one(failed)?;
        } else {
            let (shard, at) = syncs[self.numbers.below(syncs.len())];
            self.finish(shard, at, failed);
        }
        let failed = self.broker.disk.take_trace();
        self.end_by(failed.first().map_or("nothing".to_owned(), |step| format!("failure of {step}")));
        for _ in 0..self.numbers.below(4) {
            self.append()?;
            self.submit()?;
            self.finish_one(Ok(()))?;
        }
        self.crash_in_steps()?;
        let disk = self.broker.disk.after_kill();
        self.go_on(disk)
    }

    /// The process or the machine ends, and the run goes on with what is left.
    fn crash_and_go_on(&mut self) -> Result<(), String> {
        if self.numbers.is_one_in(2) {
            self.end_by("a kill".to_owned());
            return self.go_on(self.broker.disk.after_kill());
        }
        let cut = self.numbers.next();
        self.end_by(format!("cut {cut}"));
        self.go_on(self.broker.disk.after_crash(cut))
    }

    fn end_by(&mut self, how: String) {
        self.ends.push(format!("act {} by {how}", self.acts));
    }

    /// How the run came to where it is.
    pub(super) fn story(&self) -> String {
        format!("act {}, processes ended in {}", self.acts, self.ends.join("; "))
    }

    fn go_on(&mut self, disk: SimDisk) -> Result<(), String> {
        self.processes += 1;
        self.act = What::Start;
        self.counts = CommitCounts::default();
        let shards = SHARDS[self.processes % SHARDS.len()];
        disk.keep_crash_points();
        let notes = self.notes.unclean();
        self.broker = Broker::start(&disk, &self.notes, shards, self.numbers.next()).map_err(in_words)?;
        self.notes = notes;
        let there = self.ledger.check(&mut self.broker, &self.notes, &self.ledger.debts())?;
        self.crash_in_steps()?;
        for (id, found) in &there {
            self.ledger.0.get_mut(id).expect("it was checked").keep(found.batches);
        }
        self.debts = self.ledger.debts();
        Ok(())
    }

    fn stop_and_start(&mut self) -> Result<(), String> {
        for shard in 0..self.broker.shards.len() {
            if self.broker.shards[shard].offline_dirs().next().is_some() {
                return self.crash_and_go_on();
            }
            self.broker.shards[shard].stop().map_err(in_words)?;
            self.crash_in_steps()?;
            let marks = self.broker.shards[shard].marks();
            self.notes.write_marks(&marks);
        }
        self.notes.was_clean = true;
        for book in self.ledger.0.values_mut() {
            book.keep(book.sent.len());
        }
        self.end_by("a stop".to_owned());
        let disk = self.broker.disk.after_crash(self.numbers.next());
        self.go_on(disk)
    }

    /// A segment has lost bytes that were on the device: no crash does that, and a start must not make one of it.
    fn be_shortened(&mut self) -> Result<(), String> {
        let id = self.partition();
        let disk = self.broker.disk.after_kill();
        let (marks, name) = (self.notes.marks(id), self.name_of(id));
        let Some(book) = self.ledger.0.get(&id) else { return Ok(()) };
        if !super::damage::shorten(&disk, id, name, marks, book, self.numbers.next()) {
            return Ok(());
        }
        match Broker::start(&disk, &self.notes, 1, self.numbers.next()) {
            Err(_) => Ok(()),
            // What was taken from a segment may have come back from a journal.
            Ok(mut started) => self
                .ledger
                .check(&mut started, &self.notes, &self.debts)
                .map(drop)
                .map_err(|what| format!("after {id:?} lost bytes: {what}")),
        }
    }

    fn name_of(&self, id: PartitionId) -> &'static str {
        self.notes.partitions().find(|(found, _)| *found == id).expect("it is listed").1
    }
}

pub(super) fn in_words(error: Error) -> String {
    error.to_string()
}
