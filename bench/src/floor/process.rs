//! A floor in a process of its own, so that its CPU is accounted as a broker's is.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::serve::{Ack, Protocol, Settings};
use crate::child::TiedChild;

/// What the floor's process prints before its address.
pub(super) const LISTENING: &str = "floor listening on ";

/// A running floor; killed when dropped.
#[derive(Debug)]
pub struct Floor {
    child: TiedChild,
    address: SocketAddr,
}

impl Floor {
    /// Starts `logmill bench floor serve` and waits until it listens.
    pub fn start(logmill: &Path, settings: &Settings) -> io::Result<Floor> {
        let ack = match settings.ack {
            Ack::PageCache => "page-cache",
            Ack::GroupCommit => "group-commit",
        };
        let protocol = match settings.protocol {
            Protocol::Floor => "floor",
            Protocol::Kafka => "kafka",
        };
        let mut command = Command::new(logmill);
        command
            .args(["bench", "floor", "serve", "--ack", ack, "--protocol", protocol, "--dir"])
            .arg(&settings.dir)
            .args(["--threads", &settings.threads.to_string()])
            .args(["--segment-bytes", &settings.segment_bytes.to_string()])
            .args(["--sealed-bytes-max", &settings.sealed_bytes_max.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = TiedChild::spawn(&mut command)?;
        let stdout = child.0.stdout.take().expect("piped above");
        let mut line = String::new();
        let address = BufReader::new(stdout)
            .read_line(&mut line)
            .ok()
            .and_then(|_| line.trim_end().strip_prefix(LISTENING)?.parse().ok());
        let Some(address) = address else {
            return Err(io::Error::other(format!("{} started no floor: {line:?}", logmill.display())));
        };
        Ok(Floor { child, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }
}
