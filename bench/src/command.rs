//! `logmill bench`: the commands that measure.

use crate::compare::CompareArgs;
use crate::floor::FloorCommand;
use crate::rig::Error;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Apache Kafka, Logmill and the floor side by side: throughput and CPU per GB of one load.
    Compare(CompareArgs),
    /// The least a broker can do on this machine.
    #[command(subcommand)]
    Floor(FloorCommand),
}

impl Command {
    /// Runs it to the end.
    pub fn run(&self) -> Result<(), Error> {
        match self {
            Command::Compare(args) => args.run(),
            Command::Floor(command) => {
                command.run().map_err(|source| Error::Io { what: "floor".into(), source })
            }
        }
    }
}
