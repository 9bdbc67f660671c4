//! `Journal`: what one shard appends in one log directory, frame by frame, and how far each of its partitions
//! is durable without it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use super::files::Files;
use super::frame::{FRAME_BYTES_MAX, FrameBuilder, FrameNumbers, ItemKind, Place, frame_len};
use crate::disk::{AlignedBuf, Disk, OpenFile};
use crate::error::Error;
use crate::format::{PartitionId, PartitionMap};

/// Memory that a frame begins with; it grows, and is used again.
const FRAME_BYTES_FIRST: usize = 64 * 1024;
/// A frame's memory above this is given back when the frame is written.
const FRAME_BYTES_KEPT: usize = 8 << 20;
/// The part of a file that payloads of states take at most: each of them is written again when the file that it
/// lies in is to be written anew.
const PAYLOADS_SHARE: u64 = 16;
/// The part of the last file that is kept for the frame which frees the oldest one; more where the states of all
/// partitions take more.
const RESERVED_SHARE: u64 = 4;

/// Where a journal lies, and what a start found out for it.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// The log directory.
    pub log_dir: PathBuf,
    /// The shard that writes it.
    pub shard: usize,
    /// Bytes of each of its files.
    pub file_bytes: u64,
    /// A random number that no producer knows.
    pub nonce: u64,
    /// Larger than any generation that a start found.
    pub first_generation: u64,
    /// The file that is written first: not the one with the newest frames that a start found.
    pub first_slot: usize,
}

/// A partition that is durable up to its recovery point without the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// The recovery point.
    pub place: Place,
    /// What a start needs to know besides.
    pub payload: Vec<u8>,
}

/// A frame to be written. It counts when all of it is on the device.
#[derive(Debug)]
pub struct FrameWrite {
    /// The journal's file.
    pub file: OpenFile,
    /// The frame.
    pub buf: AlignedBuf,
    /// Where it goes.
    pub position: u64,
}

/// One shard's journal in one log directory.
#[derive(Debug)]
pub struct Journal {
    files: Files,
    nonce: u64,
    sequence: u64,
    building: FrameBuilder,
    /// Partitions with a piece in the frame that is being built, and the offset behind its last one.
    building_ends: PartitionMap<i64>,
    in_flight: Option<InFlight>,
    /// Memory of a frame that was written.
    spare: Option<AlignedBuf>,
    states: BTreeMap<PartitionId, State>,
    /// Bytes of their payloads together, and how many that may be.
    payload_bytes: usize,
    payload_bytes_max: usize,
    reserved_min: u64,
    /// Partitions whose newest record is in no frame yet, each once.
    unwritten: VecDeque<PartitionId>,
}

#[derive(Debug)]
struct State {
    record: StateRecord,
    /// Whether it is in no frame yet.
    is_unwritten: bool,
    /// The partition's newest record on the device: its recovery point, and the generation of its file.
    durable: Option<(i64, u64)>,
}

/// The frame that is being written.
#[derive(Debug)]
struct InFlight {
    generation: u64,
    /// States in it, by partition and recovery point.
    states: Vec<(PartitionId, i64)>,
}

impl Journal {
    /// Makes the files that are missing. What an earlier process left in them counts for nothing from the
    /// first frame on.
    pub fn open(disk: &dyn Disk, config: &JournalConfig) -> Result<Journal, Error> {
        let JournalConfig { log_dir, shard, file_bytes, nonce, first_generation, first_slot } = config;
        let files = Files::open(disk, log_dir, *shard, *file_bytes, *first_slot, *first_generation)?;
        if *shard == 0 && !files.are_direct() {
            tracing::info!(
                "{}: no direct I/O on its file system: the journal and recovery go through the page cache",
                log_dir.display()
            );
        }
        Ok(Journal {
            files,
            nonce: *nonce,
            sequence: 1,
            building: FrameBuilder::new(AlignedBuf::with_capacity(FRAME_BYTES_FIRST)),
            building_ends: PartitionMap::default(),
            in_flight: None,
            spare: None,
            states: BTreeMap::new(),
            payload_bytes: 0,
            payload_bytes_max: (*file_bytes / PAYLOADS_SHARE) as usize,
            reserved_min: *file_bytes / RESERVED_SHARE,
            unwritten: VecDeque::new(),
        })
    }

    /// Takes a batch into the next frame. False: there is no room, and it has to become durable where it lies.
    pub fn push_piece(&mut self, place: Place, parts: [&[u8]; 2]) -> bool {
        let len = self.building.len_with(parts[0].len() + parts[1].len());
        let has_room = self.has_room_beside_reserve(len);
        if has_room {
            self.building.push(ItemKind::Piece, place, parts);
            self.building_ends.insert(place.id, place.offset);
        }
        has_room
    }

    /// Notes that a partition is durable up to the record's point. That counts once a frame with it is on the
    /// device. Where payloads together become too large, it counts without its own.
    pub fn set_state(&mut self, mut record: StateRecord) {
        let id = record.place.id;
        let before = self.states.get(&id);
        self.payload_bytes -= before.map_or(0, |state| state.record.payload.len());
        if self.payload_bytes + record.payload.len() > self.payload_bytes_max {
            record.payload = Vec::new();
        }
        self.payload_bytes += record.payload.len();
        if !before.is_some_and(|state| state.is_unwritten) {
            self.unwritten.push_back(id);
        }
        let durable = before.and_then(|state| state.durable);
        self.states.insert(id, State { record, is_unwritten: true, durable });
    }

    /// Whether the next frame would hold appends.
    pub fn has_pieces(&self) -> bool {
        !self.building_ends.is_empty()
    }

    /// Whether recovery points have moved that are in no frame yet, and there is room for one that tells of them.
    pub fn has_states(&self) -> bool {
        if self.unwritten.is_empty() {
            return false;
        }
        let mut payloads = self.unwritten.iter().map(|id| self.states[id].record.payload.len());
        let is_full = !self.has_room_beside_reserve(self.building.len_with(0));
        (!is_full && payloads.any(|payload| self.has_room_beside_reserve(self.building.len_with(payload))))
            || self.freeing_states().is_some()
    }

    /// Whether a frame of so many bytes leaves the reserve alone. Only one frame takes of that: the one which frees
    /// the oldest file, so it is there when that one is. It may have the state of every partition.
    fn has_room_beside_reserve(&self, len: usize) -> bool {
        let reserved = self.reserved_min.max(self.all_states_len() as u64);
        len <= FRAME_BYTES_MAX && self.files.has_room_beside(len, reserved)
    }

    /// Bytes of a frame with the states of all partitions, however large their payloads become.
    fn all_states_len(&self) -> usize {
        frame_len(self.states.len(), self.payload_bytes_max)
    }

    /// The partitions whose states free the oldest full file, when a frame can be written that has all of them:
    /// those with pieces in it, of which nothing is needed any more, and those whose newest record lies in it.
    fn freeing_states(&self) -> Option<Vec<PartitionId>> {
        let oldest = self.files.oldest_full_generation()?;
        for (id, end) in self.files.needed_by() {
            if self.recovery_point(id) < Some(end) {
                return None;
            }
        }
        let has_pieces: PartitionMap<()> = self.files.needed_by().map(|(id, _)| (id, ())).collect();
        let is_of = |id: &PartitionId, state: &State| {
            has_pieces.contains_key(id) || state.durable.is_some_and(|(_, generation)| generation <= oldest)
        };
        let states = self.states.iter().filter(|(id, state)| is_of(id, state));
        let (mut freeing, mut payloads) = (Vec::new(), 0);
        for (id, state) in states {
            freeing.push(*id);
            payloads += state.record.payload.len();
        }
        let len = self.building.len_with_all(freeing.len(), payloads);
        (len <= FRAME_BYTES_MAX && self.files.has_room(len)).then_some(freeing)
    }

    /// Writes all states, durably, and ends with that what an earlier process left in any journal: waits. For
    /// a start, before the first append.
    pub fn begin(&mut self) -> std::io::Result<()> {
        // To free a file its states are written again, in one frame: what finds no room in a file frees none.
        if self.all_states_len() as u64 > self.files.file_bytes() {
            let fault = "its files are too small for the recovery points of so many partitions, and keep their \
                         size until a clean stop: run `logmill log recover`, and raise logmill.journal.bytes";
            return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, fault));
        }
        loop {
            let buf = self.write_frame()?;
            self.written(buf);
            if self.unwritten.is_empty() {
                return Ok(());
            }
        }
    }

    /// Notes, durably, that a partition's log may be cut behind the record's point: none of its pieces counts any
    /// more. Waits; nothing is in flight, and what the pieces hold is durable elsewhere as far as it is to stay.
    pub fn cut(&mut self, record: StateRecord) -> std::io::Result<()> {
        assert!(!self.has_pieces(), "a wave has taken what was appended");
        // Nobody else waits for the room that it takes.
        let len = self.building.len_with(record.payload.len());
        if !self.files.has_room_beside(len, self.all_states_len() as u64) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let id = record.place.id;
        self.building.push(ItemKind::Cut, record.place, [&record.payload, &[]]);
        // It counts as written when a state is that says the same: that one outlives the file.
        self.set_state(record);
        let buf = self.write_frame()?;
        self.files.forget(id);
        self.written(buf);
        Ok(())
    }

    fn write_frame(&mut self) -> std::io::Result<AlignedBuf> {
        let FrameWrite { file, buf, position } = self.seal_frame();
        file.write_all_at([buf.as_slice(), &[]], position)?;
        if !file.is_direct() {
            file.sync()?;
        }
        Ok(buf)
    }

    /// The next frame, with as many states as find room in it. One is in flight at a time.
    pub fn seal_frame(&mut self) -> FrameWrite {
        assert!(self.in_flight.is_none(), "one frame is in flight at a time");
        let states = self.push_states();
        let ends = self.building_ends.drain();
        let (file, position, generation) = self.files.place(self.building.len(), ends);
        let numbers = FrameNumbers {
            nonce: self.nonce,
            generation,
            sequence: self.sequence,
            oldest_generation: self.files.oldest_generation(),
        };
        self.sequence += 1;
        self.in_flight = Some(InFlight { generation, states });
        let spare = self.spare.take().unwrap_or_else(|| AlignedBuf::with_capacity(FRAME_BYTES_FIRST));
        let buf = std::mem::replace(&mut self.building, FrameBuilder::new(spare)).seal(numbers);
        FrameWrite { file, buf, position }
    }

    /// Takes the states into the frame that are in none yet, as many as leave the reserve alone; where not all of
    /// them do, and the oldest file can be freed instead, those that free it.
    fn push_states(&mut self) -> Vec<(PartitionId, i64)> {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        let payloads = unwritten.iter().map(|id| self.states[id].record.payload.len()).sum();
        let all = self.building.len_with_all(unwritten.len(), payloads);
        let mut pushed = Vec::new();
        if !self.has_pieces()
            && !self.has_room_beside_reserve(all)
            && let Some(freeing) = self.freeing_states()
        {
            freeing.iter().for_each(|id| self.push_state(*id, &mut pushed));
            unwritten.retain(|id| self.states[id].is_unwritten);
        } else {
            unwritten.retain(|id| {
                let has_room = self
                    .has_room_beside_reserve(self.building.len_with(self.states[id].record.payload.len()));
                if has_room {
                    self.push_state(*id, &mut pushed);
                }
                !has_room
            });
        }
        self.unwritten = unwritten;
        pushed
    }

    fn push_state(&mut self, id: PartitionId, pushed: &mut Vec<(PartitionId, i64)>) {
        let state = self.states.get_mut(&id).expect("it was just looked up");
        let StateRecord { place, payload } = &state.record;
        self.building.push(ItemKind::State, *place, [payload, &[]]);
        state.is_unwritten = false;
        pushed.push((id, place.offset));
    }

    /// Takes up that the frame in flight is on the device, and the memory that it lay in.
    pub fn written(&mut self, buf: AlignedBuf) {
        if buf.capacity() <= FRAME_BYTES_KEPT {
            self.spare = Some(buf);
        }
        let InFlight { generation, states } = self.in_flight.take().expect("a frame was in flight");
        for (id, recovery_point) in states {
            self.files.release(id, recovery_point);
            // A newer record may have come meanwhile; this one is good for what it says all the same.
            if let Some(state) = self.states.get_mut(&id) {
                state.durable = Some((recovery_point, generation));
            }
        }
        self.free_files();
    }

    /// Frees files from the oldest on. A state whose newest record lies in one is written once more first.
    fn free_files(&mut self) {
        while let Some(generation) = self.files.unneeded_generation() {
            let mut is_needed = false;
            for (id, state) in &mut self.states {
                if state.durable.is_none_or(|(_, durable_in)| durable_in > generation) {
                    continue;
                }
                is_needed = true;
                if !state.is_unwritten {
                    state.is_unwritten = true;
                    self.unwritten.push_back(*id);
                }
            }
            if is_needed {
                return;
            }
            self.files.free_oldest();
        }
    }

    /// The generation of the oldest full file, if no more than `free_min` are free: it cannot be written anew
    /// before the partitions of [`Journal::needed_by`] are durable where they lie.
    pub fn generation_to_free(&self, free_min: usize) -> Option<u64> {
        self.files.generation_to_free(free_min)
    }

    /// Partitions with pieces in the oldest full file, and the offset behind the last of these.
    pub fn needed_by(&self) -> Vec<(PartitionId, i64)> {
        let mut needed: Vec<(PartitionId, i64)> = self.files.needed_by().collect();
        // In an order that does not come from the map.
        needed.sort_unstable();
        needed
    }

    /// The newest recovery point of a partition, on the device or not yet.
    pub fn recovery_point(&self, id: PartitionId) -> Option<i64> {
        self.states.get(&id).map(|state| state.record.place.offset)
    }

    /// How many files may be written anew.
    pub fn free_files_count(&self) -> usize {
        self.files.free()
    }

    /// Forgets a partition whose directory is durably gone.
    pub fn forget(&mut self, id: PartitionId) {
        if let Some(State { record, is_unwritten, .. }) = self.states.remove(&id) {
            self.payload_bytes -= record.payload.len();
            if is_unwritten {
                self.unwritten.retain(|unwritten| *unwritten != id);
            }
        }
        self.building_ends.remove(&id);
        self.files.forget(id);
        self.free_files();
    }
}

#[cfg(test)]
mod tests;
