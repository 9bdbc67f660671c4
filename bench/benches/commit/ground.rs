//! `Ground`: partition directories that are made once and serve every leg, emptied in between.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::disk::os::OsDisk;
use logmill_engine::disk::{Disk, uring};
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN, LENGTH_END};
use logmill_engine::format::{BatchRules, TimestampRule, Uuid};
use logmill_engine::journal::{JournalConfig, JournalName, PartitionReplay, SLOTS};
use logmill_engine::log::{LogLimits, Retention};
use logmill_engine::partition::{Ack, Known, PartitionConfig, PartitionId, directory};
use logmill_engine::shard::{CommitLimits, OpenPartition, Shard, ShardConfig};

use super::meter::{Meter, write_back};

pub(crate) const NOW_MS: i64 = 1_700_000_000_000;
const TOPIC: &str = "bench";
/// What the names of a partition's first files begin with.
const FIRST_SEGMENT: &str = "00000000000000000000";
const BATCH_BYTES_MAX: usize = 2 << 20;
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
        let disk: Arc<dyn Disk> = Arc::new(if uring::is_granted() {
            OsDisk::with_uring()
        } else {
            OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop))
        });
        let meter = Meter::new(&root);
        Ground {
            root,
            disk,
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
            shard.open(&opened(index, way.ack), NOW_MS).expect("a partition opens");
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

pub(crate) fn id(index: i32) -> PartitionId {
    PartitionId { topic: Uuid([1; 16]), index }
}

fn opened(index: i32, ack: Ack) -> OpenPartition {
    let batch = BatchRules {
        size_max: BATCH_BYTES_MAX,
        needs_keys: false,
        timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
        compression: None,
    };
    let log = LogLimits {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        index_bytes_max: 10 << 20,
        index_interval_bytes: 4_096,
    };
    let config = PartitionConfig {
        batch,
        log,
        retention: Retention { ms: None, bytes: None },
        delete_delay_ms: 60_000,
        leader_epoch: 0,
        ack,
        producer_expiration_ms: 24 * 60 * 60 * 1_000,
    };
    let known = Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false };
    OpenPartition {
        id: id(index),
        topic: TOPIC.to_owned(),
        dir: 0,
        config,
        known,
        replay: PartitionReplay::default(),
    }
}

/// A valid batch of one record.
pub(crate) fn batch(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    // No two blocks alike, as on a disk that compresses.
    for (index, byte) in bytes.iter_mut().enumerate().skip(HEADER_LEN) {
        *byte = ((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8;
    }
    bytes[8..LENGTH_END].copy_from_slice(&((size - LENGTH_END) as i32).to_be_bytes());
    bytes[16] = 2;
    // Neither producer id nor epoch nor sequence.
    bytes[43..57].fill(0xff);
    bytes[57..HEADER_LEN].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}
