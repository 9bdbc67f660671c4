//! `Coordinators`: those of one shard. Here their decisions meet the log.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::format::codec::decompressed_bytes_max;
use logmill_engine::format::{BatchBuilder, BatchView, CheckedBatches, NewRecord};
use logmill_engine::partition::{Appended, Isolation, PartitionId};
use logmill_engine::shard::{Shard, Ticket};

use super::coordinator::{Commit, Coordinator, FetchedTopic, Query};
use super::records::Record;
use crate::wire::ErrorCode;

/// How much of a log is read at a time while it is replayed, if no batch is larger.
const REPLAY_BYTES: u32 = 1 << 20;

/// The append that an answer rests on: it is not given before that is durable. `None`: it rests on nothing
/// that was written since the start.
pub(crate) type RestsOn = Option<(Appended, Option<Ticket>)>;

/// A coordinator and the last append to its log. Every answer waits for that one: it may tell of any record
/// before it.
#[derive(Debug, Default)]
struct Slot {
    coordinator: Coordinator,
    last: RestsOn,
}

/// The coordinators of the partitions of `__consumer_offsets` that a shard owns.
#[derive(Debug)]
pub(crate) struct Coordinators {
    by_partition: HashMap<PartitionId, Slot>,
    /// `offset.metadata.max.bytes`
    metadata_len_max: i32,
}

impl Coordinators {
    pub(crate) fn new(metadata_len_max: i32) -> Coordinators {
        Coordinators { by_partition: HashMap::new(), metadata_len_max }
    }

    /// Brings a coordinator into being from its partition's log. One whose log cannot be read is not there
    /// at all: without a record it would give wrong answers.
    pub(crate) fn open(&mut self, engine: &mut Shard, id: PartitionId) {
        let mut slot = Slot::default();
        match replay(engine, id, |record| slot.coordinator.apply(record)) {
            Ok(()) => {
                self.by_partition.insert(id, slot);
            }
            Err(error) => {
                tracing::error!(
                    "groups of partition {} of the topic {} are not served: {error}",
                    id.index,
                    id.topic
                );
            }
        }
    }

    /// Lets a coordinator go.
    pub(crate) fn close(&mut self, id: PartitionId) {
        self.by_partition.remove(&id);
    }

    /// Drops those whose partitions can be read no more: what they know may never become durable.
    pub(crate) fn drop_offline(&mut self, engine: &Shard) {
        self.by_partition.retain(|id, _| engine.bounds(*id).is_ok());
    }

    /// Decides on a commit, appends it and applies it. A refused append changes nothing.
    pub(crate) fn commit(
        &mut self,
        engine: &mut Shard,
        id: PartitionId,
        commit: &Commit,
        now_ms: i64,
    ) -> Result<(Vec<ErrorCode>, RestsOn), ErrorCode> {
        let slot = self.by_partition.get_mut(&id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let decision = slot.coordinator.decide(commit, self.metadata_len_max, now_ms)?;
        if !decision.records.is_empty() {
            let appended = engine.append(id, batch_of(&decision.records, now_ms), now_ms);
            slot.last = Some(appended.map_err(|error| code_of(&error))?);
            decision.records.iter().for_each(|record| slot.coordinator.apply(record));
        }
        Ok((decision.codes, slot.last))
    }

    /// What a group has committed.
    pub(crate) fn fetch(
        &self,
        id: PartitionId,
        query: &Query,
    ) -> Result<(Vec<FetchedTopic>, RestsOn), ErrorCode> {
        let slot = self.by_partition.get(&id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        Ok((slot.coordinator.fetch(query), slot.last))
    }
}

/// What a client is told of an append that failed: to look for the coordinator again, if that may help.
fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Refused(_) => ErrorCode::UnknownServerError,
        Error::UnknownPartition => ErrorCode::CoordinatorNotAvailable,
        Error::Offline(_) | Error::OutOfRange { .. } | Error::Corrupt(_) | Error::Io { .. } => {
            ErrorCode::NotCoordinator
        }
    }
}

fn batch_of(records: &[Record], now_ms: i64) -> Bytes {
    let mut batch = BatchBuilder::new();
    for record in records {
        let (key, value) = record.encode();
        batch.push(&NewRecord { key: Some(&key), value: value.as_deref(), timestamp: now_ms, headers: &[] });
    }
    batch.finish()
}

/// Reads a log from its first record to its last.
fn replay(engine: &mut Shard, id: PartitionId, mut see: impl FnMut(&Record)) -> Result<(), Error> {
    let mut offset = engine.bounds(id)?.start;
    while let Some(slice) = engine.fetch(id, offset, REPLAY_BYTES, Isolation::Uncommitted)?.slice {
        let file = slice.bytes;
        let mut bytes = vec![0; file.len as usize];
        let read = file.file.read_at(&mut bytes, file.position).map_err(|source| Error::Io {
            doing: format!("replaying the log of partition {} of topic {}", id.index, id.topic),
            source,
        })?;
        bytes.truncate(read);
        let bytes = Bytes::from(bytes);
        let corrupt = |what: String| Error::Corrupt(format!("segment {:020}.log: {what}", slice.segment));
        // The topic is compacted.
        let mut batches = CheckedBatches::new(&bytes, file.position, offset, true);
        for batch in &mut batches {
            let batch = batch.map_err(|bad| corrupt(bad.to_string()))?;
            replay_batch(&bytes, batch, &mut see).map_err(|fault| {
                corrupt(format!("batch at offset {}: {fault}", batch.header.base_offset()))
            })?;
        }
        if batches.next_offset() == offset {
            return Err(corrupt(format!("no whole batch at offset {offset} in {read} bytes")));
        }
        offset = batches.next_offset();
    }
    Ok(())
}

fn replay_batch(bytes: &Bytes, batch: BatchView<'_>, see: &mut impl FnMut(&Record)) -> Result<(), String> {
    if batch.header.is_transactional() || batch.header.is_control() {
        return Err("transactional, which no coordinator of ours writes".to_owned());
    }
    let uncompressed = batch.uncompressed(decompressed_bytes_max(batch.records.len()));
    let records = match uncompressed.map_err(|error| error.to_string())? {
        Cow::Borrowed(records) => bytes.slice_ref(records),
        Cow::Owned(records) => Bytes::from(records),
    };
    for (index, record) in batch.records_in(&records).enumerate() {
        let record = record.map_err(|bad| bad.to_string())?;
        let key = record.key.ok_or_else(|| format!("record {index} has no key"))?;
        let value = record.value.map(|value| records.slice_ref(value));
        let decoded = Record::decode(&records.slice_ref(key), value.as_ref());
        if let Some(decoded) = decoded.map_err(|error| format!("record {index}: {error}"))? {
            see(&decoded);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use logmill_engine::disk::sim::SimDisk;
    use logmill_engine::disk::{Disk, OpenMode};
    use logmill_engine::format::{Batch, BatchRules, Compression, TimestampRule, Uuid};
    use logmill_engine::log::{LogLimits, Retention};
    use logmill_engine::partition::{Ack, Known, PartitionConfig, directory};
    use logmill_engine::shard::{CommitLimits, OpenPartition, ShardConfig};

    use super::*;
    use crate::config::topic_name::CONSUMER_OFFSETS;
    use crate::group::NewOffset;
    use crate::group::records::tests::apaches_commits;
    use crate::wire::Text;

    const NOW_MS: i64 = 1_795_257_924_194;
    const ID: PartitionId = PartitionId { topic: Uuid([1; 16]), index: 9 };
    const DIR: &str = "/data";

    /// The segment that Apache Kafka 4.3.1 wrote for [`apaches_commits`], at [`NOW_MS`].
    const APACHES_SEGMENT: &str = "\
        00000000000000000000 00ca000000000 21d93b3e1000000000001000001a1fd\
        b5fa62000001a1fdb5fa62ffffffffffffffffffff00000000000000029c0100\
        00002e0001000762696c6c696e6700066f72646572730000000062000400000000\
        0000002a0000000708 6772c3b6c39f65000001a1fdb5fa5d010010d4f4bb36\
        185e47a1b1e8a0d9bbf5ba95008e0100\
        00022e0001000762696c6c696e6700066f7264657273000000015400040000\
        0001004ccb00ffffffff01000001a1fdb5fa5d010010d4f4bb36185e47a1b1e8a0\
        d9bbf5ba9500";

    fn apaches_segment() -> Vec<u8> {
        let digits: Vec<u8> = APACHES_SEGMENT.bytes().filter(|digit| *digit != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// A shard with the one partition, whose segments hold few batches.
    fn shard_on(disk: &SimDisk) -> Shard {
        let config =
            ShardConfig { log_dirs: vec![DIR.into()], journals: Vec::new(), limits: CommitLimits::default() };
        let mut shard = Shard::new(Arc::new(disk.clone()), config).unwrap();
        let partition = OpenPartition {
            id: ID,
            topic: CONSUMER_OFFSETS.to_owned(),
            dir: 0,
            config: PartitionConfig {
                batch: BatchRules {
                    size_max: 1_000,
                    needs_keys: false,
                    timestamps: TimestampRule::Create { before_ms_max: i64::MAX, after_ms_max: i64::MAX },
                    compression: None,
                },
                log: LogLimits {
                    segment_bytes: 400,
                    segment_ms: i64::MAX,
                    segment_jitter_ms: 0,
                    index_bytes_max: 10 << 20,
                    index_interval_bytes: 100,
                },
                leader_epoch: 0,
                ack: Ack::Durable,
                producer_expiration_ms: 86_400_000,
                retention: Retention { ms: None, bytes: None },
                delete_delay_ms: 60_000,
            },
            known: Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false },
            replay: Default::default(),
        };
        shard.open(&partition, NOW_MS).unwrap();
        shard
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        directory::create(&disk, Path::new(DIR), CONSUMER_OFFSETS, ID).unwrap();
        disk
    }

    /// A disk whose log of the partition is these bytes.
    fn disk_with(segment: &[u8]) -> SimDisk {
        let disk = disk();
        let path = format!("{DIR}/{CONSUMER_OFFSETS}-9/00000000000000000000.log");
        let file = disk.open(Path::new(&path), OpenMode::Replace).unwrap();
        file.write_all_at([segment, &[]], 0).unwrap();
        disk
    }

    fn opened(engine: &mut Shard) -> Coordinators {
        let mut coordinators = Coordinators::new(4_096);
        coordinators.open(engine, ID);
        coordinators
    }

    fn commit(partition: i32, offset: i64) -> Commit {
        let offset = NewOffset {
            topic: Text::from_static("orders"),
            topic_id: Uuid([2; 16]),
            partition,
            offset,
            leader_epoch: -1,
            metadata: Text::EMPTY,
        };
        Commit {
            group: Text::from_static("billing"),
            generation: -1,
            knows_group_not_found: true,
            retention_ms: None,
            offsets: vec![offset],
        }
    }

    fn fetch(coordinators: &Coordinators) -> Result<(Vec<FetchedTopic>, RestsOn), ErrorCode> {
        coordinators.fetch(ID, &Query { group: Text::from_static("billing"), topics: None })
    }

    fn offsets(coordinators: &Coordinators) -> Vec<(i32, i64)> {
        let (topics, _) = fetch(coordinators).unwrap();
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|(index, value)| (*index, value.as_ref().unwrap().offset)).collect()
    }

    #[test]
    fn a_commit_is_written_byte_for_byte_as_apache_kafka_writes_it() {
        let batch = batch_of(&apaches_commits(), NOW_MS);
        let batch = Batch::from_coordinator(batch, 1_000).unwrap();
        let (header, records) = batch.stamped(0, 0);
        let expected = apaches_segment();
        let (view, _) = BatchView::split_first(&expected).unwrap();
        assert_eq!(records, view.records);
        assert_eq!(format!("{header:?}"), format!("{:?}", view.header));
    }

    #[test]
    fn what_apache_kafka_wrote_is_found() {
        let mut shard = shard_on(&disk_with(&apaches_segment()));
        let coordinators = opened(&mut shard);
        assert_eq!(offsets(&coordinators), [(0, 42), (1, 4_300_000_000)]);
        let (topics, rests_on) = fetch(&coordinators).unwrap();
        let value = topics[0].partitions[0].1.as_ref().unwrap();
        assert_eq!((&*value.metadata, value.leader_epoch), ("größe", 7));
        assert_eq!(rests_on, None);
    }

    #[test]
    fn commits_are_found_in_batches_of_every_codec_and_no_more_comes_out_than_the_limit() {
        for compression in [
            Compression::Gzip { level: -1 },
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd { level: 3 },
        ] {
            let mut batch = BatchBuilder::new().compressed(compression);
            for record in apaches_commits() {
                let (key, value) = record.encode();
                let value = value.as_deref();
                batch.push(&NewRecord { key: Some(&key), value, timestamp: NOW_MS, headers: &[] });
            }
            let mut shard = shard_on(&disk_with(&batch.finish()));
            assert_eq!(offsets(&opened(&mut shard)), [(0, 42), (1, 4_300_000_000)], "{compression:?}");
        }
        let mut bomb = BatchBuilder::new().compressed(Compression::Zstd { level: 3 });
        let zeros = vec![0; 64 << 20];
        bomb.push(&NewRecord { key: Some(b"k"), value: Some(&zeros), timestamp: NOW_MS, headers: &[] });
        let mut shard = shard_on(&disk_with(&bomb.finish()));
        let error = replay(&mut shard, ID, |_| ()).unwrap_err().to_string();
        assert!(error.contains("segment 00000000000000000000.log: batch at offset 0"), "{error}");
        assert_eq!(fetch(&opened(&mut shard)), Err(ErrorCode::CoordinatorNotAvailable));
    }

    #[test]
    fn a_flipped_bit_is_named_and_no_commit_is_made_of_it() {
        let mut segment = apaches_segment();
        // In an offset that was committed.
        segment[110] ^= 1;
        let error = replay(&mut shard_on(&disk_with(&segment)), ID, |_| ()).unwrap_err().to_string();
        assert!(error.contains("batch at position 0: crc 0x1d93b3e1, expected"), "{error}");
    }

    #[test]
    fn a_start_finds_every_commit_across_segments() {
        let disk = disk();
        let mut shard = shard_on(&disk);
        let mut coordinators = opened(&mut shard);
        for offset in 0..20 {
            let partition = (offset % 3) as i32;
            let (codes, rests_on) =
                coordinators.commit(&mut shard, ID, &commit(partition, offset), NOW_MS).unwrap();
            assert_eq!(codes, [ErrorCode::None]);
            // Reads too wait for the wave of the last commit.
            assert!(rests_on.is_some_and(|(_, ticket)| ticket.is_some()));
            assert_eq!(fetch(&coordinators).unwrap().1, rests_on);
        }
        let expected = [(0, 18), (1, 19), (2, 17)];
        assert_eq!(offsets(&coordinators), expected);
        shard.stop().unwrap();
        let files = disk.list(Path::new(&format!("{DIR}/{CONSUMER_OFFSETS}-9"))).unwrap();
        assert!(files.iter().filter(|file| file.name.ends_with(".log")).count() > 2, "{files:?}");
        assert_eq!(offsets(&opened(&mut shard_on(&disk))), expected);
    }

    #[test]
    fn a_refused_append_changes_nothing() {
        let mut shard = shard_on(&disk());
        let mut coordinators = opened(&mut shard);
        coordinators.commit(&mut shard, ID, &commit(0, 7), NOW_MS).unwrap();
        let mut large = commit(0, 8);
        large.offsets[0].metadata = "m".repeat(1_000).into();
        let refused = coordinators.commit(&mut shard, ID, &large, NOW_MS).unwrap_err();
        assert_eq!(refused, ErrorCode::UnknownServerError);
        assert_eq!(offsets(&coordinators), [(0, 7)]);
    }

    #[test]
    fn a_coordinator_whose_directory_failed_is_gone() {
        let disk = disk();
        let mut shard = shard_on(&disk);
        let mut coordinators = opened(&mut shard);
        coordinators.commit(&mut shard, ID, &commit(0, 7), NOW_MS).unwrap();
        shard.submit();
        disk.queues()[0].finish(0, Err(std::io::ErrorKind::Other.into()));
        shard.reap();
        coordinators.drop_offline(&shard);
        assert_eq!(fetch(&coordinators), Err(ErrorCode::CoordinatorNotAvailable));
        let refused = coordinators.commit(&mut shard, ID, &commit(0, 8), NOW_MS);
        assert_eq!(refused.unwrap_err(), ErrorCode::CoordinatorNotAvailable);
    }

    #[test]
    fn a_log_that_cannot_be_read_has_no_coordinator() {
        // A record without a key, in an otherwise whole batch.
        let mut batch = BatchBuilder::new();
        batch.push(&NewRecord { key: None, value: Some(b"v"), timestamp: NOW_MS, headers: &[] });
        let mut shard = shard_on(&disk_with(&batch.finish()));
        assert_eq!(fetch(&opened(&mut shard)), Err(ErrorCode::CoordinatorNotAvailable));
    }
}
