//! `Meter`: what a leg costs, in time, CPU and bytes on the device.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The kernel's sectors, whatever the device's are.
const SECTOR_BYTES: u64 = 512;
/// Which number of a block device's `stat` counts the sectors that were written.
const SECTORS_WRITTEN: usize = 6;

/// Reads the process's CPU clock, workers of its rings included, and the counters of the device under a
/// directory.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    /// `None` where the directory lies on no block device of its own, as in memory.
    device: Option<PathBuf>,
}

/// What is read when a leg begins.
#[derive(Debug)]
pub(crate) struct Reading {
    at: Instant,
    cpu: Duration,
    device_bytes: Option<u64>,
}

/// What a leg took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

impl Meter {
    pub(crate) fn new(dir: &Path) -> Meter {
        let device = fs::metadata(dir).expect("the directory is there").dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let stat = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        Meter { device: stat.exists().then_some(stat) }
    }

    pub(crate) fn start(&self) -> Reading {
        let device_bytes = self.device_bytes();
        Reading { cpu: cpu(), device_bytes, at: Instant::now() }
    }

    /// What it took since.
    pub(crate) fn cost(&self, since: &Reading) -> Cost {
        Cost { seconds: since.at.elapsed().as_secs_f64(), cpu_seconds: (cpu() - since.cpu).as_secs_f64() }
    }

    /// What the device has written since, once everything dirty is with it.
    pub(crate) fn device_bytes_since(&self, since: &Reading) -> Option<u64> {
        write_back();
        Some(self.device_bytes()? - since.device_bytes?)
    }

    fn device_bytes(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.device.as_ref()?).ok()?;
        let sectors: u64 = stat.split_whitespace().nth(SECTORS_WRITTEN)?.parse().ok()?;
        Some(sectors * SECTOR_BYTES)
    }
}

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Has everything that is dirty on the machine written, so that no leg pays for the one before it.
pub(crate) fn write_back() {
    let status = Command::new("sync").status().expect("sync can be run");
    assert!(status.success(), "sync: {status}");
}

/// Times of many waves or rounds, in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    micros: Vec<u32>,
}

impl Times {
    pub(crate) fn note(&mut self, time: Duration) {
        self.micros.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// The time that such a share of all is not longer than.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        self.micros.sort_unstable();
        let index = (self.micros.len() as f64 * share) as usize;
        self.micros
            .get(index.min(self.micros.len().saturating_sub(1)))
            .map_or(f64::NAN, |time| f64::from(*time))
    }
}

/// The one in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
