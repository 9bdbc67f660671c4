//! `DeviceReader`: reads a file as the device has it, whatever the page cache says.

use std::io;
use std::path::Path;

use crate::disk::{AlignedBuf, DIRECT_ALIGN, Disk, OpenFile, OpenMode};

/// Bytes of one read at most; in tests so few that a window does not hold all.
const WINDOW_LEN: usize = if cfg!(test) { 16 << 10 } else { 1 << 20 };

/// Reads through a window that begins at a block.
#[derive(Debug)]
pub(super) struct DeviceReader {
    file: OpenFile,
    window: AlignedBuf,
    /// Where the window begins in the file.
    from: u64,
    bytes_read: u64,
}

impl DeviceReader {
    /// Where direct I/O is refused what can be written is, and the page cache forgets the rest.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<DeviceReader> {
        let file = disk.open(path, OpenMode::Direct)?;
        if !file.is_direct() {
            file.sync()?;
            file.drop_cached()?;
        }
        Ok(DeviceReader { file, window: AlignedBuf::default(), from: 0, bytes_read: 0 })
    }

    /// How many bytes were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
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
            let rest = self.file.len()?.saturating_sub(self.from);
            self.window.clear();
            self.window.resize(rest.min(WINDOW_LEN as u64) as usize);
            self.window.pad();
            let read = match self.window.is_empty() {
                true => 0,
                false => self.file.read_at(self.window.as_mut_slice(), self.from)?,
            };
            self.window.resize(read);
            self.bytes_read += read as u64;
        }
        let skipped = (position - self.from) as usize;
        Ok(self.window.as_slice().get(skipped..).unwrap_or_default())
    }
}
