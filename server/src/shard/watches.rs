//! `Watches`: readers that wait for bytes, by the partitions they watch.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Weak;

use logmill_engine::format::PartitionMap;
use logmill_engine::log::LogEnd;
use logmill_engine::partition::PartitionId;
use tokio::sync::Notify;

use super::command::{Watch, WatchedPartition};

/// Readers of one partition below which nobody looks for those that have gone.
const SWEEP_FROM: usize = 16;

/// One reader's wait on this shard.
#[derive(Debug)]
struct Waiter {
    missing: Cell<u64>,
    wake: Weak<Notify>,
}

impl Waiter {
    /// Counts bytes that became readable; true when the wait is over.
    fn gain(&self, bytes: u64) -> bool {
        let missing = self.missing.get().saturating_sub(bytes);
        self.missing.set(missing);
        if missing > 0 {
            return self.wake.strong_count() == 0;
        }
        if let Some(wake) = self.wake.upgrade() {
            wake.notify_one();
        }
        true
    }
}

/// Waiters of one partition, with the end up to which their bytes are counted.
#[derive(Debug)]
struct Watched {
    waiters: Vec<(Rc<Waiter>, LogEnd)>,
    sweep_at: usize,
}

/// All waits on this shard.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_partition: PartitionMap<Watched>,
}

impl Watches {
    /// Waits. `end_of` says how far readers of a partition see; `None` when it is gone, which ends the wait.
    pub(crate) fn add(&mut self, watch: Watch, end_of: impl Fn(PartitionId) -> Option<LogEnd>) {
        let waiter = Rc::new(Waiter { missing: Cell::new(watch.missing), wake: watch.wake });
        for WatchedPartition { id, seen } in watch.partitions {
            // Between the look for bytes and this message a wave may have been released.
            let end = end_of(id);
            if waiter.gain(end.map_or(u64::MAX, |end| bytes_between(seen, end))) {
                return;
            }
            let Some(end) = end else { return };
            let watched = self
                .by_partition
                .entry(id)
                .or_insert_with(|| Watched { waiters: Vec::new(), sweep_at: SWEEP_FROM });
            watched.waiters.push((waiter.clone(), end));
            watched.sweep();
        }
    }

    /// Readers of a partition see more. `end` says up to where, if there is anybody to be told.
    pub(crate) fn advance(&mut self, id: PartitionId, end: impl FnOnce() -> Option<LogEnd>) {
        let Some(watched) = self.by_partition.get_mut(&id) else { return };
        let Some(end) = end() else { return };
        watched.gain(|counted| {
            let gained = bytes_between(*counted, end);
            *counted = end;
            gained
        });
        if watched.waiters.is_empty() {
            self.by_partition.remove(&id);
        }
    }

    /// A partition is gone: its readers shall ask again and be told.
    pub(crate) fn close(&mut self, id: PartitionId) {
        if let Some(mut watched) = self.by_partition.remove(&id) {
            watched.gain(|_| u64::MAX);
        }
    }

    /// Wakes everybody: a directory has failed, and who reads from it shall be told.
    pub(crate) fn wake_all(&mut self) {
        for (waiter, _) in self.by_partition.drain().flat_map(|(_, watched)| watched.waiters) {
            waiter.gain(u64::MAX);
        }
    }
}

impl Watched {
    fn gain(&mut self, gained: impl Fn(&mut LogEnd) -> u64) {
        self.waiters.retain_mut(|(waiter, counted)| !waiter.gain(gained(counted)));
    }

    /// A wait that timed out leaves its waiters behind on partitions where nothing happens. They are looked
    /// for each time their number has doubled.
    fn sweep(&mut self) {
        if self.waiters.len() >= self.sweep_at {
            self.waiters.retain(|(waiter, _)| waiter.missing.get() > 0 && waiter.wake.strong_count() > 0);
            self.sweep_at = SWEEP_FROM.max(self.waiters.len() * 2);
        }
    }
}

/// Bytes from one end to a later one. Across segments there are enough of them for anybody.
fn bytes_between(from: LogEnd, to: LogEnd) -> u64 {
    if from.segment == to.segment { to.position.saturating_sub(from.position) } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logmill_engine::format::Uuid;

    use super::*;

    fn id(index: i32) -> PartitionId {
        PartitionId { topic: Uuid([1; 16]), index }
    }

    fn end(position: u64) -> LogEnd {
        LogEnd { offset: position as i64, segment: 0, position, max_timestamp: -1 }
    }

    /// Watches partitions 0 and 1 from position 100 on for `missing` bytes, at a moment when they are at
    /// `now`.
    fn watch(watches: &mut Watches, missing: u64, now: u64) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let partitions = [0, 1].map(|index| WatchedPartition { id: id(index), seen: end(100) }).into();
        let watch = Watch { partitions, missing, wake: Arc::downgrade(&wake) };
        watches.add(watch, |_| Some(end(now)));
        wake
    }

    fn is_woken(wake: &Arc<Notify>) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(wake.notified()).poll(&mut cx).is_ready()
    }

    #[test]
    fn a_reader_is_woken_when_its_partitions_gained_enough_together() {
        let mut watches = Watches::default();
        let wake = watch(&mut watches, 50, 100);
        watches.advance(id(0), || Some(end(130)));
        watches.advance(id(2), || Some(end(999)));
        assert!(!is_woken(&wake));
        watches.advance(id(1), || Some(end(120)));
        assert!(is_woken(&wake));
    }

    #[test]
    fn bytes_that_came_before_the_watch_count() {
        assert!(is_woken(&watch(&mut Watches::default(), 50, 150)));
        assert!(is_woken(&watch(&mut Watches::default(), 50, 125)));
        assert!(!is_woken(&watch(&mut Watches::default(), 50, 124)));
    }

    #[test]
    fn a_deleted_partition_wakes_its_readers() {
        let mut watches = Watches::default();
        let wake = watch(&mut watches, 50, 100);
        watches.close(id(1));
        assert!(is_woken(&wake));
    }

    #[test]
    fn readers_that_have_gone_do_not_pile_up_on_an_idle_partition() {
        let mut watches = Watches::default();
        for _ in 0..10_000 {
            drop(watch(&mut watches, 50, 100));
        }
        let left = watches.by_partition.values().map(|watched| watched.waiters.len()).max().unwrap_or(0);
        assert!(left <= SWEEP_FROM, "{left} waiters left of 10,000 that have gone");
        let wake = watch(&mut watches, 50, 100);
        watches.advance(id(0), || Some(end(200)));
        assert!(is_woken(&wake));
    }
}
