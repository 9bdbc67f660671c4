//! `Watch`: follows a running load, second by second, until it has come to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::crew::Crew;
use super::figures::{Figures, Shared, Stage};
use super::outcome::{ClientUse, Interval, Phase, Quantiles, Totals};
use super::run::{LOOK_EVERY, Target};
use super::{LoadError, Outcome, Progress};
use crate::rig::{Accounts, ProcessUse};

/// Length of an interval.
const INTERVAL_US: u64 = 1_000_000;
/// A load that has a number of messages to get through and moves none for so long has failed.
const STANDSTILL_MAX_US: u64 = 60_000_000;
/// Messages of so many seconds are under way in any case.
const LATE_S: f64 = 0.1;
/// Share of the time above which a client is said to be busy.
const CLIENT_BUSY: f64 = 0.85;
/// How much of the drain time is left to a load that is interrupted.
const INTERRUPTED_DRAIN_S: f64 = 2.0;

/// Threads at work, and what they share.
pub(super) struct Part<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) crew: Crew,
    pub(super) stop: &'a AtomicBool,
}

impl Part<'_> {
    /// Follows it to its end without keeping figures.
    pub(super) fn run_unmeasured(
        self,
        phase: Phase,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), LoadError> {
        let mut watch = Watch::new(self, &Target::default());
        let is_done = |watch: &Watch<'_>| watch.part.shared.producing.load(Ordering::Relaxed) == 0;
        watch.follow(phase, None, is_done, on_progress)?;
        watch.part.end(&mut Figures::default())
    }

    /// Ends the threads.
    fn end(&mut self, figures: &mut Figures) -> Result<(), LoadError> {
        self.crew.end(figures);
        self.shared.failure().map_or(Ok(()), Err)
    }
}

/// A load that is being watched.
pub(super) struct Watch<'a> {
    part: Part<'a>,
    target: Target,
    /// Of the measured part and what comes after it.
    measured: Figures,
    /// Of the whole run.
    totals: Totals,
    intervals: Vec<Interval>,
    accounts: Option<Accounts>,
    backlog_drained_us: Option<u64>,
    had_backlog: bool,
    remarks: Vec<String>,
}

/// Why following a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Time,
    Done,
    Stopped,
}

impl<'a> Watch<'a> {
    pub(super) fn new(part: Part<'a>, target: &Target) -> Watch<'a> {
        Watch {
            had_backlog: part.shared.draining.load(Ordering::Relaxed) > 0,
            part,
            target: target.clone(),
            measured: Figures::default(),
            totals: Totals::default(),
            intervals: Vec::new(),
            accounts: None,
            backlog_drained_us: None,
            remarks: Vec::new(),
        }
    }

    /// To the end.
    pub(super) fn run(mut self, on_progress: &mut dyn FnMut(&Progress)) -> Result<Outcome, LoadError> {
        let workload = self.part.shared.workload.clone();
        let start_us = self.part.shared.start_us();
        let reads_only = workload.producers == 0;
        let has_number = reads_only || workload.messages.is_some();
        let mut end = End::Time;
        if workload.warm_up_s > 0.0 && !reads_only {
            let until = start_us + (workload.warm_up_s * 1e6) as u64;
            end = self.follow(Phase::WarmUp, Some(until), |_| false, on_progress)?;
        }
        let began_us = self.now().max(start_us);
        let late = self.late(began_us);
        if workload.messages_per_s().is_some_and(|rate| late as f64 > rate * LATE_S) {
            self.remarks.push(format!(
                "{late} messages were late when measuring began: the warm-up is too short, or the rate too high"
            ));
        }
        let cpu = self.part.crew.cpu();
        self.open_accounts()?;
        if end != End::Stopped {
            let until = (!has_number).then_some(began_us + (workload.duration_s * 1e6) as u64);
            let is_done = |watch: &Watch<'_>| has_number && watch.is_through(reads_only);
            end = self.follow(Phase::Measured, until, is_done, on_progress)?;
        }
        let seconds = (self.now() - began_us) as f64 / 1e6;
        let client_s = cpu.zip(self.part.crew.cpu()).map(|(before, after)| (after - before).as_secs_f64());
        let process = self.close_accounts();
        let mut published = self.measured.published;
        let mut consumed = self.measured.consumed;
        let until = |last_us: u64| match has_number && last_us > began_us {
            true => (last_us - began_us) as f64 / 1e6,
            false => seconds,
        };
        published = published.over(until(self.measured.published_at_us));
        consumed = consumed.over(until(self.measured.consumed_at_us));
        self.drain(end, on_progress)?;
        let unread = self.unread();
        if unread > 0 {
            self.remarks.push(format!("{unread} messages were acknowledged and not read in the end"));
        }
        let threads = self.part.crew.len();
        let mut rest = Figures::default();
        self.part.end(&mut rest)?;
        self.measured.add(&rest);
        self.totals.add(&rest.totals);
        let gigabytes = (published.bytes + consumed.bytes) as f64 / 1e9;
        let cpu_s = client_s.unwrap_or(0.0);
        if client_s.is_none() {
            self.remarks.push("the kernel does not tell the CPU time of this client's threads".into());
        }
        let mut outcome = Outcome {
            workload,
            seconds,
            published,
            consumed,
            publish_latency: self.measured.publish,
            end_to_end_latency: self.measured.end_to_end,
            totals: self.totals,
            backlog_drained_s: self.backlog_drained_us.map(|at| at.saturating_sub(start_us) as f64 / 1e6),
            client: ClientUse {
                threads,
                cpu_s,
                cpu_s_per_gb: if gigabytes > 0.0 { cpu_s / gigabytes } else { 0.0 },
            },
            process,
            intervals: self.intervals,
            interrupted: end == End::Stopped,
            remarks: self.remarks,
        };
        remark_on(&mut outcome);
        Ok(outcome)
    }

    /// Watches until a moment, or until it is done, or stopped.
    fn follow(
        &mut self,
        phase: Phase,
        until_us: Option<u64>,
        is_done: impl Fn(&Watch<'_>) -> bool,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<End, LoadError> {
        let mut from_us = self.now();
        let (mut moved, mut moved_us) = (self.counts(), from_us);
        loop {
            let next_us = from_us + INTERVAL_US;
            let end_us = until_us.map_or(next_us, |until| until.min(next_us));
            let end = loop {
                let now = self.now();
                if *self.part.shared.stage.borrow() == Stage::Stop {
                    return Err(self.failed());
                }
                self.notice_drained(now);
                if phase != Phase::Draining && self.part.stop.load(Ordering::Relaxed) {
                    break Some(End::Stopped);
                }
                if is_done(self) {
                    break Some(End::Done);
                }
                if now >= end_us {
                    break (until_us == Some(end_us)).then_some(End::Time);
                }
                thread::sleep(LOOK_EVERY.min(Duration::from_micros(end_us - now)));
            };
            let now = self.now();
            self.take(phase, from_us, now, on_progress);
            from_us = now;
            if let Some(end) = end {
                return Ok(end);
            }
            if self.counts() != moved {
                (moved, moved_us) = (self.counts(), now);
            } else if until_us.is_none() && now - moved_us > STANDSTILL_MAX_US {
                let what = format!("no message moved for {} s", STANDSTILL_MAX_US / 1_000_000);
                let last = format!("{} were acknowledged and {} read", moved.0, moved.1);
                return Err(LoadError::Undelivered { what, last });
            }
        }
    }

    /// Lets what is under way come in.
    fn drain(&mut self, end: End, on_progress: &mut dyn FnMut(&Progress)) -> Result<(), LoadError> {
        let limit_s = self.part.shared.workload.drain_s;
        let limit_s = if end == End::Stopped { limit_s.min(INTERRUPTED_DRAIN_S) } else { limit_s };
        let until = Some(self.now() + (limit_s * 1e6) as u64);
        self.part.shared.finish();
        let reads_only = self.part.shared.workload.producers == 0;
        let is_done = |watch: &Watch<'_>| (reads_only && end == End::Stopped) || watch.is_through(reads_only);
        self.follow(Phase::Draining, until, is_done, on_progress)?;
        Ok(())
    }

    /// Whether nothing is under way: everything sent was acknowledged, and read by everybody who reads.
    fn is_through(&self, reads_only: bool) -> bool {
        let shared = self.part.shared;
        if reads_only {
            return shared.draining.load(Ordering::Relaxed) == 0;
        }
        shared.producing.load(Ordering::Relaxed) == 0 && self.unread() == 0
    }

    /// Messages that were acknowledged and read so far.
    fn counts(&self) -> (u64, u64) {
        let (acknowledged, consumed) = self.part.crew.untaken();
        (self.totals.acknowledged + acknowledged, self.totals.consumed + consumed)
    }

    /// Messages that are there and were not read, of all subscriptions together.
    fn unread(&self) -> u64 {
        let shared = self.part.shared;
        if shared.workload.reads_nothing() {
            return 0;
        }
        let (acknowledged, consumed) = self.counts();
        let backlog = shared.backlog.load(Ordering::Relaxed);
        (acknowledged * u64::from(shared.workload.subscriptions) + backlog).saturating_sub(consumed)
    }

    /// Messages that are due and were not acknowledged.
    fn late(&self, now: u64) -> u64 {
        let shared = self.part.shared;
        let Some(rate) = shared.workload.messages_per_s() else { return 0 };
        let due = (now.saturating_sub(shared.start_us()) as f64 / 1e6 * rate) as u64;
        let due = shared.workload.messages.map_or(due, |messages| due.min(messages));
        due.saturating_sub(self.counts().0)
    }

    fn notice_drained(&mut self, now: u64) {
        let is_drained = self.had_backlog && self.part.shared.draining.load(Ordering::Relaxed) == 0;
        if is_drained {
            self.backlog_drained_us.get_or_insert(now);
        }
    }

    /// Closes an interval.
    fn take(&mut self, phase: Phase, from_us: u64, now: u64, on_progress: &mut dyn FnMut(&Progress)) {
        // Before they are taken: `counts` has both.
        let (late, backlog) = (self.late(now), self.unread());
        let mut figures = Figures::default();
        self.part.crew.take(&mut figures);
        self.totals.add(&figures.totals);
        let seconds = (now - from_us) as f64 / 1e6;
        let interval = Interval {
            at_s: now.saturating_sub(self.part.shared.start_us()) as f64 / 1e6,
            seconds,
            published: figures.published.over(seconds),
            consumed: figures.consumed.over(seconds),
            publish_ms: Quantiles::of(&figures.publish),
            end_to_end_ms: Quantiles::of(&figures.end_to_end),
            late: if phase == Phase::Draining { 0 } else { late },
            backlog,
        };
        if matches!(phase, Phase::Measured | Phase::Draining) {
            self.measured.add(&figures);
        }
        if phase == Phase::Measured {
            self.intervals.push(interval);
            self.look_at_process();
        }
        on_progress(&Progress { phase, interval });
    }

    fn open_accounts(&mut self) -> Result<(), LoadError> {
        let Some(pid) = self.target.pid else { return Ok(()) };
        let accounts = Accounts::open(pid, self.target.data.as_deref());
        self.accounts = Some(accounts.map_err(|error| LoadError::Workload(error.to_string()))?);
        Ok(())
    }

    fn look_at_process(&mut self) {
        if let Some(accounts) = &mut self.accounts
            && let Err(error) = accounts.look()
        {
            self.remarks.push(format!("the process under load is gone: {error}"));
            self.accounts = None;
        }
    }

    fn close_accounts(&mut self) -> Option<ProcessUse> {
        self.look_at_process();
        self.accounts.take().map(Accounts::close)
    }

    fn failed(&self) -> LoadError {
        let failure = self.part.shared.failure();
        failure.unwrap_or_else(|| LoadError::Protocol { what: "a thread stopped and did not say why".into() })
    }

    fn now(&self) -> u64 {
        self.part.shared.clock.now_us()
    }
}

/// Says what the figures do not say by themselves.
fn remark_on(outcome: &mut Outcome) {
    let (totals, seconds) = (outcome.totals, outcome.seconds);
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            outcome.remarks.push(format!("{count} {what}"));
        }
    };
    say(
        totals.unsent,
        "messages were due and not sent in the end: the broker, or this client, does not keep up. Their time \
         until then is in the latency",
    );
    say(
        totals.unacknowledged,
        "messages were not acknowledged in the end. Their time until then is in the latency",
    );
    say(totals.lost, "messages with acks=0 were under way when a connection was lost");
    say(totals.batches_sent_again, "batches were sent again");
    say(totals.connections_lost, "connections were lost, or not made");
    say(totals.offsets_skipped, "offsets were gone before they were read");
    let share = outcome.client.cpu_s / (outcome.client.threads as f64 * seconds.max(1e-6));
    if share > CLIENT_BUSY {
        outcome.remarks.push(format!(
            "this client was busy for {:.0}% of the time on {} threads, and may be the limit (--threads)",
            share * 100.0,
            outcome.client.threads
        ));
    }
}
