//! The same legs by Apache Kafka's own tools: `kafka-producer-perf-test` and `kafka-e2e-latency`.

use super::cases::BASE;
use super::cases::{Case, Shape, Work};
use super::java::Producer;
use super::leg::Figures;
use super::legs::set_used;
use super::meter::Meter;
use super::metric::Metric;
use super::server::Server;
use crate::load::Rate;
use crate::rig::{Error, Jars, Tool};

/// What a producer of Apache Kafka's sends in a second, more or less: how many records make a leg.
const BYTES_PER_S: f64 = 120e6;
const RECORDS_PER_S_MAX: f64 = 400_000.0;
/// By so much less where every batch of Apache Kafka's is flushed.
const FLUSH_PART: f64 = 8.0;
/// Round trips in a second, of one record at a time.
const ROUND_TRIPS_PER_S: f64 = 400.0;

/// Runs a leg by tools.
pub(super) fn run(
    jars: &Jars,
    server: &Server,
    topic: &str,
    case: &Case,
    rate: Rate,
    settings: &[(String, String)],
    seconds: f64,
) -> Result<Figures, Error> {
    let shape = if let Work::Produce(shape) = case.work { shape } else { BASE };
    server.create_topic(topic, shape.partitions, settings)?;
    let meter = Meter::begin(server.pid(), server.data().as_deref())?;
    let told = match case.work {
        Work::Tail { .. } => round_trips(jars, server, topic, seconds),
        _ => produce(jars, server, topic, &shape, (rate, !settings.is_empty()), seconds),
    };
    let used = meter.end()?;
    let deleted = server.delete_topic(topic);
    let (mut figures, bytes) = told?;
    set_used(&mut figures, used, bytes, bytes);
    deleted.map(|()| figures)
}

/// One producer, as the tool has no more; the figures and the bytes that were sent.
fn produce(
    jars: &Jars,
    server: &Server,
    topic: &str,
    shape: &Shape,
    (rate, is_flushed): (Rate, bool),
    seconds: f64,
) -> Result<(Figures, f64), Error> {
    let record_bytes = f64::from(shape.record_bytes);
    let per_s = match rate {
        Rate::Unlimited if is_flushed => BYTES_PER_S / FLUSH_PART / record_bytes,
        Rate::Unlimited => (BYTES_PER_S / record_bytes).min(RECORDS_PER_S_MAX),
        Rate::MessagesPerS(rate) => rate,
        Rate::BytesPerS(rate) => rate / record_bytes,
    };
    let records = ((per_s * seconds) as u64).max(1);
    let bootstrap = server.address().to_string();
    let producer = Producer {
        jars,
        bootstrap: &bootstrap,
        topic,
        records,
        record_bytes: shape.record_bytes,
        batch_bytes: shape.batch_bytes,
        records_per_s: (rate != Rate::Unlimited).then_some(per_s),
    };
    let produced = producer.run()?;
    let (mut figures, bytes) = (Figures::default(), records as f64 * record_bytes);
    let elapsed = produced.elapsed.as_secs_f64();
    figures.set(Metric::RecordsPerS, records as f64 / elapsed);
    figures.set(Metric::MbPerS, bytes / 1e6 / elapsed);
    figures.set(Metric::ClientCpuPerGb, produced.cpu.as_secs_f64() / (bytes / 1e9));
    if rate != Rate::Unlimited {
        let [p50, p99, p999, max] = produced.latency_ms;
        figures.set(Metric::P50Ms, p50);
        figures.set(Metric::P99Ms, p99);
        figures.set(Metric::P999Ms, p999);
        figures.set(Metric::MaxMs, max);
        figures.set(Metric::Samples, records as f64);
        figures.points = vec![(50.0, p50), (99.0, p99), (99.9, p999), (100.0, max)];
    }
    Ok((figures, bytes))
}

/// One record at a time, there and back.
fn round_trips(jars: &Jars, server: &Server, topic: &str, seconds: f64) -> Result<(Figures, f64), Error> {
    let records = ((ROUND_TRIPS_PER_S * seconds) as u64).max(100);
    let output = Tool::new(jars, "org.apache.kafka.tools.EndToEndLatency")
        .arguments(["--bootstrap-server", &server.address().to_string(), "--topic", topic])
        .arguments(["--num-records", &records.to_string(), "--producer-acks", "all"])
        .arguments(["--record-size", &BASE.record_bytes.to_string()])
        .run()?;
    let figures = end_to_end(&output.stdout).filter(|_| output.code == 0).ok_or_else(|| Error::Failed {
        what: format!("EndToEndLatency: exit code {}", output.code),
        output: format!("{}{}", output.stdout, output.stderr),
    })?;
    // So little is sent that CPU by bytes would say how long it took.
    Ok((figures, f64::NAN))
}

/// Its last line: `Percentiles: 50th = 1, 99th = 5, 99.9th = 9`, in milliseconds.
fn end_to_end(text: &str) -> Option<Figures> {
    let line = text.lines().rev().find(|line| line.starts_with("Percentiles:"))?;
    let value = |name: &str| -> Option<f64> {
        let rest = line.split(&format!("{name} = ")).nth(1)?;
        rest.split(',').next()?.trim().parse().ok()
    };
    let mut figures = Figures::default();
    figures.set(Metric::EndToEndP50Ms, value("50th")?);
    figures.set(Metric::EndToEndP99Ms, value("99th")?);
    figures.set(Metric::EndToEndP999Ms, value("99.9th")?);
    Some(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_round_trips_are_read_from_the_last_line() {
        let text = "0\t3.21\nAvg latency: 1.0216 ms\n\nPercentiles: 50th = 1, 99th = 5, 99.9th = 19\n";
        let figures = end_to_end(text).unwrap();
        let of = |metric| figures.get(metric);
        assert_eq!(of(Metric::EndToEndP50Ms), Some(1.0));
        assert_eq!((of(Metric::EndToEndP99Ms), of(Metric::EndToEndP999Ms)), (Some(5.0), Some(19.0)));
        assert_eq!(end_to_end("Error\n"), None);
    }
}
