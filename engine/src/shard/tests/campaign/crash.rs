//! One crash: what a power cut or a kill leaves is started on, and checked; and so is what another one in the
//! middle of that start, or right behind it, leaves.

use std::fmt;

use super::broker::Broker;
use super::ledger::{Debts, Ledger};
use super::notes::Notes;
use super::numbers::Numbers;
use super::tally::{Tally, What};
use crate::disk::sim::SimDisk;

/// A start takes about so many steps; a step behind its last one is its end.
const STEPS_OF_A_START: usize = 160;

/// What is chosen for a crash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) seed: u64,
    /// Shards of the process that starts then.
    pub(super) shards: usize,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cut {}, then {} shards", self.seed, self.shards)
    }
}

/// Crashes, starts and checks.
pub(super) fn crash(
    point: &SimDisk,
    cut: &Cut,
    notes: &Notes,
    ledger: &Ledger,
    owed: &Debts,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut numbers = Numbers::new(cut.seed);
    let disk = end(point, &mut numbers);
    disk.keep_crash_point(numbers.below(STEPS_OF_A_START) as u64);
    let mut broker = start(&disk, notes, cut.shards, &mut numbers)?;
    let unclean = notes.unclean();
    let there = ledger.check(&mut broker, notes, owed)?;
    // What it serves was read by somebody: it must outlive a power cut that comes at once.
    let (again, owed) = match disk.take_crash_points().pop() {
        Some((step, during)) => {
            tally.add(What::of_start(&step), 1);
            (during, owed)
        }
        None => (disk.after_kill(), &there),
    };
    ledger.challenge(&mut broker, &there)?;
    drop(broker);
    let disk = end(&again, &mut numbers);
    let mut broker =
        start(&disk, &unclean, cut.shards, &mut numbers).map_err(|what| format!("twice: {what}"))?;
    let there = ledger.check(&mut broker, notes, owed).map_err(|what| format!("twice: {what}"))?;
    ledger.challenge(&mut broker, &there).map_err(|what| format!("twice: {what}"))?;
    tally.crashes += 2;
    Ok(())
}

/// Most machines lose power; some processes are killed.
fn end(disk: &SimDisk, numbers: &mut Numbers) -> SimDisk {
    let seed = numbers.next();
    if numbers.is_one_in(4) { disk.after_kill() } else { disk.after_crash(seed) }
}

fn start(disk: &SimDisk, notes: &Notes, shards: usize, numbers: &mut Numbers) -> Result<Broker, String> {
    Broker::start(disk, notes, shards, numbers.next()).map_err(|error| error.to_string())
}
