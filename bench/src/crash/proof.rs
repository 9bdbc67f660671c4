//! The disk itself: after a cut what was synced is there, what was not is gone, and the real file system
//! above finds its way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::device::{Afterwards, Cut, Loss, Volume, VolumeOptions, When};
use crate::rig::Error;

const BLOCK: usize = 4096;

/// Direct I/O needs aligned memory.
#[repr(align(4096))]
struct Aligned([u8; BLOCK]);

/// Proves it, for one kind of volume.
pub(super) fn prove(options: VolumeOptions) -> Result<(), Error> {
    let (file_system, sector_bytes) = (options.file_system, options.sector_bytes);
    let what = |what: &str| format!("{file_system} with sectors of {sector_bytes} bytes: {what}");
    let mut volume = Volume::make(options)?;
    let dir = volume.path();
    write(&dir).map_err(Error::io(what("writing what is to stay")))?;
    File::create(dir.join("unsynced"))
        .and_then(|mut file| file.write_all(&[3; 64 * BLOCK]))
        .map_err(Error::io(what("writing what is to go")))?;
    volume.cut(Cut { when: When::Now, loss: Loss::All, afterwards: Afterwards::Errors })?;
    let failed = |what: String| Error::Failed { what, output: String::new() };
    if synced(&dir, "late", &[4; BLOCK]).is_ok() {
        return Err(failed(what("a sync without power succeeded")));
    }
    volume.reboot()?;
    let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
    if read("synced") != vec![1; 64 * BLOCK] || read("direct") != vec![2; BLOCK] {
        return Err(failed(what("what was synced is gone")));
    }
    if read("unsynced") == vec![3; 64 * BLOCK] || !read("late").is_empty() {
        return Err(failed(what("what was not synced is there")));
    }
    // It is a whole file system: it takes new files, and they stay.
    synced(&dir, "after", &[5; BLOCK]).map_err(Error::io(what("writing after the cut")))
}

fn write(dir: &Path) -> io::Result<()> {
    synced(dir, "synced", &[1; 64 * BLOCK])?;
    // As a journal is written: past the page cache, durable when the write returns.
    let direct = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(dir.join("direct"))?;
    File::open(dir)?.sync_all()?;
    direct.write_all_at(&Aligned([2; BLOCK]).0, 0)
}

fn synced(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(dir.join(name))?;
    file.write_all(bytes)?;
    file.sync_data()?;
    File::open(dir)?.sync_all()
}
