//! `DiskProcess`: the rig's end of a disk.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::disk::FILE;
use super::order::Order;
use super::serve::{DiskArgs, SERVING};
use crate::rig::process::{Launch, Output, Process};
use crate::rig::{Error, Kernel};

/// The disk obeys at once; it is told of only when it runs.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A disk of our own; it is gone when this is dropped.
pub(super) struct DiskProcess {
    file: PathBuf,
    input: ChildStdin,
    answers: Receiver<String>,
    losses: Receiver<String>,
    _process: Process,
}

impl DiskProcess {
    /// Starts `logmill bench disk` and waits until its file is there.
    pub(super) fn start(logmill: PathBuf, disk: &DiskArgs) -> Result<DiskProcess, Error> {
        let mut arguments: Vec<OsString> = vec!["bench".into(), "disk".into(), "--dir".into()];
        arguments.push(disk.dir.clone().into());
        arguments.extend(["--bytes".into(), disk.bytes.to_string().into()]);
        arguments.extend(["--sector-bytes".into(), disk.sector_bytes.to_string().into()]);
        let launch = Launch { program: logmill, arguments, environment: Vec::new(), kernel: Kernel::Whole };
        let mut process = Process::spawn(&launch, Output::Pipes)?;
        let (input, output, errors) = process.pipes();
        let (answer, answers) = mpsc::channel();
        let (loss, losses) = mpsc::channel();
        let output = output.expect("piped");
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let to = if line.starts_with("cut: ") { &loss } else { &answer };
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = errors.expect("piped");
        thread::spawn(move || {
            BufReader::new(errors).lines().map_while(Result::ok).for_each(|line| eprintln!("disk: {line}"));
        });
        let disk = DiskProcess {
            file: disk.dir.join(FILE),
            input: input.expect("piped"),
            answers,
            losses,
            _process: process,
        };
        match disk.answer()?.as_str() {
            SERVING => Ok(disk),
            line => Err(failed(format!("the disk said {line:?} at its start"))),
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// Returns when it was obeyed.
    pub(super) fn order(&mut self, order: Order) -> Result<(), Error> {
        let line = format!("{order}\n");
        self.input.write_all(line.as_bytes()).map_err(Error::io("writing to the disk's process"))?;
        match self.answer()?.as_str() {
            "ok" => Ok(()),
            line => Err(failed(format!("the disk answered {order} by {line:?}"))),
        }
    }

    /// Waits for a cut whose moment was to come, and returns what it did. None: it did not come.
    pub(super) fn await_cut(&mut self, deadline: Instant) -> Result<Option<String>, Error> {
        match self.losses.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(failed("the disk's process ended".into())),
        }
    }

    fn answer(&self) -> Result<String, Error> {
        self.answers.recv_timeout(ANSWER_MAX).map_err(|_| failed("the disk's process does not answer".into()))
    }
}

fn failed(what: String) -> Error {
    Error::Failed { what, output: String::new() }
}
