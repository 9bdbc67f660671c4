//! What it costs to make appends to many partitions durable at once, each figure beside its baseline in the
//! same run.

mod bare;
mod cases;
mod ground;
mod load;
mod meter;
#[path = "../partition/mod.rs"]
mod partition;
mod report;
mod trimmer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use logmill_engine::shard::CommitLimits;

use cases::CASES;
use ground::Ground;
use report::Report;

/// Rounds of a full run: a median of fewer is no figure.
const ROUNDS: usize = 5;
/// The journal of a quick run, which comes round within a tenth of a second.
const QUICK_JOURNAL_BYTES: u64 = 16 << 20;

/// Appends made durable at once, beside what that costs without an engine
#[derive(Debug, Parser)]
struct Arguments {
    /// End non-zero when a wanted ratio is missed
    #[arg(long)]
    check: bool,
    /// Every case once, tiny, to see that it runs
    #[arg(long, conflicts_with = "check")]
    quick: bool,
    /// Cases to run, separated by commas: burst, sustained, curve, lone, large, middle, mixed, steady
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Ways to measure, separated by commas; others are left out, and what is beside them is not judged
    #[arg(long, value_delimiter = ',')]
    ways: Vec<String>,
    /// Alternations of the ways of a case
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Shortens all legs to so large a part of their time
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Bytes of the journal, in MiB
    #[arg(long, default_value_t = 512)]
    journal_mib: u64,
    /// Begin each leg with a journal that was allocated and never written
    #[arg(long)]
    fresh_journal: bool,
    /// Syncs behind the journal in flight
    #[arg(long, default_value_t = CommitLimits::default().background_syncs_max)]
    background_syncs: usize,
    /// Free files of the journal at which syncs behind it begin
    #[arg(long, default_value_t = CommitLimits::default().free_files_min)]
    free_files: usize,
    /// Bytes of a partition in a wave from which on it is synced where it lies
    #[arg(long, default_value_t = CommitLimits::default().direct_bytes_min)]
    direct_bytes: usize,
    /// Partitions of a wave that are synced where they lie
    #[arg(long, default_value_t = CommitLimits::default().direct_partitions_max)]
    direct_partitions: usize,
    /// A directory on the file system to be measured; one below it is made and removed
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all cases are run with.
struct Settings {
    quick: bool,
    ways: Vec<String>,
    rounds: usize,
    scale: f64,
    journal_mib: u64,
    limits: CommitLimits,
}

impl Settings {
    fn has_way(&self, name: &str) -> bool {
        self.ways.is_empty() || self.ways.iter().any(|way| way == name)
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds }
    }

    fn journal_bytes(&self) -> u64 {
        if self.quick { QUICK_JOURNAL_BYTES } else { self.journal_mib << 20 }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(unknown) = arguments.only.iter().find(|only| !CASES.iter().any(|(name, _)| name == only)) {
        eprintln!("no case is called {unknown}");
        return ExitCode::FAILURE;
    }
    let limits = CommitLimits {
        direct_bytes_min: arguments.direct_bytes,
        direct_partitions_max: arguments.direct_partitions,
        background_syncs_max: arguments.background_syncs,
        free_files_min: arguments.free_files,
    };
    let Arguments { quick, ways, rounds, scale, journal_mib, .. } = arguments;
    let settings = Settings { quick, ways, rounds, scale, journal_mib, limits };
    let root = arguments.dir.join(format!("commit-{}", std::process::id()));
    let ground = Ground::new(root, arguments.fresh_journal);
    let mut report = Report::new(!quick);
    for (name, run) in CASES {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            run(&settings, &ground, &mut report);
        }
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../commit.json");
    let written = fs::write(&path, format!("{:#}\n", report.to_json()));
    written.expect("target/ can be written to");
    if !report.missed().is_empty() {
        println!("\nmissed:\n  {}", report.missed().join("\n  "));
        return if arguments.check { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    ExitCode::SUCCESS
}
