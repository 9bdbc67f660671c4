//! `logmill`: the broker, and the tools for the people who run it.

mod log;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A log server that speaks the Kafka protocol. Without a command it runs the broker with its defaults:
/// localhost:9092, data in ./data.
#[derive(Debug, Parser)]
#[command(name = "logmill", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the broker.
    Server(server::ServerArguments),
    /// Does something to log directories that no broker uses.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Measures it, beside Apache Kafka and beside the least that a broker can do.
    Bench(logmill_bench::command::Arguments),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Server(server::ServerArguments::default()));
    let result = match command {
        Command::Server(arguments) => server::run(&arguments),
        Command::Log(command) => command.run(),
        Command::Bench(arguments) => arguments.run().map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logmill: {error}");
            ExitCode::FAILURE
        }
    }
}
