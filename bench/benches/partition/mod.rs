//! Partitions of a shard on the kernel's files, and batches for them.

use std::sync::Arc;

use bytes::Bytes;
use logmill_engine::disk::os::OsDisk;
use logmill_engine::disk::{Disk, uring};
use logmill_engine::format::batch::{CRC_FROM, HEADER_LEN, LENGTH_END};
use logmill_engine::format::{BatchRules, Uuid};
use logmill_engine::journal::PartitionReplay;
use logmill_engine::log::{LogLimits, Retention};
use logmill_engine::partition::{Ack, Known, PartitionConfig, PartitionId};
use logmill_engine::shard::OpenPartition;

pub(crate) const NOW_MS: i64 = 1_700_000_000_000;
pub(crate) const TOPIC: &str = "bench";

/// The kernel's files, with rings where it grants them.
pub(crate) fn disk() -> Arc<dyn Disk> {
    Arc::new(if uring::is_granted() {
        OsDisk::with_uring()
    } else {
        OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop))
    })
}

pub(crate) fn id(index: i32) -> PartitionId {
    PartitionId { topic: Uuid([1; 16]), index }
}

/// An empty partition of the first log directory.
pub(crate) fn opened(index: i32, ack: Ack, batch: BatchRules) -> OpenPartition {
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
