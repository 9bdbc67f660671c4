//! The command line: every tool under its name.

use clap::{Parser, Subcommand};

use crate::completions::CompletionsArguments;
use crate::config::ConfigCommand;
use crate::consume::ConsumeArguments;
use crate::log::LogCommand;
use crate::outcome::{Outcome, Verdict, exit_codes};
use crate::produce::ProduceArguments;
use crate::server::{self, ServerArguments};
use crate::topic::TopicCommand;

/// A log server that speaks the Kafka protocol. Without a command it runs the broker with its defaults:
/// localhost:9092, data in ./data.
#[derive(Debug, Parser)]
#[command(name = "logmill", version, after_help = exit_codes())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the broker.
    Server(ServerArguments),
    /// Shows, verifies and repairs log directories that no broker uses.
    #[command(subcommand)]
    Log(LogCommand),
    /// Makes, lists, shows, changes and deletes topics.
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Sends the lines of standard input as records.
    Produce(ProduceArguments),
    /// Prints the records of a topic.
    Consume(ConsumeArguments),
    /// Verifies a file of settings, and shows and changes those of brokers and topics.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints a script with which a shell completes the arguments of this command.
    Completions(CompletionsArguments),
    /// Measures it, beside Apache Kafka and beside the least that a broker can do.
    Bench(logmill_bench::command::Arguments),
}

impl Arguments {
    /// Runs the tool that was named.
    pub(crate) fn run(self) -> Outcome {
        match self.command.unwrap_or_else(|| Command::Server(ServerArguments::default())) {
            Command::Server(arguments) => server::run(&arguments),
            Command::Log(command) => command.run(),
            Command::Topic(command) => command.run(),
            Command::Produce(arguments) => arguments.run(),
            Command::Consume(arguments) => arguments.run(),
            Command::Config(command) => command.run(),
            Command::Completions(arguments) => arguments.run(),
            Command::Bench(arguments) => {
                arguments.run()?;
                Ok(Verdict::Done)
            }
        }
    }
}
