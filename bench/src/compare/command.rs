//! `logmill bench compare`: its arguments, its rounds, its output.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::contest::Contest;
use super::report::Report;
use crate::rig::{Error, KAFKA_VERSION};

/// What is compared, and how often.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Rounds; each has a leg of every contender.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Records of a leg.
    #[arg(long, default_value_t = 1_500_000)]
    pub(super) records: u64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024)]
    pub(super) record_bytes: u32,
    /// Records that warm the Apache Kafka that is kept for all rounds: a JVM needs about four million to
    /// settle.
    #[arg(long, default_value_t = 4_000_000)]
    pub(super) warm_up_records: u64,
    /// Records that every other broker gets before its first leg, the Apache Kafka included that each round
    /// starts anew.
    #[arg(long, default_value_t = 500_000)]
    pub(super) first_records: u64,
    /// Where the data lies: on the disk that is to be measured, with 10 GB free.
    #[arg(long, default_value = "target/compare")]
    pub(super) dir: PathBuf,
    /// The program of the Logmill that is compared [default: this one].
    #[arg(long)]
    logmill: Option<PathBuf>,
    /// A directory with Apache Kafka's jars [default: fetched with Maven].
    #[arg(long)]
    pub(super) kafka_dir: Option<PathBuf>,
    /// Heap of Apache Kafka's broker.
    #[arg(long, default_value = "1g")]
    pub(super) heap: String,
    /// Where the figures are written [default: compare.json in the data's directory].
    #[arg(long)]
    json: Option<PathBuf>,
}

impl CompareArgs {
    /// Compares, and prints and writes the figures.
    pub fn run(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.dir)
            .map_err(|source| Error::Io { what: format!("making {}", self.dir.display()), source })?;
        eprintln!("starting and warming the brokers");
        let contest = Contest::start(self)?;
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            eprintln!("round {round} of {}", self.rounds);
            rounds.push(contest.round()?);
        }
        let report = Report::new(rounds);
        print!("{}", report.table());
        let json = json!({
            "kafka_version": KAFKA_VERSION,
            "records": self.records,
            "record_bytes": self.record_bytes,
            "warm_up_records": self.warm_up_records,
            "first_records": self.first_records,
            "heap": self.heap,
            "figures": report.json(),
        });
        let path = self.json.clone().unwrap_or_else(|| self.dir.join("compare.json"));
        fs::write(&path, format!("{json:#}\n"))
            .map_err(|source| Error::Io { what: format!("writing {}", path.display()), source })?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }

    /// The Logmill that is compared.
    pub(super) fn logmill(&self) -> Result<PathBuf, Error> {
        match &self.logmill {
            Some(path) => Ok(path.clone()),
            None => std::env::current_exe()
                .map_err(|source| Error::Io { what: "finding this program".into(), source }),
        }
    }
}
