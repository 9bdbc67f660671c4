//! `logmill topic`: topics of a cluster.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use clap::Subcommand;

use crate::outcome::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Makes topics.
    Create(create::CreateArguments),
    /// Lists topics.
    List(list::ListArguments),
    /// Shows the settings of topics, and of each partition its leader, replicas and offsets.
    Describe(describe::DescribeArguments),
    /// Gives a topic more partitions. (Settings: `logmill config alter --topic`.)
    Alter(alter::AlterArguments),
    /// Deletes topics with all their records.
    Delete(delete::DeleteArguments),
}

impl TopicCommand {
    /// Does it.
    pub(crate) fn run(&self) -> Outcome {
        match self {
            TopicCommand::Create(arguments) => arguments.run(),
            TopicCommand::List(arguments) => arguments.run(),
            TopicCommand::Describe(arguments) => arguments.run(),
            TopicCommand::Alter(arguments) => arguments.run(),
            TopicCommand::Delete(arguments) => arguments.run(),
        }
    }
}
