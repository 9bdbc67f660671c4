//! `logmill bench cold`: readers of data that has left the page cache, beside a client that wants to be served.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Advice;

use super::neighbour::Neighbour;
use super::reader::Reader;
use crate::crash::CommonArgs;
use crate::device::{FileSystem, Volume, VolumeOptions, private};
use crate::ledger::{Clients, Filling};
use crate::rig::{Broker, Error};

const TOPIC: &str = "backlog";
const BATCH_BYTES: usize = 64 << 10;
/// Bytes that a reader asks for at a time.
const FETCH_BYTES: i32 = 1 << 20;
const READERS: usize = 4;
/// The neighbour's slowest hundredth, beside readers of cold data.
const P99_MAX: Duration = Duration::from_millis(20);
/// It may take so many times what it takes beside readers of warm data.
const TIMES_MAX: u32 = 3;

/// The disk of `--throttled`.
const THROTTLED_BYTES_PER_SECOND: u64 = 50_000_000;
/// It takes a reader so long to go through it as the readers have, and memory twice.
const THROTTLED_MIB_MAX: usize = 1_024;
const THROTTLED_JOURNAL_BYTES: u64 = 64 << 20;
/// Metadata beside readers on it.
const METADATA_P99_MAX: Duration = Duration::from_millis(50);

/// Four catch-up readers of cold data, then of the same data when it is warm and at the rate that they had, beside a
/// client that produces and fetches a thousand times a second on the same shard.
#[derive(Debug, clap::Args)]
pub struct ColdArgs {
    /// How much there is to catch up with.
    #[arg(long, default_value_t = 8_192)]
    mib: usize,
    /// Has the data on a disk of 50 MB/s, and measures how quickly metadata is answered. Needs root; the disk lies in
    /// memory.
    #[arg(long)]
    throttled: bool,
    /// For how long they read at most.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl ColdArgs {
    /// A line for cold, a line for warm, and an error where the neighbour waited too long.
    pub fn run(&self) -> Result<(), Error> {
        if self.throttled {
            return self.run_throttled();
        }
        let mut options = self.common.broker(&[])?;
        options.properties.push(("logmill.shards".into(), "1".into()));
        let mut broker = Broker::logmill(options)?;
        let address = broker.address();
        let log = broker.log_file();
        let failed = |what: String| Error::with_log(format!("cold: {what}"), &log);
        fill(address, self.mib).map_err(|error| failed(format!("filling: {error}")))?;
        let mut neighbour =
            Neighbour::new(address).map_err(|error| failed(format!("the neighbour: {error}")))?;
        let segments = forget_all(&broker.log_dir()).map_err(|error| failed(error.to_string()))?;
        let (cold, rate) = self
            .read(address, f64::INFINITY, |goes_on| neighbour.measure(goes_on))
            .map_err(|error| failed(format!("cold: {error}")))?;
        tell("cold", cold, rate);
        for segment in &segments {
            io::copy(&mut File::open(segment).map_err(Error::io("reading"))?, &mut io::sink())
                .map_err(Error::io("warming"))?;
        }
        let (warm, rate) = self
            .read(address, rate, |goes_on| neighbour.measure(goes_on))
            .map_err(|error| failed(format!("warm: {error}")))?;
        tell("warm", warm, rate);
        broker.stop()?;
        if cold > P99_MAX || cold > warm * TIMES_MAX {
            return Err(failed(format!(
                "the neighbour's p99 was {cold:?} beside cold reads, {warm:?} beside warm ones"
            )));
        }
        Ok(())
    }

    /// The same readers on a slow disk, beside a client that asks for metadata.
    fn run_throttled(&self) -> Result<(), Error> {
        private::enter().map_err(Error::io("making mounts that nobody else sees"))?;
        let options = self.common.broker(&[])?;
        let mut volume = Volume::make(VolumeOptions {
            logmill: options.binary.clone(),
            root: self.common.root()?,
            file_system: FileSystem::Ext4,
            bytes: (self.mib.min(THROTTLED_MIB_MAX) as u64 * 2) << 20,
            sector_bytes: 4_096,
        })?;
        let data = volume.path().join("data");
        let mut options = self.common.broker(&[&data])?;
        options.properties.push(("logmill.shards".into(), "1".into()));
        options.properties.push(("logmill.journal.bytes".into(), THROTTLED_JOURNAL_BYTES.to_string()));
        let mut broker = Broker::logmill(options)?;
        let address = broker.address();
        let log = broker.log_file();
        let failed = |what: String| Error::with_log(format!("cold on a slow disk: {what}"), &log);
        fill(address, self.mib.min(THROTTLED_MIB_MAX))
            .map_err(|error| failed(format!("filling: {error}")))?;
        let mut neighbour =
            Neighbour::new(address).map_err(|error| failed(format!("the neighbour: {error}")))?;
        forget_all(&data).map_err(|error| failed(error.to_string()))?;
        volume.limit_rate(THROTTLED_BYTES_PER_SECOND)?;
        let (p99, rate) = self
            .read(address, f64::INFINITY, |goes_on| neighbour.measure_metadata(goes_on))
            .map_err(|error| failed(format!("reading: {error}")))?;
        tell("cold on a slow disk", p99, rate);
        broker.kill();
        match p99 > METADATA_P99_MAX {
            true => Err(failed(format!("metadata took {p99:?} at the 99th percentile"))),
            false => Ok(()),
        }
    }

    /// What is measured while all readers read, at most so many bytes a second each, and what they had.
    fn read(
        &self,
        broker: SocketAddr,
        rate_max: f64,
        measure: impl FnOnce(&dyn Fn() -> bool) -> io::Result<Duration>,
    ) -> io::Result<(Duration, f64)> {
        let is_over = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(self.seconds);
        thread::scope(|scope| {
            let is_over = &is_over;
            let readers: Vec<_> = (0..READERS)
                .map(|_| {
                    scope.spawn(move || {
                        let read = catch_up(broker, rate_max, deadline);
                        // Measured is while all of them read.
                        is_over.store(true, Ordering::Relaxed);
                        read
                    })
                })
                .collect();
            let p99 = measure(&|| !is_over.load(Ordering::Relaxed))?;
            let mut rates = 0.0;
            for reader in readers {
                rates += reader.join().expect("it does not panic")?;
            }
            Ok((p99, rates / READERS as f64))
        })
    }
}

/// Makes the topic, and so much of it.
fn fill(broker: SocketAddr, mib: usize) -> io::Result<()> {
    let filling =
        Filling { topic: TOPIC, partitions: 1, mib, batch_bytes: BATCH_BYTES, time_max: Duration::MAX };
    Clients::create_topic(broker, TOPIC, 1)?;
    filling.write(broker).map(drop)
}

/// Has the page cache forget the topic; its segments.
fn forget_all(log_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let segments = segments(&log_dir.join(format!("{TOPIC}-0")))?;
    for segment in &segments {
        forget(segment).map_err(|error| {
            io::Error::new(error.kind(), format!("dropping {}: {error}", segment.display()))
        })?;
    }
    Ok(segments)
}

fn tell(what: &str, p99: Duration, rate: f64) {
    println!(
        "{what}: the neighbour's p99 {:.2} ms beside {READERS} readers of {:.0} MB/s each",
        p99.as_secs_f64() * 1_000.0,
        rate / 1e6
    );
}

/// Reads from the beginning to the end, or until the deadline; bytes a second.
fn catch_up(broker: SocketAddr, rate_max: f64, deadline: Instant) -> io::Result<f64> {
    // It must not take the processor from those that are measured.
    let _ = rustix::process::nice(19);
    let mut reader = Reader::open(broker, TOPIC, FETCH_BYTES)?;
    let (begun, mut bytes) = (Instant::now(), 0);
    while Instant::now() < deadline {
        match reader.read()? {
            0 => break,
            read => bytes += read,
        }
        let due = Duration::from_secs_f64(bytes as f64 / rate_max);
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(bytes as f64 / begun.elapsed().as_secs_f64())
}

fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let paths: io::Result<Vec<PathBuf>> = paths.collect();
    Ok(paths?.into_iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "log")).collect())
}

/// Has the page cache forget a file.
fn forget(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?)
}
