//! `Source`: which messages a producer has to send, and the batches that they make.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Workload;
use super::figures::Shared;
use super::keys::partitions_of_keys;
use super::schedule::Schedule;
use super::workload::{KEYS, Keys};

/// Bytes of values with keys that wait for the rest of their batch, as the Java client's `buffer.memory`.
const QUEUED_BYTES_MAX: usize = 32 << 20;

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: i32,
    /// Which of this producer's batches for the partition, counted from 0.
    pub(super) number: u64,
    pub(super) sequence: i32,
    pub(super) count: u32,
    /// What it took on the wire when it was sent last.
    pub(super) bytes: u32,
    pub(super) made_us: u64,
    /// Numbers of the keys; as many as messages, or none.
    pub(super) keys: Box<[u32]>,
    due: DueTimes,
}

#[cfg(test)]
impl Batch {
    /// So many messages, all due at once.
    pub(super) fn of(partition: i32, count: u32) -> Batch {
        let due = DueTimes::Same(0);
        Batch { partition, number: 0, sequence: 0, count, bytes: 0, made_us: 0, keys: Box::default(), due }
    }
}

/// When the messages of a batch were due.
#[derive(Debug)]
enum DueTimes {
    /// All then.
    Same(u64),
    /// As the schedule says of this message and those behind it.
    Run(u64),
    Each(Box<[u64]>),
}

/// Whether there is a batch for a partition.
#[derive(Debug)]
pub(super) enum Due {
    Batch(Batch),
    /// Not for this partition.
    NotHere,
    /// Not for any.
    Nothing,
}

/// One producer's messages.
pub(super) struct Source {
    index: u32,
    /// None when the rate is unlimited.
    schedule: Option<Schedule>,
    keyed: Option<Keyed>,
    last_look_us: u64,
}

/// Messages that have a partition before they have a batch.
struct Keyed {
    order: Keys,
    random: StdRng,
    next_key: usize,
    partitions: Arc<[u32]>,
    /// By partition: when each message was due, and its key.
    queues: Vec<VecDeque<(u64, u32)>>,
    queued: usize,
    queued_max: usize,
}

impl Source {
    /// For producer `index` of `producers`, who share the workload's rate.
    pub(super) fn new(workload: &Workload, partitions: u32, index: u32, producers: u32) -> Source {
        let schedule = workload.messages_per_s().map(|rate| Schedule::new(0, rate, index, producers));
        let keyed = (workload.keys != Keys::None).then(|| Keyed {
            order: workload.keys,
            random: StdRng::seed_from_u64(workload.seed ^ u64::from(index) << 32),
            next_key: index as usize * KEYS / producers.max(1) as usize,
            partitions: partitions_of_keys(partitions).into(),
            queues: (0..partitions).map(|_| VecDeque::new()).collect(),
            queued: 0,
            queued_max: (QUEUED_BYTES_MAX / workload.message_bytes).max(1),
        });
        Source { index, schedule, keyed, last_look_us: 0 }
    }

    /// Makes the first message due then.
    pub(super) fn begin(&mut self, start_us: u64) {
        if let Some(schedule) = &mut self.schedule {
            schedule.begin(start_us);
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Whether it has something to send, or will have. `is_over`: nothing becomes due any more.
    pub(super) fn is_open(&self, shared: &Shared, is_over: bool) -> bool {
        let has_queued = self.keyed.as_ref().is_some_and(|keyed| keyed.queued > 0);
        let has_more = match &self.schedule {
            Some(schedule) => !is_over || schedule.waiting(shared.end_us()) > 0,
            None => !is_over,
        };
        has_queued || (has_more && !shared.is_claimed())
    }

    /// Notices what has become due.
    pub(super) fn look(&mut self, shared: &Shared, now: u64) {
        let now = now.min(shared.end_us());
        self.last_look_us = now;
        let Some(keyed) = &mut self.keyed else { return };
        let room = (keyed.queued_max - keyed.queued) as u64;
        let waiting = self.schedule.as_ref().map_or(room, |schedule| schedule.waiting(now).min(room));
        for _ in 0..shared.claim(waiting) {
            let due_us = self.schedule.as_mut().map_or(now, |schedule| {
                let number = schedule.take(1);
                schedule.due_at(number)
            });
            let key = keyed.next();
            keyed.queues[keyed.partitions[key] as usize].push_back((due_us, key as u32));
            keyed.queued += 1;
        }
    }

    /// When there is a batch to send without anything else happening; none when there is no telling.
    pub(super) fn ready_at(&self, records_max: u32, linger_us: u64) -> Option<u64> {
        let schedule = self.schedule.as_ref()?;
        let full = schedule.due_at(schedule.next() + u64::from(records_max) - 1);
        let waiting =
            self.keyed.iter().flat_map(|keyed| keyed.queues.iter().filter_map(|queue| queue.front()));
        let oldest =
            waiting.map(|(due_us, _)| *due_us).min().unwrap_or_else(|| schedule.due_at(schedule.next()));
        Some(full.min(oldest + linger_us))
    }

    /// A batch for a partition, if one is full or has waited long enough. Without keys any partition will do.
    pub(super) fn next_batch(
        &mut self,
        shared: &Shared,
        now: u64,
        partition: u32,
        records_max: u32,
        linger_us: u64,
    ) -> Due {
        let is_unlimited = self.schedule.is_none();
        let is_over = shared.end_us() <= now;
        let linger_us = if is_over { 0 } else { linger_us };
        let batch = |count, due, keys| {
            Due::Batch(Batch {
                partition: 0,
                number: 0,
                sequence: 0,
                count,
                bytes: 0,
                made_us: now,
                keys,
                due,
            })
        };
        if let Some(keyed) = &mut self.keyed {
            let queue = &mut keyed.queues[partition as usize];
            let is_last = is_over || (is_unlimited && shared.is_claimed());
            match queue.front() {
                _ if queue.len() >= records_max as usize => {}
                Some((due_us, _)) if is_last || (!is_unlimited && due_us + linger_us <= now) => {}
                _ if keyed.queued == 0 => return Due::Nothing,
                _ => return Due::NotHere,
            }
            let count = queue.len().min(records_max as usize);
            keyed.queued -= count;
            let (due, keys): (Vec<u64>, Vec<u32>) = queue.drain(..count).unzip();
            let due = if is_unlimited { DueTimes::Same(now) } else { DueTimes::Each(due.into()) };
            return batch(count as u32, due, keys.into());
        }
        let wanted = match &self.schedule {
            None => u64::from(records_max),
            Some(schedule) => {
                let waiting = schedule.waiting(self.last_look_us);
                let has_waited = waiting > 0 && schedule.due_at(schedule.next()) + linger_us <= now;
                if waiting < u64::from(records_max) && !has_waited {
                    return Due::Nothing;
                }
                waiting.min(u64::from(records_max))
            }
        };
        let count = shared.claim(wanted);
        if count == 0 {
            return Due::Nothing;
        }
        let due = match &mut self.schedule {
            None => DueTimes::Same(now),
            Some(schedule) => DueTimes::Run(schedule.take(count)),
        };
        batch(count as u32, due, Box::default())
    }

    /// When a message of a batch was due.
    pub(super) fn due_us(&self, batch: &Batch, index: u32) -> u64 {
        match &batch.due {
            DueTimes::Same(due_us) => *due_us,
            DueTimes::Each(due) => due[index as usize],
            DueTimes::Run(first) => {
                let schedule = self.schedule.as_ref().expect("only a schedule makes runs");
                schedule.due_at(first + u64::from(index))
            }
        }
    }

    /// When the messages of a batch were due, and how many at a time.
    pub(super) fn each_due(&self, batch: &Batch, mut each: impl FnMut(u64, u64)) {
        match &batch.due {
            DueTimes::Same(due_us) => each(*due_us, batch.count.into()),
            DueTimes::Each(_) | DueTimes::Run(_) => {
                (0..batch.count).for_each(|index| each(self.due_us(batch, index), 1))
            }
        }
    }

    /// When those messages were due that nobody sent, as of the last look. How many they are.
    pub(super) fn each_unsent(&mut self, mut each: impl FnMut(u64)) -> u64 {
        let Some(schedule) = &mut self.schedule else { return 0 };
        let waiting = schedule.waiting(self.last_look_us);
        let first = schedule.take(waiting);
        (first..first + waiting).for_each(|number| each(schedule.due_at(number)));
        let queued = self.keyed.iter().flat_map(|keyed| keyed.queues.iter().flatten());
        let queued = queued.map(|(due_us, _)| each(*due_us)).count();
        waiting + queued as u64
    }
}

impl Keyed {
    fn next(&mut self) -> usize {
        match self.order {
            Keys::Random => self.random.random_range(0..KEYS),
            Keys::RoundRobin | Keys::None => {
                self.next_key = (self.next_key + 1) % KEYS;
                self.next_key
            }
        }
    }
}
