//! When a metadata log is summed up, and what of it is given up behind that.

use logmill_engine::Error;

use super::{MetadataLog, SnapshotId};
use crate::shard::io_error;

impl MetadataLog {
    /// Takes a snapshot when one is due, and removes the oldest ones, with the segments in front of those that
    /// follow, as long as all of it is larger or older than is kept. One snapshot always stays.
    pub(crate) fn upkeep(&mut self, now_ms: i64) -> Result<(), Error> {
        if self.is_snapshot_due(now_ms) {
            self.take_snapshot(now_ms)?;
        }
        while self.is_oldest_due(now_ms) {
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn is_snapshot_due(&self, now_ms: i64) -> bool {
        if self.bytes_since_snapshot == 0 {
            return false;
        }
        let newest = self.snapshots.last_key_value().map_or(0, |(_, info)| info.last_timestamp);
        let is_late =
            self.limits.snapshot_interval_ms > 0 && now_ms - newest >= self.limits.snapshot_interval_ms;
        is_late || self.bytes_since_snapshot >= self.limits.bytes_between_snapshots
    }

    fn is_oldest_due(&self, now_ms: i64) -> bool {
        let Some((_, oldest)) = self.snapshots.first_key_value() else { return false };
        if self.snapshots.len() < 2 {
            return false;
        }
        let snapshots: u64 = self.snapshots.values().map(|info| info.bytes).sum();
        let bytes = snapshots + self.segments.values().sum::<u64>();
        let is_large = u64::try_from(self.limits.retention_bytes).is_ok_and(|max| bytes > max);
        let is_old =
            self.limits.retention_ms >= 0 && now_ms - oldest.last_timestamp > self.limits.retention_ms;
        is_large || is_old
    }

    /// Segments first: a snapshot is there for whatever the log begins with.
    fn remove_oldest(&mut self) -> Result<(), Error> {
        let oldest = *self.snapshots.first_key_value().expect("there is an oldest").0;
        let start = self.snapshots.keys().nth(1).expect("there is one behind it").offset;
        let ends: Vec<(i64, i64)> =
            self.segments.keys().copied().zip(self.segments.keys().skip(1).copied()).collect();
        for (base, _) in ends.into_iter().filter(|(_, end)| *end <= start) {
            let path = self.path(base);
            self.disk.remove_file(&path).map_err(io_error(format_args!("removing {}", path.display())))?;
            self.sync_dir()?;
            self.segments.remove(&base);
        }
        self.remove_snapshot(oldest)
    }

    pub(super) fn remove_snapshot(&mut self, id: SnapshotId) -> Result<(), Error> {
        let path = self.dir.join(id.file_name());
        self.disk.remove_file(&path).map_err(io_error(format_args!("removing {}", path.display())))?;
        self.sync_dir()?;
        self.snapshots.remove(&id);
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), Error> {
        self.disk.sync_dir(&self.dir).map_err(io_error(format_args!("syncing {}", self.dir.display())))
    }
}
