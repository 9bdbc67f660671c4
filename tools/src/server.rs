//! `logmill server`: reads the settings and runs the broker.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use clap::Args;
use logmill_server::broker;
use logmill_server::config::{Config, Machine};
use tracing::level_filters::LevelFilter;

use crate::outcome::{Outcome, Verdict};

/// Says which of the broker's log lines are printed: error, warn, info (the default), debug or trace.
const LOG_LEVEL: &str = "LOGMILL_LOG";

/// What the broker is started with.
#[derive(Debug, Default, Args)]
pub(crate) struct ServerArguments {
    /// Kafka's server.properties.
    file: Option<PathBuf>,
    /// A setting that wins over the file and the environment.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
}

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs the broker until somebody stops it.
pub(crate) fn run(arguments: &ServerArguments) -> Outcome {
    start_log()?;
    broker::run(load(arguments.file.as_deref(), &arguments.overrides)?)?;
    Ok(Verdict::Done)
}

/// What this is running on.
pub(crate) fn machine() -> std::io::Result<Machine> {
    Ok(Machine {
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cores: available_parallelism()?.get() as u32,
    })
}

/// The settings of a broker.
pub(crate) fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Config, Box<dyn Error>> {
    let file = match file {
        Some(path) => Some(fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => None,
    };
    let (config, warnings) = Config::load(file.as_deref(), std::env::vars(), overrides, &machine()?)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

pub(crate) fn start_log() -> Result<(), Box<dyn Error>> {
    let level = match std::env::var(LOG_LEVEL) {
        Ok(level) => level
            .parse::<LevelFilter>()
            .map_err(|_| format!("{LOG_LEVEL}={level}: expected off, error, warn, info, debug or trace"))?,
        Err(_) => LevelFilter::INFO,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // Whoever read the log may have gone; that must not end a thread of the broker.
        .log_internal_errors(false)
        .init();
    Ok(())
}
