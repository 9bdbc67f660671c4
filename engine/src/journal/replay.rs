//! `Recovered`: what the journals of a log directory hold of its partitions, after a stop that was no clean one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::{BadFrame, Frame, FrameNumbers, ItemKind, Place};
use super::journal::StateRecord;
use super::name::{JournalName, SLOTS, journal_files};
use crate::disk::{AlignedBuf, DIRECT_ALIGN, Disk, OpenMode};
use crate::error::Error;
use crate::format::PartitionId;
use crate::planted::{Bug, planted};

/// Bytes of the first read of a file, and of the later ones, which double: most files hold little.
const READ_BYTES_FIRST: usize = 64 * 1024;
const READ_BYTES_MAX: usize = 4 << 20;
/// How far behind a frame that is not whole a later one is looked for.
const LOOKED_AT_BEHIND: usize = 64 * 1024;

/// A batch that belongs in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where, and the offset behind it.
    pub place: Place,
    /// The whole batch.
    pub bytes: Bytes,
}

/// What journals hold of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionReplay {
    /// Its newest recovery point, if a journal has one.
    pub state: Option<StateRecord>,
    /// Its appends, oldest first. Some may lie below the recovery point.
    pub pieces: Vec<Piece>,
}

/// One journal file as a start finds it.
#[derive(Debug)]
pub struct FoundFrames {
    name: JournalName,
    path: PathBuf,
    content: Bytes,
    frames: Vec<FoundFrame>,
    /// What stands behind the last whole frame, in words.
    end: String,
    /// A whole frame behind one that is not whole.
    stray: Option<FoundFrame>,
    bytes_read: u64,
}

#[derive(Debug, Clone, Copy)]
struct FoundFrame {
    numbers: FrameNumbers,
    position: usize,
}

impl FoundFrames {
    /// Reads the journal of one shard from the device: the files that are needed, as far as their frames reach.
    /// Touches nothing else, so that several threads can read a journal each.
    pub fn read_journal(
        disk: &dyn Disk,
        log_dir: &Path,
        names: &[JournalName],
    ) -> Result<Vec<FoundFrames>, Error> {
        let mut by_generation = Vec::with_capacity(names.len());
        for name in names {
            by_generation.push((declared_generation(disk, log_dir, *name)?.0, *name));
        }
        by_generation.sort_by_key(|(generation, _)| std::cmp::Reverse(generation.unwrap_or(u64::MAX)));
        let mut found: Vec<FoundFrames> = Vec::with_capacity(names.len());
        for (generation, name) in by_generation {
            // The newest frame says which files hold nothing that is needed.
            let oldest = found.iter().find_map(FoundFrames::newest).map(|newest| newest.oldest_generation);
            if generation.is_none() || oldest.is_none() || generation >= oldest {
                found.push(FoundFrames::read(disk, log_dir, name)?);
            }
        }
        Ok(found)
    }

    /// Reads one file, needed or not.
    pub fn read(disk: &dyn Disk, log_dir: &Path, name: JournalName) -> Result<FoundFrames, Error> {
        let path = log_dir.join(name.to_string());
        let reading = || format!("reading {}", path.display());
        let file = disk.open(&path, OpenMode::Direct).map_err(Error::io(reading()))?;
        if !file.is_direct() {
            // After a failed write the page cache may have what the device has not.
            file.drop_cached().map_err(Error::io(reading()))?;
        }
        let len = file.len().map_err(Error::io(reading()))?;
        // Memory that is never touched costs nothing: most files end early.
        let mut content = AlignedBuf::with_capacity(len as usize);
        let read_to = |content: &mut AlignedBuf, wanted: usize| -> Result<(), Error> {
            while content.len() < wanted.min(len as usize) {
                let from = content.len();
                let step = from
                    .clamp(READ_BYTES_FIRST, READ_BYTES_MAX)
                    .min((len as usize - from).next_multiple_of(DIRECT_ALIGN));
                content.resize(from + step);
                let read = file
                    .read_at(&mut content.as_mut_slice()[from..], from as u64)
                    .map_err(Error::io(reading()))?;
                if read < step {
                    content.resize(from + read);
                    break;
                }
            }
            Ok(())
        };
        let mut frames: Vec<FoundFrame> = Vec::new();
        let mut position = 0;
        let end = loop {
            read_to(&mut content, position + DIRECT_ALIGN)?;
            let Some(declared) = Frame::declared_len(content.as_slice().get(position..).unwrap_or_default())
            else {
                break "no frame".to_owned();
            };
            read_to(&mut content, position + declared)?;
            let frame = match Frame::read(&content.as_slice()[position..]) {
                Ok(frame) => frame,
                Err(BadFrame::NotWhole(why)) => break why,
                Err(bad @ BadFrame::Version(_)) => {
                    return Err(Error::Corrupt(format!(
                        "journal {}: frame at position {position}: {bad}",
                        path.display()
                    )));
                }
            };
            if let Some(last) = frames.last()
                && !follows(last.numbers, frame.numbers)
            {
                break "a frame of an earlier generation".to_owned();
            }
            frames.push(FoundFrame { numbers: frame.numbers, position });
            position += frame.len;
        };
        // Behind the frame that is not whole, were its length right, or else nearby.
        let not_whole = content.as_slice().get(position..).unwrap_or_default();
        let behind = position + Frame::declared_len(not_whole).unwrap_or(DIRECT_ALIGN);
        read_to(&mut content, behind + LOOKED_AT_BEHIND)?;
        let last = frames.last().map(|frame| frame.numbers);
        let stray = later_frame(content.as_slice(), behind, last);
        let bytes_read = content.len() as u64;
        content.resize(position);
        let content = Bytes::from_owner(content);
        Ok(FoundFrames { name, path, content, frames, end, stray, bytes_read })
    }

    /// Its whole frames and where each begins, from the first one on.
    pub fn frames(&self) -> impl Iterator<Item = (usize, Frame<'_>)> {
        self.frames.iter().map(|found| {
            let frame = Frame::known(&self.content[found.position..]).expect("it was found whole");
            (found.position, frame)
        })
    }

    /// Where the last of them ends, and what stands behind it, in words.
    pub fn end(&self) -> (usize, &str) {
        (self.content.len(), &self.end)
    }

    fn newest(&self) -> Option<FrameNumbers> {
        self.frames.last().map(|frame| frame.numbers)
    }
}

fn follows(last: FrameNumbers, next: FrameNumbers) -> bool {
    (is_of_same_file(last, next) && next.sequence == last.sequence + 1) || planted(Bug::StaleFrameAccepted)
}

fn is_of_same_file(one: FrameNumbers, other: FrameNumbers) -> bool {
    (one.nonce, one.generation) == (other.nonce, other.generation)
}

/// A whole frame at `from` or a little behind it, although there is one in front of it that is not whole: of the
/// generation of `last`, if there is a frame before that.
fn later_frame(content: &[u8], from: usize, last: Option<FrameNumbers>) -> Option<FoundFrame> {
    let looked_at = from..content.len().min(from + LOOKED_AT_BEHIND);
    looked_at.step_by(DIRECT_ALIGN).find_map(|position| {
        let numbers = Frame::read(&content[position..]).ok()?.numbers;
        let is_later =
            last.is_none_or(|last| is_of_same_file(last, numbers) && numbers.sequence > last.sequence);
        is_later.then_some(FoundFrame { numbers, position })
    })
}

/// A frame is written when all before it are on the device: this is no crash's doing.
fn out_of_order(path: &Path, position: usize, end: &str, later: &FoundFrame) -> Error {
    Error::Corrupt(format!(
        "journal {}: frame at position {position}: {end}, and a whole later one, {}, stands at position {}",
        path.display(),
        later.numbers.sequence,
        later.position
    ))
}

/// What the journals of one log directory hold, by partition.
#[derive(Debug, Default)]
pub struct Recovered {
    partitions: BTreeMap<PartitionId, PartitionReplay>,
    /// Larger than every generation that was found.
    pub next_generation: u64,
    /// Of each shard whose newest frame was found: the slot behind the one that it lies in.
    first_slots: BTreeMap<usize, usize>,
    /// Bytes read from the device.
    pub bytes_read: u64,
}

impl Recovered {
    /// Puts together what the files of a log directory hold.
    pub fn merge(files: Vec<FoundFrames>) -> Result<Recovered, Error> {
        let mut recovered = Recovered { next_generation: 1, ..Recovered::default() };
        let mut live = Vec::new();
        let mut by_shard: BTreeMap<usize, Vec<FoundFrames>> = BTreeMap::new();
        let newest = files.iter().filter_map(FoundFrames::newest).max_by_key(|newest| newest.generation);
        recovered.next_generation = newest.map_or(0, |newest| newest.generation) + 1;
        for file in files {
            recovered.bytes_read += file.bytes_read;
            // Behind a first frame that was being written stands what an earlier generation left, or what a
            // producer sent: no matter.
            let is_of_newest =
                |stray: &FoundFrame| newest.is_none_or(|newest| newest.nonce == stray.numbers.nonce);
            let is_later = |stray: &FoundFrame| stray.numbers.generation >= recovered.next_generation;
            let is_first = file.frames.is_empty();
            if let Some(stray) = file.stray.filter(|stray| is_first && is_of_newest(stray) && is_later(stray))
            {
                return Err(out_of_order(&file.path, 0, &file.end, &stray));
            }
            if file.newest().is_some() {
                by_shard.entry(file.name.shard).or_default().push(file);
            }
        }
        for (shard, mut files) in by_shard {
            files.sort_by_key(FoundFrames::newest_generation);
            let newest = files.last().expect("a shard is listed with a file");
            let oldest_generation = newest.newest().expect("it has a frame").oldest_generation;
            recovered.first_slots.insert(shard, (newest.name.slot + 1) % SLOTS);
            files.retain(|file| file.newest_generation() >= oldest_generation);
            // A file that nobody needs may have been cut off while its first frame was written over: any of
            // its blocks may be new ones.
            if let Some((file, stray)) = files.iter().find_map(|file| Some((file, file.stray.as_ref()?))) {
                return Err(out_of_order(&file.path, file.content.len(), &file.end, stray));
            }
            check_chain(&files, oldest_generation)?;
            live.append(&mut files);
        }
        // An older run's journal may lie beside a newer one's with other shards.
        live.sort_by_key(FoundFrames::newest_generation);
        for file in live {
            recovered.take_file(&file);
        }
        Ok(recovered)
    }

    fn take_file(&mut self, file: &FoundFrames) {
        for found in &file.frames {
            let bytes = &file.content[found.position..];
            let frame = Frame::known(bytes).expect("it was found whole");
            for item in frame.items() {
                let replay = self.partitions.entry(item.place.id).or_default();
                match item.kind {
                    ItemKind::Piece => replay
                        .pieces
                        .push(Piece { place: item.place, bytes: file.content.slice_ref(item.payload) }),
                    ItemKind::State | ItemKind::Cut => {
                        if item.kind == ItemKind::Cut {
                            replay.pieces.clear();
                        }
                        replay.state =
                            Some(StateRecord { place: item.place, payload: item.payload.to_vec() });
                    }
                }
            }
        }
    }

    /// Takes out what is there of one partition.
    pub fn take(&mut self, id: PartitionId) -> PartitionReplay {
        self.partitions.remove(&id).unwrap_or_default()
    }

    /// Where a shard's new journal begins, so that its newest frames are the last to be written over.
    pub fn first_slot(&self, shard: usize) -> usize {
        self.first_slots.get(&shard).copied().unwrap_or(0)
    }
}

impl FoundFrames {
    fn newest_generation(&self) -> u64 {
        self.newest().map_or(0, |newest| newest.generation)
    }
}

/// Between the oldest file that is needed and the newest one no frame is missing.
fn check_chain(files: &[FoundFrames], oldest_generation: u64) -> Result<(), Error> {
    for ((index, file), expected) in files.iter().enumerate().zip(oldest_generation..) {
        if file.newest_generation() != expected {
            return Err(Error::Corrupt(format!(
                "journal {}: generation {}, expected {expected}",
                file.path.display(),
                file.newest_generation()
            )));
        }
        let Some(next) = files.get(index + 1) else { break };
        let (last, first) = (file.newest(), next.frames.first().map(|frame| frame.numbers));
        if let (Some(last), Some(first)) = (last, first)
            && first.sequence != last.sequence + 1
        {
            return Err(Error::Corrupt(format!(
                "journal {}: frame {} is missing behind position {}: {}",
                file.path.display(),
                last.sequence + 1,
                file.content.len(),
                file.end
            )));
        }
    }
    Ok(())
}

/// Reads the journals of a log directory one after the other.
pub fn read_all(disk: &dyn Disk, log_dir: &Path) -> Result<Recovered, Error> {
    let mut files = Vec::new();
    for names in journals_in(disk, log_dir)? {
        files.append(&mut FoundFrames::read_journal(disk, log_dir, &names)?);
    }
    Recovered::merge(files)
}

/// The files of a log directory's journals, a list for each of them.
pub fn journals_in(disk: &dyn Disk, log_dir: &Path) -> Result<Vec<Vec<JournalName>>, Error> {
    let names =
        journal_files(disk, log_dir).map_err(Error::io(format_args!("listing {}", log_dir.display())))?;
    Ok(names.chunk_by(|one, next| one.shard == next.shard).map(<[_]>::to_vec).collect())
}

/// How far the numbers of a log directory's journals have come, after a clean stop: what they hold is not
/// needed any more.
pub fn newest_generation(disk: &dyn Disk, log_dir: &Path) -> Result<Recovered, Error> {
    let mut recovered = Recovered { next_generation: 1, ..Recovered::default() };
    let mut newest_of_shards = BTreeMap::new();
    for name in journals_in(disk, log_dir)?.into_iter().flatten() {
        let (generation, bytes_read) = declared_generation(disk, log_dir, name)?;
        recovered.bytes_read += bytes_read;
        if let Some(generation) = generation {
            recovered.next_generation = recovered.next_generation.max(generation + 1);
            let newest = newest_of_shards.entry(name.shard).or_insert((generation, name.slot));
            *newest = (generation, name.slot).max(*newest);
        }
    }
    // A first frame that a power cut tears must not leave a gap between those in front of the newest.
    let next = |(shard, (_, slot)): (usize, (u64, usize))| (shard, (slot + 1) % SLOTS);
    recovered.first_slots = newest_of_shards.into_iter().map(next).collect();
    Ok(recovered)
}

/// The generation of a file, as its first block declares it, and how many bytes were read to know.
fn declared_generation(
    disk: &dyn Disk,
    log_dir: &Path,
    name: JournalName,
) -> Result<(Option<u64>, u64), Error> {
    let path = log_dir.join(name.to_string());
    let reading = || format!("reading {}", path.display());
    let file = disk.open(&path, OpenMode::Direct).map_err(Error::io(reading()))?;
    let mut block = AlignedBuf::zeroed(DIRECT_ALIGN);
    let read = file.read_at(block.as_mut_slice(), 0).map_err(Error::io(reading()))?;
    Ok((Frame::declared_generation(block.as_slice()), read as u64))
}
