//! `logmill topic list`

use clap::Args;

use crate::connect::{ConnectArguments, id_text};
use crate::outcome::{Outcome, Verdict};
use crate::print::{Out, Table};

/// Which to list.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Leaves out those that the cluster made for itself.
    #[arg(long)]
    exclude_internal: bool,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each topic.
    #[arg(long)]
    json: bool,
}

impl ListArguments {
    /// Lists them.
    pub(crate) fn run(&self) -> Outcome {
        let cluster = self.connect.client().cluster(None)?;
        let mut table = Table::new(&["topic", "partitions", "replication_factor", "internal", "topic_id"]);
        for topic in cluster.topics.iter().filter(|topic| !(self.exclude_internal && topic.is_internal)) {
            let replicas = topic.partitions.first().map(|partition| partition.replica_nodes.len());
            table.push(vec![
                topic.name.as_ref().map(|name| name.as_str()).into(),
                topic.partitions.len().into(),
                replicas.into(),
                topic.is_internal.into(),
                id_text(topic.topic_id.into_bytes()).into(),
            ]);
        }
        let mut out = Out::stdout(self.json);
        table.print(&mut out)?;
        out.flush()?;
        Ok(Verdict::Done)
    }
}
