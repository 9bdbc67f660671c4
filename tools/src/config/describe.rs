//! `logmill config describe`

use clap::Args;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::{Client, ClientError, Cluster};

use super::resource::{Resource, ResourceArguments};
use crate::connect::ConnectArguments;
use crate::outcome::{Outcome, Verdict};
use crate::print::{Cell, Out, Table};

/// Where a setting comes from: the protocol's numbers in words. From 5 on nobody made it.
const SOURCES: [(i8, &str); 6] = [
    (1, "topic"),
    (2, "broker, changed while it ran"),
    (3, "all brokers, changed while they ran"),
    (4, "broker, at its start"),
    (5, "default"),
    (6, "broker's logger"),
];
const TOPIC_SOURCE: i8 = 1;
const DEFAULT_SOURCE: i8 = 5;

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct DescribeArguments {
    #[command(flatten)]
    resource: ResourceArguments,
    /// Also those that nobody has set.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each setting.
    #[arg(long)]
    json: bool,
}

impl DescribeArguments {
    /// Shows it.
    pub(crate) fn run(&self) -> Outcome {
        let mut client = self.connect.client();
        let cluster = client.cluster(Some(&[]))?;
        let mut table = Table::new(&["key", "value", "source", "read_only"]);
        for setting in settings(&mut client, &cluster, &self.resource.resource())? {
            if self.all || setting.source != DEFAULT_SOURCE {
                let source = SOURCES.iter().find(|(source, _)| *source == setting.source);
                let value = setting.cell();
                table.push(vec![
                    setting.name.into(),
                    value,
                    source.map(|(_, words)| *words).into(),
                    setting.is_read_only.into(),
                ]);
            }
        }
        let mut out = Out::stdout(self.json);
        table.print(&mut out)?;
        out.flush()?;
        Ok(Verdict::Done)
    }
}

/// One setting, as a broker tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    value: Option<String>,
    source: i8,
    is_read_only: bool,
    is_sensitive: bool,
}

impl Setting {
    /// Whether the topic itself was given it.
    pub(crate) fn is_of_topic(&self) -> bool {
        self.source == TOPIC_SOURCE
    }

    pub(crate) fn shown(&self) -> String {
        self.cell().column_text()
    }

    fn cell(&self) -> Cell {
        if self.is_sensitive { "[hidden]".into() } else { self.value.clone().into() }
    }
}

/// The settings of a topic or a broker, in the order of their names.
pub(crate) fn settings(
    client: &mut Client,
    cluster: &Cluster,
    resource: &Resource,
) -> Result<Vec<Setting>, ClientError> {
    let request = DescribeConfigsRequest::default().with_resources(vec![
        DescribeConfigsResource::default()
            .with_resource_type(resource.kind())
            .with_resource_name(StrBytes::from_string(resource.name()))
            .with_configuration_keys(None),
    ]);
    let response = match resource {
        // A broker knows its own settings only.
        Resource::Broker(id) => client.ask_broker(cluster, *id, |_| request)?,
        _ => client.ask(|_| request)?,
    };
    let mut settings = Vec::new();
    for result in response.results {
        let message = result.error_message.as_ref().map(StrBytes::as_str);
        ClientError::refused(|| resource.words(), result.error_code, message)?;
        settings.extend(result.configs.into_iter().map(|config| Setting {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            source: config.config_source,
            is_read_only: config.read_only,
            is_sensitive: config.is_sensitive,
        }));
    }
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(settings)
}
