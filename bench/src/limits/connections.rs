//! `logmill bench connections`: what a broker costs that has nothing to do, alone and with very many clients.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;
use logmill_server::net::runtime::raise_descriptor_limit;

use crate::crash::CommonArgs;
use crate::ledger::Clients;
use crate::rig::{Broker, Connection, Error, Usage};

/// No answer of a broker takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// From exec to the first answers, on an empty directory.
const START_MAX: Duration = Duration::from_millis(100);
/// Memory of a broker that has served nobody.
const EMPTY_BYTES_MAX: i64 = 40 << 20;
/// Memory with all connections open.
const RESIDENT_BYTES_MAX: i64 = 300 << 20;
/// Of one core, while nobody asks for anything.
const IDLE_SHARE_MAX: f64 = 0.005;
/// Descriptors that this process needs for other things.
const OTHER_DESCRIPTORS: u64 = 100;

/// Opens very many connections; each is served, then idles, and is served again.
#[derive(Debug, clap::Args)]
pub struct ConnectionsArgs {
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// For how long the broker is looked at that nobody asks for anything.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl ConnectionsArgs {
    /// A line for each figure; an error names all that are too large.
    pub fn run(&self) -> Result<(), Error> {
        let descriptors = raise_descriptor_limit();
        let needed = self.connections as u64 + OTHER_DESCRIPTORS;
        if descriptors.is_some_and(|max| max < needed) {
            let output = format!("{needed} are needed, the hard limit is {descriptors:?}");
            return Err(Error::Failed { what: "too few open files are allowed".into(), output });
        }
        let broker = Broker::logmill(self.common.broker(&[])?)?;
        let with_log = |what: String| Error::with_log(what, &broker.log_file());
        let mut figures = Figures::default();
        figures.add(
            "start to first answers",
            "ms",
            broker.start_time().as_millis() as f64,
            START_MAX.as_millis() as f64,
        );
        figures.add("resident, empty", "MiB", mib(broker.usage()?.resident_bytes), mib(EMPTY_BYTES_MAX));
        figures.add("idle, empty", "of a core", self.idle(&broker)?, IDLE_SHARE_MAX);
        let begun = Instant::now();
        let mut open = Vec::with_capacity(self.connections);
        for nth in 0..self.connections {
            open.push(
                connect(broker.address()).map_err(|error| with_log(format!("connection {nth}: {error}")))?,
            );
        }
        println!("{} connections opened and served in {:.1} s", open.len(), begun.elapsed().as_secs_f64());
        let resident = broker.usage()?.resident_bytes;
        figures.add("resident, connections open", "MiB", mib(resident), mib(RESIDENT_BYTES_MAX));
        figures.add("idle, connections open", "of a core", self.idle(&broker)?, IDLE_SHARE_MAX);
        Clients::create_topic(broker.address(), "one-more", 1)
            .map_err(|error| with_log(format!("a client more: {error}")))?;
        for (nth, connection) in open.iter_mut().enumerate() {
            let asked = connection.ask(0, &ApiVersionsRequest::default());
            asked.map_err(|error| with_log(format!("connection {nth}, the second time: {error}")))?;
        }
        let resident = broker.usage()?.resident_bytes;
        figures.add("resident, all served again", "MiB", mib(resident), mib(RESIDENT_BYTES_MAX));
        figures.verdict()
    }

    /// The broker's share of a core while nobody asks for anything.
    fn idle(&self, broker: &Broker) -> Result<f64, Error> {
        let (begun, before) = (Instant::now(), broker.usage()?);
        thread::sleep(Duration::from_secs(self.idle_seconds));
        let used: Usage = broker.usage()? - before;
        Ok(used.cpu().as_secs_f64() / begun.elapsed().as_secs_f64())
    }
}

fn connect(broker: SocketAddr) -> std::io::Result<Connection> {
    let mut connection = Connection::open(broker, PATIENCE)?;
    connection.ask(0, &ApiVersionsRequest::default())?;
    Ok(connection)
}

fn mib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Figures that have a limit.
#[derive(Debug, Default)]
struct Figures {
    too_large: Vec<String>,
}

impl Figures {
    fn add(&mut self, what: &str, unit: &str, figure: f64, max: f64) {
        let line = format!("{what}: {figure:.4} {unit}, at most {max} {unit}");
        println!("{line}");
        if figure > max {
            self.too_large.push(line);
        }
    }

    fn verdict(self) -> Result<(), Error> {
        match self.too_large.is_empty() {
            true => Ok(()),
            false => Err(Error::Failed { what: "too large".into(), output: self.too_large.join("\n") }),
        }
    }
}
