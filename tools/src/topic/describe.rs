//! `logmill topic describe`

use std::collections::BTreeMap;

use clap::Args;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use logmill_bench::client::{Client, ClientError, Cluster, EARLIEST, LATEST};

use crate::config::{Resource, settings};
use crate::connect::{ConnectArguments, id_text};
use crate::outcome::{Outcome, Verdict};
use crate::print::{Cell, Fields, Out, Table};

const COLUMNS: [&str; 9] = [
    "partition",
    "leader",
    "leader_epoch",
    "replicas",
    "in_sync",
    "offline",
    "start_offset",
    "end_offset",
    "records",
];

/// Which to show.
#[derive(Debug, Args)]
pub(crate) struct DescribeArguments {
    /// The names of the topics; all when none is given.
    #[arg(value_name = "TOPIC")]
    names: Vec<String>,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each topic.
    #[arg(long)]
    json: bool,
}

impl DescribeArguments {
    /// Shows them.
    pub(crate) fn run(&self) -> Outcome {
        let mut client = self.connect.client();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut cluster = client.cluster((!names.is_empty()).then_some(&names[..]))?;
        let mut out = Out::stdout(self.json);
        let mut verdict = Verdict::Done;
        for topic in std::mem::take(&mut cluster.topics) {
            let name = topic.name.as_ref().map_or("", |name| name.as_str()).to_owned();
            if let Err(refused) = ClientError::refused(|| format!("topic {name}"), topic.error_code, None) {
                eprintln!("logmill: {refused}");
                verdict = Verdict::Found;
                continue;
            }
            cluster.topics = vec![topic];
            describe(&mut client, &cluster, &name, &mut out)?;
        }
        out.flush()?;
        Ok(verdict)
    }
}

fn describe(
    client: &mut Client,
    cluster: &Cluster,
    name: &str,
    out: &mut Out,
) -> Result<(), Box<dyn std::error::Error>> {
    let topic = &cluster.topics[0];
    // Settings and offsets are shown as far as the cluster tells them.
    let overrides: Vec<Cell> = settings(client, cluster, &Resource::Topic(name.to_owned()))
        .map(|settings| {
            let changed = settings.into_iter().filter(|setting| setting.is_of_topic());
            changed.map(|setting| format!("{}={}", setting.name, setting.shown()).into()).collect()
        })
        .unwrap_or_default();
    let led: Vec<i32> = topic
        .partitions
        .iter()
        .filter(|partition| partition.leader_id.0 >= 0)
        .map(|partition| partition.partition_index)
        .collect();
    let starts = client.offsets(cluster, &led, EARLIEST, false)?;
    let ends = client.offsets(cluster, &led, LATEST, false)?;
    let rows = topic.partitions.iter().map(|partition| row(partition, &starts, &ends));
    if out.is_json() {
        let partitions: Vec<Cell> =
            rows.map(|row| Fields(COLUMNS.into_iter().zip(row).collect()).into()).collect();
        let fields = head(topic, name).with("configs", overrides).with("partitions", partitions);
        return Ok(out.line(&fields.json())?);
    }
    let mut table = Table::new(&COLUMNS);
    rows.for_each(|row| table.push(row));
    let configs = match overrides.is_empty() {
        true => String::new(),
        false => format!("  {}", overrides.iter().map(Cell::column_text).collect::<Vec<_>>().join(" ")),
    };
    let id = id_text(topic.topic_id.into_bytes());
    out.line(&format!("{name}  id {id}{configs}"))?;
    table.print(out)?;
    Ok(out.line("")?)
}

fn head(topic: &MetadataResponseTopic, name: &str) -> Fields {
    Fields::default()
        .with("topic", name)
        .with("topic_id", id_text(topic.topic_id.into_bytes()))
        .with("internal", topic.is_internal)
}

fn row(
    partition: &MetadataResponsePartition,
    starts: &BTreeMap<i32, i64>,
    ends: &BTreeMap<i32, i64>,
) -> Vec<Cell> {
    let index = partition.partition_index;
    let nodes = |nodes: &[BrokerId]| nodes.iter().map(|node| node.0.into()).collect::<Vec<Cell>>();
    let (start, end) = (starts.get(&index).copied(), ends.get(&index).copied());
    vec![
        index.into(),
        Some(partition.leader_id.0).filter(|leader| *leader >= 0).into(),
        partition.leader_epoch.into(),
        nodes(&partition.replica_nodes).into(),
        nodes(&partition.isr_nodes).into(),
        nodes(&partition.offline_replicas).into(),
        start.into(),
        end.into(),
        start.zip(end).map(|(start, end)| end - start).into(),
    ]
}
