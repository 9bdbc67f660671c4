//! `logmill log`: what can be done to log directories that no broker uses.

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use logmill_server::recover;

use crate::server;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Makes log directories whole after a crash, without serving: what only the journals have comes into the
    /// segments, indexes and snapshots become exact, all of it durable. Then Apache Kafka may start there, if its
    /// metadata log knows all topics.
    Recover(RecoverArguments),
}

/// Which log directories.
#[derive(Debug, Args)]
pub(crate) struct RecoverArguments {
    /// The server.properties of the broker that they belong to.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The log directories, with commas between them, instead of those that the settings name.
    #[arg(long, value_name = "DIR,...")]
    log_dirs: Option<String>,
    /// A setting that wins over the file and the environment.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = server::key_value)]
    overrides: Vec<(String, String)>,
}

impl LogCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        match self {
            LogCommand::Recover(arguments) => arguments.run(),
        }
    }
}

impl RecoverArguments {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        server::start_log()?;
        let mut overrides = self.overrides.clone();
        if let Some(log_dirs) = &self.log_dirs {
            overrides.push(("log.dirs".to_owned(), log_dirs.clone()));
            // Without a broker's settings the directories say whose they are.
            if self.config.is_none()
                && let Some(node_id) =
                    recover::node_of(log_dirs.split(',').next().unwrap_or_default().trim())?
            {
                overrides.push(("node.id".to_owned(), node_id.to_string()));
            }
        }
        let recovery = recover::recover(server::load(self.config.as_deref(), &overrides)?)?;
        println!("{} partitions are whole and durable", recovery.partitions);
        if recovery.is_handed_over {
            println!("Apache Kafka may start on these log directories");
        } else {
            println!("logmill.unclean stays: Apache Kafka's metadata log does not know all topics");
        }
        Ok(())
    }
}
