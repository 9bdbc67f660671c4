//! `Resource`: whose settings are meant.

use clap::Args;

/// A topic, a broker, or all brokers that have no settings of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic(String),
    Broker(i32),
    AllBrokers,
}

impl Resource {
    /// The protocol's number for what it is.
    pub(super) fn kind(&self) -> i8 {
        match self {
            Resource::Topic(_) => 2,
            Resource::Broker(_) | Resource::AllBrokers => 4,
        }
    }

    /// The protocol's name of it.
    pub(super) fn name(&self) -> String {
        match self {
            Resource::Topic(name) => name.clone(),
            Resource::Broker(id) => id.to_string(),
            Resource::AllBrokers => String::new(),
        }
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        match self {
            Resource::Topic(name) => format!("topic {name}"),
            Resource::Broker(id) => format!("broker {id}"),
            Resource::AllBrokers => "all brokers".to_owned(),
        }
    }
}

/// Whose settings.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ResourceArguments {
    /// Those of a topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Those of the broker with this id.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Those that count for every broker without its own.
    #[arg(long)]
    all_brokers: bool,
}

impl ResourceArguments {
    pub(super) fn resource(&self) -> Resource {
        match (&self.topic, self.broker) {
            (Some(topic), _) => Resource::Topic(topic.clone()),
            (None, Some(id)) => Resource::Broker(id),
            (None, None) => Resource::AllBrokers,
        }
    }
}
