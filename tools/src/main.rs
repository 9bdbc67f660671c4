//! `logmill`: the broker, and the tools for the people who run it.

mod command;
mod completions;
mod config;
mod connect;
mod consume;
mod log;
mod outcome;
mod print;
mod produce;
mod server;
#[cfg(test)]
mod tools_doc;
mod topic;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    outcome::exit_code(&command::Arguments::parse().run())
}
