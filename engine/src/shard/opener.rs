//! `Opener`: opens partitions, also apart from the shard that they will belong to: an opening waits for the device
//! many times, and a start has many at it at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::Error;
use crate::format::{PointState, point_state};
use crate::journal::{PartitionReplay, Piece, StateRecord};
use crate::log::{Cache, CacheLimits, Log, LogEnd, LogPiece};
use crate::partition::{Journalled, Known, Partition, PartitionConfig, PartitionId, directory};

/// Of sealed segments: a reader who goes through a log keeps one file open at a time, and eight megabytes of
/// pages are the indexes of a gigabyte and more for each of a thousand readers.
const CACHE_LIMITS: CacheLimits = CacheLimits { files: 1_024, pages: 2_048 };
/// Of one thread that opens partitions: hardly anything is looked at twice.
const OPENING_LIMITS: CacheLimits = CacheLimits { files: 16, pages: 64 };

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
    /// What journals hold of it, after a stop that was no clean one.
    pub replay: PartitionReplay,
}

/// A partition that no shard has taken in yet.
#[derive(Debug)]
pub struct Opened {
    pub(super) id: PartitionId,
    pub(super) topic: String,
    pub(super) dir: usize,
    pub(super) partition: Partition,
    /// Of segments and their indexes.
    pub(super) bytes_read: u64,
}

/// Opens partitions for a shard, on whatever thread it is, and becomes the shard in the end. No journal is touched
/// before that: what it holds is needed until all partitions of all shards are open.
#[derive(Debug)]
pub struct Opener {
    pub(super) cache: Cache,
    pub(super) log_dirs: Vec<PathBuf>,
}

impl Opener {
    /// Over these log directories, which are there.
    pub fn new(disk: Arc<dyn Disk>, log_dirs: Vec<PathBuf>) -> Opener {
        Opener { cache: Cache::new(disk, CACHE_LIMITS), log_dirs }
    }

    /// One for another thread.
    pub fn beside(&self) -> Opener {
        Opener { cache: self.cache.beside(OPENING_LIMITS), log_dirs: self.log_dirs.clone() }
    }

    /// Opens a partition whose directory is there.
    pub fn open(&mut self, opened: &OpenPartition, now_ms: i64) -> Result<Opened, Error> {
        open(&mut self.cache, &self.log_dirs[opened.dir], opened, now_ms)
    }
}

/// Gives a partition's files what only a journal has of it, and opens it.
pub(super) fn open(
    cache: &mut Cache,
    log_dir: &Path,
    opened: &OpenPartition,
    now_ms: i64,
) -> Result<Opened, Error> {
    let path = log_dir.join(directory::name(&opened.topic, opened.id.index));
    let PartitionReplay { state, pieces } = &opened.replay;
    let mut known = opened.known;
    let mut point = None;
    if let Some(record) = state {
        known.recovery_point = known.recovery_point.max(record.place.offset);
        point = point_of(&path, record);
    }
    let durable = known.recovery_point.max(known.start_offset);
    let pieces = pieces.iter().filter(|piece| piece.place.offset > durable);
    let pieces: Vec<LogPiece<'_>> = pieces.map(log_piece).collect();
    let replayed = Log::replay(cache, &path, &pieces)?;
    if replayed.bytes_written > 0 {
        tracing::info!("{}: {} bytes came back from the journal", path.display(), replayed.bytes_written);
    }
    let journalled = Journalled { point, replayed: &pieces };
    let (partition, log) = Partition::open(cache, &path, opened.config, (&known, &journalled), now_ms)?;
    let bytes_read = replayed.bytes_read + log.bytes_read;
    Ok(Opened { id: opened.id, topic: opened.topic.clone(), dir: opened.dir, partition, bytes_read })
}

/// Where a start can begin in the middle of a segment; `None` where nothing is said of that.
fn point_of(path: &Path, StateRecord { place, payload }: &StateRecord) -> Option<(LogEnd, PointState)> {
    if payload.is_empty() {
        return None;
    }
    match point_state::read(payload) {
        Ok(state) => {
            let max_timestamp = state.segment.max_timestamp;
            let end = LogEnd {
                offset: place.offset,
                segment: place.segment,
                position: place.position,
                max_timestamp,
            };
            Some((end, state))
        }
        Err(fault) => {
            tracing::warn!("{}: {fault}: read from the segment's beginning", path.display());
            None
        }
    }
}

fn log_piece(piece: &Piece) -> LogPiece<'_> {
    LogPiece { segment: piece.place.segment, position: piece.place.position, bytes: &piece.bytes }
}
