//! A snapshot: all that was true of the cluster in front of an offset, in one file.
//!
//! ```text
//! control batch   snapshot header; kraft.version and voters where these stand in the log
//! batches         records that say all of it
//! control batch   snapshot footer
//! ```
//!
//! Offsets count from 0 in each snapshot; the leader's epoch in every batch is the snapshot's.

use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, OpenMode, replace_file};
use logmill_engine::format::{BatchBuilder, NewRecord};

use super::super::cluster::Cluster;
use super::super::records::Record;
use super::super::records::control::Control;
use super::super::records::snapshots::{SnapshotFooterRecord, SnapshotHeaderRecord};
use super::super::records::voters::{KRaftVersionRecord, VotersRecord};
use super::super::versions::MetadataVersion;
use super::reading::{self, Entry};
use super::{BATCH_BYTES, BOOTSTRAP, MetadataLog, SnapshotId, State, new_batch, push_control};
use crate::shard::io_error;

/// What a snapshot weighs, and how old what it holds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotInfo {
    pub(super) bytes: u64,
    pub(super) last_timestamp: i64,
}

/// The bytes of a snapshot, and how far they have come.
struct Content {
    bytes: Vec<u8>,
    next_offset: i64,
    epoch: i32,
}

impl Content {
    fn push(&mut self, builder: BatchBuilder) {
        let count = builder.count();
        self.bytes.extend(builder.finish_at(self.next_offset, self.epoch));
        self.next_offset += i64::from(count);
    }

    fn push_controls(&mut self, controls: &[Control], now_ms: i64) {
        let mut builder = new_batch().control();
        controls.iter().for_each(|control| push_control(&mut builder, control, now_ms));
        self.push(builder);
    }
}

/// The bytes of a snapshot of this epoch, with the values of records that `tell` gives out.
fn content(
    epoch: i32,
    (last_timestamp, now_ms): (i64, i64),
    (kraft_version, voters): (i16, Option<&VotersRecord>),
    tell: impl FnOnce(&mut dyn FnMut(Vec<u8>)),
) -> Vec<u8> {
    let mut content = Content { bytes: Vec::new(), next_offset: 0, epoch };
    let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: last_timestamp };
    let mut controls = vec![Control::SnapshotHeader(header)];
    if kraft_version > 0 {
        controls
            .push(Control::KRaftVersion(KRaftVersionRecord { version: 0, k_raft_version: kraft_version }));
        controls.extend(voters.cloned().map(Control::Voters));
    }
    content.push_controls(&controls, now_ms);
    let mut builder = new_batch();
    tell(&mut |value| {
        if builder.count() > 0 && builder.records_len() + value.len() > BATCH_BYTES {
            content.push(std::mem::replace(&mut builder, new_batch()));
        }
        builder.push(&NewRecord { key: None, value: Some(&value), timestamp: now_ms, headers: &[] });
    });
    if builder.count() > 0 {
        content.push(builder);
    }
    content.push_controls(&[Control::SnapshotFooter(SnapshotFooterRecord { version: 0 })], now_ms);
    content.bytes
}

/// Writes a snapshot durably: it is there under its name when it is whole.
pub(super) fn write(
    disk: &dyn Disk,
    dir: &Path,
    id: SnapshotId,
    times: (i64, i64),
    quorum: (i16, Option<&VotersRecord>),
    cluster: Option<&Cluster>,
) -> Result<SnapshotInfo, Error> {
    let bytes = content(id.epoch, times, quorum, |out| {
        if let Some(cluster) = cluster {
            cluster.tell(out);
        }
    });
    let (part, path) = (dir.join(id.part_name()), dir.join(id.file_name()));
    let written = || -> std::io::Result<()> {
        let file = disk.open(&part, OpenMode::Replace)?;
        file.write_all_at([&bytes, &[]], 0)?;
        file.sync()?;
        drop(file);
        disk.rename(&part, &path)?;
        disk.sync_dir(dir)
    };
    written().map_err(io_error(format_args!("writing {}", path.display())))?;
    Ok(SnapshotInfo { bytes: bytes.len() as u64, last_timestamp: times.0 })
}

/// Reads a whole snapshot: what it says goes to `visit`.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<SnapshotInfo, Error> {
    let content = disk.read(path).map_err(io_error(format_args!("reading {}", path.display())))?;
    let corrupt = |fault: String| Error::Corrupt(format!("{}: {fault}", path.display()));
    let (mut last_timestamp, mut is_whole) = (None, false);
    let walked = reading::walk(&content, 0, 0, &mut |entry| {
        match &entry {
            Entry::Control(Control::SnapshotHeader(header)) => {
                last_timestamp = Some(header.last_contained_log_timestamp);
            }
            Entry::Control(Control::SnapshotFooter(_)) => is_whole = true,
            _ => (),
        }
        visit(entry)
    });
    let walked = walked.map_err(|bad| corrupt(bad.to_string()))?;
    if let Some(damage) = walked.damage {
        return Err(corrupt(format!("batch at position {}: {damage}", walked.position)));
    }
    match last_timestamp {
        Some(last_timestamp) if is_whole => Ok(SnapshotInfo { bytes: content.len() as u64, last_timestamp }),
        Some(_) => Err(corrupt("a snapshot without its end".to_owned())),
        None => Err(corrupt("a snapshot without its beginning".to_owned())),
    }
}

/// The records of a `bootstrap.checkpoint`.
pub(super) fn read_records(disk: &dyn Disk, path: &Path) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    read(disk, path, &mut |entry| {
        if let Entry::Record { record, .. } = entry {
            records.push(record);
        }
        Ok(())
    })?;
    Ok(records)
}

impl MetadataLog {
    /// Leaves in a log directory what the first leader writes down.
    pub(crate) fn write_bootstrap(
        disk: &dyn Disk,
        log_dir: &Path,
        records: &[Record],
        now_ms: i64,
    ) -> Result<(), Error> {
        let level = MetadataVersion::LATEST;
        let tell = |out: &mut dyn FnMut(Vec<u8>)| {
            records.iter().for_each(|record| out(record.encode(level.version_of(record))));
        };
        let path = log_dir.join(BOOTSTRAP);
        let bytes = content(0, (now_ms, now_ms), (0, None), tell);
        replace_file(disk, &path, &bytes).map_err(io_error(format_args!("writing {}", path.display())))
    }

    /// Sums up what the log says, so that the next start reads only what comes behind it, and begins a segment
    /// there.
    pub(crate) fn take_snapshot(&mut self, now_ms: i64) -> Result<(), Error> {
        let id = SnapshotId { offset: self.next_offset, epoch: self.epoch };
        if !self.snapshots.contains_key(&id) {
            let State { cluster, kraft_version, voters, .. } = &self.state;
            let quorum = (*kraft_version, voters.as_ref());
            let times = (self.timestamp, now_ms);
            let info = write(&*self.disk, &self.dir, id, times, quorum, Some(cluster))?;
            self.snapshots.insert(id, info);
        }
        self.bytes_since_snapshot = 0;
        if self.active_end().1 > 0 {
            self.roll()?;
        }
        Ok(())
    }
}
