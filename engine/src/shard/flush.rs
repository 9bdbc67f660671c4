//! When a log is synced whose appends are acknowledged from the page cache: Apache Kafka's `flush.messages` and
//! `flush.ms`.

use super::commit::Share;
use super::shard::Shard;
use super::wave::Waves;
use crate::log::LogEnd;
use crate::partition::{Ack, FlushLimits, PartitionId};

/// What a partition has of records that no sync covers which was asked for.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    records: i64,
    /// When the first of them came.
    since_ms: Option<i64>,
}

impl Unflushed {
    /// Takes note of more of them. True: they are so many that they have to be synced.
    pub(super) fn add(&mut self, records: i64, limits: FlushLimits, now_ms: i64) -> bool {
        self.records += records;
        self.since_ms.get_or_insert(now_ms);
        self.records >= limits.messages
    }

    fn is_late(&self, limits: FlushLimits, now_ms: i64) -> bool {
        self.since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= limits.ms)
    }
}

/// Who waits for a sync that `flush.messages` asks for: the append that filled the number of records, because it
/// is acknowledged when they are on the device, and those behind it, because readers see one append only with
/// all in front of it.
#[derive(Debug, Default)]
pub(super) struct Flushing {
    /// Where the last append ends that filled the number.
    awaited: i64,
    /// Where those end that came behind it while the wave was in flight, and wait for nothing else.
    behind: Option<LogEnd>,
}

impl Flushing {
    /// The wave that an append of this partition up to this end waits for, when readers see so far; none where
    /// no such sync is under way. `fills`: it filled the number, and is enrolled.
    pub(super) fn wave_of(
        &mut self,
        (id, end, fills): (PartitionId, LogEnd, bool),
        readable: i64,
        waves: &Waves,
    ) -> Option<u64> {
        if fills {
            self.awaited = end.offset;
        }
        if self.awaited <= readable {
            return None;
        }
        let wave = waves.covering(id)?;
        if !waves.is_enrolled(id) {
            self.behind = Some(end);
        }
        Some(wave)
    }

    /// How far readers see when a wave has returned that covers the log up to `end`.
    pub(super) fn released(&mut self, end: LogEnd) -> LogEnd {
        self.behind.take().filter(|behind| behind.offset > end.offset).unwrap_or(end)
    }
}

impl Shard {
    /// Has the next waves sync the logs whose records have waited for `flush.ms`. Nobody waits for these syncs.
    pub fn flush_late(&mut self, now_ms: i64) {
        let late = self.partitions.iter().filter(|(_, slot)| match slot.partition.ack() {
            Ack::Flushed(limits) => slot.unflushed.is_late(limits, now_ms),
            Ack::Durable | Ack::PageCache => false,
        });
        let mut late: Vec<PartitionId> = late.map(|(id, _)| *id).collect();
        // In an order that does not come from the map.
        late.sort_unstable();
        for id in late {
            let slot = self.partitions.get_mut(&id).expect("it was found above");
            slot.unflushed = Unflushed::default();
            slot.share = Share::Direct;
            self.dirs[slot.dir].waves.enroll(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::disk::sim::SimDisk;
    use crate::format::{BatchBuilder, NewRecord, Uuid};
    use crate::partition::{Ack, FlushLimits, Known, PartitionConfig, PartitionId, directory};
    use crate::shard::{CommitLimits, OpenPartition, Shard, ShardConfig, Ticket};

    const ID: PartitionId = PartitionId { topic: Uuid([9; 16]), index: 0 };
    const NOW_MS: i64 = 1_000_000;

    struct Rig {
        disk: SimDisk,
        shard: Shard,
    }

    impl Rig {
        fn start(messages: i64, ms: i64) -> Rig {
            let disk = SimDisk::default();
            let dir = Path::new("/data");
            directory::create(&disk, dir, "t", ID).unwrap();
            let config = ShardConfig {
                log_dirs: vec![dir.to_owned()],
                journals: Vec::new(),
                limits: CommitLimits::default(),
            };
            let mut shard = Shard::new(Arc::new(disk.clone()), config).unwrap();
            let partition = OpenPartition {
                id: ID,
                topic: "t".to_owned(),
                dir: 0,
                config: PartitionConfig {
                    ack: Ack::Flushed(FlushLimits { messages, ms }),
                    ..PartitionConfig::default()
                },
                known: Known { was_clean: true, recovery_point: 0, start_offset: 0, has_gaps: false },
                replay: Default::default(),
            };
            shard.open(&partition, NOW_MS).unwrap();
            shard.begin().unwrap();
            Rig { disk, shard }
        }

        /// Appends so many records at a time: the wave that they wait for, if they do.
        fn append(&mut self, records: usize, now_ms: i64) -> Option<Ticket> {
            self.append_batch(batch(records), now_ms)
        }

        fn append_batch(&mut self, batch: Bytes, now_ms: i64) -> Option<Ticket> {
            let ticket = self.shard.append(ID, batch, now_ms).unwrap().1;
            self.shard.submit();
            ticket
        }

        fn released(&mut self) -> Vec<Ticket> {
            self.shard.take_progress().released
        }

        fn syncs(&self) -> usize {
            self.disk.queues()[0].in_flight()
        }

        fn finish_syncs(&mut self) {
            while self.syncs() > 0 {
                self.disk.queues()[0].finish(0, Ok(()));
            }
            self.shard.reap();
            self.shard.submit();
        }

        fn readable(&self) -> i64 {
            self.shard.bounds(ID).unwrap().readable
        }

        /// What a start would find on the device.
        fn recovery_point(&self) -> i64 {
            self.shard.marks()[0].marks.recovery_point
        }
    }

    fn batch(records: usize) -> Bytes {
        fill(BatchBuilder::new(), records)
    }

    /// The same of an idempotent producer, who may send it again.
    fn batch_of_producer(first: i32, records: usize) -> Bytes {
        fill(BatchBuilder::new().producer(7, 0, first), records)
    }

    fn fill(mut builder: BatchBuilder, records: usize) -> Bytes {
        for _ in 0..records {
            builder.push(&NewRecord { key: None, value: Some(b"v"), timestamp: NOW_MS, headers: &[] });
        }
        builder.finish()
    }

    #[test]
    fn the_append_that_fills_the_number_of_records_waits_for_their_sync() {
        let mut rig = Rig::start(10, i64::MAX);
        for _ in 0..2 {
            let begin = rig.readable();
            assert_eq!((rig.append(4, NOW_MS), rig.append(5, NOW_MS), rig.syncs()), (None, None, 0));
            assert_eq!(rig.readable(), begin + 9, "they are acknowledged from the page cache");
            let ticket = rig.append(1, NOW_MS);
            assert!(ticket.is_some() && rig.syncs() > 0);
            assert_eq!((rig.readable(), rig.recovery_point()), (begin + 9, begin));
            rig.finish_syncs();
            assert_eq!(rig.released(), [ticket.unwrap()]);
            assert_eq!((rig.readable(), rig.recovery_point()), (begin + 10, begin + 10));
        }
    }

    #[test]
    fn nothing_is_acknowledged_in_front_of_a_sync_that_it_rests_on() {
        let mut rig = Rig::start(10, i64::MAX);
        let filling = batch_of_producer(0, 10);
        let first = rig.append_batch(filling.clone(), NOW_MS);
        assert!(first.is_some() && rig.syncs() > 0);
        assert_eq!(rig.append_batch(filling.clone(), NOW_MS), first, "sent again while it is synced");
        let behind = batch_of_producer(10, 3);
        assert_eq!(rig.append_batch(behind.clone(), NOW_MS), first, "it is seen only with what is in front");
        assert_eq!(rig.append_batch(behind, NOW_MS), first);
        assert_eq!(rig.append_batch(filling.clone(), NOW_MS), first, "what came since shows it to nobody");
        assert_eq!((rig.readable(), rig.released()), (0, Vec::new()));

        // Ten more are filled meanwhile, and wait for the next wave; so does whoever comes behind them.
        let second = rig.append(7, NOW_MS);
        assert_ne!(second, first);
        assert_eq!(rig.append(2, NOW_MS), second);
        let syncs = rig.syncs();
        for _ in 0..syncs {
            rig.disk.queues()[0].finish(0, Ok(()));
        }
        rig.shard.reap();
        assert_eq!((rig.readable(), rig.recovery_point()), (13, 10));
        assert_eq!(rig.released(), [first.unwrap()]);
        assert_eq!(rig.append_batch(filling, NOW_MS), None, "it is on the device");
        rig.finish_syncs();
        assert_eq!((rig.readable(), rig.recovery_point()), (22, 22));
        assert_eq!(rig.released(), [second.unwrap()]);
        assert_eq!((rig.append(1, NOW_MS), rig.readable()), (None, 23));
    }

    #[test]
    fn one_record_at_a_time_is_durable_before_anybody_is_told_of_it() {
        let mut rig = Rig::start(1, i64::MAX);
        for offset in 0..5 {
            assert!(rig.append(1, NOW_MS).is_some());
            assert_eq!(rig.readable(), offset);
            rig.finish_syncs();
            assert_eq!((rig.readable(), rig.recovery_point()), (offset + 1, offset + 1));
        }
    }

    #[test]
    fn a_record_is_synced_when_it_has_waited_for_long_enough_and_then_no_more() {
        let mut rig = Rig::start(i64::MAX, 1_000);
        rig.append(1, NOW_MS);
        rig.append(1, NOW_MS + 999);
        for (now_ms, is_late) in [(999, false), (1_000, true), (5_000, false)] {
            rig.shard.flush_late(NOW_MS + now_ms);
            rig.shard.submit();
            assert_eq!(rig.syncs() > 0, is_late, "after {now_ms} ms");
            rig.finish_syncs();
        }
        assert_eq!(rig.recovery_point(), 2);
        rig.append(1, NOW_MS + 6_000);
        rig.shard.flush_late(NOW_MS + 6_999);
        rig.shard.submit();
        assert_eq!(rig.syncs(), 0, "it counts from the first record behind the last sync");
    }
}
