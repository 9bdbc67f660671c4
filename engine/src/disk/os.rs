//! `OsDisk`: the kernel's files and directories by plain system calls.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::helper::{HelperQueue, SpawnHelper};
use super::uring::UringQueue;
use super::{DIRECT_ALIGN, DirEntry, Disk, File, IoQueue, OpenFile, OpenMode, Space};

/// The kernel's file systems.
#[derive(Debug)]
pub struct OsDisk {
    queues: Queues,
}

#[derive(Debug)]
enum Queues {
    Uring,
    Helper(SpawnHelper),
}

impl OsDisk {
    /// Queues are an io_uring of each shard's own. Ask [`super::uring::is_granted`] first.
    pub fn with_uring() -> OsDisk {
        OsDisk { queues: Queues::Uring }
    }

    /// Queues are helper threads of each shard's own, which the caller spawns.
    pub fn with_helper(spawn: SpawnHelper) -> OsDisk {
        OsDisk { queues: Queues::Helper(spawn) }
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Direct => return open_direct(path),
            OpenMode::Existing => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Replace => options.write(true).create(true).truncate(true),
            OpenMode::Directory => options.custom_flags(OFlags::DIRECTORY.bits().cast_signed()),
        };
        Ok(Arc::new(OsFile { file: options.open(path)?, writes: Writes::Cached }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<OpenFile> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // A POSIX record lock, which is what Java's FileChannel.tryLock takes.
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Arc::new(OsFile { file, writes: Writes::Cached }))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        space(dir)
    }

    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>> {
        match &self.queues {
            Queues::Uring => Ok(Box::new(UringQueue::new()?)),
            Queues::Helper(spawn) => Ok(Box::new(HelperQueue::new(*spawn)?)),
        }
    }
}

/// What a directory holds, sorted by name.
pub(super) fn list(dir: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A name that is not text is nobody's of ours; Apache Kafka would not open it either.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let metadata = match entry.metadata() {
            // It was removed, or named anew, since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let is_dir = metadata.is_dir();
        entries.push(DirEntry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
    }
    entries.sort();
    Ok(entries)
}

/// How large a directory's file system is, and how much of it is free.
pub(super) fn space(dir: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
}

/// Past the page cache where the file system does that.
fn open_direct(path: &Path) -> io::Result<OpenFile> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
    let (file, writes) = match options.clone().custom_flags(flags).open(path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            (options.open(path)?, Writes::Synced)
        }
        opened => (opened?, Writes::Direct),
    };
    Ok(Arc::new(OsFile { file, writes }))
}

/// Bytes written at once where blocks can be had only by writing them.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Bytes between two looks into the page cache: it takes in and gives up many pages at a time.
const LOOK_EVERY: usize = 64 * 1024;

#[derive(Debug)]
struct OsFile {
    file: fs::File,
    writes: Writes,
}

impl OsFile {
    /// Where nobody can say, it is: the read waits for what is not there.
    fn is_byte_cached(&self, position: u64) -> bool {
        let mut byte = [0];
        let mut into = [io::IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&self.file, &mut into, position, ReadWriteFlags::NOWAIT);
        read != Err(Errno::AGAIN)
    }
}

/// What a write is when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// In the page cache.
    Cached,
    /// On the device.
    Direct,
    /// On the device, by a sync behind it: direct I/O was asked for and refused.
    Synced,
}

impl File for OsFile {
    fn write_all_at(&self, parts: [&[u8]; 2], mut position: u64) -> io::Result<()> {
        let [mut first, mut second] = parts;
        while !(first.is_empty() && second.is_empty()) {
            let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
            let written = match rustix::io::pwritev(&self.file, &slices, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            position += written as u64;
            let of_first = written.min(first.len());
            first = &first[of_first..];
            second = &second[written - of_first..];
        }
        if self.writes == Writes::Synced { self.sync() } else { Ok(()) }
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match rustix::io::pread(&self.file, &mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(Errno::INTR) => (),
                Err(errno) => return Err(errno.into()),
            }
            // The end of the file lies inside of a block, and direct I/O cannot be asked to go on there.
            if self.is_direct() && !done.is_multiple_of(DIRECT_ALIGN) {
                break;
            }
        }
        Ok(done)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let stat = rustix::fs::fstat(&self.file)?;
        Ok(stat.st_mtime * 1_000 + stat.st_mtime_nsec.cast_signed() / 1_000_000)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
                Err(Errno::INTR) => (),
                Err(Errno::OPNOTSUPP) => break,
                allocated => return Ok(allocated?),
            }
        }
        let mut position = self.len()?;
        while position < len {
            let part = &ZEROS[..ZEROS.len().min((len - position) as usize)];
            self.write_all_at([part, &[]], position)?;
            position += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // It may be a directory, whose entries a data sync does not cover.
        self.file.sync_all()
    }

    fn drop_cached(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }

    fn is_cached(&self, position: u64, len: u32) -> bool {
        let Some(last) = len.checked_sub(1) else { return true };
        let looks = (0..last).step_by(LOOK_EVERY).chain([last]);
        looks.map(|at| position + u64::from(at)).all(|at| self.is_byte_cached(at))
    }

    fn is_direct(&self) -> bool {
        self.writes == Writes::Direct
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}
