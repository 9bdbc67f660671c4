//! `Broker`: shards over one simulated disk, started and stopped as a broker does it, and its end by whatever
//! ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::notes::{Notes, TopicNote};
use super::numbers::Numbers;
use crate::Error;
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::journal::{
    JournalConfig, Recovered, finish_retiring, fitting_bytes, newest_generation, read_all, retire_others,
    retire_unfit,
};
use crate::partition::{Ack, PartitionId, directory};
use crate::shard::{CommitLimits, OpenPartition, Opened, Opener, Shard};

/// The log directories.
pub(super) const DIRS: [&str; 2] = ["/a", "/b"];
/// A few appends fill one: the journal turns many times in a run. Which it is changes now and then, as it does with
/// the settings of a broker.
const JOURNAL_FILE_BYTES: [u64; 4] = [8 * 1024, 8 * 1024, 8 * 1024, 12 * 1024];
/// A wave does not put more of a partition into the journal.
const DIRECT_BYTES_MIN: usize = 2_000;
/// A batch that is synced where it lies.
pub(super) const LARGE_BYTES: usize = 2_500;
/// A few appends fill one of these too.
const SEGMENT_BYTES: u64 = 3_000;
/// So much of a partition is kept.
const RETENTION_BYTES: u64 = 2 * SEGMENT_BYTES;

pub(super) const NOW_MS: i64 = 10_000;

/// A process.
pub(super) struct Broker {
    pub(super) disk: SimDisk,
    pub(super) shards: Vec<Shard>,
}

/// Which log directory a partition lies in.
pub(super) fn dir_of(id: PartitionId) -> usize {
    id.index as usize % DIRS.len()
}

/// How a partition is opened.
pub(super) fn to_open(notes: &Notes, id: PartitionId, name: &str) -> OpenPartition {
    let mut opened = super::super::partition(id.index, Ack::Durable);
    opened.id = id;
    name.clone_into(&mut opened.topic);
    opened.dir = dir_of(id);
    opened.known = notes.known(id);
    opened.config.log.segment_bytes = SEGMENT_BYTES;
    opened.config.retention.bytes = Some(RETENTION_BYTES);
    opened.config.delete_delay_ms = 0;
    opened
}

/// An empty disk with its log directories.
pub(super) fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    DIRS.iter().for_each(|dir| disk.create_dir_all(Path::new(dir)).unwrap());
    disk.settle();
    disk
}

impl Broker {
    /// Starts on what a disk holds, with so many shards.
    pub(super) fn start(disk: &SimDisk, notes: &Notes, shards: usize, nonce: u64) -> Result<Broker, Error> {
        settle_topics(disk, notes)?;
        DIRS.iter().try_for_each(|dir| finish_retiring(disk, Path::new(dir)))?;
        let find = if notes.was_clean { newest_generation } else { read_all };
        let mut found =
            DIRS.iter().map(|dir| find(disk, Path::new(dir))).collect::<Result<Vec<Recovered>, Error>>()?;
        let log_dirs: Vec<PathBuf> = DIRS.iter().map(PathBuf::from).collect();
        let mut openers: Vec<Opener> =
            (0..shards).map(|_| Opener::new(Arc::new(disk.clone()), log_dirs.clone())).collect();
        let mut opened: Vec<Vec<Opened>> = (0..shards).map(|_| Vec::new()).collect();
        for (id, name) in notes.partitions() {
            let mut partition = to_open(notes, id, name);
            partition.replay = found[dir_of(id)].take(id);
            let owner = owner_among(shards, id);
            opened[owner].push(openers[owner].open(&partition, NOW_MS)?);
        }
        let mut nonces = Numbers::new(nonce);
        let file_bytes = JOURNAL_FILE_BYTES[nonces.next() as usize % JOURNAL_FILE_BYTES.len()];
        if notes.was_clean {
            DIRS.iter().try_for_each(|dir| retire_unfit(disk, Path::new(dir), file_bytes))?;
        }
        let mut broker = Broker { disk: disk.clone(), shards: Vec::with_capacity(shards) };
        let limits = CommitLimits { direct_bytes_min: DIRECT_BYTES_MIN, ..CommitLimits::default() };
        for (index, (opener, opened)) in openers.into_iter().zip(opened).enumerate() {
            let journals = journals(disk, &found, (index, file_bytes), &mut nonces)?;
            let mut shard = opener.into_shard(&journals, limits)?;
            opened.into_iter().for_each(|opened| shard.adopt(opened));
            broker.shards.push(shard);
        }
        broker.shards.iter_mut().try_for_each(Shard::begin)?;
        DIRS.iter().try_for_each(|dir| retire_others(disk, Path::new(dir), shards))?;
        Ok(broker)
    }

    /// Which shard a partition belongs to.
    pub(super) fn owner_of(&self, id: PartitionId) -> usize {
        owner_among(self.shards.len(), id)
    }

    pub(super) fn shard_of(&mut self, id: PartitionId) -> &mut Shard {
        let owner = self.owner_of(id);
        &mut self.shards[owner]
    }
}

fn owner_among(shards: usize, id: PartitionId) -> usize {
    (usize::from(id.topic.0[0]) * 7 + id.index as usize) % shards
}

/// The journals that a shard begins, one in each log directory.
fn journals(
    disk: &SimDisk,
    found: &[Recovered],
    (shard, wanted): (usize, u64),
    nonces: &mut Numbers,
) -> Result<Vec<JournalConfig>, Error> {
    let config = |(dir, found): (&&str, &Recovered)| {
        Ok(JournalConfig {
            log_dir: PathBuf::from(dir),
            shard,
            file_bytes: fitting_bytes(disk, Path::new(dir), shard, wanted)?,
            nonce: nonces.next(),
            first_generation: found.next_generation,
            first_slot: found.first_slot(shard),
        })
    };
    DIRS.iter().zip(found).map(config).collect()
}

/// Finishes what a crash left of a topic's creation or deletion.
fn settle_topics(disk: &SimDisk, notes: &Notes) -> Result<(), Error> {
    for dir in DIRS.map(Path::new) {
        for found in directory::find_all(disk, dir)? {
            if !notes.topics.iter().any(|topic| topic.id == found.id.topic) {
                remove_partition(disk, found.id, &found.topic)?;
            }
        }
    }
    let making = notes.topics.iter().filter(|topic| !topic.is_made);
    for (id, name) in making.flat_map(|topic| topic.partitions().map(|id| (id, topic.name))) {
        directory::finish_creation(disk, Path::new(DIRS[dir_of(id)]), name, id)?;
    }
    sync_dirs(disk)
}

pub(super) fn make_topic(disk: &SimDisk, topic: &TopicNote) -> Result<(), Error> {
    for id in topic.partitions() {
        directory::create(disk, Path::new(DIRS[dir_of(id)]), topic.name, id)?;
    }
    sync_dirs(disk)
}

pub(super) fn remove_partition(disk: &SimDisk, id: PartitionId, name: &str) -> Result<(), Error> {
    let dir = Path::new(DIRS[dir_of(id)]);
    directory::rename_deleted(disk, dir, name, id)?;
    sync_dirs(disk)?;
    directory::remove_renamed(disk, dir, name, id)
}

fn sync_dirs(disk: &SimDisk) -> Result<(), Error> {
    DIRS.iter()
        .try_for_each(|dir| disk.sync_dir(Path::new(dir)))
        .map_err(Error::io("syncing log directories"))
}
