//! `logmill bench start`: how long a broker takes from exec to its first durable produce and its first fetch,
//! after a SIGKILL under load and with nothing in the page cache.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::subject::{CommonArgs, TOPIC};
use crate::ledger::{Clients, Filling, fetch_code, produce_once};
use crate::rig::{Broker, Error};

/// A client that finds no broker asks again after this.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A start that takes longer is given up.
const START_MAX: Duration = Duration::from_secs(300);

/// Start after SIGKILL, with nothing in the page cache: how long until it serves, and what it read for that.
/// Drops the caches of the whole machine, which needs root.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// Partitions of the topic.
    #[arg(long, default_value_t = 1)]
    partitions: usize,
    /// Data in each of them when the broker is killed.
    #[arg(long, default_value_t = 10_240)]
    mib_per_partition: usize,
    /// Bytes of a batch.
    #[arg(long, default_value_t = 65_536)]
    batch_bytes: usize,
    /// Starts that are measured, each after a SIGKILL of the one before.
    #[arg(long, default_value_t = 3)]
    starts: u32,
    /// Fails when a first answer comes later than this many milliseconds after exec.
    #[arg(long)]
    ms_max: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

impl StartArgs {
    /// Fills, kills, starts; a line for each start.
    pub fn run(&self) -> Result<(), Error> {
        let mut broker = Broker::logmill(self.common.broker(&[])?)?;
        let address = broker.address();
        Clients::create_topic(address, TOPIC, self.partitions).map_err(Error::io("making the topic"))?;
        let begun = Instant::now();
        self.filling()
            .write(address)
            .map_err(|error| Error::with_log(format!("filling: {error}"), &broker.log_file()))?;
        println!(
            "start: {} partitions x {} MiB in batches of {} bytes, written in {:.1} s",
            self.partitions,
            self.mib_per_partition,
            self.batch_bytes,
            begun.elapsed().as_secs_f64()
        );
        for nth in 1..=self.starts {
            broker.kill();
            drop_caches().map_err(Error::io("dropping the caches"))?;
            let root_bytes = files_in(&broker.log_dir());
            let started = broker.launch()?;
            let (produced, fetched) = thread::scope(|scope| {
                let produced = scope.spawn(|| first(started, || produce_once(address, TOPIC)));
                let fetched = scope.spawn(|| first(started, || fetch_once(address)));
                (produced.join(), fetched.join())
            });
            let read = read_bytes(broker.pid());
            let [produced, fetched] = [produced, fetched].map(|at| at.expect("polling does not panic"));
            let (Some(produced), Some(fetched)) = (produced, fetched) else {
                let what = format!("start {nth}: no answer within {START_MAX:?}");
                return Err(Error::with_log(what, &broker.log_file()));
            };
            println!(
                "start {nth}: first durable produce after {} ms, first fetch after {} ms; {} MiB read, \
                 {} MiB in files beside the partitions",
                produced.as_millis(),
                fetched.as_millis(),
                read >> 20,
                root_bytes >> 20
            );
            if let Some(max) = self.ms_max
                && produced.max(fetched) > Duration::from_millis(max)
            {
                return Err(Error::with_log(format!("later than {max} ms"), &broker.log_file()));
            }
        }
        Ok(())
    }

    fn filling(&self) -> Filling {
        let StartArgs { partitions, mib_per_partition, batch_bytes, .. } = *self;
        Filling { topic: TOPIC, partitions, mib_per_partition, batch_bytes }
    }
}

/// When an attempt first succeeded, after the broker's process began.
fn first(started: Instant, mut attempt: impl FnMut() -> io::Result<()>) -> Option<Duration> {
    while started.elapsed() < START_MAX {
        if attempt().is_ok() {
            return Some(started.elapsed());
        }
        thread::sleep(POLL_EVERY);
    }
    None
}

fn fetch_once(broker: SocketAddr) -> io::Result<()> {
    match fetch_code(broker, TOPIC, 0)? {
        0 => Ok(()),
        code => Err(io::Error::other(format!("fetch: error {code}"))),
    }
}

fn drop_caches() -> io::Result<()> {
    // Pages that are not written out cannot be dropped.
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")
}

/// Bytes that a process had read from disks.
fn read_bytes(pid: Option<u32>) -> u64 {
    let io = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/io")).ok()).unwrap_or_default();
    let value = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Bytes of the files that lie in a log directory itself: journals, checkpoints.
fn files_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(|of| of.is_file()).map(|of| of.len()).sum()
}
