//! Partition directories in both directions: what is written here, Apache Kafka's own tool reads without a
//! complaint and says the same of; what Apache Kafka wrote opens here, after a clean stop and after a SIGKILL,
//! and readers are told what Apache Kafka tells them.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod apaches;
mod dumped;
mod ours;
#[path = "../../../engine/tests/directories/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use logmill_engine::disk::Disk;
use logmill_engine::disk::os::OsDisk;

/// The kernel's disk.
fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop)))
}

/// A temporary directory on a file system that has direct I/O.
fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The names of a directory's files that end so, sorted.
fn names(dir: &Path, suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(suffix));
    names.sort();
    names
}
