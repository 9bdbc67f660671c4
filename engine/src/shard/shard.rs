//! `Shard`: appends, commits and reads for the partitions of one thread.

use std::path::PathBuf;
use std::sync::Arc;

use super::commit::{Mark, Share};
use super::counts::CommitCounts;
use super::flush::{Flushing, Unflushed};
use super::limits::CommitLimits;
use super::log_dir::LogDir;
use super::opener::{self, OpenPartition, Opened, Opener};
use super::read_in::ReadsIn;
use super::wave::Ticket;
use crate::disk::{Disk, IoDone, IoQueue};
use crate::error::Error;
use crate::format::{PartitionMap, ProducerEntry};
use crate::journal::{Journal, JournalConfig};
use crate::log::{Cache, LogEnd, TimedOffset};
use crate::partition::{Bounds, EpochEnd, Fetched, Isolation, Partition, PartitionId, TimeQuery};

/// What a shard is made of.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Log directories; a [`Ticket`] names one by its index.
    pub log_dirs: Vec<PathBuf>,
    /// The journal of each directory; none where everything becomes durable where it lies.
    pub journals: Vec<JournalConfig>,
    /// What goes through them.
    pub limits: CommitLimits,
}

/// What happened to waves and readers since the last time it was taken.
#[derive(Debug, Default)]
pub struct Progress {
    /// Waves that were released: appends whose ticket names one of them, or an earlier one of the same
    /// directory, may be acknowledged.
    pub released: Vec<Ticket>,
    /// Directories that went offline, and why: nothing that waits for them will be released.
    pub failed: Vec<(usize, String)>,
    /// Partitions of which readers see more.
    pub advanced: Vec<PartitionId>,
    /// Reads that [`Shard::read_in`] began, by their numbers.
    pub read_in: Vec<u32>,
}

/// The partitions of one thread. Nothing here waits.
pub struct Shard {
    pub(super) cache: Cache,
    pub(super) queue: Box<dyn IoQueue>,
    pub(super) dirs: Vec<LogDir>,
    pub(super) partitions: PartitionMap<Slot>,
    pub(super) progress: Progress,
    /// Asked for since the start.
    pub(super) syncs: u64,
    /// Bytes of segments and their indexes that openings have read.
    opening_bytes_read: u64,
    pub(super) reaped: Vec<IoDone>,
    pub(super) reads_in: ReadsIn,
}

pub(super) struct Slot {
    pub(super) partition: Partition,
    pub(super) topic: String,
    pub(super) dir: usize,
    /// How its appends of the open wave become durable.
    pub(super) share: Share,
    /// What will be true of it when the syncs of the wave in flight have returned.
    pub(super) direct: Option<Mark>,
    /// Whether syncs of it are on their way behind the journal.
    pub(super) is_behind: bool,
    /// Bytes that were appended since it was last marked.
    pub(super) unmarked_bytes: u64,
    /// Counted where its log is synced now and then.
    pub(super) unflushed: Unflushed,
    /// Who waits for such a sync.
    pub(super) flushing: Flushing,
}

impl Opener {
    /// The shard, which [`Shard::adopt`]s what was opened for it and then [`Shard::begin`]s.
    pub fn into_shard(self, journals: &[JournalConfig], limits: CommitLimits) -> Result<Shard, Error> {
        let Opener { cache, log_dirs } = self;
        let disk = cache.shared_disk();
        let mut dirs = Vec::with_capacity(log_dirs.len());
        for path in log_dirs {
            let journal = journals.iter().find(|journal| journal.log_dir == path);
            let journal = journal.map(|journal| Journal::open(&*disk, journal)).transpose()?;
            dirs.push(LogDir::new(path, journal, limits));
        }
        Ok(Shard {
            queue: disk.io_queue().map_err(Error::io("making a queue of syncs"))?,
            cache,
            dirs,
            partitions: PartitionMap::default(),
            progress: Progress::default(),
            syncs: 0,
            opening_bytes_read: 0,
            reaped: Vec::new(),
            reads_in: ReadsIn::default(),
        })
    }
}

impl Shard {
    /// A shard without partitions.
    pub fn new(disk: Arc<dyn Disk>, config: ShardConfig) -> Result<Shard, Error> {
        let ShardConfig { log_dirs, journals, limits } = config;
        Opener::new(disk, log_dirs).into_shard(&journals, limits)
    }

    /// Opens a partition whose directory is there.
    pub fn open(&mut self, opened: &OpenPartition, now_ms: i64) -> Result<(), Error> {
        let dir = &self.dirs[opened.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        let opened = opener::open(&mut self.cache, &dir.path, opened, now_ms)?;
        self.adopt(opened);
        Ok(())
    }

    /// Takes a partition in that the shard's [`Opener`] or one beside it has opened.
    pub fn adopt(&mut self, opened: Opened) {
        let Opened { id, topic, dir, partition, bytes_read } = opened;
        self.opening_bytes_read += bytes_read;
        let mut slot = Slot {
            partition,
            topic,
            dir,
            share: Share::default(),
            direct: None,
            is_behind: false,
            unmarked_bytes: 0,
            unflushed: Unflushed::default(),
            flushing: Flushing::default(),
        };
        if let Some(journal) = &mut self.dirs[dir].journal {
            // What was found is on the device, and verified where it had to be.
            journal.set_state(slot.mark(id, &self.cache).0.record);
        }
        self.partitions.insert(id, slot);
    }

    /// Begins the journals anew, durably; waits. Comes behind the last [`Shard::open`] of a start and in front
    /// of the first append: from here on nothing that an earlier process left in a journal counts.
    pub fn begin(&mut self) -> Result<(), Error> {
        for dir in &mut self.dirs {
            if let Some(journal) = &mut dir.journal {
                let path = &dir.path;
                journal
                    .begin()
                    .map_err(Error::io(format_args!("beginning the journal of {}", path.display())))?;
            }
        }
        Ok(())
    }

    /// Forgets a partition whose deletion is durable. Appends to it that still wait are released with their
    /// wave.
    pub fn close(&mut self, id: PartitionId) {
        if let Some(slot) = self.partitions.remove(&id) {
            slot.partition.close(&mut self.cache);
            if let Some(journal) = &mut self.dirs[slot.dir].journal {
                journal.forget(id);
            }
        }
    }

    /// Takes a directory offline that has failed on another shard, which has said so to whoever must act.
    pub fn fail_dir(&mut self, dir: usize) {
        self.take_offline(dir, "it failed on another shard");
    }

    /// A failed sync is final: the kernel may have dropped the bytes and would say nothing the next time.
    pub(super) fn fail(&mut self, dir: usize, reason: &str) {
        if self.take_offline(dir, reason) {
            tracing::error!("log directory {} is offline: {reason}", self.dirs[dir].path.display());
        }
    }

    /// False: it is offline already.
    fn take_offline(&mut self, dir: usize, reason: &str) -> bool {
        let is_first = !std::mem::replace(&mut self.dirs[dir].is_offline, true);
        if is_first {
            self.progress.failed.push((dir, reason.to_owned()));
        }
        is_first
    }

    /// What happened since the last call.
    pub fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.progress)
    }

    /// Syncs that waves have asked for.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Bytes of segments and their indexes that [`Shard::open`] has read.
    pub fn opening_bytes_read(&self) -> u64 {
        self.opening_bytes_read
    }

    /// Partitions that are open.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Bytes of records in all of them.
    pub fn log_bytes(&self) -> u64 {
        self.partitions.values().map(|slot| slot.partition.log_bytes()).sum()
    }

    /// Whether every log directory is offline: the process has nothing left to serve.
    pub fn is_all_offline(&self) -> bool {
        self.dirs.iter().all(|dir| dir.is_offline)
    }

    /// Bytes for a reader.
    pub fn fetch(
        &mut self,
        id: PartitionId,
        offset: i64,
        len_max: u32,
        isolation: Isolation,
    ) -> Result<Fetched, Error> {
        let (partition, cache) = self.reader(id)?;
        partition.fetch(cache, offset, len_max, isolation)
    }

    /// Behind the last batch that readers see.
    pub fn readable_end(&self, id: PartitionId) -> Result<LogEnd, Error> {
        Ok(self.readable(id)?.readable_end())
    }

    /// How far a partition reaches.
    pub fn bounds(&self, id: PartitionId) -> Result<Bounds, Error> {
        Ok(self.readable(id)?.bounds())
    }

    /// The offset that stands at a time.
    pub fn offset_at(
        &mut self,
        id: PartitionId,
        query: TimeQuery,
        isolation: Isolation,
    ) -> Result<Option<TimedOffset>, Error> {
        let (partition, cache) = self.reader(id)?;
        partition.offset_at(cache, query, isolation)
    }

    /// Where a leader epoch of a partition ends.
    pub fn end_of_epoch(&self, id: PartitionId, epoch: i32) -> Result<Option<EpochEnd>, Error> {
        Ok(self.readable(id)?.end_of_epoch(epoch))
    }

    /// The leader epoch of a record.
    pub fn epoch_at(&self, id: PartitionId, offset: i64) -> Result<Option<i32>, Error> {
        Ok(self.readable(id)?.epoch_at(offset))
    }

    /// The idempotent producers of a partition.
    pub fn producers(&mut self, id: PartitionId, now_ms: i64) -> Result<Vec<ProducerEntry>, Error> {
        Ok(self.reader(id)?.0.producers(now_ms))
    }

    /// The largest id of a producer in any of its partitions, as far as logs and snapshots tell.
    pub fn producer_id_max(&self) -> Option<i64> {
        self.partitions.values().filter_map(|slot| slot.partition.producer_id_max()).max()
    }

    fn reader(&mut self, id: PartitionId) -> Result<(&mut Partition, &mut Cache), Error> {
        let slot = self.partitions.get_mut(&id).ok_or(Error::UnknownPartition)?;
        let dir = &self.dirs[slot.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        Ok((&mut slot.partition, &mut self.cache))
    }

    fn readable(&self, id: PartitionId) -> Result<&Partition, Error> {
        let slot = self.partitions.get(&id).ok_or(Error::UnknownPartition)?;
        let dir = &self.dirs[slot.dir];
        if dir.is_offline { Err(Error::Offline(dir.path.clone())) } else { Ok(&slot.partition) }
    }

    /// What commits took so far, of all log directories.
    pub fn commit_counts(&self) -> CommitCounts {
        let mut counts = CommitCounts::default();
        self.dirs.iter().for_each(|dir| counts += dir.counts);
        counts
    }

    /// The queue whose completions say when to call [`Shard::reap`].
    pub fn io_queue(&self) -> &dyn IoQueue {
        &*self.queue
    }

    /// Makes everything durable; waits. The last call of a clean stop.
    pub fn stop(&mut self) -> Result<(), Error> {
        // What is on its way counts as submitted, and whether it fails is told only once.
        while self.dirs.iter().any(|dir| !dir.is_offline && dir.is_under_way()) {
            self.queue.wait().map_err(Error::io("waiting for syncs"))?;
            self.reap();
        }
        for slot in self.partitions.values_mut().filter(|slot| !self.dirs[slot.dir].is_offline) {
            slot.partition.stop(&mut self.cache)?;
        }
        Ok(())
    }
}
