//! `Load`: drives a shard as a broker's thread does, and measures.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use logmill_engine::partition::PartitionId;
use logmill_engine::shard::{CommitCounts, Shard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ground::{Ground, Way};
use super::meter::{Reading, Times};
use super::partition::{NOW_MS, batch, id};
use super::trimmer::Trimmer;

/// Bytes that wait for their waves before a broker stops reading from producers.
const WINDOW_BYTES: usize = 8 << 20;
/// Bytes appended between two looks at what has finished: what one read of a connection brings.
const LOOK_BYTES: usize = 64 * 1024;
/// Longest wait for a completion; there is one long before.
const COMPLETION_SECONDS_MAX: i64 = 120;

/// What is appended, over and over: one append to each partition.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    appends: Vec<(PartitionId, Bytes)>,
}

/// When a leg is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Seconds(f64),
    /// So many bytes are appended.
    Bytes(u64),
}

/// What a leg found.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) appends: f64,
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) waves: Times,
    pub(crate) counts: CommitCounts,
    pub(crate) device_bytes: Option<f64>,
    /// Bytes of a whole turn of the journal.
    pub(crate) journal_bytes: Option<u64>,
}

impl Load {
    /// Partitions of the same size of append; the first one may have another.
    pub(crate) fn new(partitions: i32, size: usize, first: usize) -> Load {
        let (small, large) = (batch(size), batch(first));
        let of = |index| (id(index), if index == 0 { large.clone() } else { small.clone() });
        Load { appends: (0..partitions).map(of).collect() }
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.appends.len() as i32
    }

    fn turn_bytes(&self) -> usize {
        self.appends.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// As fast as it goes.
    pub(crate) fn flood(&self, ground: &Ground, way: &Way, until: Until) -> Figures {
        let mut leg = Leg::new(ground, self.partitions(), way);
        let trimmer = Trimmer::start(ground, self.partitions());
        let reading = ground.meter.start();
        let deadline = Instant::now();
        let is_over = |leg: &Leg| match until {
            Until::Seconds(seconds) => deadline.elapsed().as_secs_f64() >= seconds,
            Until::Bytes(bytes) => leg.bytes >= bytes,
        };
        let turn_bytes = self.turn_bytes() as u64;
        'leg: loop {
            let mut unseen = 0;
            for (id, bytes) in &self.appends {
                leg.append(*id, bytes);
                unseen += bytes.len();
                if unseen < LOOK_BYTES {
                    continue;
                }
                unseen = 0;
                leg.look();
                while leg.waiting_bytes >= WINDOW_BYTES {
                    leg.wait(None);
                    leg.look();
                }
                if is_over(&leg) {
                    break 'leg;
                }
            }
            trimmer.at(leg.bytes / turn_bytes * (turn_bytes / self.appends.len() as u64));
            leg.look();
            if is_over(&leg) {
                break;
            }
        }
        leg.drain();
        leg.figures(ground, &reading, Some(trimmer))
    }

    /// One append to each partition, then a wait for all of them, again and again.
    pub(crate) fn rounds(&self, ground: &Ground, way: &Way, rounds: usize) -> Figures {
        let mut leg = Leg::new(ground, self.partitions(), way);
        let reading = ground.meter.start();
        for _ in 0..rounds {
            for (id, bytes) in &self.appends {
                leg.append(*id, bytes);
            }
            leg.look();
            leg.drain();
        }
        leg.figures(ground, &reading, None)
    }

    /// So many appends a second, whatever has come of the ones before.
    pub(crate) fn steady(
        &self,
        ground: &Ground,
        way: &Way,
        seconds: f64,
        appends_per_second: f64,
    ) -> Figures {
        /// Time between two deliveries of a network.
        const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000 };
        let mut leg = Leg::new(ground, self.partitions(), way);
        let reading = ground.meter.start();
        let start = Instant::now();
        let mut next = self.appends.iter().cycle();
        while start.elapsed().as_secs_f64() < seconds {
            let due = (start.elapsed().as_secs_f64() * appends_per_second) as u64;
            let mut unseen = 0;
            while leg.appends < due && unseen < LOOK_BYTES {
                let (id, bytes) = next.next().expect("a cycle has no end");
                leg.append(*id, bytes);
                unseen += bytes.len();
            }
            leg.look();
            if leg.appends >= due {
                leg.wait(Some(&TICK));
                leg.look();
            }
        }
        leg.drain();
        leg.figures(ground, &reading, None)
    }
}

/// A shard at work.
struct Leg {
    shard: Shard,
    journal_bytes: Option<u64>,
    appends: u64,
    bytes: u64,
    /// Waves that were joined and not released, oldest first, and the bytes that wait for each.
    waiting: VecDeque<(u64, usize)>,
    waiting_bytes: usize,
    wave_began: Option<Instant>,
    waves: Times,
}

impl Leg {
    fn new(ground: &Ground, partitions: i32, way: &Way) -> Leg {
        Leg {
            shard: ground.shard(partitions, way),
            journal_bytes: way.journal_bytes,
            appends: 0,
            bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            wave_began: None,
            waves: Times::default(),
        }
    }

    fn append(&mut self, id: PartitionId, bytes: &Bytes) {
        let (_, ticket) = self.shard.append(id, bytes.clone(), NOW_MS).expect("an append succeeds");
        self.appends += 1;
        self.bytes += bytes.len() as u64;
        let Some(ticket) = ticket else { return };
        self.waiting_bytes += bytes.len();
        match self.waiting.back_mut() {
            Some((wave, waiting)) if *wave == ticket.wave => *waiting += bytes.len(),
            _ => self.waiting.push_back((ticket.wave, bytes.len())),
        }
    }

    /// Takes up what has finished and submits what is due.
    fn look(&mut self) {
        self.shard.reap();
        let progress = self.shard.take_progress();
        assert!(progress.failed.is_empty(), "{:?}", progress.failed);
        for released in progress.released {
            if let Some(began) = self.wave_began.take() {
                self.waves.note(began.elapsed());
            }
            while let Some((_, bytes)) = self.waiting.pop_front_if(|(wave, _)| *wave <= released.wave) {
                self.waiting_bytes -= bytes;
            }
        }
        self.shard.submit();
        // Something waits, so a wave is on its way.
        if self.wave_began.is_none() && self.waiting_bytes > 0 {
            self.wave_began = Some(Instant::now());
        }
    }

    /// Sleeps until something has finished.
    fn wait(&self, at_most: Option<&Timespec>) {
        let fd = self.shard.io_queue().completion_fd().expect("the kernel's queues have a descriptor");
        let long = Timespec { tv_sec: COMPLETION_SECONDS_MAX, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(at_most.unwrap_or(&long))) {
            Ok(0) => assert!(at_most.is_some(), "no completion in {COMPLETION_SECONDS_MAX} s"),
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(errno) => panic!("poll: {errno}"),
        }
    }

    fn drain(&mut self) {
        while self.waiting_bytes > 0 {
            self.wait(None);
            self.look();
        }
    }

    fn figures(self, ground: &Ground, reading: &Reading, trimmer: Option<Trimmer>) -> Figures {
        let cost = ground.meter.cost(reading);
        let trimming = trimmer.map_or(Duration::ZERO, Trimmer::stop);
        let counts = self.shard.commit_counts();
        // Syncs that are still on their way belong to the leg as well.
        drop(self.shard);
        let device_bytes = ground.meter.device_bytes_since(reading);
        Figures {
            appends: self.appends as f64,
            bytes: self.bytes as f64,
            seconds: cost.seconds,
            cpu_seconds: (cost.cpu_seconds - trimming.as_secs_f64()).max(0.0),
            waves: self.waves,
            counts,
            device_bytes: device_bytes.map(|bytes| bytes as f64),
            journal_bytes: self.journal_bytes,
        }
    }
}

impl Figures {
    pub(crate) fn appends_per_second(&self) -> f64 {
        self.appends / self.seconds
    }

    pub(crate) fn cpu_micros_per_append(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.appends
    }

    pub(crate) fn micros_per_append(&self) -> f64 {
        self.seconds * 1e6 / self.appends
    }

    pub(crate) fn turns(&self) -> f64 {
        self.journal_bytes.map_or(0.0, |bytes| self.counts.frame_bytes as f64 / bytes as f64)
    }
}
