//! `logmill bench`: the commands that measure.

use crate::compare::CompareArgs;
use crate::crash::{FailingArgs, FileSystemsArgs, KillsArgs, PowerArgs, StartArgs, TakeoverArgs};
use crate::device::DiskArgs;
use crate::floor::FloorCommand;
use crate::instructions::InstructionsArgs;
use crate::limits::{ColdArgs, ConnectionsArgs, StrangersArgs, WarmArgs};
use crate::load::RunArgs;
use crate::rig::{self, Error};
use crate::waiting::WaitingArgs;

/// What to measure, and how.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Has the kernel refuse io_uring, as in a container with the default seccomp profile.
    #[arg(long)]
    without_io_uring: bool,
    #[command(subcommand)]
    command: Command,
}

impl Arguments {
    /// Runs it to the end.
    pub fn run(&self) -> Result<(), Error> {
        if self.without_io_uring {
            rig::give_up_io_uring().map_err(Error::io("giving up io_uring"))?;
        }
        self.command.run()
    }
}

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Loads any broker that speaks Kafka's protocol, and measures.
    Run(Box<RunArgs>),
    /// Apache Kafka, Logmill and the floor side by side, case by case: throughput, CPU, memory, latency, starts.
    Compare(CompareArgs),
    /// Two commits side by side: instructions of the steps of the hot path.
    Instructions(InstructionsArgs),
    /// The least a broker can do on this machine.
    #[command(subcommand)]
    Floor(FloorCommand),
    /// Cuts the power of a broker under load, and checks what is left.
    Power(PowerArgs),
    /// Kills and stops a broker under load, and checks what is left.
    Kills(KillsArgs),
    /// Fails the writes of one log directory of two, and checks what is served.
    Failing(FailingArgs),
    /// Power cuts and kills on every kind of file system, and where the kernel has less.
    FileSystems(FileSystemsArgs),
    /// Measures a start after a crash.
    Start(StartArgs),
    /// What a broker costs that has nothing to do, alone and with very many connections.
    Connections(ConnectionsArgs),
    /// Reads data that has left the page cache, and measures another client meanwhile.
    Cold(ColdArgs),
    /// Counts the system calls of fetches from the page cache.
    Warm(WarmArgs),
    /// Sends requests of random content, and measures another client meanwhile.
    Strangers(StrangersArgs),
    /// Holds results of Apache Kafka's own tests against the list of those that wait for something.
    Waiting(WaitingArgs),
    /// Kills a broker on a directory of Apache Kafka's, and has Apache Kafka take it over.
    Takeover(TakeoverArgs),
    /// The disk of the commands above, in a process of its own.
    #[command(hide = true)]
    Disk(DiskArgs),
}

impl Command {
    /// Runs it to the end.
    pub fn run(&self) -> Result<(), Error> {
        match self {
            Command::Run(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Instructions(args) => args.run(),
            Command::Floor(command) => {
                command.run().map_err(|source| Error::Io { what: "floor".into(), source })
            }
            Command::Power(args) => args.run(),
            Command::Kills(args) => args.run(),
            Command::Failing(args) => args.run(),
            Command::FileSystems(args) => args.run(),
            Command::Start(args) => args.run(),
            Command::Connections(args) => args.run(),
            Command::Cold(args) => args.run(),
            Command::Warm(args) => args.run(),
            Command::Strangers(args) => args.run(),
            Command::Waiting(args) => args.run(),
            Command::Takeover(args) => args.run(),
            Command::Disk(args) => args.run().map_err(|source| Error::Io { what: "disk".into(), source }),
        }
    }
}
