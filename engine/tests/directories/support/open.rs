//! Opening a partition's directory as a broker does after a start, by what the log directory says of it.

use std::path::Path;
use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::disk::Disk;
use logmill_engine::format::checkpoint::read_offsets;
use logmill_engine::format::{Uuid, producer_snapshot};
use logmill_engine::log::{Cache, CacheLimits, FileKind, LogLimits, base_of};
use logmill_engine::partition::{Journalled, Known, Partition, PartitionConfig, PartitionId, directory};

use super::recipe::{Step, TIME};
use super::tell::ToldProducer;

/// The topic whose partition 0 everything is in.
pub(crate) const TOPIC: &str = "t";
pub(crate) const ID: PartitionId = PartitionId { topic: Uuid([7; 16]), index: 0 };
pub(crate) const NEW: Known = Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false };

/// Settings of a topic whose segments and indexes are small.
pub(crate) fn config(segment_bytes: u64) -> PartitionConfig {
    PartitionConfig {
        log: LogLimits { segment_bytes, index_interval_bytes: 150, ..LogLimits::default() },
        ..PartitionConfig::default()
    }
}

/// What the files beside the partition's directory say of it. One that cannot be read is an error.
pub(crate) fn known(disk: &dyn Disk, log_dir: &Path) -> Result<Known, String> {
    let names = disk.list(log_dir).map_err(|error| error.to_string())?;
    let offset = |file: &str| -> Result<i64, String> {
        if !names.iter().any(|entry| entry.name == file) {
            return Ok(0);
        }
        let content = disk.read(&log_dir.join(file)).map_err(|error| format!("{file}: {error}"))?;
        let offsets = read_offsets(&content).map_err(|fault| format!("{file}: {fault}"))?;
        let ours = offsets.iter().find(|entry| entry.topic == TOPIC && entry.partition == 0);
        Ok(ours.map_or(0, |entry| entry.offset))
    };
    Ok(Known {
        was_clean: names.iter().any(|entry| entry.name == ".kafka_cleanshutdown"),
        recovery_point: offset("recovery-point-offset-checkpoint")?,
        start_offset: offset("log-start-offset-checkpoint")?,
        has_gaps: false,
    })
}

/// Opens the partition with what a shard would keep at hand.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    log_dir: &Path,
    known: &Known,
    config: PartitionConfig,
    now_ms: i64,
) -> Result<(Partition, Cache), Error> {
    let mut cache = Cache::new(disk.clone(), CacheLimits { files: 8, pages: 16 });
    let dir = log_dir.join(directory::name(TOPIC, 0));
    let known = (known, &Journalled::default());
    let (partition, _) = Partition::open(&mut cache, &dir, config, known, now_ms)?;
    Ok((partition, cache))
}

/// Appends steps; readers see them all.
pub(crate) fn append(partition: &mut (Partition, Cache), steps: &[Step]) {
    let (partition, cache) = partition;
    for step in steps {
        let appended = match step {
            Step::Records(batch) if !batch.is_transactional => {
                partition.append(cache, step.bytes(), TIME, |_, _| ())
            }
            _ => partition.append_of_coordinator(cache, step.bytes(), TIME, |_, _| ()),
        };
        appended.expect("the batch is valid");
    }
    partition.publish(partition.end());
}

/// The producers in the snapshot at `offset`, by their ids.
pub(crate) fn producers_at(disk: &dyn Disk, dir: &Path, offset: i64) -> Vec<ToldProducer> {
    let entries = disk.list(dir).expect("the directory is there");
    let found = entries.iter().find(|entry| base_of(&entry.name, FileKind::Snapshot) == Some(offset));
    let name = &found.unwrap_or_else(|| panic!("no snapshot at offset {offset}: {entries:?}")).name;
    let content = disk.read(&dir.join(name)).expect("the snapshot can be read");
    let mut producers: Vec<ToldProducer> = producer_snapshot::read(&content)
        .expect("the snapshot is whole")
        .iter()
        .map(|entry| ToldProducer {
            id: entry.producer_id,
            epoch: entry.epoch,
            last_sequence: entry.last_sequence,
            last_timestamp: entry.timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_start: entry.transaction_start,
        })
        .collect();
    producers.sort_by_key(|producer| producer.id);
    producers
}
