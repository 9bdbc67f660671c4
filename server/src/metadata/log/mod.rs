//! `MetadataLog`: `__cluster_metadata-0`, Apache Kafka's log of what is true of the cluster, and what it says.
//!
//! ```text
//! bootstrap.checkpoint                         in the log directory's root: what the first leader writes down
//! __cluster_metadata-0/%020d.log               batches, as of any partition
//! __cluster_metadata-0/%020d-%010d.checkpoint  a snapshot: all that was true in front of an offset
//! __cluster_metadata-0/quorum-state            the epoch of the last leader
//! ```
//!
//! This node is a quorum of one: what is on the device is agreed on. An append is durable before it is taken up.
//!
//! | a crash leaves | a start |
//! |---|---|
//! | a batch that is not whole at the end | cuts it off: its change was not answered |
//! | one that is not whole in front of another that is | refuses: that one's change was made when the first was durable |
//! | a transaction without its end | aborts it |
//! | `*.checkpoint.part`, `*.checkpoint.deleted` | removes it |
//! | a snapshot whose log was not rolled, segments or snapshots that a newer snapshot makes up for | goes on with them |
//!
//! Indexes and `leader-epoch-checkpoint` are not written: Apache Kafka builds them anew at each of its starts.

mod cleaning;
mod names;
mod opening;
mod quorum_state;
mod reading;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::disk::{Disk, OpenFile, OpenMode, replace_file};
use logmill_engine::format::{BatchBuilder, NewRecord, Uuid, partition_metadata};
use logmill_engine::log::{FileKind, file_name};

use super::cluster::Cluster;
use super::records::Record;
use super::records::control::Control;
use super::records::leader_change::{LeaderChangeMessage, Voter};
use super::records::transactions::{AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord};
use super::records::voters::{KRaftVersionRecord, VotersRecord};
use super::versions::MetadataVersion;
use crate::config::Config;
use crate::config::value::Value;
use crate::shard::io_error;
pub(crate) use names::METADATA_LOG;
use names::{BOOTSTRAP, SnapshotId};
use reading::Entry;
use snapshot::SnapshotInfo;

/// What the records of a batch come to at most, where they can be divided.
const BATCH_BYTES: usize = 512 << 10;
/// The largest batch that Apache Kafka reads.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// When a log rolls, is summed up, and given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `metadata.log.segment.bytes`
    pub(crate) segment_bytes: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub(crate) bytes_between_snapshots: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 leaves it to the bytes.
    pub(crate) snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`; below zero there is no limit.
    pub(crate) retention_bytes: i64,
    /// `metadata.max.retention.ms`; below zero there is no limit.
    pub(crate) retention_ms: i64,
}

/// Who leads, as the quorum's records say it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leader {
    pub(crate) node_id: i32,
}

/// The log, and what it says up to its end.
#[derive(Debug)]
pub(crate) struct MetadataLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    limits: Limits,
    /// Base offsets of the segments, the last of which grows.
    segments: BTreeMap<i64, u64>,
    active: OpenFile,
    next_offset: i64,
    /// Of the last batch, or the leader.
    epoch: i32,
    /// Time of the last batch.
    timestamp: i64,
    snapshots: BTreeMap<SnapshotId, SnapshotInfo>,
    /// Bytes that were appended since the newest snapshot.
    bytes_since_snapshot: u64,
    state: State,
    /// What is on the device after a failure, nobody knows.
    has_failed: bool,
}

/// What the records said, in the order of the log.
#[derive(Debug, Default)]
struct State {
    cluster: Cluster,
    /// Records of a transaction that has not ended.
    open: Option<Vec<(Record, Bytes)>>,
    /// `kraft.version`, and the voters where they stand in the log.
    kraft_version: i16,
    voters: Option<VotersRecord>,
    /// Topics that were removed: what their directories hold is nobody's.
    removed: HashSet<Uuid>,
}

impl Limits {
    /// What the settings say.
    pub(crate) fn of(config: &Config) -> Limits {
        let number = |key| match config.layers.value(key) {
            Ok(Some(Value::Number(number))) => number,
            other => unreachable!("{key} is a number with a default, not {other:?}"),
        };
        let bytes = |key| number(key).unsigned_abs();
        Limits {
            segment_bytes: bytes("metadata.log.segment.bytes"),
            bytes_between_snapshots: bytes("metadata.log.max.record.bytes.between.snapshots"),
            snapshot_interval_ms: number("metadata.log.max.snapshot.interval.ms"),
            retention_bytes: number("metadata.max.retention.bytes"),
            retention_ms: number("metadata.max.retention.ms"),
        }
    }
}

impl State {
    fn take_up(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Control(Control::KRaftVersion(record)) => self.kraft_version = record.k_raft_version,
            Entry::Control(Control::Voters(record)) => self.voters = Some(record),
            Entry::Control(_) => (),
            Entry::Record { offset, record, value } => {
                self.replay(record, &value).map_err(|fault| format!("offset {offset}: {fault}"))?;
            }
        }
        Ok(())
    }

    fn replay(&mut self, record: Record, value: &Bytes) -> Result<(), String> {
        if let Record::RemoveTopic(removal) = &record {
            self.removed.insert(removal.topic_id);
        }
        match (record, &mut self.open) {
            (Record::BeginTransaction(_), open @ None) => *open = Some(Vec::new()),
            (Record::BeginTransaction(_), Some(_)) => return Err("a transaction in a transaction".to_owned()),
            (Record::EndTransaction(_), open) => {
                let records = open.take().ok_or("the end of a transaction that was not begun")?;
                for (record, value) in records {
                    self.cluster.replay(record, &value)?;
                }
            }
            (Record::AbortTransaction(_), open) => {
                open.take().ok_or("the end of a transaction that was not begun")?;
            }
            (record, Some(records)) => records.push((record, value.clone())),
            (record, None) => self.cluster.replay(record, value)?,
        }
        Ok(())
    }
}

impl MetadataLog {
    /// What it says.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.state.cluster
    }

    /// Whether it takes no more changes.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether the log behind its newest snapshot says that a topic was removed.
    pub(crate) fn was_removed(&self, topic: Uuid) -> bool {
        self.state.removed.contains(&topic)
    }

    /// The offset of the next record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Begins an empty log, durably, in a log directory that has none. With voters it is one of `kraft.version` 1.
    pub(crate) fn create(
        disk: &dyn Disk,
        log_dir: &Path,
        voters: Option<VotersRecord>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let dir = log_dir.join(METADATA_LOG);
        let making = || io_error(format!("making {}", dir.display()));
        disk.create_dir_all(&dir).map_err(making())?;
        if let Some(voters) = voters {
            let id = SnapshotId { offset: 0, epoch: 0 };
            snapshot::write(disk, &dir, id, (now_ms, now_ms), (1, Some(&voters)), None)?;
        }
        let content = partition_metadata::write(Uuid::METADATA_TOPIC);
        replace_file(disk, &dir.join(partition_metadata::FILE_NAME), content.as_bytes())
            .and_then(|()| disk.sync_dir(log_dir))
            .map_err(making())
    }

    /// Begins an epoch of this node, which the log tells of from here on. A transaction that the one before it did
    /// not end is aborted.
    pub(crate) fn lead(&mut self, leader: Leader, now_ms: i64) -> Result<(), Error> {
        let path = self.dir.join(quorum_state::FILE_NAME);
        let told = match self.disk.read(&path) {
            Ok(content) => quorum_state::read_epoch(&content)
                .map_err(|fault| Error::Corrupt(format!("{}: {fault}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(format_args!("reading {}", path.display()))(error)),
        };
        let epoch = told.max(self.epoch).checked_add(1).ok_or_else(|| {
            Error::Corrupt(format!("{}: no epoch follows {}", path.display(), told.max(self.epoch)))
        })?;
        let has_voters = self.state.kraft_version > 0;
        let content = quorum_state::write(leader.node_id, epoch, has_voters);
        replace_file(&*self.disk, &path, content.as_bytes())
            .map_err(io_error(format_args!("writing {}", path.display())))?;
        self.epoch = epoch;
        let voter = |voter_id| Voter { voter_id, ..Voter::default() };
        let change = LeaderChangeMessage {
            leader_id: leader.node_id,
            voters: vec![voter(leader.node_id)],
            granting_voters: vec![voter(leader.node_id)],
            ..LeaderChangeMessage::default()
        };
        let mut controls = vec![Control::LeaderChange(change)];
        // Of a snapshot that formatting left they are copied, as Apache Kafka's leader does.
        let in_log_only_by_format = self.next_offset == 0;
        if let Some(voters) = self.state.voters.clone().filter(|_| has_voters && in_log_only_by_format) {
            let k_raft_version = self.state.kraft_version;
            controls.push(Control::KRaftVersion(KRaftVersionRecord { version: 0, k_raft_version }));
            controls.push(Control::Voters(voters));
        }
        let mut builder = new_batch().control();
        for control in &controls {
            push_control(&mut builder, control, now_ms);
        }
        self.write(builder, now_ms)?;
        if self.state.open.is_some() {
            let abort = AbortTransactionRecord { reason: Some("the leader has ended".into()) };
            self.append(vec![abort.into()], now_ms)?;
        }
        Ok(())
    }

    /// Appends records that belong together, durably, and takes them up. After an error they are not taken up; they
    /// may be in the log at the next start only where this one takes no others any more.
    pub(crate) fn append(&mut self, records: Vec<Record>, now_ms: i64) -> Result<(), Error> {
        let level = self.level_of(&records);
        let bytes_of = |record: &Record| Bytes::from(record.encode(level.version_of(record)));
        let mut entries: Vec<(Record, Bytes)> = records
            .into_iter()
            .map(|record| {
                let value = bytes_of(&record);
                (record, value)
            })
            .collect();
        let bytes: usize = entries.iter().map(|(_, value)| value.len()).sum();
        let is_divided = bytes > BATCH_BYTES && level.has_transactions();
        if bytes > BATCH_BYTES_MAX && !is_divided {
            return Err(Error::Io {
                doing: format!("appending {bytes} bytes of records at once to {}", self.dir.display()),
                source: io::ErrorKind::InvalidInput.into(),
            });
        }
        if is_divided {
            let begin = Record::from(BeginTransactionRecord::default());
            let end = Record::from(EndTransactionRecord::default());
            entries.insert(0, (begin.clone(), bytes_of(&begin)));
            entries.push((end.clone(), bytes_of(&end)));
        }
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let mut builder = new_batch();
            let mut count = 0;
            while let Some((_, value)) = rest.get(count)
                && (count == 0 || !is_divided || builder.records_len() + value.len() <= BATCH_BYTES)
            {
                builder.push(&NewRecord { key: None, value: Some(value), timestamp: now_ms, headers: &[] });
                count += 1;
            }
            // Each is durable before the next one is written: so a start can tell what is torn from what is damaged.
            self.write(builder, now_ms)?;
            rest = &rest[count..];
        }
        for (_, value) in entries {
            // As the next start reads it: a version may leave fields out.
            let record = Record::decode(&value).expect("what was written can be read");
            self.state.replay(record, &value).expect("the controller writes down what can be true");
        }
        Ok(())
    }

    /// The level that records are written at: the first ones of a log bring it along.
    fn level_of(&self, records: &[Record]) -> MetadataVersion {
        let of_record = |record: &Record| match record {
            Record::FeatureLevel(level) if &*level.name == super::versions::METADATA_VERSION => {
                Some(MetadataVersion(level.feature_level))
            }
            _ => None,
        };
        let told = self.state.cluster.metadata_version();
        told.or_else(|| records.iter().find_map(of_record)).unwrap_or(MetadataVersion::LATEST)
    }

    /// Writes a batch and waits until it is on the device.
    fn write(&mut self, builder: BatchBuilder, now_ms: i64) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Offline(self.dir.clone()));
        }
        let count = builder.count();
        let batch = builder.finish_at(self.next_offset, self.epoch);
        let (base, position) = self.active_end();
        if position > 0 && position + batch.len() as u64 > self.limits.segment_bytes {
            self.roll()?;
            return self.write_batch(&batch, count, (self.next_offset, 0), now_ms);
        }
        self.write_batch(&batch, count, (base, position), now_ms)
    }

    fn write_batch(
        &mut self,
        batch: &[u8],
        count: i32,
        (base, position): (i64, u64),
        now_ms: i64,
    ) -> Result<(), Error> {
        let path = self.path(base);
        let appending = || io_error(format!("appending to {}", path.display()));
        if let Err(error) = self.active.write_all_at([batch, &[]], position) {
            // What was written of it is no batch: it goes, or the log takes nothing any more.
            let gone = self.active.set_len(position).and_then(|()| self.active.sync());
            self.has_failed = gone.is_err();
            return Err(appending()(error));
        }
        if let Err(error) = self.active.sync() {
            self.has_failed = true;
            return Err(appending()(error));
        }
        self.segments.insert(base, position + batch.len() as u64);
        self.next_offset += i64::from(count);
        self.timestamp = now_ms;
        self.bytes_since_snapshot += batch.len() as u64;
        Ok(())
    }

    /// Base offset and length of the segment that grows.
    fn active_end(&self) -> (i64, u64) {
        let (base, len) = self.segments.last_key_value().expect("a log has a segment");
        (*base, *len)
    }

    /// Begins the next segment.
    fn roll(&mut self) -> Result<(), Error> {
        let path = self.path(self.next_offset);
        let making = || io_error(format!("making {}", path.display()));
        // An attempt that failed behind this may have left an empty one.
        let file = self.disk.open(&path, OpenMode::Replace).map_err(making())?;
        self.disk.sync_dir(&self.dir).map_err(making())?;
        self.active = file;
        self.segments.insert(self.next_offset, 0);
        Ok(())
    }

    fn path(&self, base_offset: i64) -> PathBuf {
        self.dir.join(file_name(base_offset, FileKind::Log))
    }
}

/// A batch of a log that has no producers.
fn new_batch() -> BatchBuilder {
    BatchBuilder::new().producer(-1, -1, -1)
}

fn push_control(builder: &mut BatchBuilder, control: &Control, timestamp: i64) {
    let (key, value) = control.encode();
    builder.push(&NewRecord { key: Some(&key), value: Some(&value), timestamp, headers: &[] });
}
