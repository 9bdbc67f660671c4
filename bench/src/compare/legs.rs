//! The legs that send: produce, latency at a rate, tail; by the light client or by Apache Kafka's tools.

use super::cases::{BASE, Case, Shape, Work};
use super::contender::Contender;
use super::leg::Figures;
use super::light;
use super::meter::{Meter, Used};
use super::metric::Metric;
use super::run::Run;
use super::server::{Server, failed};
use crate::load::{Outcome, Rate, Workload};
use crate::rig::Error;

/// Values a second that tails are read of.
const TAIL_BYTES_PER_S: f64 = 40e6;
/// Topics whose segments roll and go while they are loaded.
const ROLL: [(&str, &str); 2] = [("segment.bytes", "16777216"), ("retention.bytes", "33554432")];
/// So that they go at once.
const ROLL_CHECK: (&str, &str) = ("log.retention.check.interval.ms", "1000");
/// The part of a leg that comes before it and is not measured.
pub(super) const WARM_UP_SHARE: f64 = 0.1;

/// What a leg sends, and how its topic is set up.
struct Load {
    shape: Shape,
    rate: Rate,
    fan_out: u32,
    settings: Vec<(String, String)>,
}

/// Runs a leg of a case that sends.
pub(super) fn run(run: &mut Run<'_>, case: &Case, contender: Contender) -> Result<Figures, Error> {
    let mut load = Load { shape: BASE, rate: Rate::Unlimited, fan_out: 0, settings: Vec::new() };
    match case.work {
        Work::Produce(shape) => load.shape = shape,
        Work::Latency { percent } => load.rate = share_of_most(run, percent)?,
        Work::Roll => {
            load.rate = share_of_most(run, 50)?;
            load.settings.extend(ROLL.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        Work::Tail { fan_out } => {
            load.rate = Rate::BytesPerS(TAIL_BYTES_PER_S);
            load.fan_out = fan_out;
        }
        _ => return Err(failed(format!("{} sends nothing", case.name))),
    }
    if contender == Contender::KafkaFlush {
        load.settings.push(("flush.messages".into(), "1".into()));
    }
    let seconds = run.seconds();
    let topic = run.new_topic();
    if contender.is_floor() {
        let floor = run.fleet.setup.floor(contender)?;
        return measured(&floor, &topic, &load, seconds);
    }
    if case.work == Work::Roll {
        let is_new = !run.ground.own.contains_key(&contender);
        run.own_broker(contender, &[ROLL_CHECK])?;
        let Run { fleet, ground, .. } = run;
        let server = ground.own.get(&contender).expect("made above");
        if is_new {
            fleet.setup.warm_up(server)?;
        }
        return measured(server, &topic, &load, seconds);
    }
    if run.is_by_apache() {
        let jars = run.jars()?;
        return super::apache::run(
            &jars,
            run.fleet.server(contender)?,
            &topic,
            case,
            load.rate,
            &load.settings,
            seconds,
        );
    }
    measured(run.fleet.server(contender)?, &topic, &load, seconds)
}

/// So many percent of the records a second that Apache Kafka took in the base case.
fn share_of_most(run: &mut Run<'_>, percent: u32) -> Result<Rate, Error> {
    Ok(Rate::MessagesPerS(run.most_of_kafka()? * f64::from(percent) / 100.0))
}

/// A leg as fast as it goes, outside of the cases.
pub(super) fn unlimited(server: &Server, topic: &str, shape: &Shape, seconds: f64) -> Result<Figures, Error> {
    let load = Load { shape: *shape, rate: Rate::Unlimited, fan_out: 0, settings: Vec::new() };
    measured(server, topic, &load, seconds)
}

fn measured(server: &Server, topic: &str, load: &Load, seconds: f64) -> Result<Figures, Error> {
    server.create_topic(topic, load.shape.partitions, &load.settings)?;
    let workload = Workload {
        rate: load.rate,
        subscriptions: load.fan_out,
        consumers: 1,
        ..light::produce(&load.shape, topic, seconds, seconds * WARM_UP_SHARE)
    };
    let meter = Meter::begin(server.pid(), server.data().as_deref())?;
    let outcome = light::run(server.address(), &workload);
    let used = meter.end()?;
    // The topic goes in any case: what it holds would fill the disk.
    let deleted = server.delete_topic(topic);
    let figures = figures(&outcome?, used, load.fan_out);
    deleted.map(|()| figures)
}

/// What a load and what it cost come to.
pub(super) fn figures(outcome: &Outcome, used: Used, fan_out: u32) -> Figures {
    let mut figures = Figures::default();
    let record_bytes = outcome.workload.message_bytes as f64;
    let sent_bytes = outcome.totals.acknowledged as f64 * record_bytes;
    let read_bytes = outcome.totals.consumed as f64 * record_bytes;
    let flow = if fan_out > 0 { &outcome.consumed } else { &outcome.published };
    figures.set(Metric::RecordsPerS, flow.messages_per_s);
    figures.set(Metric::MbPerS, flow.mb_per_s);
    figures.set(Metric::ClientCpuPerGb, outcome.client.cpu_s_per_gb);
    set_used(&mut figures, used, if fan_out > 0 { read_bytes } else { sent_bytes }, sent_bytes);
    // Without a rate a record is due when it is sent: that says how full the queues are.
    if outcome.workload.rate != Rate::Unlimited {
        let latency = &outcome.publish_latency;
        figures.set(Metric::P50Ms, latency.percentile_ms(50.0));
        figures.set(Metric::P99Ms, latency.percentile_ms(99.0));
        figures.set(Metric::P999Ms, latency.percentile_ms(99.9));
        figures.set(Metric::MaxMs, latency.max_ms());
        figures.set(Metric::Samples, latency.count() as f64);
        figures.points = latency.points();
        if fan_out > 0 {
            let latency = &outcome.end_to_end_latency;
            figures.set(Metric::EndToEndP50Ms, latency.percentile_ms(50.0));
            figures.set(Metric::EndToEndP99Ms, latency.percentile_ms(99.0));
            figures.set(Metric::EndToEndP999Ms, latency.percentile_ms(99.9));
            figures.set(Metric::EndToEndMaxMs, latency.max_ms());
        }
    }
    figures
}

/// What the server used, for so many bytes moved and sent.
pub(super) fn set_used(figures: &mut Figures, used: Used, moved_bytes: f64, sent_bytes: f64) {
    if let Some(cpu) = used.cpu {
        figures.set(Metric::CpuPerGb, cpu.as_secs_f64() / (moved_bytes / 1e9));
    }
    if let Some(mib) = used.resident_mib {
        figures.set(Metric::ResidentMib, mib);
    }
    if let Some(bytes) = used.device_bytes {
        figures.set(Metric::WriteAmplification, bytes as f64 / sent_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_used_is_counted_by_what_was_moved() {
        let used = Used {
            cpu: Some(Duration::from_secs(3)),
            resident_mib: Some(70.0),
            device_bytes: Some(2_000_000_000),
        };
        let mut figures = Figures::default();
        set_used(&mut figures, used, 6e9, 1e9);
        let of = |metric| figures.get(metric);
        assert_eq!(of(Metric::CpuPerGb), Some(0.5));
        assert_eq!(of(Metric::WriteAmplification), Some(2.0));
        let mut figures = Figures::default();
        set_used(&mut figures, used, 0.0, 0.0);
        assert_eq!(figures.get(Metric::CpuPerGb), None, "of nothing moved there is no figure");
    }
}
