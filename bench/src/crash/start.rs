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

/// What names of a journal's files begin with.
const JOURNAL: &str = "logmill.journal.";

/// A start that takes longer is given up.
const START_MAX: Duration = Duration::from_secs(300);

/// So much beside twice the journals may be read.
const READ_BESIDE_MAX: u64 = 64 << 20;

/// What lies in the log directory when the broker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// One partition of 10 GiB.
    Large,
    /// 1,000 partitions of 8 MiB, none of which has rolled.
    Many,
    /// 1,000 partitions and four times what the journals hold, in batches of 4 KiB.
    Journal,
    /// One partition, in batches of 1 MiB, which become durable where they lie.
    Direct,
}

/// Start after SIGKILL, with nothing in the page cache: how long until it serves, and what it read for that.
/// Drops the caches of the whole machine, which needs root.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// What lies there [default: one after the other].
    #[arg(long, value_enum)]
    shape: Vec<Shape>,
    /// Seconds of appends in the shape `direct`.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Starts that are measured, each after a SIGKILL of the one before.
    #[arg(long, default_value_t = 3)]
    starts: u32,
    /// Fails when a first answer comes later than this many milliseconds after exec.
    #[arg(long, default_value_t = 1_000)]
    ms_max: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl StartArgs {
    /// Fills, kills, starts; a line for each start. Fails behind the last one when one took too long or read too
    /// much.
    pub fn run(&self) -> Result<(), Error> {
        let all = [Shape::Large, Shape::Many, Shape::Journal, Shape::Direct];
        let shapes = if self.shape.is_empty() { &all[..] } else { &self.shape[..] };
        let mut faults = Vec::new();
        for shape in shapes {
            self.run_shape(*shape, &mut faults)?;
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::Failed { what: faults.join("; "), output: String::new() })
        }
    }

    fn filling(&self, shape: Shape) -> Filling {
        let (partitions, batch_bytes, mib) = match shape {
            Shape::Large => (1, 64 << 10, 10 << 10),
            Shape::Many => (1_000, 64 << 10, 8_000),
            Shape::Journal => (1_000, 4 << 10, 2 << 10),
            Shape::Direct => (1, 1 << 20, usize::MAX),
        };
        let time_max = if shape == Shape::Direct { Duration::from_secs(self.seconds) } else { Duration::MAX };
        Filling { topic: TOPIC, partitions, mib, batch_bytes, time_max }
    }

    fn run_shape(&self, shape: Shape, faults: &mut Vec<String>) -> Result<(), Error> {
        let filling = self.filling(shape);
        let mut broker = Broker::logmill(self.common.broker(&[])?)?;
        let address = broker.address();
        Clients::create_topic(address, TOPIC, filling.partitions).map_err(Error::io("making the topic"))?;
        let begun = Instant::now();
        let batches = filling
            .write(address)
            .map_err(|error| Error::with_log(format!("filling: {error}"), &broker.log_file()))?;
        println!(
            "{shape:?}: {} partitions, {} MiB in batches of {} KiB, written in {:.1} s",
            filling.partitions,
            (batches * filling.batch_bytes) >> 20,
            filling.batch_bytes >> 10,
            begun.elapsed().as_secs_f64()
        );
        for nth in 1..=self.starts {
            broker.kill();
            drop_caches().map_err(Error::io("dropping the caches"))?;
            let started = broker.launch()?;
            let (produced, fetched) = thread::scope(|scope| {
                let produced = scope.spawn(|| first(started, || produce_once(address, TOPIC)));
                let fetched = scope.spawn(|| first(started, || fetch_once(address)));
                (produced.join(), fetched.join())
            });
            let read = read_bytes(broker.pid());
            let read_max = 2 * journal_bytes(&broker.log_dir()) + READ_BESIDE_MAX;
            let [produced, fetched] = [produced, fetched].map(|at| at.expect("polling does not panic"));
            let (Some(produced), Some(fetched)) = (produced, fetched) else {
                let what = format!("{shape:?}, start {nth}: no answer within {START_MAX:?}");
                return Err(Error::with_log(what, &broker.log_file()));
            };
            println!(
                "{shape:?}, start {nth}: first durable produce after {} ms, first fetch after {} ms; {} MiB \
                 read of at most {}",
                produced.as_millis(),
                fetched.as_millis(),
                read >> 20,
                read_max >> 20
            );
            if produced.max(fetched) > Duration::from_millis(self.ms_max) {
                faults.push(format!("{shape:?}, start {nth}: later than {} ms", self.ms_max));
            }
            if read > read_max {
                faults.push(format!("{shape:?}, start {nth}: more than {read_max} bytes read: {read}"));
            }
        }
        Ok(())
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

/// Bytes of the journals of a log directory.
fn journal_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let journals = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(JOURNAL));
    journals.filter_map(|entry| entry.metadata().ok()).map(|of| of.len()).sum()
}
