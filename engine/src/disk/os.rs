//! `OsDisk`: the kernel's files and directories by plain system calls.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::helper::{HelperQueue, SpawnHelper};
use super::uring::UringQueue;
use super::{DirEntry, Disk, File, OpenFile, OpenMode, SyncQueue};

/// The kernel's file systems.
#[derive(Debug)]
pub struct OsDisk {
    syncs: Syncs,
}

#[derive(Debug)]
enum Syncs {
    Uring,
    Helper(SpawnHelper),
}

impl OsDisk {
    /// Syncs go through an io_uring of each shard's own. Ask [`super::uring::is_granted`] first.
    pub fn with_uring() -> OsDisk {
        OsDisk { syncs: Syncs::Uring }
    }

    /// Syncs are done by a helper thread of each shard, which the caller spawns.
    pub fn with_helper(spawn: SpawnHelper) -> OsDisk {
        OsDisk { syncs: Syncs::Helper(spawn) }
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Existing => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Replace => options.write(true).create(true).truncate(true),
            OpenMode::Directory => &mut options,
        };
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not text is nobody's of ours; Apache Kafka would not open it either.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
            }
        }
        entries.sort();
        Ok(entries)
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
        Ok(Arc::new(OsFile(file)))
    }

    fn sync_queue(&self) -> io::Result<Box<dyn SyncQueue>> {
        match &self.syncs {
            Syncs::Uring => Ok(Box::new(UringQueue::new()?)),
            Syncs::Helper(spawn) => Ok(Box::new(HelperQueue::new(*spawn)?)),
        }
    }
}

#[derive(Debug)]
struct OsFile(fs::File);

impl File for OsFile {
    fn write_all_at(&self, parts: [&[u8]; 2], mut position: u64) -> io::Result<()> {
        let [mut first, mut second] = parts;
        while !(first.is_empty() && second.is_empty()) {
            let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
            let written = match rustix::io::pwritev(&self.0, &slices, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            position += written as u64;
            let of_first = written.min(first.len());
            first = &first[of_first..];
            second = &second[written - of_first..];
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match rustix::io::pread(&self.0, &mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => (),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}
