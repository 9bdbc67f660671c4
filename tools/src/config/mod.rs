//! `logmill config`: settings in a file, and those of brokers and topics that run.

mod check;

use clap::Subcommand;

use crate::outcome::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Verifies a server.properties without starting anything: unknown keys, wrong values, and keys that are
    /// accepted without effect.
    Check(check::CheckArguments),
}

impl ConfigCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Outcome {
        match self {
            ConfigCommand::Check(arguments) => arguments.run(),
        }
    }
}
