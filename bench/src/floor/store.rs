//! One thread's files: appended to, rolled, removed beyond a cap.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The logs that one thread appends to, a directory of segments for each.
pub(super) struct Store {
    settings: StoreSettings,
    /// By file index; a log is made when its first batch comes.
    logs: Vec<Option<Log>>,
    /// Closed segments, the oldest first.
    sealed: VecDeque<(PathBuf, u64)>,
    sealed_bytes: u64,
    /// Files that hold bytes which no wave has taken yet, and the directories of new ones.
    dirty: Vec<Arc<File>>,
    /// A log is in `dirty` when it bears this number.
    wave: u64,
}

/// Where a [`Store`] lies and how large it grows.
#[derive(Debug, Clone)]
pub(super) struct StoreSettings {
    /// The directory above the logs' own.
    pub dir: PathBuf,
    /// Number of the thread, so that no two share a file.
    pub thread: usize,
    /// A segment rolls before it exceeds this.
    pub segment_bytes: u64,
    /// Closed segments beyond this are removed, the oldest first.
    pub sealed_bytes_max: u64,
    /// Whether somebody takes what is dirty.
    pub durable: bool,
}

struct Log {
    dir: PathBuf,
    file: Arc<File>,
    /// Bytes of the log before this segment: its name.
    base: u64,
    /// Where the next batch goes in the segment.
    position: u64,
    /// The wave for which the segment was last listed as dirty.
    listed_for: u64,
}

impl Store {
    pub(super) fn new(settings: StoreSettings) -> Store {
        Store {
            settings,
            logs: Vec::new(),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            dirty: Vec::new(),
            // Logs start with 0: never listed.
            wave: 1,
        }
    }

    /// Appends a batch to the page cache, and says where it lies in the active segment.
    pub(super) fn append(&mut self, index: u32, bytes: &[u8]) -> io::Result<u64> {
        let index = index as usize;
        if self.logs.get(index).is_none_or(Option::is_none) {
            self.open_log(index)?;
        }
        if self.log(index).position + bytes.len() as u64 > self.settings.segment_bytes {
            self.roll(index)?;
        }
        let (wave, durable) = (self.wave, self.settings.durable);
        let log = self.logs[index].as_mut().expect("opened above");
        let position = log.position;
        log.file.write_all_at(bytes, position)?;
        log.position += bytes.len() as u64;
        if durable && log.listed_for != wave {
            log.listed_for = wave;
            self.dirty.push(Arc::clone(&log.file));
        }
        Ok(position)
    }

    /// The segment that a log appends to, and how many bytes it has.
    pub(super) fn active(&self, index: u32) -> Option<(Arc<File>, u64)> {
        let log = self.logs.get(index as usize)?.as_ref()?;
        Some((Arc::clone(&log.file), log.position))
    }

    /// Whether a wave would have something to do.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// All that is dirty, for a wave that starts with it: the caller empties the list.
    pub(super) fn dirty_for_wave(&mut self) -> &mut Vec<Arc<File>> {
        self.wave += 1;
        &mut self.dirty
    }

    fn log(&self, index: usize) -> &Log {
        self.logs[index].as_ref().expect("opened at its first batch")
    }

    fn open_log(&mut self, index: usize) -> io::Result<()> {
        let dir = self.settings.dir.join(format!("floor{}-{index}", self.settings.thread));
        fs::create_dir_all(&dir)?;
        let file = self.create_segment(&dir, 0)?;
        if self.logs.len() <= index {
            self.logs.resize_with(index + 1, || None);
        }
        self.logs[index] = Some(Log { dir, file, base: 0, position: 0, listed_for: 0 });
        Ok(())
    }

    fn roll(&mut self, index: usize) -> io::Result<()> {
        let log = self.log(index);
        let (sealed, sealed_bytes) = (segment_path(&log.dir, log.base), log.position);
        let (dir, base) = (log.dir.clone(), log.base + log.position);
        let file = self.create_segment(&dir, base)?;
        self.logs[index] = Some(Log { dir, file, base, position: 0, listed_for: 0 });
        self.sealed.push_back((sealed, sealed_bytes));
        self.sealed_bytes += sealed_bytes;
        while self.sealed_bytes > self.settings.sealed_bytes_max {
            let Some((path, bytes)) = self.sealed.pop_front() else { break };
            fs::remove_file(path)?;
            self.sealed_bytes -= bytes;
        }
        Ok(())
    }

    fn create_segment(&mut self, dir: &PathBuf, base: u64) -> io::Result<Arc<File>> {
        let path = segment_path(dir, base);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        if self.settings.durable {
            // Without its name a synced segment is lost with the first crash.
            self.dirty.push(Arc::new(File::open(dir)?));
        }
        Ok(Arc::new(file))
    }
}

fn segment_path(dir: &std::path::Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &tempfile::TempDir, durable: bool) -> Store {
        Store::new(StoreSettings {
            dir: dir.path().into(),
            thread: 0,
            segment_bytes: 100,
            sealed_bytes_max: 200,
            durable,
        })
    }

    fn names(dir: &tempfile::TempDir, log: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir.path().join(log))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn segments_are_named_by_the_bytes_before_them_and_removed_beyond_the_cap() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir, false);
        for _ in 0..7 {
            store.append(2, &[7; 60]).unwrap();
        }
        let expected = ["00000000000000000180.log", "00000000000000000240.log", "00000000000000000300.log"];
        assert_eq!(names(&dir, "floor0-2")[..3], expected);
        assert_eq!(fs::read(dir.path().join("floor0-2").join(expected[0])).unwrap(), [7; 60]);
        assert!(!store.is_dirty());
    }

    #[test]
    fn a_wave_takes_each_dirty_file_once_and_the_directory_of_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir, true);
        store.append(0, &[1; 10]).unwrap();
        store.append(0, &[1; 10]).unwrap();
        store.append(1, &[1; 10]).unwrap();
        assert_eq!(store.dirty_for_wave().drain(..).len(), 4, "two files and their two directories");
        assert!(!store.is_dirty());
        store.append(0, &[1; 10]).unwrap();
        store.append(0, &[1; 90]).unwrap();
        assert_eq!(
            store.dirty_for_wave().drain(..).len(),
            3,
            "the sealed segment, the new one and its directory"
        );
    }
}
