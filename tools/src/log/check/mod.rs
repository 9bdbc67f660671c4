//! `logmill log check`: verifies log directories, and changes nothing.

mod log_dir;
mod partition;
mod producers;
mod report;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use logmill_engine::disk::Disk;
use logmill_engine::disk::read_only::ReadOnlyDisk;

use crate::outcome::{Outcome, Verdict};
use crate::print::Out;
use report::Report;

const LOCK: &str = ".lock";

/// What to verify.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Log directories, as log.dirs names them, or directories of single partitions. No broker may use them.
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Also reads every record, which takes the time of decompressing them all. Without it the checksums of the
    /// batches stand for their records.
    #[arg(long)]
    records: bool,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

impl CheckArguments {
    /// Verifies them.
    pub(crate) fn run(&self) -> Outcome {
        for dir in &self.dirs {
            refuse_if_used(dir)?;
        }
        let total = self.dirs.iter().map(|dir| bytes_in(dir)).sum();
        let mut report = Report::new(Out::stdout(self.json), total, self.records);
        let mut clusters = BTreeMap::new();
        for dir in &self.dirs {
            if let Some(owner) = log_dir::check(dir, &mut report)? {
                clusters.entry((owner.cluster_id, owner.node_id)).or_insert(dir);
            }
        }
        let mut clusters = clusters.iter();
        if let Some((first, _)) = clusters.next() {
            for (other, dir) in clusters {
                let what = format!(
                    "belongs to node {} of cluster {}, others to node {} of cluster {}",
                    other.1, other.0, first.1, first.0
                );
                report.wrong(dir, None, &what)?;
            }
        }
        let wrong = report.finish()?;
        Ok(if wrong == 0 { Verdict::Done } else { Verdict::Found })
    }
}

fn refuse_if_used(dir: &Path) -> Result<(), String> {
    if !dir.is_dir() {
        return Err(format!("{}: no directory", dir.display()));
    }
    let lock = dir.join(LOCK);
    match ReadOnlyDisk.locked_by(&lock) {
        Ok(None) => Ok(()),
        Ok(Some(process)) => Err(format!(
            "{}: process {process} uses it and changes it meanwhile: stop that broker, or check a copy",
            dir.display()
        )),
        Err(error) => Err(format!("{}: {error}", lock.display())),
    }
}

/// Bytes of the segments below a directory.
fn bytes_in(dir: &Path) -> u64 {
    let entries = ReadOnlyDisk.list(dir).unwrap_or_default();
    let bytes = entries.iter().map(|entry| match entry.is_dir {
        true => bytes_in(&dir.join(&entry.name)),
        false if entry.name.ends_with(".log") => entry.len,
        false => 0,
    });
    bytes.sum()
}
