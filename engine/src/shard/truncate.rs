//! Taking back the end of a partition's log, whatever of it is durable, acknowledged or in a journal.

use super::commit::Share;
use super::shard::Shard;
use super::upkeep::PartitionMarks;
use crate::error::Error;
use crate::journal::{Place, StateRecord};
use crate::log::LogEnd;
use crate::partition::PartitionId;

impl Shard {
    /// Takes back everything of a partition from `offset` on, which is not in front of its start; where that lies
    /// within a batch, from that batch on. Waits.
    ///
    /// A crash leaves all of it, or the beginning that stays, or anything in between. So that no start misses what
    /// is gone, or writes it again: first what stays is synced; `write_down` makes durable how far the partition
    /// counts as durable from then on, and the journal, that none of its pieces counts; then the log is cut.
    pub fn truncate(
        &mut self,
        id: PartitionId,
        offset: i64,
        now_ms: i64,
        write_down: impl FnOnce(&[PartitionMarks]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let slot = self.partitions.get(&id).ok_or(Error::UnknownPartition)?;
        let dir = slot.dir;
        self.finish_waves(dir)?;
        let truncated = self.truncate_idle(id, dir, offset, now_ms, write_down);
        if let Err(error) = &truncated {
            self.fail(dir, &format!("cutting a log failed: {error}"));
        }
        truncated
    }

    /// Waits until nothing of a directory is on its way, or waits for a wave.
    fn finish_waves(&mut self, dir: usize) -> Result<(), Error> {
        loop {
            self.submit();
            if self.dirs[dir].is_offline {
                return Err(Error::Offline(self.dirs[dir].path.clone()));
            }
            if !self.dirs[dir].is_under_way() {
                return Ok(());
            }
            self.queue.wait().map_err(Error::io("waiting for syncs"))?;
            self.reap();
        }
    }

    fn truncate_idle(
        &mut self,
        id: PartitionId,
        dir: usize,
        offset: i64,
        now_ms: i64,
        write_down: impl FnOnce(&[PartitionMarks]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let slot = self.partitions.get_mut(&id).expect("it was just looked up");
        let end = slot.partition.end();
        if offset >= end.offset {
            return Ok(());
        }
        let mut files = Vec::new();
        slot.partition.take_unsynced(|file, _| files.push(file));
        files.iter().try_for_each(|file| file.sync()).map_err(Error::io("syncing what stays"))?;
        slot.partition.durable_to(end);
        let LogEnd { segment, position, offset: point, .. } =
            slot.partition.recede_to(&mut self.cache, offset)?;
        let marks = slot.partition.marks();
        write_down(&[PartitionMarks { id, topic: slot.topic.clone(), dir, marks }])?;
        if let Some(journal) = &mut self.dirs[dir].journal {
            let place = Place { id, segment, position, offset: point };
            journal
                .cut(StateRecord { place, payload: Vec::new() })
                .map_err(Error::io("writing a cut to the journal"))?;
        }
        let due_ms = now_ms.saturating_add(slot.partition.config().delete_delay_ms);
        slot.partition.truncate_to(&mut self.cache, offset, now_ms, due_ms)?;
        // What was written beside the log for it is durable with the next wave.
        slot.share = Share::Direct;
        self.dirs[dir].waves.enroll(id);
        Ok(())
    }
}
