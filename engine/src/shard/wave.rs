//! `Waves`: group commit for one log directory of one shard.
//!
//! A wave takes everything that was appended in the directory so far, syncs it, and then releases all of it
//! together. One is in flight at a time; the next starts at once when anything is dirty.

use crate::format::PartitionMap;
use crate::log::LogEnd;
use crate::partition::PartitionId;

/// What an append waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Which log directory, as an index.
    pub dir: usize,
    /// Which wave of it.
    pub wave: u64,
}

/// The waves of one directory.
#[derive(Debug)]
pub(crate) struct Waves {
    /// The wave that the next append joins. Those before it have started.
    open: u64,
    dirty: Vec<PartitionId>,
    /// Finds in `dirty` without walking it.
    is_dirty: PartitionMap<()>,
    in_flight: Option<InFlight>,
    /// Memory of lists that are done with, empty.
    spare_dirty: Vec<PartitionId>,
    spare_covered: Vec<(PartitionId, LogEnd)>,
}

#[derive(Debug)]
struct InFlight {
    wave: u64,
    syncs_left: usize,
    covered: Vec<(PartitionId, LogEnd)>,
}

/// A wave whose syncs have all returned.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) wave: u64,
    pub(crate) covered: Vec<(PartitionId, LogEnd)>,
}

impl Waves {
    pub(crate) fn new() -> Waves {
        Waves {
            open: 1,
            dirty: Vec::new(),
            is_dirty: PartitionMap::default(),
            in_flight: None,
            spare_dirty: Vec::new(),
            spare_covered: Vec::new(),
        }
    }

    /// The wave that will cover what was just appended to `partition`.
    pub(crate) fn enroll(&mut self, partition: PartitionId) -> u64 {
        if self.is_dirty.insert(partition, ()).is_none() {
            self.dirty.push(partition);
        }
        self.open
    }

    /// Whether the wave that has not started covers `partition`.
    pub(crate) fn is_enrolled(&self, partition: PartitionId) -> bool {
        self.is_dirty.contains_key(&partition)
    }

    /// The wave that covers what `partition` holds, if it is still under way.
    pub(crate) fn covering(&self, partition: PartitionId) -> Option<u64> {
        if self.is_enrolled(partition) {
            return Some(self.open);
        }
        let in_flight = self.in_flight.as_ref()?;
        in_flight.covered.iter().any(|(covered, _)| *covered == partition).then_some(in_flight.wave)
    }

    /// The partitions of the wave that can start; `None` when one is in flight, or nothing is dirty and
    /// nothing else is `wanted` either.
    pub(crate) fn take_dirty(&mut self, wanted: bool) -> Option<Vec<PartitionId>> {
        if self.in_flight.is_some() || (self.dirty.is_empty() && !wanted) {
            return None;
        }
        self.is_dirty.clear();
        Some(std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare_dirty)))
    }

    /// An empty list for what the wave that starts covers.
    pub(crate) fn new_covered(&mut self) -> Vec<(PartitionId, LogEnd)> {
        std::mem::take(&mut self.spare_covered)
    }

    /// Takes the memory of a list back that [`Waves::take_dirty`] gave.
    pub(crate) fn give_dirty_back(&mut self, mut dirty: Vec<PartitionId>) {
        dirty.clear();
        self.spare_dirty = dirty;
    }

    /// Takes the memory of a finished wave's list back.
    pub(crate) fn give_covered_back(&mut self, mut covered: Vec<(PartitionId, LogEnd)>) {
        covered.clear();
        self.spare_covered = covered;
    }

    /// The wave is on its way: `syncs` must return before `covered` is durable. Which wave it is.
    pub(crate) fn started(&mut self, syncs: usize, covered: Vec<(PartitionId, LogEnd)>) -> u64 {
        assert!(self.in_flight.is_none(), "one wave in flight for each directory");
        let wave = self.open;
        self.in_flight = Some(InFlight { wave, syncs_left: syncs, covered });
        self.open += 1;
        wave
    }

    /// Whether a wave is on its way.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// One of the wave's syncs has returned well.
    pub(crate) fn synced(&mut self) {
        let in_flight = self.in_flight.as_mut().expect("a sync belongs to the wave in flight");
        in_flight.syncs_left -= 1;
    }

    /// The wave in flight, once its last sync has returned.
    pub(crate) fn take_finished(&mut self) -> Option<Finished> {
        let InFlight { wave, covered, .. } = self.in_flight.take_if(|wave| wave.syncs_left == 0)?;
        Some(Finished { wave, covered })
    }
}
