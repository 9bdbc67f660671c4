//! `logmill bench compare`: its arguments, what they refuse, its output.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::cases::{BASE, Case, Work, grid};
use super::contender::Contender;
use super::fleet::Setup;
use super::java::JavaArgs;
use super::machine;
use super::report::Report;
use super::run::{self, End, Run};
use super::server::failed;
use super::state::State;
use super::{html, table};
use crate::rig::{self, Error, Jars, KAFKA_VERSION};

/// Of a run that only shows that everything runs.
const QUICK_SECONDS: f64 = 1.0;
const QUICK_PAIRS: u32 = 1;
const QUICK_GIB: u64 = 3;
/// Bytes in a GiB.
const GIB: u64 = 1 << 30;

/// What is compared, how often, and where.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Cases, separated by commas [default: all but java-producer]; --list names them.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Lists the cases with what is done of them and the minutes that they take, and ends.
    #[arg(long)]
    list: bool,
    /// Pairs of each case [default: five of what has a wanted ratio, two of the axes].
    #[arg(long)]
    pairs: Option<u32>,
    /// Seconds of a leg.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Seconds that a broker is loaded before its first leg.
    #[arg(long, default_value_t = 30.0)]
    warm_up_seconds: f64,
    /// Begins no leg that would end later than this; the same command goes on from there.
    #[arg(long, default_value_t = 120)]
    pub(super) minutes: u64,
    /// All combinations of the axes of produce, instead of one axis at a time; takes most of a day.
    #[arg(long)]
    grid: bool,
    /// Sweeps the threads and the heap of Apache Kafka first, and has the best of them take part in the cases where
    /// that matters most.
    #[arg(long, conflicts_with = "bootstrap")]
    pub(super) tuned: bool,
    /// Whose clients send.
    #[arg(long, value_enum, default_value = "light")]
    pub(super) client: Client,
    /// One pair of legs of a second, and small backlogs: shows that everything runs, and is no measurement.
    #[arg(long)]
    pub(super) quick: bool,
    /// Forgets the legs that are done.
    #[arg(long)]
    fresh: bool,
    /// Ends non-zero when a wanted ratio is missed or could not be measured.
    #[arg(long)]
    check: bool,
    /// Where the data lies, on the disk that is to be measured, and the report.
    #[arg(long, default_value = "target/compare")]
    pub(super) dir: PathBuf,
    /// The program of the Logmill that is compared [default: this one].
    #[arg(long)]
    logmill: Option<PathBuf>,
    /// A directory with Apache Kafka's jars [default: fetched with Maven].
    #[arg(long)]
    kafka_dir: Option<PathBuf>,
    /// A file of settings for Apache Kafka, beside and instead of the rig's.
    #[arg(long)]
    kafka_properties: Option<PathBuf>,
    /// The java that runs Apache Kafka and its tools [default: of JAVA_HOME, or in PATH].
    #[arg(long)]
    java: Option<PathBuf>,
    /// Heap of Apache Kafka's broker.
    #[arg(long, default_value = "1g")]
    pub(super) heap: String,
    /// A broker that runs already takes Apache Kafka's place; nothing is accounted of its process.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    #[command(flatten)]
    pub(super) java_producer: JavaArgs,
}

/// Whose clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Client {
    /// Our own: it leaves the processor to the brokers.
    Light,
    /// kafka-producer-perf-test and kafka-e2e-latency, in the cases that they can run.
    Apache,
}

impl CompareArgs {
    /// Compares, and prints and writes the report.
    pub fn run(&self) -> Result<(), Error> {
        let cases = run::named(&self.cases, if self.grid { grid() } else { Vec::new() })?;
        let cases: Vec<Case> = match self.grid && self.cases.is_empty() {
            true => grid(),
            false => cases,
        };
        fs::create_dir_all(&self.dir).map_err(Error::io(format!("making {}", self.dir.display())))?;
        if let Some(java) = &self.java {
            rig::use_java(java)?;
        }
        let settings = self.settings()?;
        let path = self.dir.join("compare.jsonl");
        if self.fresh && path.exists() {
            fs::remove_file(&path).map_err(Error::io(format!("removing {}", path.display())))?;
        }
        let state = State::open(&path, &settings)?;
        if self.list {
            self.print_list(&cases, &state);
            return Ok(());
        }
        self.check_room(&cases)?;
        eprintln!("{}", self.estimate(&cases, &state));
        let mut run = Run::new(self, self.setup()?, state);
        let end = run.all(&cases)?;
        let report = Report::new(&cases, self.facts()?, &run.state);
        self.write(&report)?;
        if end == End::OutOfTime {
            println!("\nThe {} minutes are up; the same command goes on from here.", self.minutes);
        }
        self.verdict(&report)
    }

    fn write(&self, report: &Report<'_>) -> Result<(), Error> {
        let text = table::markdown(report);
        println!("{text}");
        let files = [
            ("compare.md", text),
            ("compare.json", format!("{:#}\n", table::json(report))),
            ("compare.html", html::page(report)),
        ];
        for (name, content) in files {
            let path = self.dir.join(name);
            fs::write(&path, content).map_err(Error::io(format!("writing {}", path.display())))?;
            println!("written: {}", path.display());
        }
        Ok(())
    }

    fn verdict(&self, report: &Report<'_>) -> Result<(), Error> {
        let not_met: Vec<String> = report
            .verdicts()
            .into_iter()
            .filter(|verdict| verdict.is_met() != Some(true))
            .map(|verdict| format!("{}, wanted {}: {}", verdict.what, verdict.limit.text(), verdict.text()))
            .collect();
        match self.check && !not_met.is_empty() {
            true => Err(Error::Failed { what: "not all that is wanted".into(), output: not_met.join("\n") }),
            false => Ok(()),
        }
    }

    /// What legs must have in common to be compared.
    fn settings(&self) -> Result<Value, Error> {
        Ok(json!({
            "seconds": self.leg_seconds(),
            "warm_up_seconds": self.warm_up_seconds(),
            "quick": self.quick,
            "client": format!("{:?}", self.client),
            "heap": self.heap,
            "kafka_properties": self.properties()?,
            "bootstrap": self.bootstrap,
            "tuned": self.tuned,
            // Legs of another build are those of another program.
            "logmill": build_of(&self.logmill()?)?,
        }))
    }

    fn facts(&self) -> Result<Vec<(String, String)>, Error> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = machine::facts(&self.dir);
        let kafka = match &self.bootstrap {
            Some(bootstrap) => format!("the broker at {bootstrap}, whose process is not accounted for"),
            None => {
                let properties: String =
                    self.properties()?.iter().map(|(key, value)| format!(", {key}={value}")).collect();
                let version = match &self.kafka_dir {
                    Some(dir) => format!("jars of {}", dir.display()),
                    None => KAFKA_VERSION.to_owned(),
                };
                format!(
                    "{version}, current defaults, G1, heap {}{properties}; in rows (b) the topic has flush.messages=1",
                    self.heap
                )
            }
        };
        // Where nothing of Java's is started, it need not be there.
        if self.bootstrap.is_none() || self.client == Client::Apache {
            facts.push(fact("Java", machine::java_version(&rig::java()?)));
        }
        facts.push(fact("Apache Kafka", kafka));
        facts.push(fact(
            "Logmill",
            format!(
                "{}, defaults but for logmill.ack, which is durable (the default) or page-cache as the row says",
                env!("CARGO_PKG_VERSION")
            ),
        ));
        facts.push(fact(
            "both",
            "log.segment.delete.delay.ms=1000, so that no leg pays for the one before it".into(),
        ));
        let client = match self.client {
            Client::Light => "light, on the same machine",
            Client::Apache => "Apache Kafka's tools, on the same machine",
        };
        facts.push(fact("client", client.into()));
        let quick = if self.quick { "; quick: no measurement" } else { "" };
        facts.push(fact("a leg", format!("{} s{quick}", self.leg_seconds())));
        Ok(facts)
    }

    fn setup(&self) -> Result<Setup, Error> {
        let bootstrap = self.bootstrap.as_deref().map(address).transpose()?;
        Ok(Setup {
            jars: if bootstrap.is_some() { None } else { Some(self.jars()?) },
            bootstrap,
            heap: self.heap.clone(),
            kafka_properties: self.properties()?,
            tuning: None,
            logmill: self.logmill()?,
            dir: self.dir.clone(),
            warm_up_seconds: self.warm_up_seconds(),
        })
    }

    fn properties(&self) -> Result<Vec<(String, String)>, Error> {
        let Some(path) = &self.kafka_properties else { return Ok(Vec::new()) };
        let text = fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
        properties(&text).map_err(|line| failed(format!("{}: no key=value: {line}", path.display())))
    }

    fn print_list(&self, cases: &[Case], state: &State) {
        for case in cases {
            let contenders = self.contenders(case);
            let pairs = self.pairs(case);
            let done = (1..=pairs)
                .filter(|pair| contenders.iter().all(|who| state.is_done(&case.name, *pair, *who)))
                .count();
            println!(
                "{:<28} {done} of {pairs} pairs, {:>4.0} min  {}",
                case.name,
                self.case_seconds(case) / 60.0,
                case.title
            );
        }
        println!("{}", self.estimate(cases, state));
    }

    fn estimate(&self, cases: &[Case], state: &State) -> String {
        let seconds: f64 = cases.iter().map(|case| self.case_seconds(case)).sum();
        let done = state.legs().iter().filter(|leg| leg.result.is_ok()).count();
        format!(
            "{} cases, about {:.0} minutes from nothing; {done} legs are done",
            cases.len(),
            seconds / 60.0
        )
    }

    fn case_seconds(&self, case: &Case) -> f64 {
        let part = if self.quick { 0.1 } else { 1.0 };
        run::case_seconds(case, self.pairs(case), self.contenders(case).len(), self.leg_seconds(), part)
    }

    /// An error when the disk has no room for what the cases write.
    fn check_room(&self, cases: &[Case]) -> Result<(), Error> {
        let gib = if self.quick { QUICK_GIB } else { cases.iter().map(Case::disk_gib).max().unwrap_or(0) };
        let stat = rustix::fs::statvfs(&self.dir).map_err(|error| {
            Error::io(format!("asking for the room in {}", self.dir.display()))(error.into())
        })?;
        let free = stat.f_bavail * stat.f_frsize;
        if free >= gib * GIB {
            return Ok(());
        }
        let what = format!(
            "{} has {:.1} GiB free, the cases need {gib}: choose another disk with --dir, or fewer cases with --cases",
            self.dir.display(),
            free as f64 / GIB as f64
        );
        Err(failed(what))
    }

    /// Refuses what the chosen clients cannot do.
    pub(super) fn refuse_client(&self, case: &Case) -> Result<(), Error> {
        let is_by_tools = match case.work {
            // One producer, without keys, stands for the base's four.
            Work::Produce(shape) => shape.producers == BASE.producers && !shape.has_keys,
            Work::Latency { .. } | Work::Roll | Work::Tail { fan_out: 1 } => true,
            // No client sends anything that is measured.
            Work::StartEmpty | Work::StartFull { .. } | Work::Idle { .. } => true,
            _ => false,
        };
        match self.client == Client::Apache && !is_by_tools {
            true => Err(failed(format!(
                "{}: kafka-producer-perf-test and kafka-e2e-latency have no such load",
                case.name
            ))),
            false => Ok(()),
        }
    }

    /// Who takes part in a case. Of tools there is no way to load the floor.
    pub(super) fn contenders(&self, case: &Case) -> Vec<Contender> {
        let mut contenders = case.contenders(self.tuned);
        if self.client == Client::Apache {
            contenders.retain(|contender| !contender.is_floor());
        }
        if self.bootstrap.is_some() && !case.is_of_given() {
            contenders.retain(|contender| !contender.is_kafka());
        }
        contenders
    }

    pub(super) fn pairs(&self, case: &Case) -> u32 {
        self.pairs.unwrap_or(if self.quick { QUICK_PAIRS } else { case.pairs })
    }

    pub(super) fn leg_seconds(&self) -> f64 {
        if self.quick { QUICK_SECONDS } else { self.seconds }
    }

    fn warm_up_seconds(&self) -> f64 {
        if self.quick { QUICK_SECONDS } else { self.warm_up_seconds }
    }

    pub(super) fn jars(&self) -> Result<Jars, Error> {
        match &self.kafka_dir {
            Some(dir) => Jars::in_directory(dir),
            None => Jars::fetched(),
        }
    }

    /// The Logmill that is compared.
    pub(super) fn logmill(&self) -> Result<PathBuf, Error> {
        match &self.logmill {
            Some(path) => absolute(path),
            None => std::env::current_exe().map_err(Error::io("finding this program")),
        }
    }
}

/// Length and time of change of a program.
fn build_of(program: &Path) -> Result<String, Error> {
    let looked_at = || Error::io(format!("looking at {}", program.display()));
    let metadata = fs::metadata(program).map_err(looked_at())?;
    let changed = metadata.modified().map_err(looked_at())?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} bytes of {}", metadata.len(), changed.as_secs()))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(Error::io(format!("opening {}", path.display())))
}

fn address(bootstrap: &str) -> Result<SocketAddr, Error> {
    let found = bootstrap.to_socket_addrs().map_err(Error::io(format!("resolving {bootstrap}")))?.next();
    found.ok_or_else(|| failed(format!("{bootstrap} has no address")))
}

/// Lines of `key=value`; an error is the line that is none.
fn properties(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').ok_or_else(|| line.to_owned())?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_lines_of_key_and_value() {
        let of = |text: &str| properties(text);
        assert_eq!(
            of("# x\n\n num.io.threads = 2\nlog.dirs=/a=b\n").unwrap(),
            [("num.io.threads".to_owned(), "2".to_owned()), ("log.dirs".to_owned(), "/a=b".to_owned())]
        );
        assert_eq!(of("num.io.threads=2\nheap 4g\n").unwrap_err(), "heap 4g");
    }
}
