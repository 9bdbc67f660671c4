//! `logmill topic alter`

use clap::Args;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::ClientError;

use crate::connect::{ConnectArguments, TIMEOUT_MS};
use crate::outcome::{Outcome, Verdict};

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct AlterArguments {
    /// The name of the topic.
    #[arg(value_name = "TOPIC")]
    name: String,
    /// How many partitions it is to have: more than now. Keys then go to other partitions than before.
    #[arg(long, value_name = "N")]
    partitions: i32,
    /// Only asks whether it could be done.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

impl AlterArguments {
    /// Changes it.
    pub(crate) fn run(&self) -> Outcome {
        let topic = CreatePartitionsTopic::default()
            .with_name(TopicName(StrBytes::from_string(self.name.clone())))
            .with_count(self.partitions)
            .with_assignments(None);
        let response = self.connect.client().ask(|_| {
            CreatePartitionsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(TIMEOUT_MS)
                .with_validate_only(self.validate_only)
        })?;
        for result in &response.results {
            let message = result.error_message.as_ref().map(StrBytes::as_str);
            let what = || format!("topic {}", result.name.as_str());
            ClientError::refused(what, result.error_code, message)?;
        }
        Ok(Verdict::Done)
    }
}
