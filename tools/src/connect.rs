//! How tools find the cluster that they talk to.

use std::time::Duration;

use clap::Args;
use logmill_bench::client::Client;
use logmill_engine::format::Uuid;

/// How long an answer may take. Making and deleting topics takes brokers a while.
const PATIENCE: Duration = Duration::from_secs(60);
/// What brokers are given for changes.
pub(crate) const TIMEOUT_MS: i32 = 30_000;

/// Where the cluster is.
#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Brokers of the cluster, of Logmill or of Apache Kafka, with commas between them; the others are learned from
    /// the first that answers.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    bootstrap: String,
}

impl ConnectArguments {
    /// Connects when something is asked.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.bootstrap, PATIENCE)
    }
}

/// A topic's id as Apache Kafka writes it.
pub(crate) fn id_text(bytes: [u8; 16]) -> String {
    Uuid(bytes).to_string()
}
