//! The legs that read a backlog, cold and warm, alone and beside producers.

use std::thread;

use super::cases::{BASE, Case, Shape, Work};
use super::contender::Contender;
use super::leg::Figures;
use super::legs::{WARM_UP_SHARE, set_used};
use super::light;
use super::meter::Meter;
use super::metric::Metric;
use super::run::Run;
use super::server::{Server, failed};
use crate::load::{Rate, Workload};
use crate::rig::Error;

const BACKLOG_BYTES: u64 = 4 << 30;
/// What others send meanwhile.
const BESIDE_BYTES_PER_S: f64 = 20e6;

/// A topic that is read again and again.
pub(super) struct Backlog {
    topic: String,
    records: u64,
    /// A floor is kept with it; the brokers are kept anyway.
    floor: Option<Server>,
}

/// Runs a leg of a case that reads.
pub(super) fn run(run: &mut Run<'_>, case: &Case, contender: Contender) -> Result<Figures, Error> {
    if !run.ground.backlogs.contains_key(&contender) {
        let backlog = fill(run, contender)?;
        run.ground.backlogs.insert(contender, backlog);
    }
    let (seconds, others) = (run.seconds(), run.new_topic());
    let Run { fleet, ground, .. } = run;
    let backlog = ground.backlogs.get(&contender).expect("inserted above");
    let server = match &backlog.floor {
        Some(floor) => floor,
        None => fleet.server(contender)?,
    };
    match case.work {
        Work::CatchUp { fan_out } => catch_up(server, backlog, fan_out),
        Work::CatchUpBeside => beside(server, backlog, &others, seconds),
        _ => Err(failed(format!("{} reads no backlog", case.name))),
    }
}

/// Deletes what is left on brokers that are kept.
pub(super) fn clear(run: &mut Run<'_>) -> Result<(), Error> {
    for (contender, backlog) in std::mem::take(&mut run.ground.backlogs) {
        if backlog.floor.is_none() {
            run.fleet.server(contender)?.delete_topic(&backlog.topic)?;
        }
    }
    Ok(())
}

fn fill(run: &mut Run<'_>, contender: Contender) -> Result<Backlog, Error> {
    let topic = run.new_topic();
    let records = run.scaled(BACKLOG_BYTES) / u64::from(BASE.record_bytes);
    eprintln!(
        "  writing a backlog of {} MiB to {}",
        (records * u64::from(BASE.record_bytes)) >> 20,
        contender.title()
    );
    let floor = if contender.is_floor() { Some(run.fleet.setup.floor(contender)?) } else { None };
    let server = match &floor {
        Some(floor) => floor,
        None => run.fleet.server(contender)?,
    };
    server.create_topic(&topic, BASE.partitions, &[])?;
    let filled = light::run(server.address(), &light::fill(&BASE, &topic, records))?;
    if filled.totals.acknowledged < records {
        return Err(failed(format!(
            "{} of {records} records of a backlog were taken",
            filled.totals.acknowledged
        )));
    }
    Ok(Backlog { topic, records, floor })
}

fn catch_up(server: &Server, backlog: &Backlog, fan_out: u32) -> Result<Figures, Error> {
    let mut figures = Figures::default();
    // A broker that is not ours keeps its page cache: then there are only warm figures.
    if server.data().is_some() {
        server.forget()?;
        let cold = read(server, backlog, fan_out)?;
        for metric in [Metric::MbPerS, Metric::CpuPerGb, Metric::ClientCpuPerGb, Metric::ResidentMib] {
            cold.get(metric).into_iter().for_each(|value| figures.set(metric, value));
        }
        server.warm()?;
    }
    let warm = read(server, backlog, fan_out)?;
    for (metric, as_warm) in [(Metric::MbPerS, Metric::WarmMbPerS), (Metric::CpuPerGb, Metric::WarmCpuPerGb)]
    {
        warm.get(metric).into_iter().for_each(|value| figures.set(as_warm, value));
    }
    Ok(figures)
}

/// All of it, once by each reader.
fn read(server: &Server, backlog: &Backlog, fan_out: u32) -> Result<Figures, Error> {
    let meter = Meter::begin(server.pid(), server.data().as_deref())?;
    let outcome = light::run(server.address(), &light::read(&BASE, &backlog.topic, fan_out, backlog.records));
    let used = meter.end()?;
    let outcome = outcome?;
    let wanted = backlog.records * u64::from(fan_out);
    if outcome.totals.consumed < wanted {
        return Err(failed(format!("{} of {wanted} records were read", outcome.totals.consumed)));
    }
    let mut figures = Figures::default();
    let bytes = outcome.totals.consumed as f64 * f64::from(BASE.record_bytes);
    figures.set(Metric::MbPerS, outcome.consumed.mb_per_s);
    figures.set(Metric::ClientCpuPerGb, outcome.client.cpu_s_per_gb);
    set_used(&mut figures, used, bytes, f64::NAN);
    Ok(figures)
}

/// One reader of cold data, while others send to a topic of their own.
fn beside(server: &Server, backlog: &Backlog, others: &str, seconds: f64) -> Result<Figures, Error> {
    server.create_topic(others, BASE.partitions, &[])?;
    server.forget()?;
    let shape = Shape { producers: 1, ..BASE };
    let sending = Workload {
        rate: Rate::BytesPerS(BESIDE_BYTES_PER_S),
        ..light::produce(&shape, others, seconds, seconds * WARM_UP_SHARE)
    };
    let (read, sent) = thread::scope(|scope| {
        let sent = scope.spawn(|| light::run(server.address(), &sending));
        let read = read(server, backlog, 1);
        (read, sent.join().expect("a load does not panic"))
    });
    let deleted = server.delete_topic(others);
    let (mut figures, sent) = (read?, sent?);
    figures.set(Metric::P50Ms, sent.publish_latency.percentile_ms(50.0));
    figures.set(Metric::P99Ms, sent.publish_latency.percentile_ms(99.0));
    figures.set(Metric::P999Ms, sent.publish_latency.percentile_ms(99.9));
    figures.set(Metric::MaxMs, sent.publish_latency.max_ms());
    figures.points = sent.publish_latency.points();
    // The producers' share of it cannot be told apart.
    figures.values.remove(&Metric::CpuPerGb);
    deleted.map(|()| figures)
}
