//! `Behind`: syncs of segments behind the journal, so that its files can be written anew.
//!
//! Few are in flight at a time: syncs run on workers of the thread, and a wave must not queue behind them.

use std::collections::VecDeque;

use super::commit::Mark;
use crate::journal::Journal;
use crate::partition::PartitionId;

/// So many times as many syncs are in flight, by how many files of the journal are still free: waves that are
/// a little slower are better than a journal that is full.
const URGENCY: [usize; 4] = [8, 4, 2, 1];

/// A partition that is being made durable where it lies.
#[derive(Debug)]
struct Job {
    /// What will be true when its syncs have returned.
    mark: Mark,
    syncs_left: usize,
    /// The wave in flight needs it.
    is_awaited: bool,
}

/// A job whose syncs have all returned.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) mark: Mark,
    /// The wave in flight has waited for it.
    pub(super) is_awaited: bool,
}

/// The syncs of one log directory.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// The generation of the journal's file that is being freed.
    generation: Option<u64>,
    /// Partitions with pieces in it, the next one first, and how far they have to become durable.
    waiting: VecDeque<(PartitionId, i64)>,
    /// Finished ones are `None` and taken again.
    jobs: Vec<Option<Job>>,
    syncs_in_flight: usize,
}

impl Behind {
    /// Looks whether another file of the journal is to be freed.
    pub(super) fn follow(&mut self, journal: &Journal, free_files_min: usize) {
        let generation = journal.generation_to_free(free_files_min);
        if self.generation != generation {
            self.generation = generation;
            self.waiting = generation.map(|_| journal.needed_by()).unwrap_or_default().into();
        }
    }

    /// The next partition that a sync may be begun for.
    pub(super) fn next(
        &mut self,
        journal: &Journal,
        syncs_max: usize,
        is_busy: impl Fn(PartitionId) -> bool,
    ) -> Option<PartitionId> {
        let urgency = URGENCY[journal.free_files_count().min(URGENCY.len() - 1)];
        if self.syncs_in_flight >= syncs_max * urgency {
            return None;
        }
        for _ in 0..self.waiting.len() {
            let (id, end) = self.waiting.pop_front()?;
            if journal.recovery_point(id) >= Some(end) {
                continue;
            }
            if !is_busy(id) {
                return Some(id);
            }
            self.waiting.push_back((id, end));
        }
        None
    }

    /// Whether all syncs that free the file have returned.
    pub(super) fn is_done(&self) -> bool {
        self.generation.is_some() && self.waiting.is_empty() && self.syncs_in_flight == 0
    }

    /// Whether syncs are on their way.
    pub(super) fn is_in_flight(&self) -> bool {
        self.syncs_in_flight > 0
    }

    /// Takes up that so many syncs were submitted under the job's number.
    pub(super) fn begin(&mut self, mark: Mark, syncs: usize) {
        let job = self.free_job();
        self.syncs_in_flight += syncs;
        self.jobs[job] = Some(Job { mark, syncs_left: syncs, is_awaited: false });
    }

    /// The number that the next job will have.
    pub(super) fn free_job(&mut self) -> usize {
        self.jobs.iter().position(Option::is_none).unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        })
    }

    /// Has the wave in flight wait for a partition's syncs. False: there are none.
    pub(super) fn await_job_of(&mut self, id: PartitionId) -> bool {
        let of_partition = |job: &&mut Job| job.mark.record.place.id == id;
        let job = self.jobs.iter_mut().flatten().find(of_partition);
        job.map(|job| job.is_awaited = true).is_some()
    }

    /// One of a job's syncs has returned well. `Some`: it was the last one.
    pub(super) fn synced(&mut self, job: usize) -> Option<Done> {
        self.syncs_in_flight -= 1;
        let running = self.jobs[job].as_mut().expect("a sync belongs to a job that is under way");
        running.syncs_left -= 1;
        let Job { mark, is_awaited, .. } = self.jobs[job].take_if(|job| job.syncs_left == 0)?;
        Some(Done { mark, is_awaited })
    }
}
