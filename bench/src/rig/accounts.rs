//! `Accounts`: what a process of somebody else's uses while it is under load, from what the kernel tells of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Error, Usage};

/// Bytes of the sectors that the kernel counts, whatever the device's are.
const SECTOR_BYTES: u64 = 512;

/// An open book on a process: what it used from here on.
#[derive(Debug)]
pub struct Accounts {
    pid: u32,
    began: Instant,
    first: Reading,
    last: Reading,
    device: Option<Device>,
    resident_max: i64,
}

/// What a process used between two readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// Its id.
    pub pid: u32,
    /// How long it was watched.
    pub seconds: f64,
    /// Seconds on a CPU in its own code.
    pub user_s: f64,
    /// Seconds on a CPU in the kernel for it.
    pub system_s: f64,
    /// Resident memory, the most of all readings.
    pub resident_max_bytes: u64,
    /// Resident memory at the end.
    pub resident_last_bytes: u64,
    /// Bytes that reached its disk; what else uses the disk is in them, unless they come from the process's own
    /// counters.
    pub device: DeviceUse,
    /// Times that a thread gave its core away; none when not known.
    pub voluntary_switches: Option<u64>,
    /// Times that a core was taken from a thread; none when not known.
    pub involuntary_switches: Option<u64>,
    /// Its system calls that read or were to read; none when not known. The kernel counts no others.
    pub read_calls: Option<u64>,
    /// Its system calls that wrote; none when not known. Operations of an io_uring are not among them.
    pub write_calls: Option<u64>,
    /// All of its system calls; none, as the kernel does not count them.
    pub system_calls: Option<u64>,
}

impl ProcessUse {
    /// User and system time together, in seconds.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

/// Bytes that went to and came from storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Whose counters they are: a disk's (`vda`), or those of the process (`/proc/PID/io`).
    pub source: String,
    /// None when not known.
    pub read_bytes: Option<u64>,
    /// None when not known.
    pub written_bytes: Option<u64>,
}

impl Accounts {
    /// Opens it. The disk is the one below `data`, or else below most of the process's open `.log` files.
    pub fn open(pid: u32, data: Option<&Path>) -> Result<Accounts, Error> {
        let device = match data {
            Some(data) => {
                let id =
                    fs::metadata(data).map_err(Error::io(format!("looking at {}", data.display())))?.dev();
                Device::of(id)
            }
            None => device_of_logs(pid).and_then(Device::of),
        };
        let first = Reading::of(pid, device.as_ref())?;
        let resident_max = first.usage.resident_bytes;
        Ok(Accounts { pid, began: Instant::now(), last: first, first, device, resident_max })
    }

    /// Reads it anew; what is read last counts.
    pub fn look(&mut self) -> Result<(), Error> {
        self.last = Reading::of(self.pid, self.device.as_ref())?;
        self.resident_max = self.resident_max.max(self.last.usage.resident_bytes);
        Ok(())
    }

    /// CPU time since it was opened, as of the last look.
    pub fn cpu(&self) -> Duration {
        (self.last.usage - self.first.usage).cpu()
    }

    /// What was used up to the last look.
    pub fn close(self) -> ProcessUse {
        let (first, last) = (self.first, self.last);
        let used = last.usage - first.usage;
        let between = |first: Option<u64>, last: Option<u64>| Some(last?.saturating_sub(first?));
        let device = match &self.device {
            Some(device) => DeviceUse {
                source: device.name.clone(),
                read_bytes: between(first.device_read, last.device_read),
                written_bytes: between(first.device_written, last.device_written),
            },
            None => DeviceUse {
                source: format!("/proc/{}/io", self.pid),
                read_bytes: between(first.io.read_bytes, last.io.read_bytes),
                written_bytes: between(first.io.written_bytes, last.io.written_bytes),
            },
        };
        ProcessUse {
            pid: self.pid,
            seconds: self.began.elapsed().as_secs_f64(),
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
            resident_max_bytes: self.resident_max.max(0) as u64,
            resident_last_bytes: last.usage.resident_bytes.max(0) as u64,
            device,
            voluntary_switches: between(first.voluntary, last.voluntary),
            involuntary_switches: between(first.involuntary, last.involuntary),
            read_calls: between(first.io.read_calls, last.io.read_calls),
            write_calls: between(first.io.write_calls, last.io.write_calls),
            system_calls: None,
        }
    }
}

/// One look at a process and its disk.
#[derive(Debug, Clone, Copy)]
struct Reading {
    usage: Usage,
    voluntary: Option<u64>,
    involuntary: Option<u64>,
    io: ProcessIo,
    device_read: Option<u64>,
    device_written: Option<u64>,
}

impl Reading {
    fn of(pid: u32, device: Option<&Device>) -> Result<Reading, Error> {
        let usage = Usage::of(pid)?;
        let (voluntary, involuntary) = switches(pid).map_or((None, None), |(v, i)| (Some(v), Some(i)));
        let (device_read, device_written) = device
            .and_then(Device::bytes)
            .map_or((None, None), |(read, written)| (Some(read), Some(written)));
        Ok(Reading { usage, voluntary, involuntary, io: ProcessIo::of(pid), device_read, device_written })
    }
}

/// Context switches of all threads that live: the process's own file counts those of its first thread only.
fn switches(pid: u32) -> io::Result<(u64, u64)> {
    let (mut voluntary, mut involuntary) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two lines.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
        voluntary += field(&status, "voluntary_ctxt_switches").unwrap_or(0);
        involuntary += field(&status, "nonvoluntary_ctxt_switches").unwrap_or(0);
    }
    Ok((voluntary, involuntary))
}

/// `/proc/PID/io`, where it may be read.
#[derive(Debug, Clone, Copy, Default)]
struct ProcessIo {
    read_calls: Option<u64>,
    write_calls: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
}

impl ProcessIo {
    fn of(pid: u32) -> ProcessIo {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/io")) else { return ProcessIo::default() };
        ProcessIo {
            read_calls: field(&text, "syscr"),
            write_calls: field(&text, "syscw"),
            read_bytes: field(&text, "read_bytes"),
            written_bytes: field(&text, "write_bytes"),
        }
    }
}

/// The number behind `name:` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// A block device with counters.
#[derive(Debug)]
struct Device {
    name: String,
    stat: PathBuf,
}

impl Device {
    /// The device with this number; none for file systems that lie on no single one.
    fn of(id: u64) -> Option<Device> {
        let (major, minor) = (rustix::fs::major(id), rustix::fs::minor(id));
        let directory = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
        let name = directory.file_name()?.to_str()?.to_owned();
        let device = Device { name, stat: directory.join("stat") };
        device.bytes().map(|_| device)
    }

    /// Bytes read and written since the system started.
    fn bytes(&self) -> Option<(u64, u64)> {
        let text = fs::read_to_string(&self.stat).ok()?;
        let numbers: Vec<u64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        // As Documentation/block/stat.rst numbers them: the third and the seventh.
        Some((numbers.get(2)? * SECTOR_BYTES, numbers.get(6)? * SECTOR_BYTES))
    }
}

/// The file system of most log files that a process has open.
fn device_of_logs(pid: u32) -> Option<u64> {
    let mut files = BTreeMap::<u64, u32>::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok) {
        let is_log =
            fs::read_link(entry.path()).is_ok_and(|path| path.extension().is_some_and(|ext| ext == "log"));
        if is_log && let Ok(metadata) = fs::metadata(entry.path()) {
            *files.entry(metadata.dev()).or_default() += 1;
        }
    }
    files.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn work_switches_and_calls_of_a_process_are_in_its_accounts() {
        let data = tempfile::tempdir().unwrap();
        // It works when it is told to, twenty writes with a wait behind each, and lives until its input ends.
        let work = "read go; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; \
                    do echo $i >> written; sleep 0.001; done; echo done; read end";
        let mut worker = Command::new("sh");
        worker.args(["-c", work]).current_dir(data.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut worker = worker.spawn().unwrap();
        let mut told = worker.stdin.take().unwrap();
        let mut says = BufReader::new(worker.stdout.take().unwrap());
        let mut accounts = Accounts::open(worker.id(), Some(data.path())).unwrap();
        told.write_all(b"go\n").unwrap();
        says.read_line(&mut String::new()).unwrap();
        accounts.look().unwrap();
        let used = accounts.close();
        drop(told);
        worker.wait().unwrap();
        assert!(used.voluntary_switches.unwrap() >= 20, "{used:?}");
        assert!(used.write_calls.unwrap() >= 20, "{used:?}");
        assert!(used.resident_max_bytes >= used.resident_last_bytes && used.resident_last_bytes > 0);
        assert_eq!(used.system_calls, None);
        assert!(!used.device.source.is_empty());
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t12\n";
        assert_eq!(field(text, "voluntary_ctxt_switches"), Some(12));
        assert_eq!(field(text, "nonvoluntary_ctxt_switches"), Some(7));
        assert_eq!(field(text, "voluntary"), None);
    }
}
