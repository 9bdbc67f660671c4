//! The case `java-producer`: Apache Kafka's own producer against Apache Kafka, Logmill and the floor, the same bytes,
//! one after the other, round by round.
//!
//! ```text
//! contest -> producer (a leg of Apache's producer against a broker)
//!         -> floor    (a leg of the same bytes against the floor)
//!         -> report   (medians, spreads, ratios of the same round; table and JSON)
//! ```

mod contest;
mod leg;
mod producer;
mod report;

use serde_json::{Value, json};

use super::command::CompareArgs;
use contest::Contest;
pub(super) use producer::Producer;
use report::Report;

use crate::rig::Error;

/// How often, and how much.
#[derive(Debug, clap::Args)]
pub(super) struct JavaArgs {
    /// Rounds of the case java-producer; each has a leg of every contender.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Records of a leg of the case java-producer.
    #[arg(long, default_value_t = 1_500_000)]
    records: u64,
    /// Bytes of a record's value in the case java-producer.
    #[arg(long, default_value_t = 1024)]
    record_bytes: u32,
    /// Records that warm the Apache Kafka that is kept for all rounds of the case java-producer: a JVM needs about
    /// four million to settle.
    #[arg(long, default_value_t = 4_000_000)]
    warm_up_records: u64,
    /// Records that every other broker of the case java-producer gets before its first leg, the Apache Kafka included
    /// that each round starts anew.
    #[arg(long, default_value_t = 500_000)]
    first_records: u64,
}

/// All rounds; the figures as JSON, the table for people among them.
pub(super) fn run(args: &CompareArgs) -> Result<Value, Error> {
    eprintln!("java-producer: starting and warming the brokers");
    let contest = Contest::start(args)?;
    let mut rounds = Vec::new();
    for round in 1..=args.java_producer.rounds {
        eprintln!("round {round} of {}", args.java_producer.rounds);
        rounds.push(contest.round()?);
    }
    let report = Report::new(rounds);
    Ok(json!({
        "records": args.java_producer.records,
        "record_bytes": args.java_producer.record_bytes,
        "warm_up_records": args.java_producer.warm_up_records,
        "first_records": args.java_producer.first_records,
        "heap": args.heap,
        "figures": report.json(),
        "table": report.table(),
    }))
}
