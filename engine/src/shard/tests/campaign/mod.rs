//! The campaign of crashes: a broker's shards under load over the simulated disk, cut off in the middle of every
//! step and started again, with as many shards as come next. Nothing that was acknowledged or seen is lost or
//! changed, nothing appears that was not sent, no batch is stored twice and no offset is used twice.
//!
//! ```text
//! numbers   what a seed decides
//! notes     what the small files of a broker say
//! broker    shards, started and stopped as a broker does it
//! ledger    what clients sent, were told and saw; what they are owed
//! world     one act after the other
//! crash     one crash, and another one during the start
//! tally     in the middle of what the power went
//! damage    what no crash does
//! matrix    everything that a disk is asked for fails, in every way
//! ```
//!
//! `LOGMILL_CRASH_POINTS` says how many crashes there are, `LOGMILL_CRASH_SEED` which comes first.

mod broker;
mod crash;
mod damage;
mod ledger;
mod matrix;
mod notes;
mod numbers;
mod tally;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use self::tally::Tally;
use self::world::World;
use crate::planted::{Bug, plant};

/// Crashes without `LOGMILL_CRASH_POINTS`.
const CRASHES: u64 = 100_000;
/// With fewer crashes than these something may have met none.
const CRASHES_OF_ALL_MIN: u64 = 50_000;
/// Acts of one run.
const ACTS: usize = 250;
/// Runs in which a planted bug has to be caught.
const RUNS_TO_CATCH_MAX: u64 = 40;

/// One run: what crashes it survived, or what went wrong in it.
fn run(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed).map_err(|what| format!("seed {seed}: {what}"))?;
    for _ in 0..ACTS {
        let acted = catch_unwind(AssertUnwindSafe(|| world.act()));
        let acted = acted.unwrap_or_else(|panic| Err(in_words(&*panic)));
        acted.map_err(|what| format!("seed {seed}, {}: {what}", world.story()))?;
    }
    Ok(world.tally)
}

fn in_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic").to_owned()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_goes() {
    let wanted = setting("LOGMILL_CRASH_POINTS").unwrap_or(CRASHES);
    let seed = AtomicU64::new(setting("LOGMILL_CRASH_SEED").unwrap_or(1));
    let tally = Mutex::new(Tally::default());
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while tally.lock().unwrap().crashes < wanted && failure.lock().unwrap().is_none() {
                    match run(seed.fetch_add(1, Ordering::Relaxed)) {
                        Ok(survived) => tally.lock().unwrap().merge(&survived),
                        Err(what) => *failure.lock().unwrap() = Some(what),
                    }
                }
            });
        }
    });
    if let Some(what) = failure.into_inner().unwrap() {
        panic!("{what}");
    }
    let tally = tally.into_inner().unwrap();
    println!("up to seed {}: {tally}", seed.into_inner() - 1);
    let missing = tally.missing();
    assert!(wanted < CRASHES_OF_ALL_MIN || missing.is_empty(), "no crash in the middle of {missing:?}");
}

#[test]
fn each_planted_bug_is_caught() {
    let next = Mutex::new(Bug::ALL.iter());
    let is_all = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(bug) = { next.lock().unwrap().next() } {
                    plant(Some(*bug));
                    match (1..=RUNS_TO_CATCH_MAX).find_map(|seed| run(seed).err()) {
                        Some(how) => println!("{bug:?}: {how}"),
                        None => {
                            println!("{bug:?}: not caught in {RUNS_TO_CATCH_MAX} runs");
                            is_all.store(false, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    assert!(is_all.into_inner(), "the campaign lets a bug through");
}
