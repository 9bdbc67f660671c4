//! `Fleet`: the servers, started when they are first needed and kept, so that every leg meets a warm one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::cases::BASE;
use super::contender::Contender;
use super::light;
use super::server::Server;
use crate::floor::{Ack, Floor, Protocol, Settings};
use crate::rig::directory::RunDirectory;
use crate::rig::{ApacheOptions, Broker, Error, Jars, LogmillOptions};

/// Brokers remove a deleted topic's files after this rather than after a minute, so that no leg pays for the one
/// before it.
const DELETE_DELAY: (&str, &str) = ("log.segment.delete.delay.ms", "1000");
const WARM_UP_TOPIC: &str = "warm-up";

/// How servers are started.
pub(super) struct Setup {
    /// None when the Apache Kafka to compare with runs already.
    pub jars: Option<Jars>,
    pub bootstrap: Option<SocketAddr>,
    pub heap: String,
    pub kafka_properties: Vec<(String, String)>,
    pub tuning: Option<Tuning>,
    pub logmill: PathBuf,
    pub dir: PathBuf,
    /// For how long a broker is loaded before its first leg: a JVM has to compile its code.
    pub warm_up_seconds: f64,
}

/// Settings of Apache Kafka that a sweep goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tuning {
    pub network_threads: u32,
    pub io_threads: u32,
    pub heap: String,
}

impl Tuning {
    /// All that a sweep tries; Apache Kafka's own default is three and eight.
    pub(super) fn all() -> Vec<Tuning> {
        let of = |heap: &str, (network_threads, io_threads)| Tuning {
            network_threads,
            io_threads,
            heap: heap.to_owned(),
        };
        let threads = [(2, 2), (3, 8), (8, 16)];
        ["1g", "4g"].iter().flat_map(|heap| threads.map(|threads| of(heap, threads))).collect()
    }

    pub(super) fn title(&self) -> String {
        format!(
            "num.network.threads={}, num.io.threads={}, heap {}",
            self.network_threads, self.io_threads, self.heap
        )
    }

    fn properties(&self) -> [(String, String); 2] {
        [
            ("num.network.threads".into(), self.network_threads.to_string()),
            ("num.io.threads".into(), self.io_threads.to_string()),
        ]
    }
}

impl Setup {
    /// A new broker of a contender's, with properties beside the usual ones. Of a floor there is `floor`.
    pub(super) fn broker(
        &self,
        contender: Contender,
        properties: &[(&str, &str)],
    ) -> Result<Box<Broker>, Error> {
        let mut all: Vec<(String, String)> = [DELETE_DELAY].iter().chain(properties).map(owned).collect();
        if !contender.is_kafka() {
            let ack = if contender == Contender::PageCache { "page-cache" } else { "durable" };
            all.push(("logmill.ack".into(), ack.into()));
            let options = LogmillOptions {
                properties: all,
                root: self.dir.clone(),
                ..LogmillOptions::new(self.logmill.clone())
            };
            return Broker::logmill(options).map(Box::new);
        }
        let tuning = self.tuning.as_ref().filter(|_| contender == Contender::KafkaTuned);
        self.apache(all, tuning)
    }

    /// A new Apache Kafka with the settings of a sweep.
    pub(super) fn tuned(&self, tuning: &Tuning) -> Result<Box<Broker>, Error> {
        self.apache(vec![owned(&DELETE_DELAY)], Some(tuning))
    }

    fn apache(
        &self,
        mut properties: Vec<(String, String)>,
        tuning: Option<&Tuning>,
    ) -> Result<Box<Broker>, Error> {
        properties.extend(self.kafka_properties.iter().cloned());
        properties.extend(tuning.into_iter().flat_map(Tuning::properties));
        let jars = self.jars.clone().ok_or_else(|| {
            super::server::failed("a broker that runs already cannot be started or stopped".into())
        })?;
        let heap = tuning.map_or(&self.heap, |tuning| &tuning.heap).clone();
        Broker::apache(ApacheOptions { heap, properties, root: self.dir.clone(), ..ApacheOptions::new(jars) })
            .map(Box::new)
    }

    /// A new floor in a directory of its own.
    pub(super) fn floor(&self, contender: Contender) -> Result<Server, Error> {
        let dir = RunDirectory::create(&self.dir)?;
        let settings = Settings {
            dir: dir.path().to_owned(),
            protocol: Protocol::Kafka,
            threads: 1,
            ack: if contender == Contender::FloorSync { Ack::GroupCommit } else { Ack::PageCache },
            // Fetches are served of the active file only.
            segment_bytes: 64 << 30,
            sealed_bytes_max: 64 << 30,
        };
        let own = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let floor = Floor::start(&own, &settings).map_err(Error::io("starting the floor"))?;
        Ok(Server::Floor(floor, dir))
    }

    /// Loads a broker until it is warm.
    pub(super) fn warm_up(&self, server: &Server) -> Result<(), Error> {
        server.create_topic(WARM_UP_TOPIC, BASE.partitions, &[])?;
        light::run(server.address(), &light::produce(&BASE, WARM_UP_TOPIC, self.warm_up_seconds, 0.0))?;
        server.delete_topic(WARM_UP_TOPIC)
    }
}

fn owned((key, value): &(&str, &str)) -> (String, String) {
    ((*key).to_owned(), (*value).to_owned())
}

/// The brokers that run.
pub(super) struct Fleet {
    pub(super) setup: Setup,
    kept: BTreeMap<Contender, Server>,
}

impl Fleet {
    pub(super) fn new(setup: Setup) -> Fleet {
        Fleet { setup, kept: BTreeMap::new() }
    }

    /// Who serves a contender's legs: Apache Kafka's topics with and without flush lie on one broker.
    fn keeper(contender: Contender) -> Contender {
        if contender == Contender::KafkaFlush { Contender::Kafka } else { contender }
    }

    /// The broker of a contender, started and warmed if need be.
    pub(super) fn server(&mut self, contender: Contender) -> Result<&Server, Error> {
        let keeper = Fleet::keeper(contender);
        if !self.kept.get(&keeper).is_some_and(Server::is_alive) {
            self.kept.remove(&keeper);
            let server = match self.setup.bootstrap {
                Some(address) if keeper == Contender::Kafka => Server::Given(address),
                _ => {
                    eprintln!("  starting and warming {}", keeper.title());
                    Server::Broker(self.setup.broker(keeper, &[])?)
                }
            };
            self.setup.warm_up(&server)?;
            self.kept.insert(keeper, server);
        }
        Ok(self.kept.get(&keeper).expect("inserted above"))
    }

    /// Stops them all: what comes next is not to have a neighbour.
    pub(super) fn stop(&mut self) {
        self.kept.clear();
    }
}
