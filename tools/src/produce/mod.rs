//! `logmill produce`: lines of standard input become records.

mod line;
mod partitioner;
mod sender;

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use clap::{Args, ValueEnum};
use logmill_engine::format::Compression;

use crate::connect::ConnectArguments;
use crate::outcome::{Outcome, Verdict};
use crate::print::Out;
pub(crate) use line::unescaped;
use line::{LineForm, Record};
use sender::Sender;

/// Lines that are read before they are sent.
const LINES_MAX: usize = 10_000;
/// Records and bytes that are sent at once, as far as they are there: nobody waits for more.
const ROUND_RECORDS_MAX: usize = 1_000;
const ROUND_BYTES_MAX: usize = 512 << 10;

/// Where to, and how lines are read.
#[derive(Debug, Args)]
pub(crate) struct ProduceArguments {
    /// The topic, which exists.
    topic: String,
    /// The partition; otherwise that of the key, as Apache Kafka's clients choose it, or those of all in turn.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Each line is a key, this, and a value. `\t` and the like stand for what they say.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Each line begins with headers, `name:value` with commas between them, and a tab.
    #[arg(long)]
    line_headers: bool,
    /// A header of every record.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = crate::server::key_value)]
    headers: Vec<(String, String)>,
    /// A key or value that is this text is null.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Each line is an object as `logmill consume --json` prints it: key, value, headers and timestamp, of which any
    /// may be missing.
    #[arg(long, conflicts_with_all = ["key_separator", "line_headers", "null"])]
    json_input: bool,
    /// Who has to have a record before it is acknowledged.
    #[arg(long, value_enum, default_value = "all")]
    acks: Acks,
    /// How batches are compressed.
    #[arg(long, value_enum, default_value = "none")]
    compression: Codec,
    #[command(flatten)]
    connect: ConnectArguments,
    /// Prints a JSON object for each batch that was acknowledged, with its first offset.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Acks {
    /// All replicas that are in sync.
    All,
    /// The leader.
    #[value(name = "1")]
    Leader,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl ProduceArguments {
    /// Sends what standard input has, to its end.
    pub(crate) fn run(&self) -> Outcome {
        let form = LineForm {
            key_separator: self.key_separator.as_deref().map(unescaped),
            has_headers: self.line_headers,
            null: self.null.clone().map(String::into_bytes),
            is_json: self.json_input,
        };
        let acks = match self.acks {
            Acks::All => -1,
            Acks::Leader => 1,
        };
        let compression = match self.compression {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip { level: -1 },
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd { level: 3 },
        };
        let mut sender = Sender::new(self.connect.client(), &self.topic, self.partition, acks, compression)?;
        let mut out = Out::stdout(self.json);
        let lines = lines_of_stdin();
        let mut number = 0u64;
        let mut next = |line: io::Result<Vec<u8>>| -> Result<Record, Box<dyn std::error::Error>> {
            number += 1;
            let mut record =
                form.read(&line?).map_err(|fault| format!("line {number} of the input: {fault}"))?;
            let headers = self.headers.iter();
            record
                .headers
                .extend(headers.map(|(name, value)| (name.clone(), Some(value.clone().into_bytes()))));
            Ok(record)
        };
        while let Ok(first) = lines.recv() {
            let mut round = vec![next(first)?];
            let mut bytes = round[0].size();
            while round.len() < ROUND_RECORDS_MAX && bytes < ROUND_BYTES_MAX {
                let Ok(line) = lines.try_recv() else { break };
                let record = next(line)?;
                bytes += record.size();
                round.push(record);
            }
            sender.send(round, &mut out)?;
        }
        out.flush()?;
        Ok(Verdict::Done)
    }
}

/// Lines as they come, each without its end, read by a thread so that what is there can be sent while the next one
/// is waited for.
fn lines_of_stdin() -> Receiver<io::Result<Vec<u8>>> {
    let (to, lines) = sync_channel(LINES_MAX);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = stdin.read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => return,
                Ok(_) => Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(line)),
                Err(error) => Err(error),
            };
            let is_over = line.is_err();
            // Nobody takes them any more where sending has failed.
            if to.send(line).is_err() || is_over {
                return;
            }
        }
    });
    lines
}
