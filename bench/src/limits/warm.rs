//! `logmill bench warm`: what a fetch of data in the page cache costs in system calls.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::reader::Reader;
use crate::crash::CommonArgs;
use crate::ledger::{Clients, Filling};
use crate::rig::{Broker, Error};

const TOPIC: &str = "warm";
const MIB: usize = 64;
const BATCH_BYTES: usize = 64 << 10;
const FETCH_BYTES: i32 = 1 << 20;
/// Read into the process for each fetch of one partition: headers and indexes.
const READ_BYTES_MAX: u64 = 4 << 10;
/// Sent by a call, on the average.
const SENT_BYTES_MIN: u64 = 256 << 10;
/// strace takes no longer to get hold of a process.
const ATTACH_MAX: Duration = Duration::from_secs(30);

/// Fetches of 1 MiB from the page cache, under strace: what is read into the process, and what one sendfile sends.
#[derive(Debug, clap::Args)]
pub struct WarmArgs {
    #[command(flatten)]
    common: CommonArgs,
}

impl WarmArgs {
    /// A line with both figures; an error where one of them misses its limit.
    pub fn run(&self) -> Result<(), Error> {
        let broker = Broker::logmill(self.common.broker(&[])?)?;
        let log = broker.log_file();
        let failed = |what: String| Error::with_log(format!("warm: {what}"), &log);
        let address = broker.address();
        let filling = Filling {
            topic: TOPIC,
            partitions: 1,
            mib: MIB,
            batch_bytes: BATCH_BYTES,
            time_max: Duration::MAX,
        };
        Clients::create_topic(address, TOPIC, 1)
            .and_then(|()| filling.write(address))
            .map_err(|error| failed(format!("filling: {error}")))?;
        let pid = broker.pid().ok_or_else(|| failed("the broker is gone".into()))?;
        let output = self.common.root()?.join("warm.strace");
        // The first time through opens files and reads indexes.
        fetch_all(address).map_err(|error| failed(format!("fetching: {error}")))?;
        let trace = Trace::attach(pid, &output).map_err(|error| failed(format!("strace: {error}")))?;
        let fetches = fetch_all(address).map_err(|error| failed(format!("fetching: {error}")))?;
        trace.detach().map_err(|error| failed(format!("strace: {error}")))?;
        let text = fs::read_to_string(&output).map_err(Error::io("reading the trace"))?;
        fs::remove_file(&output).map_err(Error::io("removing the trace"))?;
        let Calls { reads, sends } = Calls::of(&text);
        let read = reads.iter().sum::<u64>() / fetches;
        let sent = sends.iter().sum::<u64>() / sends.len().max(1) as u64;
        println!(
            "warm: {fetches} fetches; {read} bytes read for each, {sent} bytes sent by each of {} calls",
            sends.len()
        );
        match read <= READ_BYTES_MAX && sent >= SENT_BYTES_MIN {
            true => Ok(()),
            false => Err(failed(format!("at most {READ_BYTES_MAX} read, at least {SENT_BYTES_MIN} sent"))),
        }
    }
}

/// Reads everything, and says in how many fetches.
fn fetch_all(broker: SocketAddr) -> io::Result<u64> {
    let mut reader = Reader::open(broker, TOPIC, FETCH_BYTES)?;
    let mut fetches = 0;
    while reader.read()? > 0 {
        fetches += 1;
    }
    Ok(fetches)
}

/// strace at a process.
struct Trace(Child);

impl Trace {
    fn attach(pid: u32, output: &Path) -> io::Result<Trace> {
        let child = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-e", "trace=sendfile,pread64,preadv", "-o"])
            .arg(output)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn()?;
        let trace = Trace(child);
        let deadline = Instant::now() + ATTACH_MAX;
        while !is_traced(pid)? {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("not attached within {ATTACH_MAX:?}")));
            }
        }
        Ok(trace)
    }

    fn detach(mut self) -> io::Result<()> {
        let pid = Pid::from_raw(self.0.id() as i32).expect("a child has an id");
        kill_process(pid, Signal::INT)?;
        self.0.wait().map(drop)
    }
}

/// Whether somebody has hold of every thread of a process.
fn is_traced(pid: u32) -> io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        if status.lines().any(|line| line == "TracerPid:\t0") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes of each call that moved some.
#[derive(Debug, PartialEq)]
struct Calls {
    reads: Vec<u64>,
    sends: Vec<u64>,
}

impl Calls {
    /// As strace writes them: `12 pread64(3, "", 4096, 0) = 61`, or in two lines where others came between.
    fn of(text: &str) -> Calls {
        let mut calls = Calls { reads: Vec::new(), sends: Vec::new() };
        for line in text.lines() {
            let moved = line.rsplit_once(" = ").and_then(|(_, result)| result.trim().parse::<u64>().ok());
            let Some(bytes) = moved.filter(|bytes| *bytes > 0) else { continue };
            match line.contains("sendfile") {
                true => calls.sends.push(bytes),
                false => calls.reads.push(bytes),
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_moved_nothing_do_not_count() {
        let text = "7 sendfile(9, 12, [0] => [100], 100) = 100\n\
                    7 sendfile(9, 12, [100], 50) = -1 EAGAIN (Resource temporarily unavailable)\n\
                    7 pread64(12, \"=\", 4096, 0) = 61\n\
                    8 preadv(12,  <unfinished ...>\n\
                    7 <... sendfile resumed> => [150], 50) = 50\n\
                    8 <... preadv resumed>[{iov_base=\"a\", iov_len=1}], 1, 0) = 1\n";
        assert_eq!(Calls::of(text), Calls { reads: vec![61, 1], sends: vec![100, 50] });
    }
}
