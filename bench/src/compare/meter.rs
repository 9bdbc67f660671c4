//! `Meter`: what a server uses while it is under load: CPU time, memory, bytes on the device.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{major, minor};

use crate::rig::{Error, Usage};

/// How long a process is watched to tell whether it has come to rest.
const REST_WINDOW: Duration = Duration::from_millis(500);
/// CPU time in that window that counts as rest: an idle Apache Kafka takes half of it.
const REST_CPU_MAX: Duration = Duration::from_millis(25);
/// Who is busy this long after the load is not finishing the load.
const REST_WAIT_MAX: Duration = Duration::from_secs(15);
/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A sector of the kernel's counters, whatever the device's own are.
const SECTOR_BYTES: u64 = 512;

/// A measurement that has begun.
pub(super) struct Meter {
    process: Option<(u32, Duration)>,
    memory: Option<Memory>,
    device: Option<(PathBuf, u64)>,
}

/// What was used from begin to end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Used {
    /// None of a process that is not ours.
    pub cpu: Option<Duration>,
    /// The most that was seen resident.
    pub resident_mib: Option<f64>,
    /// Bytes that the device was given, by everybody.
    pub device_bytes: Option<u64>,
}

impl Meter {
    /// Writes back what earlier legs left dirty, so that no leg pays for it, and begins when the process rests. Bytes are
    /// counted of the device that `data` lies on.
    pub(super) fn begin(pid: Option<u32>, data: Option<&Path>) -> Result<Meter, Error> {
        rustix::fs::sync();
        let process = pid.map(|pid| Ok((pid, cpu_at_rest(pid)?))).transpose()?;
        let device = data.and_then(counters).and_then(|path| written_bytes(&path).map(|bytes| (path, bytes)));
        Ok(Meter { process, memory: pid.map(Memory::watch), device })
    }

    /// Ends it when the process has come to rest: what a broker does behind its last answer belongs to the leg.
    pub(super) fn end(self) -> Result<Used, Error> {
        let resident_mib = self.memory.map(Memory::most_mib);
        let cpu = self.process.map(|(pid, before)| Ok(cpu_at_rest(pid)? - before)).transpose()?;
        // What lies in the page cache is on its way to the device, and belongs to the leg too.
        rustix::fs::sync();
        let written = |(path, before): (PathBuf, u64)| Some(written_bytes(&path)?.saturating_sub(before));
        Ok(Used { cpu, resident_mib, device_bytes: self.device.and_then(written) })
    }
}

/// The CPU time of a process, read when it has come to rest.
pub(super) fn cpu_at_rest(pid: u32) -> Result<Duration, Error> {
    let deadline = Instant::now() + REST_WAIT_MAX;
    let mut before = Usage::of(pid)?.cpu();
    loop {
        thread::sleep(REST_WINDOW);
        let now = Usage::of(pid)?.cpu();
        if now - before <= REST_CPU_MAX || Instant::now() > deadline {
            return Ok(now);
        }
        before = now;
    }
}

/// A thread that looks at a process's memory.
struct Memory {
    is_over: Arc<AtomicBool>,
    most_bytes: Arc<AtomicI64>,
    thread: JoinHandle<()>,
}

impl Memory {
    fn watch(pid: u32) -> Memory {
        let (is_over, most_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let thread = thread::spawn({
            let (is_over, most_bytes) = (is_over.clone(), most_bytes.clone());
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    // A process that has ended is told of by its CPU time.
                    let Ok(usage) = Usage::of(pid) else { return };
                    most_bytes.fetch_max(usage.resident_bytes, Ordering::Relaxed);
                    thread::sleep(LOOK_EVERY);
                }
            }
        });
        Memory { is_over, most_bytes, thread }
    }

    fn most_mib(self) -> f64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("reading a file does not panic");
        mib(self.most_bytes.load(Ordering::Relaxed))
    }
}

pub(super) fn mib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The file with the counters of the device that a directory lies on; none where there is no device.
fn counters(dir: &Path) -> Option<PathBuf> {
    let device = fs::metadata(dir).ok()?.dev();
    let path = PathBuf::from(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device)));
    path.exists().then_some(path)
}

fn written_bytes(counters: &Path) -> Option<u64> {
    let text = fs::read_to_string(counters).ok()?;
    // The seventh counter: sectors written.
    Some(text.split_ascii_whitespace().nth(6)?.parse::<u64>().ok()? * SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn memory_that_was_used_and_given_back_is_seen() {
        let memory = Memory::watch(std::process::id());
        let before = Usage::of(std::process::id()).expect("we are alive").resident_bytes;
        let deadline = Instant::now() + Duration::from_secs(30);
        let block = vec![1u8; 64 << 20];
        while memory.most_bytes.load(Ordering::Relaxed) < before + (32 << 20) {
            assert!(Instant::now() < deadline, "64 MiB were not seen");
        }
        drop(block);
        assert!(memory.most_mib() > mib(before) + 32.0);
    }

    #[test]
    fn bytes_that_are_synced_are_counted_where_there_is_a_device() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let Some(counters) = counters(dir.path()) else { return };
        let before = written_bytes(&counters).unwrap();
        let mut file = fs::File::create(dir.path().join("file")).unwrap();
        file.write_all(&vec![7; 4 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(written_bytes(&counters).unwrap() >= before + (4 << 20));
    }
}
