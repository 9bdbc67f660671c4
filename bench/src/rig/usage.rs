//! What a process used so far: CPU time and memory.

use std::{fs, io, ops::Sub, path::Path, time::Duration};

use super::Error;

/// A reading of a process; one reading less an earlier one is what was used between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU in its own code, all threads together.
    pub user: Duration,
    /// Time on a CPU in the kernel for it, workers of its rings included.
    pub system: Duration,
    /// Memory resident; in a difference, by how much it grew.
    pub resident_bytes: i64,
}

impl Usage {
    /// Reads a live process.
    pub fn of(pid: u32) -> Result<Usage, Error> {
        let stat =
            ProcessStat::read(pid).map_err(Error::io(format!("reading the usage of process {pid}")))?;
        let seconds =
            |ticks: u64| Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
        Ok(Usage {
            user: seconds(stat.user_ticks),
            system: seconds(stat.system_ticks),
            resident_bytes: stat.resident_pages * rustix::param::page_size() as i64,
        })
    }

    /// User and system time together.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, earlier: Usage) -> Usage {
        Usage {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
            resident_bytes: self.resident_bytes - earlier.resident_bytes,
        }
    }
}

/// What the rig reads of `/proc/PID/stat`.
pub(super) struct ProcessStat {
    user_ticks: u64,
    system_ticks: u64,
    /// When it started, in ticks since the system did: with the id, names a process for good.
    pub(super) start_ticks: u64,
    resident_pages: i64,
}

impl ProcessStat {
    pub(super) fn read(pid: u32) -> io::Result<ProcessStat> {
        let path = Path::new("/proc").join(pid.to_string()).join("stat");
        let line = fs::read_to_string(path)?;
        // The second field is the program's name in parentheses, and may itself hold any of these.
        let fields = line.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
        // Numbered as in proc_pid_stat(5); the third is the first one after the name.
        let field = |number: usize| fields.as_ref().and_then(|fields| fields.get(number - 3)?.parse().ok());
        let stat = || {
            Some(ProcessStat {
                user_ticks: field(14)?,
                system_ticks: field(15)?,
                start_ticks: field(22)?,
                resident_pages: i64::try_from(field(24)?).ok()?,
            })
        };
        stat().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("stat line {line:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, process, time::Instant};

    use super::*;

    #[test]
    fn a_busy_thread_shows_as_cpu_time_of_its_process() {
        let before = Usage::of(process::id()).unwrap();
        let start = Instant::now();
        while (Usage::of(process::id()).unwrap() - before).cpu() < Duration::from_millis(50) {
            black_box((0..10_000u64).sum::<u64>());
            assert!(start.elapsed() < Duration::from_secs(30), "no CPU time after half a minute of work");
        }
        assert!(before.resident_bytes > 0);
    }

    #[test]
    fn a_process_that_is_gone_has_no_usage() {
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(Usage::of(child.id()).is_err());
    }
}
