//! Opening a metadata log: the newest snapshot, and what the log says behind it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, OpenFile, OpenMode};
use logmill_engine::log::{FileKind, base_of, file_name};

use super::reading::{self, Walked};
use super::snapshot::{self, SnapshotInfo};
use super::{BOOTSTRAP, Limits, METADATA_LOG, MetadataLog, SnapshotId, State, names};
use crate::metadata::records::Record;
use crate::shard::io_error;

impl MetadataLog {
    /// Whether a log directory has one, empty or not.
    pub(crate) fn is_in(disk: &dyn Disk, log_dir: &Path) -> Result<bool, Error> {
        match disk.open(&log_dir.join(METADATA_LOG), OpenMode::Directory) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(io_error(format_args!("opening {METADATA_LOG} in {}", log_dir.display()))(error))
            }
        }
    }

    /// What the first leader writes down, where formatting left it; `None` where it left nothing.
    pub(crate) fn bootstrap(disk: &dyn Disk, log_dir: &Path) -> Result<Option<Vec<Record>>, Error> {
        let path = log_dir.join(BOOTSTRAP);
        match disk.open(&path, OpenMode::Existing) {
            Ok(_) => snapshot::read_records(disk, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(format_args!("opening {}", path.display()))(error)),
        }
    }

    /// Opens the log of a log directory, which has one. All that it says is on the device before anybody sees it.
    pub(crate) fn open(disk: Arc<dyn Disk>, log_dir: &Path, limits: Limits) -> Result<MetadataLog, Error> {
        let dir = log_dir.join(METADATA_LOG);
        let found = Found::list(&*disk, &dir)?;
        let mut state = State::default();
        let mut snapshots = BTreeMap::new();
        for id in &found.snapshots {
            // Only the newest one is taken up; of the others it is only asked what they weigh.
            let is_newest = Some(id) == found.snapshots.last();
            let path = dir.join(id.file_name());
            let info = match is_newest {
                true => snapshot::read(&*disk, &path, &mut |entry| state.take_up(entry))?,
                false => snapshot::read(&*disk, &path, &mut |_| Ok(()))?,
            };
            snapshots.insert(*id, info);
        }
        let newest = found.snapshots.last().copied().unwrap_or(SnapshotId { offset: 0, epoch: 0 });
        let mut log = MetadataLog {
            active: first_segment(&*disk, &dir, &found, newest)?,
            disk,
            dir,
            limits,
            segments: BTreeMap::from([(newest.offset, 0)]),
            next_offset: newest.offset,
            epoch: newest.epoch,
            timestamp: snapshots.get(&newest).map_or(-1, |info: &SnapshotInfo| info.last_timestamp),
            snapshots,
            bytes_since_snapshot: 0,
            state,
            has_failed: false,
        };
        if !found.segments.is_empty() {
            log.segments.clear();
            log.read_segments(&found.segments, newest)?;
        }
        Ok(log)
    }

    fn read_segments(&mut self, bases: &[i64], newest: SnapshotId) -> Result<(), Error> {
        let first_read = bases.partition_point(|base| *base <= newest.offset).saturating_sub(1);
        for (index, base) in bases.iter().copied().enumerate() {
            let path = self.path(base);
            let opening = || io_error(format!("opening {}", path.display()));
            let file = self.disk.open(&path, OpenMode::Existing).map_err(opening())?;
            let len = file.len().map_err(opening())?;
            if index < first_read {
                self.segments.insert(base, len);
                continue;
            }
            let is_last = index == bases.len() - 1;
            let walked = self.read_segment(&path, &file, base, newest.offset)?;
            if let Some(damage) = walked.damage {
                let fault = format!("{}: batch at position {}: {damage}", path.display(), walked.position);
                if !is_last {
                    return Err(Error::Corrupt(fault));
                }
                tracing::warn!("{fault}: cut there, a change that nobody was told of");
                file.set_len(walked.position).map_err(opening())?;
            }
            if is_last {
                // The process before this one may have ended between a write and its sync.
                file.sync().and_then(|()| self.disk.sync_dir(&self.dir)).map_err(opening())?;
                self.active = file;
            } else if walked.next_offset != bases[index + 1] {
                return Err(Error::Corrupt(format!(
                    "{}: it ends at offset {}, and the next segment begins at {}",
                    path.display(),
                    walked.next_offset,
                    bases[index + 1]
                )));
            }
            self.segments.insert(base, walked.position);
            self.next_offset = walked.next_offset;
            self.epoch = self.epoch.max(walked.epoch.unwrap_or_default());
            self.timestamp = self.timestamp.max(walked.timestamp);
            self.bytes_since_snapshot += walked.position;
        }
        if self.next_offset < newest.offset {
            return Err(Error::Corrupt(format!(
                "{}: the log ends at offset {}, in front of its snapshot {newest}",
                self.dir.display(),
                self.next_offset
            )));
        }
        Ok(())
    }

    fn read_segment(&mut self, path: &Path, file: &OpenFile, base: i64, from: i64) -> Result<Walked, Error> {
        let reading = || io_error(format!("reading {}", path.display()));
        // After a sync that failed the page cache may show bytes that the device does not have.
        file.drop_cached().map_err(reading())?;
        let content = self.disk.read(path).map_err(reading())?;
        let state = &mut self.state;
        let walked = reading::walk(&content, base, from, &mut |entry| state.take_up(entry))
            .map_err(|bad| Error::Corrupt(format!("{}: {bad}", path.display())))?;
        if let Some(damage) = &walked.damage
            && let Some(at) = reading::whole_batch_behind(&content, walked.position, walked.next_offset)
        {
            return Err(Error::Corrupt(format!(
                "{}: batch at position {}: {damage}; the one at {at} is whole",
                path.display(),
                walked.position
            )));
        }
        Ok(walked)
    }
}

/// The segment that a log begins with which has none.
fn first_segment(disk: &dyn Disk, dir: &Path, found: &Found, newest: SnapshotId) -> Result<OpenFile, Error> {
    let base = found.segments.last().copied().unwrap_or(newest.offset);
    let path: PathBuf = dir.join(file_name(base, FileKind::Log));
    let opening = || io_error(format!("opening {}", path.display()));
    if found.segments.is_empty() {
        let file = disk.open(&path, OpenMode::CreateNew).map_err(opening())?;
        disk.sync_dir(dir).map_err(opening())?;
        return Ok(file);
    }
    disk.open(&path, OpenMode::Existing).map_err(opening())
}

/// The files of a log.
struct Found {
    /// Base offsets, rising.
    segments: Vec<i64>,
    /// Rising; none is in front of the log's start.
    snapshots: Vec<SnapshotId>,
}

impl Found {
    /// Removes what an interrupted process left.
    fn list(disk: &dyn Disk, dir: &Path) -> Result<Found, Error> {
        let entries = disk.list(dir).map_err(io_error(format_args!("listing {}", dir.display())))?;
        let remove = |name: &str| {
            let path = dir.join(name);
            disk.remove_file(&path).map_err(io_error(format_args!("removing {}", path.display())))
        };
        let (mut segments, mut snapshots) = (Vec::new(), Vec::new());
        for entry in &entries {
            if names::is_left_over(&entry.name) {
                remove(&entry.name)?;
            } else if let Some(base) = base_of(&entry.name, FileKind::Log) {
                segments.push(base);
            } else if let Some(id) = SnapshotId::of(&entry.name) {
                snapshots.push(id);
            }
        }
        segments.sort_unstable();
        snapshots.sort_unstable();
        let start = segments.first().copied().unwrap_or_default();
        if snapshots.last().is_none_or(|newest| newest.offset < start) && start > 0 {
            return Err(Error::Corrupt(format!(
                "{}: the log begins at offset {start}, and no snapshot says what was true in front of it",
                dir.display()
            )));
        }
        let outdated = snapshots.partition_point(|id| id.offset < start);
        for id in snapshots.drain(..outdated) {
            remove(&id.file_name())?;
        }
        Ok(Found { segments, snapshots })
    }
}
