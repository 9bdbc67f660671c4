//! `Content`: a file's bytes as readers see them, as the device has them, and every state in between that a
//! power cut may leave.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::lottery::Lottery;
use super::random::Random;

/// What a device writes whole or not at all.
pub(super) const SECTOR: usize = 512;

/// States that are kept between two syncs of one sector, or of one length: a bound for files that nobody
/// ever syncs.
const STATES_MAX: usize = 32;

type Sector = Arc<[u8; SECTOR]>;

/// Sectors by their number; those that are missing hold zeros.
type Image = BTreeMap<u64, Sector>;

/// Counts the syncs that were submitted: a sync makes durable what is as old as itself or older.
pub(super) type Stamp = u64;

/// Bytes of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    /// The page cache. Behind `len` it holds only zeros.
    seen: Image,
    len: u64,
    device: Image,
    device_len: u64,
    /// For each dirty sector the states that it had since the device's, oldest first: writeback may have
    /// begun at any time. The newest is what is seen.
    dirty: BTreeMap<u64, Vec<(Stamp, Option<Sector>)>>,
    /// Lengths since the device's, oldest first; the newest is `len`.
    lens: Vec<(Stamp, u64)>,
    /// Sectors that a failed sync left clean in the page cache, although the device has something else.
    lost: BTreeSet<u64>,
    /// Bytes from the beginning that have blocks whether anything was written to them or not.
    allocated: u64,
    /// When it was last modified, if anybody has said so.
    modified_ms: Option<i64>,
}

fn sectors_of(position: u64, len: usize) -> Range<u64> {
    let size = SECTOR as u64;
    if len == 0 { 0..0 } else { position / size..(position + len as u64).div_ceil(size) }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// When it was last modified: at the end of time, when nobody has said so.
    pub(super) fn modified_ms(&self) -> i64 {
        self.modified_ms.unwrap_or(i64::MAX)
    }

    pub(super) fn set_modified(&mut self, now_ms: i64) {
        self.modified_ms = Some(now_ms);
    }

    /// Whether page cache and device agree and nothing is pending.
    pub(super) fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.lens.is_empty() && self.lost.is_empty()
    }

    /// Bytes that it takes on the device.
    pub(super) fn usage(&self) -> u64 {
        self.allocated.max((self.seen.len() * SECTOR) as u64)
    }

    /// How many of `len` bytes at `position` can be written when there is room for `free` more bytes.
    pub(super) fn fitting(&self, position: u64, len: usize, free: u64) -> usize {
        let mut free = free;
        for sector in sectors_of(position, len) {
            let start = sector * SECTOR as u64;
            if start < self.allocated || self.seen.contains_key(&sector) {
                continue;
            }
            if free < SECTOR as u64 {
                return start.saturating_sub(position) as usize;
            }
            free -= SECTOR as u64;
        }
        len
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: u64, stamp: Stamp) {
        for sector in sectors_of(position, bytes.len()) {
            let start = sector * SECTOR as u64;
            let mut state = self.seen.get(&sector).map_or([0; SECTOR], |seen| **seen);
            let from = position.max(start);
            let to = (position + bytes.len() as u64).min(start + SECTOR as u64);
            let source = &bytes[(from - position) as usize..(to - position) as usize];
            state[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
            self.put(sector, Some(Arc::new(state)), stamp);
        }
        let end = position + bytes.len() as u64;
        if end > self.len && !bytes.is_empty() {
            self.put_len(end, stamp);
        }
    }

    pub(super) fn set_len(&mut self, len: u64, stamp: Stamp) {
        if len < self.len {
            let kept = len.div_ceil(SECTOR as u64);
            let (seen, device) = (self.seen.range(kept..), self.device.range(kept..));
            let cut: BTreeSet<u64> = seen.chain(device).map(|(sector, _)| *sector).collect();
            cut.into_iter().for_each(|sector| self.put(sector, None, stamp));
            if let Some(mut last) = self.seen.get(&(len / SECTOR as u64)).map(|seen| **seen) {
                last[(len % SECTOR as u64) as usize..].fill(0);
                self.put(len / SECTOR as u64, Some(Arc::new(last)), stamp);
            }
            self.allocated = self.allocated.min(len);
        }
        if len != self.len {
            self.put_len(len, stamp);
        }
    }

    pub(super) fn allocate(&mut self, len: u64, stamp: Stamp) {
        self.allocated = self.allocated.max(len);
        if len > self.len {
            self.put_len(len, stamp);
        }
    }

    fn put(&mut self, sector: u64, state: Option<Sector>, stamp: Stamp) {
        match &state {
            Some(state) => self.seen.insert(sector, state.clone()),
            None => self.seen.remove(&sector),
        };
        self.lost.remove(&sector);
        push(self.dirty.entry(sector).or_default(), stamp, state);
    }

    fn put_len(&mut self, len: u64, stamp: Stamp) {
        self.len = len;
        push(&mut self.lens, stamp, len);
    }

    /// Through the page cache.
    pub(super) fn read(&self, buf: &mut [u8], position: u64) -> usize {
        self.read_from(buf, position, |sector| self.seen.get(&sector))
    }

    /// Past the page cache: as the kernel does, dirty sectors are handed to the device first.
    pub(super) fn read_direct(&self, buf: &mut [u8], position: u64) -> usize {
        self.read_from(buf, position, |sector| {
            if self.lost.contains(&sector) { self.device.get(&sector) } else { self.seen.get(&sector) }
        })
    }

    fn read_from<'a>(
        &'a self,
        buf: &mut [u8],
        position: u64,
        sector_at: impl Fn(u64) -> Option<&'a Sector>,
    ) -> usize {
        let len = buf.len().min(self.len.saturating_sub(position) as usize);
        for sector in sectors_of(position, len) {
            let start = sector * SECTOR as u64;
            let from = position.max(start);
            let to = (position + len as u64).min(start + SECTOR as u64);
            let target = &mut buf[(from - position) as usize..(to - position) as usize];
            match sector_at(sector) {
                Some(bytes) => {
                    target.copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
                }
                None => target.fill(0),
            }
        }
        len
    }

    /// Makes durable all that is as old as `stamp`.
    pub(super) fn sync(&mut self, stamp: Stamp) {
        self.dirty.retain(|sector, states| {
            if let Some(state) = take_until(states, stamp) {
                set(&mut self.device, *sector, state);
            }
            !states.is_empty()
        });
        self.sync_len(stamp);
    }

    /// Makes durable what a direct write has written.
    pub(super) fn sync_range(&mut self, position: u64, len: usize, stamp: Stamp) {
        for sector in sectors_of(position, len) {
            let Some(states) = self.dirty.get_mut(&sector) else { continue };
            if let Some(state) = take_until(states, stamp) {
                set(&mut self.device, sector, state);
            }
            if states.is_empty() {
                self.dirty.remove(&sector);
            }
        }
        self.sync_len(stamp);
    }

    fn sync_len(&mut self, stamp: Stamp) {
        if let Some(len) = take_until(&mut self.lens, stamp) {
            self.device_len = len;
        }
    }

    /// A sync of all that is as old as `stamp` has failed: the page cache takes the bytes for written and
    /// the device does not have them. The length stays pending.
    pub(super) fn fail_sync(&mut self, stamp: Stamp) {
        self.dirty.retain(|sector, states| {
            if take_until(states, stamp).is_some() && states.is_empty() {
                self.lost.insert(*sector);
            }
            !states.is_empty()
        });
    }

    /// A direct write has failed: of its sectors any may be on the device, and readers see which.
    pub(super) fn fail_range(&mut self, position: u64, len: usize, random: &mut Random) {
        for sector in sectors_of(position, len) {
            let Some(states) = self.dirty.get_mut(&sector) else { continue };
            if random.coin() {
                continue;
            }
            states.pop();
            let before = match states.last() {
                Some((_, state)) => state.clone(),
                None => self.device.get(&sector).cloned(),
            };
            if states.is_empty() {
                self.dirty.remove(&sector);
            }
            set(&mut self.seen, sector, before);
        }
    }

    /// Forgets what is clean in the page cache.
    pub(super) fn drop_cached(&mut self) {
        for sector in std::mem::take(&mut self.lost) {
            let state = self.device.get(&sector).cloned();
            set(&mut self.seen, sector, state);
        }
    }

    /// Flips bits of a byte wherever it is kept.
    pub(super) fn damage(&mut self, position: u64, bits: u8) {
        let sector = position / SECTOR as u64;
        for image in [&mut self.seen, &mut self.device] {
            let mut state = image.get(&sector).map_or([0; SECTOR], |state| **state);
            state[(position % SECTOR as u64) as usize] ^= bits;
            image.insert(sector, Arc::new(state));
        }
    }

    /// What a power cut leaves.
    pub(super) fn after_crash(&self, lottery: &mut Lottery) -> Content {
        let mut device = self.device.clone();
        let leaves = lottery.draw(self.dirty.len());
        for (place, (sector, states)) in self.dirty.iter().enumerate() {
            let picked = lottery.pick(leaves, place, states.len());
            if let Some(picked) = picked.checked_sub(1) {
                set(&mut device, *sector, states[picked].1.clone());
            }
        }
        let leaves = lottery.draw(1);
        let picked = lottery.pick(leaves, 0, self.lens.len()).checked_sub(1);
        let len = picked.map_or(self.device_len, |picked| self.lens[picked].1);
        device.split_off(&len.div_ceil(SECTOR as u64));
        if let Some(last) = device.get_mut(&(len / SECTOR as u64)) {
            Arc::make_mut(last)[(len % SECTOR as u64) as usize..].fill(0);
        }
        Content {
            seen: device.clone(),
            len,
            device,
            device_len: len,
            allocated: self.allocated.min(len),
            modified_ms: self.modified_ms,
            ..Content::default()
        }
    }
}

fn set(image: &mut Image, sector: u64, state: Option<Sector>) {
    match state {
        Some(state) => image.insert(sector, state),
        None => image.remove(&sector),
    };
}

/// Adds the newest state. Of too many an old one goes that no sync in flight is waiting for.
fn push<T>(states: &mut Vec<(Stamp, T)>, stamp: Stamp, state: T) {
    states.push((stamp, state));
    if states.len() > STATES_MAX
        && let Some(spare) = states.windows(2).position(|pair| pair[0].0 == pair[1].0)
    {
        states.remove(spare);
    }
}

/// Takes out what is as old as `stamp` and gives the newest of it.
fn take_until<T>(states: &mut Vec<(Stamp, T)>, stamp: Stamp) -> Option<T> {
    let end = states.partition_point(|(state_stamp, _)| *state_stamp <= stamp);
    states.drain(..end).next_back().map(|(_, state)| state)
}
