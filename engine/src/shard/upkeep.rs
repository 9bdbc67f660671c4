//! `Upkeep`: what a shard does from time to time: it gives up old records, and says how far its partitions have
//! come, for the next start.

use super::commit::Share;
use super::shard::Shard;
use super::wave::Ticket;
use crate::error::Error;
use crate::partition::{Appended, Marks, PartitionId};

/// How far one partition has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMarks {
    /// Which.
    pub id: PartitionId,
    /// Its topic's name.
    pub topic: String,
    /// Which log directory it lies in, as an index.
    pub dir: usize,
    /// Its marks.
    pub marks: Marks,
}

/// What a client may ask to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBefore {
    /// What lies in front of this offset.
    Offset(i64),
    /// All that readers see.
    HighWatermark,
}

impl Shard {
    /// Keeps readers from records that a client wants to be gone. It may be told so when the start that is answered
    /// is written down, which it is not before the ticket's wave is released. Answered like an append of nothing.
    /// [`Shard::submit`] comes next.
    pub fn delete_records(
        &mut self,
        id: PartitionId,
        before: DeleteBefore,
    ) -> Result<(Appended, Option<Ticket>), Error> {
        let slot = self.partitions.get_mut(&id).ok_or(Error::UnknownPartition)?;
        let dir = &mut self.dirs[slot.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        let offset = match before {
            DeleteBefore::Offset(offset) => offset,
            DeleteBefore::HighWatermark => slot.partition.bounds().readable,
        };
        let start_offset = slot.partition.delete_records_before(offset)?;
        let wave = slot.partition.start_needs_sync().then(|| {
            slot.share = Share::Direct;
            dir.waves.enroll(id)
        });
        let end = slot.partition.end().offset;
        let nothing = Appended { base_offset: end, append_time_ms: None, start_offset, end_offset: end };
        Ok((nothing, wave.map(|wave| Ticket { dir: slot.dir, wave })))
    }

    /// Keeps readers from what no setting keeps, and removes files of deleted segments whose time has come. What
    /// is not read any more is deleted once its partition's start is written down: [`Shard::marks_written`].
    /// [`Shard::submit`] comes next.
    pub fn upkeep(&mut self, now_ms: i64) {
        for id in self.online() {
            let slot = self.partitions.get_mut(&id).expect("it was listed");
            let done = slot.partition.upkeep(&mut self.cache, now_ms);
            report(done, &slot.topic, id);
            if slot.partition.start_needs_sync() {
                slot.share = Share::Direct;
                self.dirs[slot.dir].waves.enroll(id);
            }
        }
    }

    /// How far the partitions have come, but for those whose log directory is offline.
    pub fn marks(&self) -> Vec<PartitionMarks> {
        let marks = self.online().into_iter().map(|id| {
            let slot = &self.partitions[&id];
            PartitionMarks { id, topic: slot.topic.clone(), dir: slot.dir, marks: slot.partition.marks() }
        });
        marks.collect()
    }

    /// These are on the device: what lies in front of their starts may go.
    pub fn marks_written(&mut self, written: &[PartitionMarks], now_ms: i64) {
        for PartitionMarks { id, dir, marks, .. } in written {
            // It may have been closed meanwhile, or its directory have failed.
            let Some(slot) = self.partitions.get_mut(id).filter(|_| !self.dirs[*dir].is_offline) else {
                continue;
            };
            let segment = slot.partition.end().segment;
            let due_ms = now_ms.saturating_add(slot.partition.config().delete_delay_ms);
            let deleted = slot.partition.delete_below_start(&mut self.cache, marks.start, now_ms, due_ms);
            // Where everything goes the last segment was sealed for that, and a wave has to cover it.
            if slot.partition.end().segment != segment {
                slot.share = Share::Direct;
                self.dirs[*dir].waves.enroll(*id);
            }
            match &deleted {
                Ok(count) if *count > 0 => tracing::info!(
                    "{}-{}: begins at offset {}, {count} segments in front of it deleted",
                    slot.topic,
                    id.index,
                    marks.start
                ),
                _ => (),
            }
            report(deleted.map(drop), &slot.topic, *id);
        }
    }

    /// Log directories that failed.
    pub fn offline_dirs(&self) -> impl Iterator<Item = usize> {
        (0..self.dirs.len()).filter(|dir| self.dirs[*dir].is_offline)
    }

    /// Partitions that are served, in an order that is the same for the same ones.
    fn online(&self) -> Vec<PartitionId> {
        let online = self.partitions.iter().filter(|(_, slot)| !self.dirs[slot.dir].is_offline);
        let mut ids: Vec<PartitionId> = online.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }
}

/// What cannot be given up now is tried again the next time.
fn report(done: Result<(), Error>, topic: &str, id: PartitionId) {
    if let Err(error) = done {
        tracing::error!("{topic}-{}: old records are not given up: {error}", id.index);
    }
}
