//! A load from its beginning to its end: topics, backlog, warm-up, measured part, what is still under way, topics.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use super::clock::Clock;
use super::cluster::Cluster;
use super::consumer::{ConsumerJob, Position};
use super::crew::{Crew, Job};
use super::figures::{Shared, Stage};
use super::outcome::Phase;
use super::pending::Source;
use super::producer::ProducerJob;
use super::topics::{self, EARLIEST, LATEST};
use super::watch::{Part, Watch};
use super::{LoadError, Outcome, Progress, Rate, Workload};

/// Where a load goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// Brokers to begin with, `host:port`.
    pub bootstrap: Vec<String>,
    /// The process whose use is counted: that of a broker on this machine.
    pub pid: Option<u32>,
    /// Where its data lies; not told: where its open log files do.
    pub data: Option<PathBuf>,
}

/// Runs a load to its end. `on_progress` hears of it every second.
pub fn run(
    workload: &Workload,
    target: &Target,
    on_progress: impl FnMut(&Progress),
) -> Result<Outcome, LoadError> {
    run_until(workload, target, &AtomicBool::new(false), on_progress)
}

/// The same, and ends early when `stop` becomes true: with the figures so far, and its topics deleted.
pub fn run_until(
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    mut on_progress: impl FnMut(&Progress),
) -> Result<Outcome, LoadError> {
    workload.check()?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LoadError::io("starting a runtime"))?;
    let cluster = Arc::new(runtime.block_on(Cluster::connect(&target.bootstrap))?);
    let topics = topics::names(workload, &unique_name());
    if !workload.existing {
        runtime.block_on(topics::create(&cluster, workload, &topics))?;
    }
    cluster.watch(&topics);
    let load = Load { workload, target, topics: &topics, cluster: &cluster, runtime: &runtime, stop };
    let outcome = load.run(&mut on_progress);
    if workload.existing || workload.keep {
        return outcome;
    }
    let deleted = runtime.block_on(topics::delete(&cluster, &topics));
    let mut outcome = outcome?;
    if let Err(error) = deleted {
        outcome.remarks.push(format!("the topics {} are left: {error}", topics.join(", ")));
    }
    Ok(outcome)
}

fn unique_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("bench-{}-{}", std::process::id(), since.as_micros())
}

struct Load<'a> {
    workload: &'a Workload,
    target: &'a Target,
    topics: &'a [String],
    cluster: &'a Arc<Cluster>,
    runtime: &'a Runtime,
    stop: &'a AtomicBool,
}

/// Between two looks whether a load has come to its end.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Load<'_> {
    fn run(&self, on_progress: &mut dyn FnMut(&Progress)) -> Result<Outcome, LoadError> {
        self.runtime.block_on(topics::await_leaders(self.cluster, self.workload, self.topics))?;
        let clock = Clock::start();
        if self.workload.backlog_bytes > 0 {
            self.fill(clock, on_progress)?;
        }
        let shared = self.shared(self.workload.clone(), clock, self.workload.messages);
        let mut jobs = self.producers(self.workload, &shared);
        for topic in self.topics {
            jobs.extend(self.consumers(topic, &shared)?.into_iter().map(Job::Consume));
        }
        let crew = self.start(jobs, &shared)?;
        let part = Part { shared: &shared, crew, stop: self.stop };
        Watch::new(part, self.target).run(on_progress)
    }

    /// Gives every topic its backlog, as fast as the broker takes it.
    fn fill(&self, clock: Clock, on_progress: &mut dyn FnMut(&Progress)) -> Result<(), LoadError> {
        let workload = Workload {
            rate: Rate::Unlimited,
            producers: self.workload.producers.max(1),
            messages: Some(self.workload.backlog_messages()),
            ..self.workload.clone()
        };
        let shared = self.shared(workload.clone(), clock, workload.messages);
        let crew = self.start(self.producers(&workload, &shared), &shared)?;
        Part { shared: &shared, crew, stop: self.stop }.run_unmeasured(Phase::Filling, on_progress)
    }

    fn shared(&self, workload: Workload, clock: Clock, messages: Option<u64>) -> Arc<Shared> {
        Arc::new(Shared::new(workload, Arc::clone(self.cluster), clock, messages))
    }

    /// Starts the threads, and lets them go when every producer is ready.
    fn start(&self, jobs: Vec<Job>, shared: &Arc<Shared>) -> Result<Crew, LoadError> {
        let producers = jobs.iter().filter(|job| matches!(job, Job::Produce(_))).count() as u64;
        shared.producing.store(producers, Ordering::Relaxed);
        let half = thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
        let crew = Crew::start(jobs, self.workload.threads.unwrap_or(half), shared)?;
        while shared.ready.load(Ordering::Acquire) < producers
            && *shared.stage.borrow() == Stage::Prepare
            && !self.stop.load(Ordering::Relaxed)
        {
            thread::sleep(LOOK_EVERY / 10);
        }
        shared.go();
        Ok(crew)
    }

    fn producers(&self, workload: &Workload, shared: &Arc<Shared>) -> Vec<Job> {
        let all = workload.producers * self.topics.len() as u32;
        let topics = self.topics.iter().flat_map(|topic| (0..workload.producers).map(move |_| topic));
        (0..all)
            .zip(topics)
            .map(|(index, topic)| {
                let partitions = shared.cluster.layout().partitions(topic) as u32;
                let source = Source::new(workload, partitions, index, all);
                Job::Produce(Box::new(ProducerJob { topic: topic.clone(), source }))
            })
            .collect()
    }

    fn consumers(&self, topic: &str, shared: &Arc<Shared>) -> Result<Vec<ConsumerJob>, LoadError> {
        let workload = self.workload;
        if workload.reads_nothing() {
            return Ok(Vec::new());
        }
        let has_past = workload.existing || workload.backlog_bytes > 0;
        let mut all = Vec::new();
        let partitions = self.cluster.layout().partitions(topic) as i32;
        if has_past {
            let first = self.runtime.block_on(topics::offsets(self.cluster, topic, EARLIEST))?;
            let last = self.runtime.block_on(topics::offsets(self.cluster, topic, LATEST))?;
            for (partition, offset) in first {
                let backlog_end = last.get(&partition).copied().filter(|last| *last > offset);
                all.push(Position { partition, offset, backlog_end });
            }
        } else {
            all.extend((0..partitions).map(|partition| Position { partition, offset: 0, backlog_end: None }));
        }
        let backlogs = all.iter().filter(|position| position.backlog_end.is_some()).count() as u64;
        let messages: i64 =
            all.iter().filter_map(|position| Some(position.backlog_end? - position.offset)).sum();
        let subscriptions = u64::from(workload.subscriptions);
        shared.draining.fetch_add(backlogs * subscriptions, Ordering::Relaxed);
        shared.backlog.fetch_add(messages as u64 * subscriptions, Ordering::Relaxed);
        let share = |consumer: u32| ConsumerJob {
            topic: topic.to_owned(),
            partitions: all
                .iter()
                .skip(consumer as usize)
                .step_by(workload.consumers as usize)
                .cloned()
                .collect(),
            is_timed: workload.producers > 0,
        };
        let shares = (0..workload.subscriptions).flat_map(|_| (0..workload.consumers).map(share));
        Ok(shares.filter(|job| !job.partitions.is_empty()).collect())
    }
}
