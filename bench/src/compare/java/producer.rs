//! Apache's own load: `ProducerPerformance`, and what its client says it sent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::child::TiedChild;
use crate::rig::{Error, Jars, Usage, java};

/// Flags and heap of `kafka-producer-perf-test.sh`. A JVM that is set up to start fast would be the limit
/// of what a broker is offered.
const JVM: [&str; 8] = [
    "-Xmx512M",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];

/// A load of records without keys. What is not named here is the client's default: acks=all, idempotent, no linger but
/// its 5 ms, five requests in flight.
#[derive(Debug)]
pub(in crate::compare) struct Producer<'a> {
    pub jars: &'a Jars,
    pub bootstrap: &'a str,
    pub topic: &'a str,
    pub records: u64,
    /// Bytes of a record's value.
    pub record_bytes: u32,
    pub batch_bytes: u32,
    /// None is as fast as it goes.
    pub records_per_s: Option<f64>,
}

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::compare) struct Produced {
    /// From the first send to the last acknowledgement.
    pub elapsed: Duration,
    /// What its requests looked like.
    pub shape: Shape,
    /// CPU time of the client's process from its start to its end.
    pub cpu: Duration,
    /// From send to acknowledgement: median, p99, p99.9 and the longest.
    pub latency_ms: [f64; 4],
}

/// Means over all produce requests of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::compare) struct Shape {
    /// Bytes of a request.
    pub request_bytes: f64,
    /// Bytes of a batch.
    pub batch_bytes: f64,
    /// Records in a request.
    pub records: f64,
}

impl Shape {
    /// Batches in a request: each for another partition.
    pub(super) fn batches(&self) -> f64 {
        (self.request_bytes / self.batch_bytes).max(1.0)
    }

    /// Bytes that so many records take on the wire.
    pub(super) fn wire_bytes(&self, records: u64) -> u64 {
        (records as f64 / self.records * self.request_bytes) as u64
    }
}

impl Producer<'_> {
    /// Runs it to the end.
    pub(in crate::compare) fn run(&self) -> Result<Produced, Error> {
        let throughput = self.records_per_s.map_or("-1".to_owned(), |rate| format!("{:.0}", rate.max(1.0)));
        let mut command = Command::new(java()?);
        command
            .args(JVM)
            .arg("-cp")
            .arg(class_path(self.jars)?)
            .args([
                "org.apache.kafka.tools.ProducerPerformance",
                "--print-metrics",
                "--throughput",
                &throughput,
            ])
            .args(["--bootstrap-server", self.bootstrap, "--topic", self.topic])
            .args(["--num-records", &self.records.to_string()])
            .args(["--record-size", &self.record_bytes.to_string()])
            .args(["--command-property", &format!("batch.size={}", self.batch_bytes)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |source| Error::Io { what: "running ProducerPerformance".into(), source };
        let mut child = TiedChild::spawn(&mut command).map_err(failed)?;
        let mut stderr = child.0.stderr.take().expect("piped above");
        // Read beside the other pipe, which a client that logs much would fill.
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What came before a failure to read is the best there is.
            drop(std::io::Read::read_to_end(&mut stderr, &mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut stdout = child.0.stdout.take().expect("piped above");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut text).map_err(failed)?;
        // Unreaped, it still has its id and its usage.
        waitid(WaitId::Pid(Pid::from_child(&child.0)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .map_err(|error| failed(error.into()))?;
        let cpu = Usage::of(child.0.id())?.cpu();
        let status = child.0.wait().map_err(failed)?;
        let complaints = complaints.join().expect("reading a pipe does not panic");
        let refused =
            |what: String| Error::Failed { what, output: format!("{}{complaints}", first_lines(&text)) };
        if !status.success() {
            return Err(refused(format!("ProducerPerformance: {status}")));
        }
        let produced = Produced::read(&text, cpu)
            .ok_or_else(|| refused("ProducerPerformance printed no result".into()))?;
        match produced {
            (records, produced) if records == self.records => Ok(produced),
            (records, _) => Err(refused(format!("{records} of {} records acknowledged", self.records))),
        }
    }
}

impl Produced {
    /// Reads what the tool prints: its last line of progress, which counts all records, and metrics.
    fn read(text: &str, cpu: Duration) -> Option<(u64, Produced)> {
        // `2000000 records sent, 151234.5 records/sec (147.69 MB/sec), 200.1 ms avg latency, ...`; only the
        // line of the total has percentiles.
        let total = text.lines().find(|line| line.contains(" records sent, ") && line.contains("99.9th"))?;
        let (records, rest) = total.split_once(" records sent, ")?;
        let records: u64 = records.parse().ok()?;
        let per_s: f64 = rest.split_once(" records/sec")?.0.parse().ok()?;
        let metric = |name: &str| -> Option<f64> {
            let line = text.lines().find(|line| line.starts_with(&format!("producer-metrics:{name}:")))?;
            line.rsplit_once(": ")?.1.trim().parse().ok()
        };
        let shape = Shape {
            request_bytes: metric("request-size-avg")?,
            batch_bytes: metric("batch-size-avg")?,
            records: metric("records-per-request-avg")?,
        };
        // A number before its name: `400 ms 99.9th`.
        let before = |name: &str| -> Option<f64> {
            rest.split(name).next()?.rsplit(", ").next()?.split(' ').next()?.parse().ok()
        };
        let latency_ms =
            [before(" ms 50th")?, before(" ms 99th")?, before(" ms 99.9th")?, before(" ms max latency")?];
        let elapsed = Duration::from_secs_f64(records as f64 / per_s);
        Some((records, Produced { elapsed, shape, cpu, latency_ms }))
    }
}

/// All jars beside Kafka's clients.
fn class_path(jars: &Jars) -> Result<PathBuf, Error> {
    let clients = jars.jar("kafka-clients")?;
    Ok(clients.parent().unwrap_or(Path::new(".")).join("*"))
}

fn first_lines(text: &str) -> String {
    text.lines().take(20).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_not_a_line_of_progress() {
        let text = "\
776400 records sent, 155280.0 records/sec (151.64 MB/sec), 190.1 ms avg latency, 471.0 ms max latency.
1000000 records sent, 125000.0 records/sec (122.07 MB/sec), 211.98 ms avg latency, 480.00 ms max latency, \
205 ms 50th, 301 ms 95th, 350 ms 99th, 400 ms 99.9th.

Metric Name                                                                Value
producer-metrics:batch-size-avg:{client-id=perf-producer-client}         : 16000.000
producer-metrics:records-per-request-avg:{client-id=perf-producer-client} : 37.500
producer-metrics:request-size-avg:{client-id=perf-producer-client}       : 40000.000
producer-node-metrics:request-size-avg:{client-id=x, node-id=node-1}     : 1.000
";
        let (records, produced) = Produced::read(text, Duration::ZERO).unwrap();
        assert_eq!((records, produced.elapsed), (1_000_000, Duration::from_secs(8)));
        assert_eq!(produced.shape.batches(), 2.5);
        assert_eq!(produced.latency_ms, [205.0, 350.0, 400.0, 480.0]);
        assert_eq!(produced.shape.wire_bytes(75), 80_000);
        assert_eq!(Produced::read(text.lines().next().unwrap(), Duration::ZERO), None);
    }
}
