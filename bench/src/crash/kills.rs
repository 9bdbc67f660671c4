//! `logmill bench kills`: a broker that is killed and stopped under idempotent load, behind a proxy that
//! drops every tenth response.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::subject::{CommonArgs, Subject};
use crate::ledger::Proxy;
use crate::rig::Error;

/// The data is made anew after so many ends, so that what is read back stays small.
const ENDS_OF_A_BROKER: u32 = 20;

const PARTITIONS: usize = 8;

/// Ends of the real broker, half by SIGKILL and half by SIGTERM: no acknowledged record lost, moved or
/// doubled, and it serves again in time.
#[derive(Debug, clap::Args)]
pub struct KillsArgs {
    /// How often it ends.
    #[arg(long, default_value_t = 40)]
    kills: u32,
    /// It has to serve again within so many milliseconds.
    #[arg(long, default_value_t = 1_000)]
    serve_ms_max: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl KillsArgs {
    /// So many ends, and so long for a start.
    pub(super) fn new(kills: u32, serve_ms_max: u64, common: CommonArgs) -> KillsArgs {
        KillsArgs { kills, serve_ms_max, common }
    }

    /// Ends it, prints a line for each, and returns at the first contradiction.
    pub fn run(&self) -> Result<(), Error> {
        let seed = self.common.seed();
        let mut left = self.kills;
        for broker in 0.. {
            if left == 0 {
                break;
            }
            let ends = left.min(ENDS_OF_A_BROKER);
            self.end_a_broker(seed + broker, ends)?;
            left -= ends;
        }
        println!("kills: {} ends, nothing lost, moved or doubled", self.kills);
        Ok(())
    }

    fn end_a_broker(&self, seed: u64, ends: u32) -> Result<(), Error> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut proxy = None;
        let through = |broker| {
            let started = Proxy::start(broker).map_err(Error::io("starting the proxy"))?;
            Ok(proxy.insert(started).address())
        };
        let mut subject = Subject::start(self.common.broker(&[])?, seed, PARTITIONS, through)?;
        let dropped = || proxy.as_ref().map_or(0, Proxy::dropped);
        for nth in 1..=ends {
            let is_kill = random.random();
            let name =
                format!("kills: seed {seed} end {nth} by {}", if is_kill { "SIGKILL" } else { "SIGTERM" });
            let end =
                End { records: random.random_range(1..5_000), is_kill, pause: random.random_range(0..50) };
            let stopped = self
                .end_once(&mut subject, &end)
                .map_err(|error| Error::Failed { what: name.clone(), output: error.to_string() })?;
            let tally = subject.book.tally();
            println!(
                "{name}: ended after {:.3} s; {} acknowledged, {} there, {} responses dropped; \
                 serves after {:.3} s",
                stopped.as_secs_f64(),
                tally.acknowledged,
                tally.known,
                dropped(),
                subject.broker.start_time().as_secs_f64()
            );
        }
        subject.finish().map_err(|error| Error::Failed {
            what: format!("kills: seed {seed}, the last check"),
            output: error.to_string(),
        })?;
        Ok(())
    }

    /// Load, end, start, check. Says how long the end took.
    fn end_once(&self, subject: &mut Subject, end: &End) -> Result<Duration, Error> {
        subject.load(end.records)?;
        std::thread::sleep(Duration::from_millis(end.pause));
        let begun = Instant::now();
        if end.is_kill {
            subject.broker.kill();
        } else {
            let status = subject.broker.stop()?;
            if !status.is_some_and(|status| status.success()) {
                let what = format!("SIGTERM ended it with {status:?}");
                return Err(Error::with_log(what, &subject.broker.log_file()));
            }
        }
        let stopped = begun.elapsed();
        subject.clients.hold();
        subject.broker.restart()?;
        let served = subject.broker.start_time();
        if served > Duration::from_millis(self.serve_ms_max) {
            let what = format!("it served after {served:?}");
            return Err(Error::with_log(what, &subject.broker.log_file()));
        }
        subject.check()?;
        Ok(stopped)
    }
}

/// What is chosen for an end.
struct End {
    /// Records acknowledged before it.
    records: u64,
    is_kill: bool,
    /// Milliseconds between the last of these records and the end.
    pause: u64,
}
