//! The rules of the simulated disk: each is a test that a change of the disk can fail.

mod bytes;
mod faults;
mod names;
mod property;
mod queued;

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::disk::{AlignedBuf, DIRECT_ALIGN, Disk, OpenFile, OpenMode};

const SEEDS: u64 = 500;
const DIR: &str = "/data";
const FILE: &str = "/data/file";

/// A disk with a directory that is durable.
fn disk() -> SimDisk {
    let disk = SimDisk::new(7);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.settle();
    disk
}

/// With an empty file in it that is durable too.
fn disk_with_file() -> (SimDisk, OpenFile) {
    let disk = disk();
    let file = disk.open(Path::new(FILE), OpenMode::CreateNew).unwrap();
    disk.settle();
    (disk, file)
}

fn write(file: &OpenFile, bytes: &[u8], position: u64) {
    file.write_all_at([bytes, b""], position).unwrap();
}

/// What the file holds after each of many power cuts; `None` where it is gone.
fn after_crashes(disk: &SimDisk) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| disk.after_crash(seed).read(Path::new(FILE)).ok()).collect()
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn names_after_crashes(disk: &SimDisk) -> BTreeSet<Vec<String>> {
    (0..SEEDS).map(|seed| names(&disk.after_crash(seed))).collect()
}

fn aligned(byte: u8, blocks: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(blocks * DIRECT_ALIGN);
    buf.as_mut_slice().fill(byte);
    buf
}

fn direct(disk: &SimDisk) -> OpenFile {
    disk.open(Path::new(FILE), OpenMode::Direct).unwrap()
}
