//! `ReadOnlyDisk`: the kernel's files for those who must not change any, such as a check of a directory that
//! somebody else owns or that is mounted read-only.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use super::{DirEntry, Disk, File, IoQueue, OpenFile, OpenMode, Space, os};

/// Reads; whatever would change something is refused by name.
#[derive(Debug, Default, Clone, Copy)]
pub struct ReadOnlyDisk;

#[derive(Debug)]
struct ReadOnlyFile(fs::File);

impl ReadOnlyDisk {
    /// The process that holds a lock that [`Disk::lock`] of another maker, or Apache Kafka, took; 0 where the kernel
    /// does not say which. `None`: nobody does.
    pub fn locked_by(&self, path: &Path) -> io::Result<Option<i32>> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let held = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?;
        Ok(held.map(|lock| lock.pid.map_or(0, Pid::as_raw_pid)))
    }
}

fn refused<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, format!("{what}: this only reads")))
}

impl Disk for ReadOnlyDisk {
    /// Whatever the mode, but for those that make files: reads go through the page cache.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        match mode {
            OpenMode::Existing | OpenMode::Direct | OpenMode::Directory => {
                Ok(Arc::new(ReadOnlyFile(fs::File::open(path)?)))
            }
            OpenMode::CreateNew | OpenMode::Replace => refused("making a file"),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        os::list(dir)
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        refused("making a directory")
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused("renaming")
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        refused("removing a file")
    }

    fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        refused("removing a directory")
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused("syncing")
    }

    fn lock(&self, _: &Path) -> io::Result<OpenFile> {
        refused("locking")
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        os::space(dir)
    }

    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>> {
        refused("a queue of writes")
    }
}

impl File for ReadOnlyFile {
    fn write_all_at(&self, _: [&[u8]; 2], _: u64) -> io::Result<()> {
        refused("writing")
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buf.len() {
            match self.0.read_at(&mut buf[read..], position + read as u64) {
                Ok(0) => break,
                Ok(len) => read += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let modified = self.0.metadata()?.modified()?;
        Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        refused("cutting a file")
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        refused("allocating")
    }

    fn sync(&self) -> io::Result<()> {
        refused("syncing")
    }

    /// Nothing: what the page cache has is what readers of the file get.
    fn drop_cached(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_cached(&self, _: u64, _: u32) -> bool {
        true
    }

    fn is_direct(&self) -> bool {
        false
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_nothing_is_changed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, b"content").unwrap();
        let disk = ReadOnlyDisk;
        for mode in [OpenMode::Existing, OpenMode::Direct] {
            let file = disk.open(&path, mode).unwrap();
            let mut buf = [0; 16];
            assert_eq!((file.read_at(&mut buf, 3).unwrap(), &buf[..4]), (4, &b"tent"[..]));
            assert!(file.write_all_at([b"x", b""], 0).is_err() && file.set_len(0).is_err());
            assert!(file.allocate(100).is_err() && file.sync().is_err());
        }
        for mode in [OpenMode::CreateNew, OpenMode::Replace] {
            assert!(disk.open(&root.path().join("new"), mode).is_err());
        }
        assert!(disk.rename(&path, &root.path().join("new")).is_err());
        assert!(disk.remove_file(&path).is_err() && disk.remove_dir_all(root.path()).is_err());
        assert!(disk.create_dir_all(&root.path().join("new")).is_err());
        assert!(disk.lock(&path).is_err());
        let entries = disk.list(root.path()).unwrap();
        assert_eq!(entries, [DirEntry { name: "file".to_owned(), is_dir: false, len: 7 }]);
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }
}
