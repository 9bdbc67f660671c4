//! `Tally`: in the middle of what the power went, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::broker::DIRS;
use crate::disk::sim::{Operation, Step};

/// What a campaign has to cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Append,
    Wave,
    SyncBehind,
    /// A journal's file is written anew.
    Recycling,
    Roll,
    Retention,
    DeleteRecords,
    Truncation,
    DeletionAndRecreation,
    CleanStop,
    FirstDir,
    SecondDir,
    /// The next process has so many shards, and this one another number.
    OneShardNext,
    ThreeShardsNext,
    FourShardsNext,
    /// A start that gives segments what only a journal has.
    Replay,
    /// Any other step of a start.
    Start,
}

impl What {
    const ALL: [What; 17] = [
        What::Append,
        What::Wave,
        What::SyncBehind,
        What::Recycling,
        What::Roll,
        What::Retention,
        What::DeleteRecords,
        What::Truncation,
        What::DeletionAndRecreation,
        What::CleanStop,
        What::FirstDir,
        What::SecondDir,
        What::OneShardNext,
        What::ThreeShardsNext,
        What::FourShardsNext,
        What::Replay,
        What::Start,
    ];

    /// The next process has so many shards.
    pub(super) fn shards_next(shards: usize) -> What {
        match shards {
            1 => What::OneShardNext,
            3 => What::ThreeShardsNext,
            _ => What::FourShardsNext,
        }
    }

    /// What the step of a start is part of.
    pub(super) fn of_start(step: &Step) -> What {
        let is_replay = step.operation == Operation::Write && is_segment(&step.path);
        if is_replay { What::Replay } else { What::Start }
    }
}

/// Crashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) crashes: u64,
    of: BTreeMap<What, u64>,
    /// Files of journals that were begun.
    begun: BTreeSet<PathBuf>,
}

impl Tally {
    pub(super) fn add(&mut self, what: What, crashes: u64) {
        if crashes > 0 {
            *self.of.entry(what).or_default() += crashes;
        }
    }

    /// A crash in the middle of this step, which is part of what clients or the broker do just then.
    pub(super) fn add_step(&mut self, step: &Step, act: What) {
        let Step { operation, path, position, .. } = step;
        let is_write = matches!(operation, Operation::SubmitWrite | Operation::FinishWrite);
        let is_segment = is_segment(path);
        self.add(if path.starts_with(DIRS[0]) { What::FirstDir } else { What::SecondDir }, 1);
        match act {
            What::Append if *operation == Operation::Create && is_segment => self.add(What::Roll, 1),
            What::Retention | What::DeleteRecords if *operation != Operation::Rename => (),
            act => self.add(act, 1),
        }
        let is_begun = is_write && *position == 0 && path.to_string_lossy().contains("logmill.journal.");
        // A file that is begun is there: it was begun before.
        if is_begun && !self.begun.insert(path.clone()) {
            self.add(What::Recycling, 1);
        }
    }

    pub(super) fn merge(&mut self, other: &Tally) {
        self.crashes += other.crashes;
        other.of.iter().for_each(|(what, crashes)| self.add(*what, *crashes));
    }

    /// What was never cut off.
    pub(super) fn missing(&self) -> Vec<What> {
        What::ALL.into_iter().filter(|what| !self.of.contains_key(what)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} crashes survived", self.crashes)?;
        self.of.iter().try_for_each(|(what, crashes)| write!(f, ", {what:?} {crashes}"))
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}
