//! `logmill log recover`: log directories made whole after a crash, without serving.

use std::path::PathBuf;

use clap::Args;
use logmill_server::recover;

use crate::outcome::{Outcome, Verdict};
use crate::server;

/// Which log directories.
#[derive(Debug, Args)]
pub(crate) struct RecoverArguments {
    /// The server.properties of the broker that they belong to.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The log directories, with commas between them, instead of those that the settings name.
    #[arg(long, value_name = "DIR,...")]
    log_dirs: Option<String>,
    /// A setting that wins over the file and the environment.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = server::key_value)]
    overrides: Vec<(String, String)>,
}

impl RecoverArguments {
    /// Recovers them.
    pub(crate) fn run(&self) -> Outcome {
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
        Ok(Verdict::Done)
    }
}
