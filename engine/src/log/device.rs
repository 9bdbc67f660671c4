//! `DeviceReader`: reads a file as the device has it, whatever the page cache says.

use std::io;
use std::path::Path;

use crate::disk::{AlignedBuf, DIRECT_ALIGN, Disk, OpenFile, OpenMode};

/// Bytes of one read.
const WINDOW_LEN: usize = 1 << 20;

/// Reads through a window that begins at a block.
#[derive(Debug)]
pub(super) struct DeviceReader {
    file: OpenFile,
    window: AlignedBuf,
    /// Where the window begins in the file.
    from: u64,
}

impl DeviceReader {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<DeviceReader> {
        let file = disk.open(path, OpenMode::Direct)?;
        Ok(DeviceReader { file, window: AlignedBuf::default(), from: 0 })
    }

    /// Whether the file has exactly these bytes at `position`.
    pub(super) fn has(&mut self, mut position: u64, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            let there = self.at(position)?;
            let len = there.len().min(bytes.len());
            if len == 0 || there[..len] != bytes[..len] {
                return Ok(false);
            }
            position += len as u64;
            bytes = &bytes[len..];
        }
        Ok(true)
    }

    /// The bytes of a window from `position` on, none behind the end of the file.
    fn at(&mut self, position: u64) -> io::Result<&[u8]> {
        let end = self.from + self.window.len() as u64;
        if !(self.from..end).contains(&position) {
            self.from = position / DIRECT_ALIGN as u64 * DIRECT_ALIGN as u64;
            self.window.clear();
            self.window.resize(WINDOW_LEN);
            let read = self.file.read_at(self.window.as_mut_slice(), self.from)?;
            self.window.resize(read);
        }
        let skipped = (position - self.from) as usize;
        Ok(self.window.as_slice().get(skipped..).unwrap_or_default())
    }
}
