//! `Shard`: appends, commits and reads for the partitions of one thread.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::wave::{Ticket, Waves};
use crate::disk::{Disk, IoDone, IoQueue};
use crate::error::Error;
use crate::log::{Cache, CacheLimits, LogEnd, TimedOffset};
use crate::partition::{
    Ack, Appended, Bounds, Fetched, Isolation, Known, Partition, PartitionConfig, PartitionId, TimeQuery,
    directory,
};

/// Of sealed segments: a reader who goes through a log keeps one file open at a time, and eight megabytes of
/// pages are the indexes of a gigabyte and more for each of a thousand readers.
const CACHE_LIMITS: CacheLimits = CacheLimits { files: 1_024, pages: 2_048 };

/// What a shard is made of.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Log directories; a [`Ticket`] names one by its index.
    pub log_dirs: Vec<PathBuf>,
}

/// A partition to be opened on this shard.
#[derive(Debug, Clone)]
pub struct OpenPartition {
    /// Which.
    pub id: PartitionId,
    /// Its topic's name, which its directory is named after.
    pub topic: String,
    /// Which log directory it lies in, as an index.
    pub dir: usize,
    /// Its topic's settings.
    pub config: PartitionConfig,
    /// What is known of it.
    pub known: Known,
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
}

/// The partitions of one thread. Nothing here waits.
pub struct Shard {
    cache: Cache,
    queue: Box<dyn IoQueue>,
    dirs: Vec<LogDir>,
    partitions: HashMap<PartitionId, Slot>,
    progress: Progress,
    /// Asked for since the start.
    syncs: u64,
    reaped: Vec<IoDone>,
}

struct LogDir {
    path: PathBuf,
    waves: Waves,
    is_offline: bool,
}

struct Slot {
    partition: Partition,
    dir: usize,
}

impl Shard {
    /// A shard without partitions.
    pub fn new(disk: Arc<dyn Disk>, config: ShardConfig) -> io::Result<Shard> {
        let dirs = config.log_dirs.into_iter();
        Ok(Shard {
            queue: disk.io_queue()?,
            cache: Cache::new(disk, CACHE_LIMITS),
            dirs: dirs.map(|path| LogDir { path, waves: Waves::new(), is_offline: false }).collect(),
            partitions: HashMap::new(),
            progress: Progress::default(),
            syncs: 0,
            reaped: Vec::new(),
        })
    }

    /// Opens a partition whose directory is there.
    pub fn open(&mut self, opened: &OpenPartition, now_ms: i64) -> Result<(), Error> {
        let dir = &self.dirs[opened.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        let path = dir.path.join(directory::name(&opened.topic, opened.id.index));
        let partition = Partition::open(&mut self.cache, &path, opened.config, &opened.known, now_ms)?;
        self.partitions.insert(opened.id, Slot { partition, dir: opened.dir });
        Ok(())
    }

    /// Forgets a partition whose deletion is durable. Appends to it that still wait are released with their
    /// wave.
    pub fn close(&mut self, id: PartitionId) {
        if let Some(slot) = self.partitions.remove(&id) {
            slot.partition.close(&mut self.cache);
        }
    }

    /// Appends what a producer sent for one partition. The answer may be acknowledged once the ticket's
    /// wave is released; without a ticket, at once.
    pub fn append(
        &mut self,
        id: PartitionId,
        bytes: Bytes,
        now_ms: i64,
    ) -> Result<(Appended, Option<Ticket>), Error> {
        let slot = self.partitions.get_mut(&id).ok_or(Error::UnknownPartition)?;
        let dir = &mut self.dirs[slot.dir];
        if dir.is_offline {
            return Err(Error::Offline(dir.path.clone()));
        }
        let end_before = slot.partition.end();
        let appended = slot.partition.append(&mut self.cache, bytes, now_ms)?;
        let end = slot.partition.end();
        let is_new = end != end_before;
        let wave = match slot.partition.ack() {
            Ack::Durable if is_new => Some(dir.waves.enroll(id)),
            // A repeated batch waits for the wave of the first one.
            Ack::Durable if appended.end_offset > slot.partition.bounds().readable => dir.waves.covering(id),
            Ack::Durable => None,
            Ack::PageCache => {
                if slot.partition.publish(end) {
                    self.progress.advanced.push(id);
                }
                // Nobody waits for it, but the recovery point does.
                if end.segment != end_before.segment {
                    dir.waves.enroll(id);
                }
                None
            }
        };
        Ok((appended, wave.map(|wave| Ticket { dir: slot.dir, wave })))
    }

    /// Starts a wave in every directory that has something dirty and none in flight.
    pub fn submit(&mut self) {
        for dir in 0..self.dirs.len() {
            if let Some(dirty) = self.dirs[dir].waves.take_dirty()
                && let Err(error) = self.start_wave(dir, dirty)
            {
                self.fail(dir, &error.to_string());
            }
        }
    }

    fn start_wave(&mut self, dir: usize, dirty: Vec<PartitionId>) -> Result<(), Error> {
        let mut syncs = 0;
        let mut covered = Vec::with_capacity(dirty.len());
        for id in dirty {
            // A partition that was closed since takes its appends with it.
            let Some(slot) = self.partitions.get_mut(&id) else { continue };
            let mut result = Ok(());
            let queue = &mut self.queue;
            slot.partition.take_unsynced(|file, kind| {
                if result.is_ok() {
                    result = queue.sync(&file, kind, dir as u64);
                    syncs += 1;
                }
            });
            result.map_err(Error::io("submitting a sync"))?;
            covered.push((id, slot.partition.end()));
        }
        self.syncs += syncs as u64;
        self.dirs[dir].waves.started(syncs, covered);
        self.release_finished(dir);
        Ok(())
    }

    /// Takes up syncs that have returned, and releases the waves that are whole.
    pub fn reap(&mut self) {
        let mut reaped = std::mem::take(&mut self.reaped);
        self.queue.reap(&mut reaped);
        for IoDone { token, result, .. } in reaped.drain(..) {
            let dir = token as usize;
            match result {
                _ if self.dirs[dir].is_offline => (),
                Ok(()) => {
                    self.dirs[dir].waves.synced();
                    self.release_finished(dir);
                }
                Err(error) => self.fail(dir, &format!("a sync failed: {error}")),
            }
        }
        self.reaped = reaped;
    }

    fn release_finished(&mut self, dir: usize) {
        let Some(finished) = self.dirs[dir].waves.take_finished() else { return };
        for (id, end) in finished.covered {
            let Some(slot) = self.partitions.get_mut(&id) else { continue };
            slot.partition.durable_to(end);
            if slot.partition.publish(end) {
                self.progress.advanced.push(id);
            }
        }
        self.progress.released.push(Ticket { dir, wave: finished.wave });
    }

    /// Takes a directory offline that has failed on another shard.
    pub fn fail_dir(&mut self, dir: usize) {
        self.fail(dir, "it failed on another shard");
    }

    /// A failed sync is final: the kernel may have dropped the bytes and would say nothing the next time.
    fn fail(&mut self, dir: usize, reason: &str) {
        let log_dir = &mut self.dirs[dir];
        if !log_dir.is_offline {
            log_dir.is_offline = true;
            tracing::error!("log directory {} is offline: {reason}", log_dir.path.display());
            self.progress.failed.push((dir, reason.to_owned()));
        }
    }

    /// What happened since the last call.
    pub fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.progress)
    }

    /// Syncs that waves have asked for.
    pub fn syncs(&self) -> u64 {
        self.syncs
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

    /// The queue whose completions say when to call [`Shard::reap`].
    pub fn io_queue(&self) -> &dyn IoQueue {
        &*self.queue
    }

    /// Makes everything durable; waits. The last call of a clean stop.
    pub fn stop(&mut self) -> Result<(), Error> {
        for slot in self.partitions.values_mut().filter(|slot| !self.dirs[slot.dir].is_offline) {
            slot.partition.stop(&mut self.cache)?;
        }
        Ok(())
    }
}
