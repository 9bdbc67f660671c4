//! The one seam to storage: files, directories, and syncs and durable writes that are submitted now and
//! reaped later.
//!
//! Its makers: [`os`] for the kernel's files, whose queues are an io_uring ([`uring`]) or helper threads
//! ([`helper`]), [`read_only`], which changes none of them, and [`sim`], which can be broken.

mod aligned_buf;
pub mod helper;
pub mod os;
pub mod read_only;
pub mod sim;
#[cfg(test)]
mod tests;
pub mod uring;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use aligned_buf::{AlignedBuf, DIRECT_ALIGN};

/// How often one write is handed to the kernel before it has failed: it is submitted again when the kernel
/// was interrupted or short of something. A sync is never submitted again.
const WRITE_ATTEMPTS_MAX: u32 = 8;

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
    /// How large the file system of a directory is, and how much of it is free.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// A queue of syncs and durable writes for one shard.
    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>>;
}

/// An open file, shared between the shard that writes it and the connections that send from it.
pub type OpenFile = Arc<dyn File>;

/// What can be done to an open file. Calls return when the kernel has taken the bytes, not when they are
/// durable, but for files opened with [`OpenMode::Direct`].
pub trait File: Any + Debug + Send + Sync {
    /// Writes the parts one after the other, all of them, from `position` on. A failure may leave any part
    /// of them in the file.
    fn write_all_at(&self, parts: [&[u8]; 2], position: u64) -> io::Result<()>;
    /// Reads up to `buf.len()` bytes; less only at the end of the file. From a direct file: whole
    /// [`DIRECT_ALIGN`] blocks into an [`AlignedBuf`].
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// When its bytes were last changed, in milliseconds of the time that the disk goes by.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Cuts or extends the file. What is added reads as zeros and has no blocks on the device.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file at least `len` bytes long with blocks on the device for all of them, so that writing
    /// them needs no room any more. What is added reads as zeros.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes content and length durable; waits. For start-up, creation and stop, never for an append. After
    /// a failure the next call may answer `Ok` although the bytes never came to the device.
    fn sync(&self) -> io::Result<()>;
    /// Has the page cache forget what it holds of the file and need not write: the next read is the
    /// device's.
    fn drop_cached(&self) -> io::Result<()>;
    /// Whether a range is in the page cache, as far as a look without waiting tells. Files that have none
    /// answer `true`.
    fn is_cached(&self, position: u64, len: u32) -> bool;
    /// Whether reads and writes go past the page cache. A file that was opened with [`OpenMode::Direct`]
    /// answers `false` where the file system refuses that; its writes are synced one by one instead.
    fn is_direct(&self) -> bool;
    /// The descriptor to send from, where the maker has one.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It exists; reading and writing.
    Existing,
    /// It exists; reads and writes are of whole [`DIRECT_ALIGN`] blocks and go past the page cache, and a
    /// write that returned is durable, but for the directory's entry.
    Direct,
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
    /// The file's length in bytes; 0 for a directory.
    pub len: u64,
}

/// A file system's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of them.
    pub total: u64,
    /// Those that this process may still use.
    pub free: u64,
}

/// Syncs and durable writes of one shard: submitted at once, reaped when they are done, in any order.
pub trait IoQueue {
    /// Starts to make durable what was written to `file` so far. The answer comes from [`IoQueue::reap`]
    /// with the same token. A sync that fails is never submitted again: the kernel may have dropped the
    /// bytes and would say nothing the next time.
    fn sync(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()>;
    /// Starts to write all of `buf`, whole [`DIRECT_ALIGN`] blocks, at `position`. Done when the bytes are
    /// durable, whether the file is direct or not. A write that the device took only a part of has failed.
    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()>;
    /// Starts to bring so many bytes from `position` on into the page cache as `buf` has, through which they go. It
    /// is done when they are there or the file has ended.
    fn read_in(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()>;
    /// Appends to `done` what has finished since the last call; never waits.
    fn reap(&mut self, done: &mut Vec<IoDone>);
    /// Waits until something can be reaped; there is something in flight. For a clean stop.
    fn wait(&mut self) -> io::Result<()>;
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

/// A finished sync, write or read.
#[derive(Debug)]
pub struct IoDone {
    /// The token that it was submitted with.
    pub token: u64,
    /// A failure is final: the bytes may be gone although they can still be read.
    pub result: io::Result<()>,
    /// The memory of a write or a read, to be used again. A queue that broke down keeps it.
    pub buf: Option<AlignedBuf>,
}

/// Asserts what direct I/O asks of a write.
fn assert_whole_blocks(buf: &AlignedBuf, position: u64) {
    let is_whole = buf.len().is_multiple_of(DIRECT_ALIGN) && position.is_multiple_of(DIRECT_ALIGN as u64);
    assert!(is_whole && !buf.is_empty(), "a write of {} bytes at {position}", buf.len());
}

/// What a write says that the device took only a part of.
fn short_write(written: usize, len: usize, position: u64) -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {len} bytes were written at {position}"))
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
