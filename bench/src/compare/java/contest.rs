//! The contenders, kept running side by side, and their legs.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::super::command::CompareArgs;
use super::super::meter::cpu_at_rest;
use super::leg::{Contender, Leg, LegCpu, LegLoad};
use super::producer::{Produced, Producer};
use crate::floor::{Ack, Floor, Load, Protocol, Settings, Work};
use crate::rig::{ApacheOptions, Broker, Error, Jars, LogmillOptions, Tool};

/// Partitions of the topic, and files of the floor.
const PARTITIONS: u32 = 16;
/// The Java client's default.
const BATCH_BYTES: u32 = 16_384;
/// The Java client's `max.in.flight.requests.per.connection`.
const IN_FLIGHT: usize = 5;
/// How long a deleted topic's files may stay.
const DELETE_MAX: Duration = Duration::from_secs(60);
/// Brokers remove a deleted topic's files after this rather than after a minute, so that no leg pays for
/// the one before it.
const DELETE_DELAY: (&str, &str) = ("log.segment.delete.delay.ms", "1000");

/// The brokers: started once and kept, so that every leg meets a warm one; an idle one costs the others a
/// few percent of a core at most. Beside the Apache Kafka that is kept each round starts one of its own.
pub(super) struct Contest<'a> {
    args: &'a CompareArgs,
    jars: Jars,
    apache: Broker,
    page_cache: Broker,
    durable: Broker,
    topics: Cell<u32>,
}

impl Contest<'_> {
    /// Starts and warms the brokers.
    pub(super) fn start(args: &CompareArgs) -> Result<Contest<'_>, Error> {
        let jars = args.jars()?;
        let apache = start_apache(args, &jars)?;
        let logmill = |ack: &str| {
            Broker::logmill(LogmillOptions {
                properties: vec![property(DELETE_DELAY), property(("logmill.ack", ack))],
                root: args.dir.clone(),
                ..LogmillOptions::new(args.logmill()?)
            })
        };
        let (page_cache, durable) = (logmill("page-cache")?, logmill("durable")?);
        let contest = Contest { args, jars, apache, page_cache, durable, topics: Cell::new(0) };
        contest.produce(&contest.apache, contest.load(args.java_producer.warm_up_records))?;
        for logmill in [&contest.page_cache, &contest.durable] {
            contest.produce(logmill, contest.load(args.java_producer.first_records))?;
        }
        Ok(contest)
    }

    /// One leg of each contender, in their order.
    pub(super) fn round(&self) -> Result<Vec<Leg>, Error> {
        // The floor's legs copy the Logmill leg, which comes before them.
        let mut model = None;
        let mut legs = Vec::new();
        for contender in Contender::ALL {
            let leg = match contender {
                Contender::ApacheFresh => self.fresh_apache()?,
                Contender::ApacheWarm => self.leg(contender, &self.apache)?.0,
                Contender::LogmillPageCache => {
                    let (leg, produced) = self.leg(contender, &self.page_cache)?;
                    model = Some(produced);
                    leg
                }
                Contender::LogmillDurable => self.leg(contender, &self.durable)?.0,
                Contender::Floor | Contender::FloorGroupCommit | Contender::FloorUnpaced => {
                    self.floor(contender, model.expect("the model's leg comes first"))?
                }
            };
            eprintln!(
                "  {:<38} {:>9.0} records/s {:>7.1} MB/s {:>7.3} CPU s/GB, client {:.2}, {:.1} batches of {:.0} bytes a \
                 request",
                contender.title(),
                leg.records_per_s,
                leg.mb_per_s,
                leg.cpu_s_per_gb,
                leg.client_cpu_s_per_gb,
                leg.shape.batches(),
                leg.shape.batch_bytes
            );
            legs.push(leg);
        }
        Ok(legs)
    }

    /// A leg of a broker that is started for it.
    fn fresh_apache(&self) -> Result<Leg, Error> {
        let broker = start_apache(self.args, &self.jars)?;
        self.produce(&broker, self.load(self.args.java_producer.first_records))?;
        Ok(self.leg(Contender::ApacheFresh, &broker)?.0)
    }

    fn leg(&self, contender: Contender, broker: &Broker) -> Result<(Leg, Produced), Error> {
        let load = self.load(self.args.java_producer.records);
        let (produced, cpu) = self.produce(broker, load)?;
        Ok((Leg::new(contender, load, produced.shape, produced.elapsed, cpu), produced))
    }

    fn produce(&self, broker: &Broker, load: LegLoad) -> Result<(Produced, LegCpu), Error> {
        self.topics.set(self.topics.get() + 1);
        let topic = format!("compare{}", self.topics.get());
        let bootstrap = broker.bootstrap();
        self.topic_command(
            &bootstrap,
            &["--create", "--topic", &topic, "--partitions", &PARTITIONS.to_string()],
        )?;
        let pid = broker.pid().ok_or_else(|| failed(format!("the broker at {bootstrap} has stopped")))?;
        let cpu = clean_start(pid)?;
        let producer = Producer {
            jars: &self.jars,
            bootstrap: &bootstrap,
            topic: &topic,
            records: load.records,
            record_bytes: load.record_bytes,
            batch_bytes: BATCH_BYTES,
            records_per_s: None,
        };
        let produced = producer.run()?;
        let cpu = LegCpu { server: cpu_at_rest(pid)? - cpu, client: produced.cpu };
        self.topic_command(&bootstrap, &["--delete", "--topic", &topic])?;
        wait_until_gone(&broker.log_dir(), &topic)?;
        Ok((produced, cpu))
    }

    fn topic_command(&self, bootstrap: &str, arguments: &[&str]) -> Result<(), Error> {
        let output = Tool::new(&self.jars, "org.apache.kafka.tools.TopicCommand")
            .arguments(["--bootstrap-server", bootstrap])
            .arguments(arguments.iter().copied())
            .run()?;
        if output.code == 0 {
            return Ok(());
        }
        Err(Error::Failed {
            what: format!("TopicCommand {}: exit code {}", arguments.join(" "), output.code),
            output: output.stdout + &output.stderr,
        })
    }

    fn floor(&self, contender: Contender, model: Produced) -> Result<Leg, Error> {
        let wire_bytes = model.shape.wire_bytes(self.args.java_producer.records);
        let dir = self.floor_dir();
        let settings = Settings {
            dir: dir.clone(),
            protocol: Protocol::Floor,
            threads: 1,
            ack: if contender == Contender::FloorGroupCommit { Ack::GroupCommit } else { Ack::PageCache },
            segment_bytes: 1 << 30,
            // Nothing is removed within a leg, as the brokers remove nothing.
            sealed_bytes_max: u64::MAX,
        };
        let io = |what: &str| {
            let what = format!("{what} the floor in {}", dir.display());
            move |source| Error::Io { what, source }
        };
        fs::create_dir_all(&dir).map_err(io("making the directory of"))?;
        let own = std::env::current_exe().map_err(io("finding the program of"))?;
        let floor = Floor::start(&own, &settings).map_err(io("starting"))?;
        let cpu = clean_start(floor.pid())?;
        let paced = contender != Contender::FloorUnpaced;
        let load = Load {
            connect: floor.address(),
            work: Work::Put,
            connections: 1,
            in_flight: IN_FLIGHT,
            files: PARTITIONS,
            batches: model.shape.batches(),
            batch_bytes: model.shape.batch_bytes as u32,
            rate: paced.then(|| (wire_bytes as f64 / model.elapsed.as_secs_f64()) as u64),
            // A light client would leave the floor caches and cores that Logmill did not have.
            cpu_s_per_gb: paced.then(|| model.cpu.as_secs_f64() / (wire_bytes as f64 / 1e9)),
            total_bytes: wire_bytes,
        };
        let report = load.run().map_err(io("loading"))?;
        let cpu = LegCpu { server: cpu_at_rest(floor.pid())? - cpu, client: report.cpu };
        drop(floor);
        fs::remove_dir_all(&dir).map_err(io("removing"))?;
        Ok(Leg::new(contender, self.load(self.args.java_producer.records), model.shape, report.elapsed, cpu))
    }

    fn load(&self, records: u64) -> LegLoad {
        LegLoad { records, record_bytes: self.args.java_producer.record_bytes }
    }

    /// Beside a broker's logs, where the rig removes it however this process ends.
    fn floor_dir(&self) -> PathBuf {
        self.apache.log_dir().with_file_name("floor")
    }
}

fn start_apache(args: &CompareArgs, jars: &Jars) -> Result<Broker, Error> {
    Broker::apache(ApacheOptions {
        heap: args.heap.clone(),
        properties: vec![property(DELETE_DELAY)],
        root: args.dir.clone(),
        ..ApacheOptions::new(jars.clone())
    })
}

fn property((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Writes back what earlier legs left dirty, so that no leg pays for it; the CPU time of the server that
/// is about to be loaded.
fn clean_start(pid: u32) -> Result<Duration, Error> {
    rustix::fs::sync();
    cpu_at_rest(pid)
}

fn wait_until_gone(log_dir: &Path, topic: &str) -> Result<(), Error> {
    let deadline = Instant::now() + DELETE_MAX;
    loop {
        let listed = fs::read_dir(log_dir)
            .map_err(|source| Error::Io { what: format!("listing {}", log_dir.display()), source })?;
        let left = listed
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{topic}-")))
            .count();
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(failed(format!("{left} directories of {topic} in {} stay", log_dir.display())));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn failed(what: String) -> Error {
    Error::Failed { what, output: String::new() }
}
