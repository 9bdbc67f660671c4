//! `Ground`: partition directories that are made once and serve every leg, emptied in between.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logmill_engine::disk::Disk;
use logmill_engine::format::{BatchRules, TimestampRule};
use logmill_engine::journal::{JournalConfig, JournalName, SLOTS};
use logmill_engine::partition::{Ack, directory};
use logmill_engine::shard::{CommitLimits, Shard, ShardConfig};

use super::meter::{Meter, write_back};
use super::partition::{NOW_MS, TOPIC, disk, id, opened};

/// What the names of a partition's first files begin with.
const FIRST_SEGMENT: &str = "00000000000000000000";
/// What a producer may send.
const RULES: BatchRules = BatchRules {
    size_max: 2 << 20,
    needs_keys: false,
    timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
    compression: None,
};
/// Files are zeroed in parts of this size.
const ZEROS_BYTES: usize = 1 << 20;

/// How appends become durable in a leg.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) ack: Ack,
    /// Bytes of the journal, if there is one.
    pub(crate) journal_bytes: Option<u64>,
    pub(crate) limits: CommitLimits,
}

/// A directory with partitions.
pub(crate) struct Ground {
    root: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) meter: Meter,
    /// Whether journals are as a broker's first turn finds them: allocated, never written.
    is_journal_fresh: bool,
    made: Cell<i32>,
    /// Partitions that the last leg wrote to.
    used: Cell<i32>,
    generation: Cell<u64>,
}

impl Ground {
    pub(crate) fn new(root: PathBuf, is_journal_fresh: bool) -> Ground {
        fs::create_dir_all(&root).expect("the directory can be made");
        let meter = Meter::new(&root);
        Ground {
            root,
            disk: disk(),
            meter,
            is_journal_fresh,
            made: Cell::new(0),
            used: Cell::new(0),
            generation: Cell::new(1),
        }
    }

    /// A shard whose first so many partitions are there and empty, and nothing dirty on the machine.
    pub(crate) fn shard(&self, partitions: i32, way: &Way) -> Shard {
        self.empty(partitions);
        let journals = way.journal_bytes.map(|bytes| self.journal(bytes)).into_iter().collect();
        write_back();
        let config = ShardConfig { log_dirs: vec![self.root.clone()], journals, limits: way.limits };
        let mut shard = Shard::new(self.disk.clone(), config).expect("a shard starts");
        for index in 0..partitions {
            shard.open(&opened(index, way.ack, RULES), NOW_MS).expect("a partition opens");
        }
        shard.begin().expect("a journal begins");
        shard
    }

    /// Empties all partitions and sees that there are enough.
    pub(crate) fn empty(&self, partitions: i32) {
        for index in 0..self.used.replace(partitions) {
            let dir = self.partition_dir(index);
            for entry in fs::read_dir(&dir).expect("a partition's directory is there") {
                let entry = entry.expect("its entries can be read");
                let name = entry.file_name().into_string().expect("its names are text");
                if name.starts_with(FIRST_SEGMENT) {
                    // Making files anew is slow where a file system does not use an inode again at once.
                    fs::File::create(entry.path()).expect("its files can be emptied");
                } else if name.starts_with(|first: char| first.is_ascii_digit()) {
                    fs::remove_file(entry.path()).expect("its files can be removed");
                }
            }
        }
        for index in self.made.get()..partitions {
            directory::create(&*self.disk, &self.root, TOPIC, id(index)).expect("a partition is made");
            self.made.set(index + 1);
        }
    }

    fn partition_dir(&self, index: i32) -> PathBuf {
        self.root.join(directory::name(TOPIC, index))
    }

    /// The first segment of a partition.
    pub(crate) fn segment(&self, index: i32) -> PathBuf {
        self.partition_dir(index).join(format!("{FIRST_SEGMENT}.log"))
    }

    /// A journal whose files were written before, as they are after a broker's first turn.
    fn journal(&self, bytes: u64) -> JournalConfig {
        let file_bytes = bytes / SLOTS as u64;
        for slot in 0..SLOTS {
            let path = self.root.join(JournalName { shard: 0, slot }.to_string());
            if self.is_journal_fresh {
                drop(fs::remove_file(path));
            } else {
                zeroed(&path, file_bytes);
            }
        }
        let generation = self.generation.replace(self.generation.get() + (1 << 32));
        JournalConfig {
            log_dir: self.root.clone(),
            shard: 0,
            file_bytes,
            nonce: generation,
            first_generation: generation,
            first_slot: 0,
        }
    }

    /// A file of zeros, for a loop without an engine.
    pub(crate) fn bare_file(&self, bytes: u64) -> PathBuf {
        let path = self.root.join("bare");
        zeroed(&path, bytes);
        path
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("{} stays: {error}", self.root.display());
        }
    }
}

/// Sees that the file has so many bytes that were written.
fn zeroed(path: &Path, bytes: u64) {
    if fs::metadata(path).is_ok_and(|found| found.len() == bytes) {
        return;
    }
    let mut file = fs::File::create(path).expect("a file can be made");
    let zeros = vec![0; ZEROS_BYTES];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(ZEROS_BYTES as u64);
        file.write_all(&zeros[..part as usize]).expect("there is room");
        left -= part;
    }
    file.sync_all().expect("it can be synced");
}
