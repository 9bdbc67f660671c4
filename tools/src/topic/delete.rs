//! `logmill topic delete`

use clap::Args;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::ClientError;
use logmill_server::wire::ErrorCode;

use crate::connect::{ConnectArguments, TIMEOUT_MS};
use crate::outcome::{Outcome, Verdict};

/// From this version on topics stand in structures, for they may be named by id too.
const IN_STRUCTURES_FROM: i16 = 6;

/// What to delete.
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    /// The names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Does not mind those that are not there.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

impl DeleteArguments {
    /// Deletes them.
    pub(crate) fn run(&self) -> Outcome {
        let names = self.names.iter().map(|name| TopicName(StrBytes::from_string(name.clone())));
        let response = self.connect.client().ask(|version| {
            let request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
            if version >= IN_STRUCTURES_FROM {
                let state = |name| DeleteTopicState::default().with_name(Some(name));
                request.with_topics(names.map(state).collect())
            } else {
                request.with_topic_names(names.collect())
            }
        })?;
        let mut verdict = Verdict::Done;
        for result in &response.responses {
            let is_gone = ErrorCode::from_code(result.error_code) == Some(ErrorCode::UnknownTopicOrPartition);
            if is_gone && self.if_exists {
                continue;
            }
            let name = result.name.as_ref().map_or("", |name| name.as_str());
            let message = result.error_message.as_ref().map(StrBytes::as_str);
            if let Err(refused) = ClientError::refused(|| format!("topic {name}"), result.error_code, message)
            {
                eprintln!("logmill: {refused}");
                verdict = Verdict::Found;
            }
        }
        Ok(verdict)
    }
}
