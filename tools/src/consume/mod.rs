//! `logmill consume`: records as they stand in a topic, and as they come.

mod batches;
mod fetcher;
mod format;
mod start;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use logmill_bench::client::{Client, Cluster, EARLIEST, LATEST};

use crate::connect::ConnectArguments;
use crate::outcome::{Outcome, Usage, Verdict};
use crate::print::Out;
use batches::Shown;
use fetcher::{Fetcher, Limits};
use format::{Form, Format};
use start::Start;

/// What to read, and how it is printed.
#[derive(Debug, Args)]
pub(crate) struct ConsumeArguments {
    /// The topic.
    topic: String,
    /// Only this partition; may be given again for others.
    #[arg(long = "partition", value_name = "N")]
    partitions: Vec<i32>,
    /// Where to begin: `earliest`, `latest`, an offset, `-N` for the last N records of each partition, or `@` and a
    /// time (milliseconds since 1970, or as in @2026-11-27T21:00Z) for the first record of that time or later.
    #[arg(long, value_name = "OFFSET", default_value = "earliest", value_parser = Start::parse, allow_hyphen_values = true)]
    offset: Start,
    /// Ends after so many records. The exit code is 1 when fewer came.
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// Ends when no record has come for so long; without it more are waited for.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Ends when all is read that was there at the beginning.
    #[arg(long)]
    until_end: bool,
    /// Leaves out records of transactions that were aborted, and waits for the ends of those that are open.
    #[arg(long)]
    committed: bool,
    /// Prints keys too, and this behind each of them. `\t` and the like stand for what they say.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Stands for a key or value that is null, in the place of nothing.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// How a record is printed: %s value, %S its bytes, %k key, %K its bytes (-1 for null), %t topic, %p partition,
    /// %o offset, %T timestamp in milliseconds, %h headers, %% a percent sign; `\n` and the like stand for what they
    /// say.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["key_separator", "json"])]
    format: Option<String>,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each record, which `logmill produce --json-input` takes.
    #[arg(long, conflicts_with = "key_separator")]
    json: bool,
}

impl ConsumeArguments {
    /// Reads them.
    pub(crate) fn run(&self) -> Outcome {
        let form = match (&self.format, self.json) {
            (Some(format), _) => Form::Format(Format::parse(format).map_err(Usage)?),
            (None, true) => Form::Json,
            (None, false) => Form::lines(self.key_separator.as_deref()),
        };
        let shown = Shown { form, null: self.null.clone().unwrap_or_default().into_bytes() };
        let mut client = self.connect.client();
        let cluster = client.topic(&self.topic)?;
        let partitions = self.partitions_of(&cluster)?;
        let starts = self.starts(&mut client, &cluster, &partitions)?;
        let ends = match self.until_end {
            true => Some(client.offsets(&cluster, &partitions, LATEST, self.committed)?),
            false => None,
        };
        let limits = Limits {
            records: self.max_messages,
            silence: self.timeout_ms.map(Duration::from_millis),
            ends,
            is_committed: self.committed,
        };
        let mut out = Out::stdout(self.json);
        let fetcher = Fetcher::new(client, cluster, &self.topic, starts, limits);
        let printed = fetcher.run(&shown, &mut out)?;
        out.flush()?;
        Ok(match self.max_messages {
            Some(wanted) if printed < wanted => Verdict::Found,
            _ => Verdict::Done,
        })
    }

    fn partitions_of(&self, cluster: &Cluster) -> Result<Vec<i32>, Usage> {
        let all: Vec<i32> =
            cluster.topics[0].partitions.iter().map(|partition| partition.partition_index).collect();
        if let Some(other) = self.partitions.iter().find(|partition| !all.contains(partition)) {
            return Err(Usage(format!("--partition {other}: {} has {}, from 0 on", self.topic, all.len())));
        }
        Ok(if self.partitions.is_empty() { all } else { self.partitions.clone() })
    }

    /// The first offset of each partition to be read.
    fn starts(
        &self,
        client: &mut Client,
        cluster: &Cluster,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, Box<dyn std::error::Error>> {
        let mut ask = |time| client.offsets(cluster, partitions, time, self.committed);
        Ok(match self.offset {
            Start::Earliest => ask(EARLIEST)?,
            Start::Latest => ask(LATEST)?,
            Start::At(offset) => partitions.iter().map(|partition| (*partition, offset)).collect(),
            Start::Last(count) => {
                let first = ask(EARLIEST)?;
                let from = |(partition, end): (i32, i64)| {
                    (partition, end.saturating_sub(count).max(first.get(&partition).copied().unwrap_or(0)))
                };
                ask(LATEST)?.into_iter().map(from).collect()
            }
            Start::Time(time) => {
                let ends = ask(LATEST)?;
                let from = |(partition, offset): (i32, i64)| match offset {
                    // Nothing is as late as that yet.
                    -1 => (partition, ends.get(&partition).copied().unwrap_or(0)),
                    offset => (partition, offset),
                };
                ask(time)?.into_iter().map(from).collect()
            }
        })
    }
}
