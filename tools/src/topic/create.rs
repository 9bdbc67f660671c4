//! `logmill topic create`

use clap::Args;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::ClientError;
use logmill_server::wire::ErrorCode;

use crate::connect::{ConnectArguments, TIMEOUT_MS, id_text};
use crate::outcome::{Outcome, Verdict};
use crate::print::{Out, Table};
use crate::server;

/// Stands for the broker's default.
const DEFAULT: i32 = -1;

/// What to make.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// The names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// How many partitions each has; the broker's num.partitions when it is not given.
    #[arg(long, value_name = "N", default_value_t = DEFAULT, hide_default_value = true)]
    partitions: i32,
    /// How many brokers each partition is on; the broker's default.replication.factor when it is not given.
    #[arg(long, value_name = "N", default_value_t = DEFAULT as i16, hide_default_value = true)]
    replication_factor: i16,
    /// A setting of the topics.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = server::key_value)]
    configs: Vec<(String, String)>,
    /// Leaves topics as they are that exist.
    #[arg(long)]
    if_not_exists: bool,
    /// Only asks whether they could be made.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each topic.
    #[arg(long)]
    json: bool,
}

impl CreateArguments {
    /// Makes them.
    pub(crate) fn run(&self) -> Outcome {
        let config = |(key, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(key.clone()))
                .with_value(Some(StrBytes::from_string(value.clone())))
        };
        let topic = |name: &String| {
            CreatableTopic::default()
                .with_name(TopicName(StrBytes::from_string(name.clone())))
                .with_num_partitions(self.partitions)
                .with_replication_factor(self.replication_factor)
                .with_configs(self.configs.iter().map(config).collect())
        };
        let response = self.connect.client().ask(|_| {
            CreateTopicsRequest::default()
                .with_topics(self.names.iter().map(topic).collect())
                .with_timeout_ms(TIMEOUT_MS)
                .with_validate_only(self.validate_only)
        })?;
        let mut verdict = Verdict::Done;
        let mut table = Table::new(&["topic", "partitions", "replication_factor", "topic_id", "result"]);
        for created in &response.topics {
            let name = created.name.as_str();
            let message = created.error_message.as_ref().map(StrBytes::as_str);
            let result = match ErrorCode::from_code(created.error_code) {
                Some(ErrorCode::TopicAlreadyExists) if self.if_not_exists => "exists",
                _ => {
                    let refused =
                        ClientError::refused(|| format!("topic {name}"), created.error_code, message);
                    if let Err(refused) = refused {
                        eprintln!("logmill: {refused}");
                        verdict = Verdict::Found;
                        continue;
                    }
                    if self.validate_only { "could be made" } else { "made" }
                }
            };
            let known = |number: i32| (number > 0).then_some(number);
            let id = Some(created.topic_id.into_bytes()).filter(|id| *id != [0; 16]).map(id_text);
            table.push(vec![
                name.into(),
                known(created.num_partitions).into(),
                known(created.replication_factor.into()).into(),
                id.into(),
                result.into(),
            ]);
        }
        let mut out = Out::stdout(self.json);
        table.print(&mut out)?;
        out.flush()?;
        Ok(verdict)
    }
}
