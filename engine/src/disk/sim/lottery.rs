//! `Lottery`: what of the pending changes a power cut leaves.

use super::random::Random;

/// Decides for one set of pending changes, such as a file's sectors. Fair coins alone would hardly ever
/// leave nothing, all or a beginning, which are what devices leave most.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaves {
    Nothing,
    Everything,
    /// What comes before a place, in order.
    Beginning(usize),
    /// A coin for each.
    Any,
}

/// Draws from a seed.
#[derive(Debug)]
pub(super) struct Lottery(Random);

impl Lottery {
    pub(super) fn new(seed: u64) -> Lottery {
        Lottery(Random::new(seed))
    }

    /// What is left of a set of so many.
    pub(super) fn draw(&mut self, of: usize) -> Leaves {
        match self.0.below(8) {
            0 => Leaves::Nothing,
            1 => Leaves::Everything,
            2 | 3 => Leaves::Beginning(self.0.below(of + 1)),
            _ => Leaves::Any,
        }
    }

    /// Which state a thing is in that had `pending` states since the durable one, as the one numbered
    /// `place` of its set: 0 is the durable state, `pending` the newest.
    pub(super) fn pick(&mut self, leaves: Leaves, place: usize, pending: usize) -> usize {
        match leaves {
            Leaves::Nothing => 0,
            Leaves::Everything => pending,
            Leaves::Beginning(end) => {
                if place < end {
                    pending
                } else {
                    0
                }
            }
            Leaves::Any => self.0.below(pending + 1),
        }
    }
}
