//! A random workload of several producers against a model: after every kind of end of the process, at any
//! step of it, a repeated batch is never stored twice and never refused.

use super::*;

const PRODUCERS: usize = 4;
const BATCHES_KNOWN: usize = 5;

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn is_one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What one producer knows of its batches.
#[derive(Debug, Clone)]
struct Writer {
    id: i64,
    epoch: i16,
    next: i32,
    /// Of its epoch: first sequence, number of records, base offset.
    batches: Vec<(i32, i32, i64)>,
}

impl Writer {
    /// What is not in the log any more it has not written.
    fn forget_from(&mut self, end: i64) {
        self.batches.retain(|(_, _, base_offset)| *base_offset < end);
        let last = self.batches.last();
        self.next = last.map_or(0, |(first, count, _)| first + count);
    }

    fn known(&self) -> &[(i32, i32, i64)] {
        &self.batches[self.batches.len().saturating_sub(BATCHES_KNOWN)..]
    }
}

/// The model: everything that must be true of the partition.
struct Model {
    numbers: Numbers,
    writers: Vec<Writer>,
    end: i64,
    /// What was written when the power went: by whom, and how many records. It may be there or not.
    unanswered: Option<(usize, i32)>,
    /// Everything in front of it was made durable.
    durable: i64,
    /// What checkpoint files say.
    recovery_point: i64,
    start: i64,
}

impl Model {
    fn new(seed: u64) -> Model {
        let writer = |index| Writer { id: index as i64, epoch: 0, next: 0, batches: Vec::new() };
        Model {
            numbers: Numbers(seed),
            writers: (0..PRODUCERS).map(writer).collect(),
            end: 0,
            unanswered: None,
            durable: 0,
            recovery_point: 0,
            start: 0,
        }
    }

    fn pick(&mut self) -> usize {
        self.numbers.below(PRODUCERS as u64) as usize
    }

    /// One action of a client or of the broker. The disk may have lost its power in the middle of it.
    fn act(&mut self, running: &mut Running) -> Result<(), Error> {
        match self.numbers.below(100) {
            0..60 => self.write(running),
            60..80 => {
                let index = self.pick();
                let known = self.writers[index].known();
                if known.is_empty() {
                    return Ok(());
                }
                let which = self.numbers.below(known.len() as u64) as usize;
                self.repeat(running, index, which);
                Ok(())
            }
            80..84 => {
                let index = self.pick();
                let writer = &mut self.writers[index];
                if writer.batches.len() > 2 {
                    *writer = Writer { epoch: writer.epoch + 1, next: 0, batches: Vec::new(), ..*writer };
                    return self.write_as(running, index);
                }
                Ok(())
            }
            84..97 => {
                let end = running.partition.end().offset;
                running.wave().map_err(Error::io("a wave"))?;
                self.durable = end;
                if self.numbers.is_one_in(2) {
                    self.recovery_point = running.partition.recovery_point();
                }
                Ok(())
            }
            _ => {
                let start = self.numbers.below(self.durable as u64 + 1) as i64;
                self.start = running.partition.delete_records_before(start)?;
                running.partition.delete_below_start(&mut running.cache, i64::MAX, NOW_MS, NOW_MS)?;
                running.partition.remove_due(&running.cache, NOW_MS)
            }
        }
    }

    fn write(&mut self, running: &mut Running) -> Result<(), Error> {
        let index = self.pick();
        self.write_as(running, index)
    }

    fn write_as(&mut self, running: &mut Running, index: usize) -> Result<(), Error> {
        let count = 1 + self.numbers.below(4) as i32;
        let writer = &self.writers[index];
        self.unanswered = Some((index, count));
        let appended = running.append(batch(writer.id, writer.epoch, writer.next, count))?;
        assert_eq!(appended.base_offset, self.end);
        self.note();
        Ok(())
    }

    /// The batch that was written is there.
    fn note(&mut self) {
        let Some((index, count)) = self.unanswered.take() else { return };
        let writer = &mut self.writers[index];
        writer.batches.push((writer.next, count, self.end));
        writer.next += count;
        self.end += i64::from(count);
    }

    #[track_caller]
    fn repeat(&self, running: &mut Running, index: usize, which: usize) {
        let writer = &self.writers[index];
        let (first, count, base_offset) = writer.known()[which];
        check_repeated(running, &batch(writer.id, writer.epoch, first, count), base_offset);
    }

    /// Ends the process in some way, and starts another one.
    fn end_process(&mut self, mut running: Running) -> Running {
        let end = self.numbers.below(3);
        if end == 0 && running.partition.stop(&mut running.cache).is_ok() {
            let known = Known { start_offset: self.start, ..NEW };
            return Running::start(running.disk.after_kill(), known);
        }
        let known = Known { recovery_point: self.recovery_point, start_offset: self.start, ..KILLED };
        // Not every partition's journal says what is true at its point.
        let point = running.point.take().filter(|_| !self.numbers.is_one_in(3));
        if end == 1 && !running.disk.is_off() {
            return Running::try_go_on(running.disk.after_kill(), known, point).unwrap();
        }
        // A recovery that is cut short is recovered from, too.
        let mut disk = running.disk.after_crash(self.numbers.next());
        loop {
            if self.numbers.is_one_in(2) {
                disk.crash_at(self.numbers.below(40));
            }
            match Running::try_go_on(disk.clone(), known, point.clone()) {
                Ok(started) if !disk.is_off() => return started,
                Ok(_) => (),
                Err(error) => assert!(disk.is_off(), "{error}"),
            }
            disk = disk.after_crash(self.numbers.next());
        }
    }

    /// The partition after a start: nothing durable is gone, and everybody's batches are known.
    fn check(&mut self, running: &mut Running) {
        let end = running.partition.end().offset;
        if end > self.end {
            self.note();
        }
        self.unanswered = None;
        assert!((self.durable..=self.end).contains(&end), "{} <= {end} <= {}", self.durable, self.end);
        self.end = end;
        self.durable = end;
        for writer in &mut self.writers {
            writer.forget_from(end);
        }
        for index in 0..PRODUCERS {
            for which in 0..self.writers[index].known().len() {
                self.repeat(running, index, which);
            }
        }
    }
}

fn run(seed: u64, actions: u64) {
    let mut model = Model::new(seed);
    let mut running = Running::start(new_disk(seed), NEW);
    for _ in 0..actions {
        if model.numbers.is_one_in(30) {
            running.disk.crash_at(running.disk.steps() + model.numbers.below(30));
        }
        let acted = model.act(&mut running);
        assert!(acted.is_ok() || running.disk.is_off(), "{acted:?}");
        if running.disk.is_off() || model.numbers.is_one_in(25) {
            running = model.end_process(running);
            model.check(&mut running);
        }
    }
}

#[test]
fn a_random_workload_keeps_its_producers_whatever_ends_the_process() {
    for seed in 0..300 {
        let result = std::panic::catch_unwind(|| run(seed, 300));
        assert!(result.is_ok(), "seed {seed}");
    }
}
