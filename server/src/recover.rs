//! `logmill log recover`: does what a start does after a crash, and what a clean stop does, without serving.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use logmill_engine::Error;
use logmill_engine::disk::Disk;
use logmill_engine::disk::os::OsDisk;
use logmill_engine::shard::{CommitLimits, Opener, PartitionMarks};

use crate::broker::{self, BrokerError, Prepared};
use crate::clean_stop;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::metadata::node_id_of;
use crate::net::admission::Admission;
use crate::pace::Pace;
use crate::random::SeededRandom;
use crate::shard::{ShardParts, open_all};

/// What a recovery did.
#[derive(Debug)]
pub struct Recovery {
    /// Partitions that are whole and durable.
    pub partitions: usize,
    /// Apache Kafka may take the log directories over.
    pub is_handed_over: bool,
}

/// Makes everything in the log directories whole, durable and exact, and removes what keeps Apache Kafka out where
/// all topics stand in its metadata log.
pub fn recover(config: Config) -> Result<Recovery, BrokerError> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::with_helper(broker::spawn_helper));
    let admission = Admission::new(&config, HashMap::new(), None);
    let advertised = config.advertised_listeners.clone();
    let random = SeededRandom::from_os();
    let Prepared { broker, store, shards, locks, .. } =
        broker::prepare(config, &disk, advertised, admission, &random, Pace::AtOnce)?;
    let log_dirs = &broker.config.log_dirs;
    let now_ms = SystemClock.now_ms();
    let marks = thread::scope(|scope| {
        let threads: Vec<_> = shards
            .into_iter()
            .map(|parts| scope.spawn(|| recover_shard(parts, log_dirs.clone(), disk.clone(), now_ms)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("recovering does not panic"));
        ended.collect::<Result<Vec<_>, Error>>()
    })?;
    let marks = marks.concat();
    let is_handed_over = clean_stop::leave(&*disk, log_dirs, &store, &marks, &HashSet::new())?;
    drop(locks);
    Ok(Recovery { partitions: marks.len(), is_handed_over })
}

/// The journals stay as they are: what they hold is in the segments when this returns.
fn recover_shard(
    parts: ShardParts,
    log_dirs: Vec<PathBuf>,
    disk: Arc<dyn Disk>,
    now_ms: i64,
) -> Result<Vec<PartitionMarks>, Error> {
    let opener = Opener::new(disk, log_dirs);
    let opened = open_all(&opener, &parts.partitions, parts.pace, now_ms)?;
    let mut shard = opener.into_shard(&[], CommitLimits::default())?;
    opened.into_iter().for_each(|opened| shard.adopt(opened));
    shard.stop()?;
    Ok(shard.marks())
}

/// The node that a log directory belongs to, if it is formatted.
pub fn node_of(log_dir: &str) -> Result<Option<i32>, BrokerError> {
    Ok(node_id_of(&OsDisk::with_helper(broker::spawn_helper), log_dir.as_ref())?)
}
