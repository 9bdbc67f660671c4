//! `CommitLimits`: where a second copy of an append pays, and how much goes on behind the journal.

use crate::journal::SLOTS;

/// Decides how appends become durable where there is a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitLimits {
    /// A partition with so many bytes in a wave is synced where they lie: a second copy would cost more.
    pub direct_bytes_min: usize,
    /// Only so many partitions of a wave are: each costs a sync, and the journal one for all.
    pub direct_partitions_max: usize,
    /// Syncs behind the journal that are in flight at a time, for one log directory of one shard: they run on
    /// workers of the thread, and a wave must not queue behind them. More are while the journal runs full.
    pub background_syncs_max: usize,
    /// Syncs behind the journal begin when no more of its files than these are free. Later is cheaper: a sync
    /// frees its partition from all full files, so that it is synced the less often the more of them there are.
    /// Too late is dear: what finds no room in the journal is synced partition by partition.
    pub free_files_min: usize,
}

impl Default for CommitLimits {
    fn default() -> CommitLimits {
        CommitLimits {
            direct_bytes_min: 64 * 1024,
            direct_partitions_max: 16,
            background_syncs_max: 2,
            free_files_min: SLOTS - 5,
        }
    }
}
