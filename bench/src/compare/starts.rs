//! The legs that start brokers, and those that leave them alone.

use std::thread;
use std::time::{Duration, Instant};

use super::cases::{BASE, Shape};
use super::contender::Contender;
use super::leg::Figures;
use super::light;
use super::meter::{cpu_at_rest, mib};
use super::metric::Metric;
use super::run::Run;
use super::server::{Server, failed};
use crate::load::Workload;
use crate::rig::{Broker, Error, Usage};

const FULL_BYTES: u64 = 10 << 30;
const FULL: Shape = Shape { partitions: 1_000, ..BASE };
const FULL_TOPIC: &str = "full";
const IDLE_TOPIC: &str = "idle";
/// For how long a broker is loaded before it is killed in the middle of it.
const LOADED: Duration = Duration::from_secs(4);
/// From its first answer on, until its memory is looked at.
const SETTLED: Duration = Duration::from_secs(1);

/// From exec to the first answer on an empty directory.
pub(super) fn empty(run: &mut Run<'_>, contender: Contender) -> Result<Figures, Error> {
    let broker = run.fleet.setup.broker(contender, &[])?;
    started(&broker)
}

/// The same with 1,000 partitions and 10 GiB, whose logs have left the page cache.
pub(super) fn full(run: &mut Run<'_>, contender: Contender, is_killed: bool) -> Result<Figures, Error> {
    if !run.ground.own.contains_key(&contender) {
        let bytes = run.scaled(FULL_BYTES);
        eprintln!("  writing {} MiB to 1,000 partitions of {}", bytes >> 20, contender.title());
        let server = run.own_broker(contender, &[])?;
        server.create_topic(FULL_TOPIC, FULL.partitions, &[])?;
        light::run(server.address(), &light::fill(&FULL, FULL_TOPIC, bytes / u64::from(FULL.record_bytes)))?;
    }
    let Some(Server::Broker(broker)) = run.ground.own.get_mut(&contender) else {
        return Err(failed(format!("{} is no broker of ours", contender.title())));
    };
    if is_killed {
        kill_under_load(broker)?;
    } else {
        broker.stop()?;
    }
    super::server::forget_logs(&broker.log_dir()).map_err(Error::io("dropping logs from the page cache"))?;
    broker.restart()?;
    started(broker)
}

/// What a broker costs that has so many partitions and nothing to do.
pub(super) fn idle(run: &mut Run<'_>, contender: Contender, partitions: u32) -> Result<Figures, Error> {
    let window = Duration::from_secs_f64(run.seconds() / 2.0);
    let is_new = !run.ground.own.contains_key(&contender);
    let server = run.own_broker(contender, &[])?;
    if is_new && partitions > 0 {
        server.create_topic(IDLE_TOPIC, partitions, &[])?;
    }
    let pid = server.pid().ok_or_else(|| failed(format!("{} has stopped", contender.title())))?;
    let (before, begun) = (cpu_at_rest(pid)?, Instant::now());
    thread::sleep(window);
    let usage = Usage::of(pid)?;
    let mut figures = Figures::default();
    let share = (usage.cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    figures.set(Metric::IdleCpuPercent, share * 100.0);
    figures.set(Metric::ResidentMib, mib(usage.resident_bytes));
    Ok(figures)
}

fn started(broker: &Broker) -> Result<Figures, Error> {
    let mut figures = Figures::default();
    figures.set(Metric::StartMs, broker.start_time().as_secs_f64() * 1_000.0);
    thread::sleep(SETTLED);
    figures.set(Metric::ResidentMib, mib(broker.usage()?.resident_bytes));
    Ok(figures)
}

/// Its clients lose their broker, and say so to nobody.
fn kill_under_load(broker: &mut Broker) -> Result<(), Error> {
    let load = Workload {
        delivery_timeout_s: 1.0,
        drain_s: 0.0,
        ..light::produce(&FULL, FULL_TOPIC, 2.0 * LOADED.as_secs_f64(), 0.0)
    };
    let address = broker.address();
    let loading = thread::spawn(move || light::run(address, &load));
    let begun = Instant::now();
    while begun.elapsed() < LOADED {
        if loading.is_finished() {
            // It must not have ended by itself: then nothing was under way.
            return Err(match loading.join().expect("a load does not panic") {
                Ok(_) => failed("the load ended before the kill".into()),
                Err(error) => error,
            });
        }
        thread::sleep(Duration::from_millis(50));
    }
    broker.kill();
    drop(loading.join().expect("a load does not panic"));
    Ok(())
}
