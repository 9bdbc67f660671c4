//! `logmill config alter`

use clap::Args;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::ClientError;

use super::resource::{Resource, ResourceArguments};
use crate::connect::ConnectArguments;
use crate::outcome::{Outcome, Usage, Verdict};
use crate::server;

/// The protocol's numbers for what is done to a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct AlterArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// Sets a key.
    #[arg(long, value_name = "KEY=VALUE", value_parser = server::key_value)]
    set: Vec<(String, String)>,
    /// Takes a setting back, so that the default counts.
    #[arg(long, value_name = "KEY")]
    delete: Vec<String>,
    /// Adds to a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = server::key_value)]
    append: Vec<(String, String)>,
    /// Takes out of a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = server::key_value)]
    subtract: Vec<(String, String)>,
    /// Only asks whether it could be done.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

impl AlterArguments {
    /// Changes it.
    pub(crate) fn run(&self) -> Outcome {
        let changes = self.changes();
        if changes.is_empty() {
            return Err(Usage("nothing to change: --set, --delete, --append or --subtract".to_owned()).into());
        }
        let resource = self.resource.resource();
        let request = IncrementalAlterConfigsRequest::default().with_validate_only(self.validate_only);
        let request = request.with_resources(vec![
            AlterConfigsResource::default()
                .with_resource_type(resource.kind())
                .with_resource_name(StrBytes::from_string(resource.name()))
                .with_configs(changes),
        ]);
        let mut client = self.connect.client();
        let response = match resource {
            Resource::Broker(id) => {
                let cluster = client.cluster(Some(&[]))?;
                client.ask_broker(&cluster, id, |_| request)?
            }
            _ => client.ask(|_| request)?,
        };
        for result in &response.responses {
            let message = result.error_message.as_ref().map(StrBytes::as_str);
            ClientError::refused(|| resource.words(), result.error_code, message)?;
        }
        Ok(Verdict::Done)
    }

    fn changes(&self) -> Vec<AlterableConfig> {
        let change = |name: &str, operation, value: Option<&str>| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.to_owned()))
                .with_config_operation(operation)
                .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
        };
        let with_values = [(&self.set, SET), (&self.append, APPEND), (&self.subtract, SUBTRACT)];
        let with_values = with_values.into_iter().flat_map(|(pairs, operation)| {
            pairs.iter().map(move |(name, value)| change(name, operation, Some(value)))
        });
        let deleted = self.delete.iter().map(|name| change(name, DELETE, None));
        with_values.chain(deleted).collect()
    }
}
