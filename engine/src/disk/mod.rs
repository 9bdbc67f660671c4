//! The one seam to storage: files, directories, and syncs that are submitted now and reaped later.
//!
//! Its makers: [`os`] for the kernel's files, whose syncs go through an io_uring ([`uring`]) or a helper
//! thread ([`helper`]), and [`memory`] for simulation.

pub mod helper;
pub mod memory;
pub mod os;
pub mod uring;

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Storage. Paths are resolved by the maker; every shard and the helper threads share one of these.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile>;
    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What a directory holds, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes a directory and those above it that are missing. Durable only after [`Disk::sync_dir`] of the
    /// parent.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Renames a file or directory over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes one file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes a directory's entries durable; waits.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes a lock that a second process, Apache Kafka included, respects. Held until the file is dropped.
    fn lock(&self, path: &Path) -> io::Result<OpenFile>;
    /// A queue of syncs for one shard.
    fn sync_queue(&self) -> io::Result<Box<dyn SyncQueue>>;
}

/// An open file, shared between the shard that writes it and the connections that send from it.
pub type OpenFile = Arc<dyn File>;

/// What can be done to an open file. Calls return when the kernel has taken the bytes, not when they are
/// durable.
pub trait File: Debug + Send + Sync {
    /// Writes the parts one after the other, all of them, from `position` on.
    fn write_all_at(&self, parts: [&[u8]; 2], position: u64) -> io::Result<()>;
    /// Reads up to `buf.len()` bytes; less only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes content and length durable; waits. For start-up, creation and stop, never for an append.
    fn sync(&self) -> io::Result<()>;
    /// The descriptor to send from, where the maker has one.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It exists; reading and writing.
    Existing,
    /// It must not exist.
    CreateNew,
    /// It is made, or emptied.
    Replace,
    /// A directory, opened to sync its entries.
    Directory,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last part of its path.
    pub name: String,
    /// Directory or file.
    pub is_dir: bool,
}

/// Syncs of one shard: submitted at once, reaped when they are done.
pub trait SyncQueue {
    /// Starts to make `file` durable. The answer comes from [`SyncQueue::reap`] with the same token.
    fn submit(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()>;
    /// Appends to `done` what has finished since the last call; never waits.
    fn reap(&mut self, done: &mut Vec<SyncDone>);
    /// Readable when something can be reaped. `None`: the maker's owner says when.
    fn completion_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// What a sync makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncKind {
    /// The bytes of a file and its length.
    Data,
    /// The entries of a directory.
    Entries,
}

/// A finished sync.
#[derive(Debug)]
pub struct SyncDone {
    /// The token that it was submitted with.
    pub token: u64,
    /// A failure is final: the bytes may be gone although they can still be read.
    pub result: io::Result<()>,
}

/// A run of bytes in an open file: what a fetch sends instead of copying.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The file, kept open as long as somebody sends from it.
    pub file: OpenFile,
    /// Where the run begins, in bytes.
    pub position: u64,
    /// How many bytes it has.
    pub len: u32,
}

/// `path` with `suffix` behind its last part.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Replaces a small file so that a crash leaves the old content or the new one: written beside it, synced,
/// renamed over it, and the directory synced.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let tmp = with_suffix(path, ".tmp");
    let file = disk.open(&tmp, OpenMode::Replace)?;
    file.write_all_at([content, &[]], 0)?;
    file.sync()?;
    drop(file);
    disk.rename(&tmp, path)?;
    disk.sync_dir(path.parent().expect("a file of ours lies in a directory"))
}
