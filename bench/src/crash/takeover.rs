//! `logmill bench takeover`: on a directory that Apache Kafka formatted Logmill is killed under load, and Apache
//! Kafka takes it over again, with every acknowledged record.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::subject::{CommonArgs, PRODUCERS, Subject, TOPIC};
use crate::ledger::Clients;
use crate::rig::{ApacheOptions, Broker, Error, Jars, JvmProfile};

const PARTITIONS: usize = 8;

/// What keeps Apache Kafka out while a journal may hold what segments lack.
const GUARD: &str = "logmill.unclean";

/// Apache Kafka ends by itself within this when it must not start.
const REFUSAL_MAX: Duration = Duration::from_secs(60);

/// Kill Logmill on a directory of Apache Kafka's: it refuses to start there, and after `logmill log recover` it
/// starts and has every acknowledged record.
#[derive(Debug, clap::Args)]
pub struct TakeoverArgs {
    /// How often.
    #[arg(long, default_value_t = 20)]
    times: u32,
    #[command(flatten)]
    common: CommonArgs,
}

impl TakeoverArgs {
    /// Does it, prints a line for each time, and returns at the first contradiction.
    pub fn run(&self) -> Result<(), Error> {
        let seed = self.common.seed();
        let mut random = StdRng::seed_from_u64(seed);
        let apache = ApacheOptions {
            profile: JvmProfile::QuickStart,
            root: self.common.root()?,
            ..ApacheOptions::new(Jars::fetched()?)
        };
        let mut broker = Broker::apache(apache.clone())?;
        let address = broker.address();
        Clients::create_topic(address, TOPIC, PARTITIONS).map_err(Error::io("making the topic"))?;
        broker.become_logmill(self.common.broker(&[])?)?;
        broker.restart()?;
        let all: Vec<i32> = (0..PARTITIONS as i32).collect();
        let mut subject = Subject::load_from(broker, address, vec![all; PRODUCERS], seed);
        for nth in 1..=self.times {
            let name = format!("takeover: seed {seed} time {nth}");
            let (records, pause) = (random.random_range(1..5_000), random.random_range(0..50));
            subject.load(records)?;
            std::thread::sleep(Duration::from_millis(pause));
            let begun = Instant::now();
            self.take_over(&mut subject, &apache)
                .map_err(|error| Error::Failed { what: name.clone(), output: error.to_string() })?;
            let tally = subject.book.tally();
            println!(
                "{name}: {} acknowledged, {} there; Apache Kafka refused, and serves after {:.1} s; in all {:.1} s",
                tally.acknowledged,
                tally.known,
                subject.broker.start_time().as_secs_f64(),
                begun.elapsed().as_secs_f64()
            );
            subject.broker.become_logmill(self.common.broker(&[])?)?;
            subject.broker.restart()?;
        }
        println!("takeover: {} times, Apache Kafka had every acknowledged record", self.times);
        subject.finish()
    }

    /// Kill, refusal, recovery, takeover, check.
    fn take_over(&self, subject: &mut Subject, apache: &ApacheOptions) -> Result<(), Error> {
        subject.broker.kill();
        subject.clients.hold();
        subject.broker.become_apache(apache.clone())?;
        refuses(&mut subject.broker)?;
        self.recover(&subject.broker)?;
        subject.broker.restart()?;
        subject.check()
    }

    fn recover(&self, broker: &Broker) -> Result<(), Error> {
        let mut recover = Command::new(self.common.logmill()?);
        recover.args(["log", "recover", "--config"]).arg(broker.config_file());
        let output = recover.output().map_err(Error::io("running logmill log recover"))?;
        if output.status.success() && !broker.log_dir().join(GUARD).exists() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let what = format!("logmill log recover ended with {}", output.status);
        Err(Error::Failed { what, output: String::from_utf8_lossy(&said).into_owned() })
    }
}

/// Apache Kafka must not start, and say why.
fn refuses(broker: &mut Broker) -> Result<(), Error> {
    let log = broker.log_file();
    let before = fs::metadata(&log).map_or(0, |log| log.len());
    let started = broker.launch()?;
    let status = broker.await_end(started + REFUSAL_MAX);
    let content = fs::read(&log).map_err(Error::io(format!("reading {}", log.display())))?;
    let said = String::from_utf8_lossy(content.get(before as usize..).unwrap_or_default()).into_owned();
    match status {
        Some(status) if !status.success() && said.contains(GUARD) => Ok(()),
        _ => Err(Error::with_log(format!("Apache Kafka beside {GUARD}: {status:?}"), &log)),
    }
}
