//! `logmill bench run`: its arguments, its output, its exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::omb::Files;
use super::print;
use super::{Acks, Codec, Keys, LoadError, Outcome, Phase, Rate, Target, Workload, run_until};
use crate::rig::Error;

/// What a process ends with that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
/// Where a broker listens that nobody told otherwise.
const BOOTSTRAP: &str = "localhost:9092";
/// What is under way in the end comes in so soon, as a rule.
const SHORT_DRAIN_S: f64 = 0.5;

/// Loads a broker, Kafka's or ours, and measures. Latency counts from when a message was due.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Brokers to begin with, separated by commas [default: the driver's, or localhost:9092].
    #[arg(long, value_delimiter = ',')]
    bootstrap: Vec<String>,
    /// A workload of OpenMessaging Benchmark, in YAML; options change it.
    #[arg(long)]
    workload: Option<PathBuf>,
    /// A driver for Kafka of OpenMessaging Benchmark, in YAML; options change it.
    #[arg(long)]
    driver: Option<PathBuf>,
    /// Messages a second, all producers together [default: as fast as it goes].
    #[arg(long, conflicts_with = "rate_mb")]
    rate: Option<f64>,
    /// Millions of bytes of values a second, all producers together.
    #[arg(long)]
    rate_mb: Option<f64>,
    /// Topics.
    #[arg(long)]
    topics: Option<u32>,
    /// Partitions of each topic [default: 16].
    #[arg(long)]
    partitions: Option<u32>,
    /// Producers of each topic [default: 4]; 0 only reads.
    #[arg(long)]
    producers: Option<u32>,
    /// Consumers of each subscription [default: 4]; 0 only sends.
    #[arg(long)]
    consumers: Option<u32>,
    /// How often each topic is read as a whole [default: 1].
    #[arg(long)]
    fan_out: Option<u32>,
    /// Bytes of a message's value [default: 1024].
    #[arg(long)]
    message_bytes: Option<usize>,
    /// How much of a value is random, 0 to 1 [default: 0.5].
    #[arg(long)]
    random_share: Option<f64>,
    /// Keys of messages [default: none].
    #[arg(long, value_enum)]
    keys: Option<Keys>,
    /// Bytes of a batch before it is compressed [default: 16384].
    #[arg(long)]
    batch_bytes: Option<usize>,
    /// How long a batch waits for more messages [default: 1].
    #[arg(long)]
    linger_ms: Option<f64>,
    /// Compression of batches [default: none].
    #[arg(long, value_enum)]
    codec: Option<Codec>,
    /// Who acknowledges [default: all].
    #[arg(long, value_enum)]
    acks: Option<Acks>,
    /// Idempotent producers, true or false [default: true with acks=all].
    #[arg(long)]
    idempotence: Option<bool>,
    /// Requests that a producer has in flight to a broker [default: 5].
    #[arg(long)]
    max_in_flight: Option<usize>,
    /// Bytes of a produce request [default: 1048576].
    #[arg(long)]
    request_bytes_max: Option<usize>,
    /// Millions of bytes that each topic has before it is read.
    #[arg(long)]
    backlog_mb: Option<f64>,
    /// Seconds that are not measured [default: 5].
    #[arg(long)]
    warm_up: Option<f64>,
    /// Seconds that are measured [default: 30].
    #[arg(long)]
    duration: Option<f64>,
    /// Ends when so many messages were sent and read, instead of after a time; without a warm-up unless one is named.
    #[arg(long)]
    messages: Option<u64>,
    /// Replicas of each partition [default: the broker's].
    #[arg(long)]
    replication_factor: Option<i16>,
    /// A setting of the topics, `key=value`; as often as needed.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    topic_config: Vec<(String, String)>,
    /// Name of the topic [default: one that is used once].
    #[arg(long)]
    topic: Option<String>,
    /// The topic exists: it is read from its beginning, and neither made nor deleted.
    #[arg(long)]
    existing: bool,
    /// Leaves the topics there.
    #[arg(long)]
    keep: bool,
    /// Verifies the checksum of every batch that is read.
    #[arg(long)]
    check_crc: bool,
    /// Threads of this client [default: half of the cores].
    #[arg(long)]
    threads: Option<usize>,
    /// A load as JSON, as the output of an earlier run has it under `workload`; options change it.
    #[arg(long, conflicts_with_all = ["workload", "driver"])]
    load: Option<PathBuf>,
    /// Process of the broker, to count what it uses.
    #[arg(long)]
    pid: Option<u32>,
    /// Where the broker's data lies, to count what its disk writes [default: where its open log files lie].
    #[arg(long)]
    data: Option<PathBuf>,
    /// Writes all figures there.
    #[arg(long)]
    json: Option<PathBuf>,
    /// No line a second.
    #[arg(long)]
    quiet: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text}: no `=`"))?;
    Ok((key.to_owned(), value.to_owned()))
}

impl RunArgs {
    /// Runs it; ends the process with a code of its own when that failed or was interrupted.
    pub fn run(&self) -> Result<(), Error> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The second one ends the process whatever it is at.
            signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
                .map_err(Error::io("waiting for Ctrl-C"))?;
        }
        match self.measure(&stop) {
            Ok(outcome) if outcome.interrupted => process::exit(INTERRUPTED),
            Ok(_) => Ok(()),
            Err(error) => {
                eprintln!("logmill: {error}");
                process::exit(error.exit_code())
            }
        }
    }

    fn measure(&self, stop: &AtomicBool) -> Result<Outcome, LoadError> {
        let (workload, bootstrap) = self.workload()?;
        let target = Target { bootstrap, pid: self.pid, data: self.data.clone() };
        if !self.quiet {
            eprintln!("{}\n{}", print::introduction(&workload), print::HEAD);
        }
        let outcome = run_until(&workload, &target, stop, |progress| {
            let is_worth_a_line =
                progress.phase != Phase::Draining || progress.interval.seconds > SHORT_DRAIN_S;
            if !self.quiet && is_worth_a_line {
                eprintln!("{}", print::line(progress));
            }
        })?;
        print!("{}", print::table(&outcome));
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&outcome).expect("figures are JSON");
            fs::write(path, text).map_err(LoadError::io(format!("writing {}", path.display())))?;
        }
        Ok(outcome)
    }

    /// What to run, and where.
    fn workload(&self) -> Result<(Workload, Vec<String>), LoadError> {
        let mut files = Files::read(self.workload.as_deref(), self.driver.as_deref())?;
        for warning in &files.warnings {
            eprintln!("logmill: warning: {warning}");
        }
        if let Some(path) = &self.load {
            let text = fs::read(path).map_err(LoadError::io(format!("reading {}", path.display())))?;
            files.workload = serde_json::from_slice(&text)
                .map_err(|error| LoadError::Workload(format!("{}: {error}", path.display())))?;
        }
        self.change(&mut files.workload);
        files.workload.check()?;
        let bootstrap = match (self.bootstrap.is_empty(), files.bootstrap.is_empty()) {
            (false, _) => self.bootstrap.clone(),
            (true, false) => files.bootstrap,
            (true, true) => vec![BOOTSTRAP.into()],
        };
        Ok((files.workload, bootstrap))
    }

    fn change(&self, workload: &mut Workload) {
        fn set<T: Clone>(field: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *field = value.clone();
            }
        }
        set(&mut workload.topics, &self.topics);
        set(&mut workload.partitions, &self.partitions);
        set(&mut workload.producers, &self.producers);
        set(&mut workload.consumers, &self.consumers);
        set(&mut workload.subscriptions, &self.fan_out);
        set(&mut workload.message_bytes, &self.message_bytes);
        set(&mut workload.random_share, &self.random_share);
        set(&mut workload.keys, &self.keys);
        set(&mut workload.batch_bytes, &self.batch_bytes);
        set(&mut workload.linger_ms, &self.linger_ms);
        set(&mut workload.codec, &self.codec);
        set(&mut workload.acks, &self.acks);
        set(&mut workload.max_in_flight, &self.max_in_flight);
        set(&mut workload.request_bytes_max, &self.request_bytes_max);
        set(&mut workload.duration_s, &self.duration);
        set(&mut workload.replication_factor, &self.replication_factor);
        if self.messages.is_some() {
            workload.messages = self.messages;
            workload.warm_up_s = 0.0;
        }
        set(&mut workload.warm_up_s, &self.warm_up);
        if self.idempotence.is_some() {
            workload.idempotence = self.idempotence;
        }
        if let Some(mb) = self.backlog_mb {
            workload.backlog_bytes = (mb * 1e6) as u64;
        }
        if let Some(rate) = self.rate {
            workload.rate = Rate::MessagesPerS(rate);
        }
        if let Some(mb) = self.rate_mb {
            workload.rate = Rate::BytesPerS(mb * 1e6);
        }
        if self.topic.is_some() {
            workload.topic.clone_from(&self.topic);
        }
        if self.threads.is_some() {
            workload.threads = self.threads;
        }
        workload.existing |= self.existing;
        workload.keep |= self.keep;
        workload.fetch.check_crc |= self.check_crc;
        workload.topic_configs.extend(self.topic_config.iter().cloned().collect::<BTreeMap<_, _>>());
    }
}
