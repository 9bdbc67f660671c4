//! `logmill config`: settings in a file, and those of brokers and topics that run.

mod alter;
mod check;
mod describe;
mod resource;

use clap::Subcommand;

use crate::outcome::Outcome;
pub(crate) use describe::settings;
pub(crate) use resource::Resource;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Verifies a server.properties without starting anything: unknown keys, wrong values, and keys that are
    /// accepted without effect.
    Check(check::CheckArguments),
    /// Shows the settings of a topic or a broker that runs.
    Describe(describe::DescribeArguments),
    /// Changes settings of a topic or a broker that runs, at once and for later starts.
    Alter(alter::AlterArguments),
}

impl ConfigCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Outcome {
        match self {
            ConfigCommand::Check(arguments) => arguments.run(),
            ConfigCommand::Describe(arguments) => arguments.run(),
            ConfigCommand::Alter(arguments) => arguments.run(),
        }
    }
}
