//! `Cache`: the files and index pages that a shard keeps at hand for all of its logs, bounded.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::Clock;
use super::file_name::{FileKind, file_path};
use crate::disk::{Disk, OpenFile, OpenMode};

/// Bytes of a page at most. A page holds whole entries.
pub(crate) const PAGE_LEN: usize = 4_096;

/// How much a [`Cache`] keeps.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Open files of sealed segments. Those that are written to are held by their logs.
    pub files: usize,
    /// Pages of index files.
    pub pages: usize,
}

/// Open files and index pages of the logs of one shard, and the disk that they are read from.
#[derive(Debug)]
pub struct Cache {
    disk: Arc<dyn Disk>,
    files: Clock<FileKey, OpenFile>,
    pages: Clock<(FileKey, u32), Page>,
    /// Logs that were given keys so far, by all caches that are beside each other.
    logs: Arc<AtomicU64>,
}

/// A log among those that share a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LogKey(u64);

/// Which segment of which log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) log: LogKey,
    pub(crate) dir: &'a Path,
    pub(crate) base_offset: i64,
}

impl Place<'_> {
    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        file_path(self.dir, self.base_offset, kind)
    }

    fn key(&self, kind: FileKind) -> FileKey {
        FileKey { log: self.log, base_offset: self.base_offset, kind }
    }
}

/// Names the segment as an operator finds it.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path(FileKind::Log).display().fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey {
    log: LogKey,
    base_offset: i64,
    kind: FileKind,
}

#[derive(Debug)]
struct Page {
    bytes: Box<[u8; PAGE_LEN]>,
    len: usize,
}

impl Cache {
    /// An empty cache over `disk`.
    pub fn new(disk: Arc<dyn Disk>, limits: CacheLimits) -> Cache {
        let (files, pages) = (Clock::new(limits.files), Clock::new(limits.pages));
        Cache { disk, files, pages, logs: Arc::default() }
    }

    /// An empty cache whose logs may become this one's.
    pub(crate) fn beside(&self, limits: CacheLimits) -> Cache {
        Cache { logs: self.logs.clone(), ..Cache::new(self.disk.clone(), limits) }
    }

    /// The disk that everything lies on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The same, held apart from the cache.
    pub(crate) fn shared_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    pub(crate) fn new_log(&mut self) -> LogKey {
        LogKey(self.logs.fetch_add(1, Ordering::Relaxed))
    }

    /// The file, opened unless it is.
    pub(crate) fn file(&mut self, place: &Place<'_>, kind: FileKind) -> io::Result<OpenFile> {
        let key = place.key(kind);
        if let Some(file) = self.files.get(&key) {
            return Ok(file.clone());
        }
        let file = self.disk.open(&place.path(kind), OpenMode::Existing)?;
        self.files.insert(key, file.clone());
        Ok(file)
    }

    /// The first `len` bytes of page `number`, where each page is `page_len` bytes long.
    pub(crate) fn page(
        &mut self,
        place: &Place<'_>,
        kind: FileKind,
        number: u32,
        page_len: usize,
        len: usize,
    ) -> io::Result<&[u8]> {
        let key = (place.key(kind), number);
        // A page of a file that grows may have been read when it was shorter.
        let found = self.pages.place(&key).filter(|at| self.pages.at(*at).len >= len);
        let at = match found {
            Some(at) => at,
            None => {
                let file = self.file(place, kind)?;
                let mut bytes = Box::new([0; PAGE_LEN]);
                let position = u64::from(number) * page_len as u64;
                let read = file.read_at(&mut bytes[..page_len], position)?;
                if read < len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.pages.insert(key, Page { bytes, len: read })
            }
        };
        Ok(&self.pages.at(at).bytes[..len])
    }

    /// Forgets what was read of a segment whose files change or go.
    pub(crate) fn forget(&mut self, place: &Place<'_>) {
        let is_gone = |key: &FileKey| key.log == place.log && key.base_offset == place.base_offset;
        self.files.forget(is_gone);
        self.pages.forget(|(key, _)| is_gone(key));
    }

    /// Forgets a log that is closed.
    pub(crate) fn forget_log(&mut self, log: LogKey) {
        self.files.forget(|key| key.log == log);
        self.pages.forget(|(key, _)| key.log == log);
    }

    /// How many files it holds open.
    pub fn open_files(&self) -> usize {
        self.files.len()
    }
}
