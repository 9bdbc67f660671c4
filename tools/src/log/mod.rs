//! `logmill log`: what can be done to log directories that no broker uses.

mod check;
mod dump;
mod files;
mod indexes;
mod recover;
mod walk;

use clap::Subcommand;

use crate::outcome::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Shows what files of a log directory hold: batches and their records, indexes, snapshots, checkpoints,
    /// journals.
    Dump(dump::DumpArguments),
    /// Verifies log directories without changing or starting anything.
    Check(check::CheckArguments),
    /// Makes log directories whole after a crash, without serving: what only the journals have comes into the
    /// segments, indexes and snapshots become exact, all of it durable. Then Apache Kafka may start there, if its
    /// metadata log knows all topics.
    Recover(recover::RecoverArguments),
}

impl LogCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Outcome {
        match self {
            LogCommand::Dump(arguments) => arguments.run(),
            LogCommand::Check(arguments) => arguments.run(),
            LogCommand::Recover(arguments) => arguments.run(),
        }
    }
}
