//! `Subject`: a broker that is going to crash, its clients, and the book that it is held against.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::ledger::{Book, Clients, ClientsOptions, read_all};
use crate::rig::{Broker, Error, Kernel, LogmillOptions};

pub(super) const TOPIC: &str = "ledger";

/// Producers that send at once.
pub(super) const PRODUCERS: usize = 4;

/// How long it may take until the load goes on after a start.
const FLOW_MAX: Duration = Duration::from_secs(30);

/// What every run against the real broker is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CommonArgs {
    /// Repeats the choices of an earlier run [default: new ones].
    #[arg(long)]
    seed: Option<u64>,
    /// Where disks, data and logs lie.
    #[arg(long, default_value = "target/crash")]
    dir: PathBuf,
    /// The program of the Logmill that is run [default: this one].
    #[arg(long)]
    logmill: Option<PathBuf>,
    /// A setting of the broker.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
    /// What the kernel grants the broker.
    #[arg(long, value_enum, default_value = "whole")]
    kernel: Kernel,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl CommonArgs {
    /// The seed of this run, which every line that it prints tells.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000_000))
    }

    /// Where everything lies, made and absolute.
    pub(crate) fn root(&self) -> Result<PathBuf, Error> {
        let what = format!("making {}", self.dir.display());
        let made = fs::create_dir_all(&self.dir).and_then(|()| self.dir.canonicalize());
        made.map_err(Error::io(what))
    }

    /// As these, with everything elsewhere, on a kernel that grants so much, and with other defaults.
    pub(super) fn placed(&self, dir: PathBuf, kernel: Kernel, defaults: &[(&str, &str)]) -> CommonArgs {
        let defaults = defaults.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        // Where a key is there twice the last one counts.
        let overrides = defaults.chain(self.overrides.iter().cloned()).collect();
        CommonArgs { dir, kernel, overrides, ..self.clone() }
    }

    pub(super) fn logmill(&self) -> Result<PathBuf, Error> {
        match &self.logmill {
            Some(path) => Ok(path.clone()),
            None => env::current_exe().map_err(Error::io("finding this program")),
        }
    }

    /// A broker with these log directories, or with its own.
    pub(crate) fn broker(&self, log_dirs: &[&Path]) -> Result<LogmillOptions, Error> {
        let mut options = LogmillOptions::new(self.logmill()?);
        options.root = self.root()?;
        options.kernel = self.kernel;
        if !log_dirs.is_empty() {
            let dirs: Vec<String> = log_dirs.iter().map(|dir| dir.display().to_string()).collect();
            options.properties.push(("log.dirs".into(), dirs.join(",")));
        }
        options.properties.extend(self.overrides.iter().cloned());
        Ok(options)
    }
}

/// Under load until it is dropped.
pub(super) struct Subject {
    pub(super) clients: Clients,
    pub(super) broker: Broker,
    pub(super) book: Arc<Book>,
}

impl Subject {
    /// Starts a broker and makes its topic; `through` gives the address that clients connect to.
    pub(super) fn start(
        options: LogmillOptions,
        seed: u64,
        partitions: usize,
        through: impl FnOnce(SocketAddr) -> Result<SocketAddr, Error>,
    ) -> Result<Subject, Error> {
        let broker = Broker::logmill(options)?;
        Clients::create_topic(broker.address(), TOPIC, partitions).map_err(Error::io("making the topic"))?;
        let address = through(broker.address())?;
        let all: Vec<i32> = (0..partitions as i32).collect();
        Ok(Subject::load_from(broker, address, vec![all; PRODUCERS], seed))
    }

    /// Puts clients before a broker that has its topic: a producer for each of these lists of partitions.
    pub(super) fn load_from(
        broker: Broker,
        address: SocketAddr,
        producers: Vec<Vec<i32>>,
        seed: u64,
    ) -> Subject {
        let partitions = producers.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        let book = Arc::new(Book::new(seed, partitions));
        let options = ClientsOptions { broker: address, topic: TOPIC.into(), producers, seed };
        Subject { clients: Clients::start(&options, &book), broker, book }
    }

    /// Lets clients go on, and returns when so many more records are acknowledged.
    pub(super) fn load(&self, records: u64) -> Result<(), Error> {
        self.clients.release();
        if self.clients.await_acknowledged(records, Instant::now() + FLOW_MAX) {
            return Ok(());
        }
        let what = format!("{records} records were not acknowledged within {FLOW_MAX:?}\n{}", self.book);
        Err(Error::with_log(what, &self.broker.log_file()))
    }

    /// SIGKILL, without waiting for what becomes of it: it may hang in a silent disk.
    pub(super) fn send_kill(&self) {
        let pid = self.broker.pid().and_then(|pid| Pid::from_raw(pid as i32));
        // Not reaped yet, so the id is the broker's; it may have ended by itself.
        let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
    }

    /// Reads everything twice, and holds both against the book.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_without(&[])
    }

    /// As `check`, of all but these partitions.
    pub(super) fn check_without(&self, without: &[i32]) -> Result<(), Error> {
        read(&self.broker, &self.book, without)?;
        read(&self.broker, &self.book, without)?;
        verdict(&self.broker, &self.book)
    }

    /// The end: everything that was sent is acknowledged, read, and read again after a clean stop.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let drained = self.clients.drain();
        drained.map_err(|what| Error::with_log(what, &self.broker.log_file()))?;
        read(&self.broker, &self.book, &[])?;
        let status = self.broker.stop()?;
        if !status.is_some_and(|status| status.success()) {
            let what = format!("a clean stop ended with {status:?}");
            return Err(Error::with_log(what, &self.broker.log_file()));
        }
        self.broker.restart()?;
        read(&self.broker, &self.book, &[])?;
        verdict(&self.broker, &self.book)
    }
}

/// An error when something contradicts the book.
fn verdict(broker: &Broker, book: &Book) -> Result<(), Error> {
    if book.verdict().is_empty() {
        return Ok(());
    }
    Err(Error::with_log(book.to_string(), &broker.log_file()))
}

/// Reads everything, and holds it against the book.
fn read(broker: &Broker, book: &Book, without: &[i32]) -> Result<(), Error> {
    read_all(broker.address(), TOPIC, book, without)
        .map_err(|error| Error::with_log(format!("reading it back: {error}"), &broker.log_file()))
}
