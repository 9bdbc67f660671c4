//! `LogDir`: what a shard keeps of one log directory.

use std::path::PathBuf;

use super::behind::Behind;
use super::counts::CommitCounts;
use super::limits::CommitLimits;
use super::wave::Waves;
use crate::journal::{FrameWrite, Journal};
use crate::partition::PartitionId;

/// So many bytes become durable where they lie before the journal is told, if it has nothing else to write.
const DIRECT_BYTES_UNRECORDED_MAX: u64 = 32 << 20;

/// One log directory of one shard.
#[derive(Debug)]
pub(super) struct LogDir {
    pub(super) path: PathBuf,
    pub(super) waves: Waves,
    /// `None`: everything becomes durable where it lies.
    pub(super) journal: Option<Journal>,
    pub(super) behind: Behind,
    pub(super) limits: CommitLimits,
    pub(super) counts: CommitCounts,
    /// Partitions of the open wave that are synced where they lie.
    pub(super) directs: usize,
    /// Bytes of such partitions since recovery points were last written.
    pub(super) direct_bytes: u64,
    pub(super) is_offline: bool,
}

impl LogDir {
    pub(super) fn new(path: PathBuf, journal: Option<Journal>, limits: CommitLimits) -> LogDir {
        LogDir {
            path,
            waves: Waves::new(),
            journal,
            behind: Behind::default(),
            limits,
            counts: CommitCounts::default(),
            directs: 0,
            direct_bytes: 0,
            is_offline: false,
        }
    }

    /// The partitions of the wave that can start; `None` when one is in flight or there is nothing to write.
    pub(super) fn take_dirty(&mut self) -> Option<Vec<PartitionId>> {
        let dirty = self.waves.take_dirty(self.wants_frame())?;
        self.directs = 0;
        Some(dirty)
    }

    /// Whether a wave is in flight, or syncs behind the journal are.
    pub(super) fn is_under_way(&self) -> bool {
        self.waves.is_in_flight() || self.behind.is_in_flight()
    }

    /// Whether recovery points are worth a frame of their own: a file of the journal waits for them, or a start
    /// would have much to verify without them.
    fn wants_frame(&self) -> bool {
        let is_worth_it = self.behind.is_done() || self.direct_bytes >= DIRECT_BYTES_UNRECORDED_MAX;
        is_worth_it && self.journal.as_ref().is_some_and(Journal::has_states)
    }

    /// The journal's part of a wave.
    pub(super) fn take_frame(&mut self) -> Option<FrameWrite> {
        let wants_frame = self.wants_frame();
        let journal = self.journal.as_mut()?;
        if !journal.has_pieces() && !wants_frame {
            return None;
        }
        self.direct_bytes = 0;
        let frame = journal.seal_frame();
        self.counts.frames += 1;
        self.counts.frame_bytes += frame.buf.len() as u64;
        self.counts.files_begun += u64::from(frame.position == 0);
        Some(frame)
    }
}
