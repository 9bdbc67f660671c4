//! `Tmpfs`: a file system in memory, which no power cut leaves anything of.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::rig::Error;
use crate::rig::directory::RunDirectory;

/// Mounted until it is dropped.
pub(crate) struct Tmpfs {
    directory: RunDirectory,
}

impl Tmpfs {
    /// Mounts one of so many bytes in a directory of its own below `root`.
    pub(crate) fn mount(root: &Path, bytes: u64) -> Result<Tmpfs, Error> {
        let directory = RunDirectory::create(root)?;
        let size = CString::new(format!("size={bytes}")).expect("it holds no zero");
        mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), Some(size.as_c_str()))
            .map_err(|error| Error::io(format!("mounting a tmpfs of {bytes} bytes"))(error.into()))?;
        Ok(Tmpfs { directory })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}
