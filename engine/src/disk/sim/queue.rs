//! `SimQueue`: syncs and durable writes that a shard has submitted; the disk's owner says when they are done.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::SimDisk;
use super::content::Stamp;
use super::fault::{Effect, Operation};
use super::file::SimFile;
use super::state::State;
use super::tree::NodeId;
use crate::disk::{AlignedBuf, IoDone, IoQueue, OpenFile, SyncKind, assert_whole_blocks, short_write};

/// A queue of a simulated disk. Clones are the same queue: the shard submits and reaps, the owner finishes.
#[derive(Debug, Clone)]
pub struct SimQueue {
    disk: SimDisk,
    number: usize,
}

/// What is in a queue.
#[derive(Debug, Default)]
pub(super) struct InQueue {
    in_flight: Vec<InFlight>,
    late: Vec<InFlight>,
    done: Vec<IoDone>,
}

#[derive(Debug)]
struct InFlight {
    token: u64,
    id: NodeId,
    path: Arc<Path>,
    /// It makes durable what is as old as this.
    stamp: Stamp,
    /// Of a write, what it writes, and where.
    write: Option<(AlignedBuf, u64)>,
    is_direct: bool,
    /// There is no room for all of it.
    is_without_room: bool,
}

impl SimQueue {
    pub(super) fn new(disk: SimDisk, number: usize) -> SimQueue {
        SimQueue { disk, number }
    }

    /// How many operations are in flight, without those that are late.
    pub fn in_flight(&self) -> usize {
        self.disk.state().queues[self.number].in_flight.len()
    }

    /// Which of the operations in flight are syncs, by index.
    pub fn syncs(&self) -> Vec<usize> {
        let state = self.disk.state();
        let in_flight = state.queues[self.number].in_flight.iter().enumerate();
        in_flight.filter(|(_, one)| one.write.is_none()).map(|(index, _)| index).collect()
    }

    /// How many operations are late.
    pub fn late(&self) -> usize {
        self.disk.state().queues[self.number].late.len()
    }

    /// Puts what is late behind what is in flight.
    pub fn release_late(&self) {
        let queue = &mut self.disk.state().queues[self.number];
        queue.in_flight.append(&mut queue.late);
    }

    /// Finishes one operation, in any order the owner likes: `index` below [`SimQueue::in_flight`]. With
    /// `Ok` it goes as it was armed to go; with an error it has failed.
    pub fn finish(&self, index: usize, result: io::Result<()>) {
        let mut state = self.disk.state();
        let InFlight { token, id, path, stamp, write, is_direct, is_without_room } =
            state.queues[self.number].in_flight.remove(index);
        let (operation, place) = match &write {
            Some((buf, position)) => (Operation::FinishWrite, (*position, buf.len())),
            None => (Operation::FinishSync, (0, 0)),
        };
        let result = state.begin(operation, &path, place).and_then(|begun| {
            let armed = match begun.effect {
                Some(Effect::Short) if write.is_some() => Some(short_write(place.1 / 2, place.1, place.0)),
                effect => effect.and_then(Effect::error),
            };
            state.cut(begun)?;
            let no_room = is_without_room.then(|| Errno::NOSPC.into());
            let failed = result.err().or(armed).or(no_room);
            match (failed, is_direct && write.is_some()) {
                (None, false) => state.sync(id, stamp),
                (None, true) => {
                    state.tree.content_mut(id)?.sync_range(place.0, place.1, stamp);
                    Ok(())
                }
                (Some(error), false) => {
                    state.fail_sync(id, stamp);
                    Err(error)
                }
                (Some(error), true) => {
                    let State { tree, random, .. } = &mut *state;
                    tree.content_mut(id)?.fail_range(place.0, place.1, random);
                    Err(error)
                }
            }
        });
        state.release(id);
        let buf = write.map(|(buf, _)| buf);
        state.queues[self.number].done.push(IoDone { token, result, buf });
    }

    fn submit(&mut self, file: &OpenFile, write: Option<(AlignedBuf, u64)>, token: u64) -> io::Result<()> {
        let any: &dyn Any = &**file;
        let file = any.downcast_ref::<SimFile>().expect("a queue takes files of its own disk");
        assert!(file.is_on(&self.disk), "a queue takes files of its own disk");
        let mut state = self.disk.state();
        let (operation, place) = match &write {
            Some((buf, position)) => (Operation::SubmitWrite, (*position, buf.len())),
            None => (Operation::SubmitSync, (0, 0)),
        };
        let begun = state.begin(operation, &file.path, place)?;
        let effect = begun.effect;
        if let Some(error) = effect.and_then(Effect::error) {
            state.cut(begun)?;
            return Err(error);
        }
        let stamp = state.stamp;
        state.stamp += 1;
        let mut is_without_room = false;
        if let Some((buf, position)) = &write {
            let fitting = state.fitting(&file.path, file.id, *position, buf.len())?;
            is_without_room = fitting < buf.len();
            let mut bytes = buf.as_slice()[..fitting].to_vec();
            if effect == Some(Effect::FlipBit) {
                state.random.flip_bit(&mut bytes);
            }
            state.tree.content_mut(file.id)?.write(&bytes, *position, stamp);
        }
        state.cut(begun)?;
        state.retain(file.id);
        let (id, path, is_direct) = (file.id, file.path.clone(), crate::disk::File::is_direct(file));
        let queue = &mut state.queues[self.number];
        let target = if effect == Some(Effect::Late) { &mut queue.late } else { &mut queue.in_flight };
        target.push(InFlight { token, id, path, stamp, write, is_direct, is_without_room });
        Ok(())
    }
}

impl IoQueue for SimQueue {
    fn sync(&mut self, file: &OpenFile, _kind: SyncKind, token: u64) -> io::Result<()> {
        self.submit(file, None, token)
    }

    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        assert_whole_blocks(&buf, position);
        self.submit(file, Some((buf, position)), token)
    }

    fn read_in(&mut self, file: &OpenFile, buf: AlignedBuf, _: u64, token: u64) -> io::Result<()> {
        let any: &dyn Any = &**file;
        let file = any.downcast_ref::<SimFile>().expect("a queue takes files of its own disk");
        let mut state = self.disk.state();
        let result = state.look(Operation::ReadIn, &file.path).map(drop);
        state.queues[self.number].done.push(IoDone { token, result, buf: Some(buf) });
        Ok(())
    }

    fn reap(&mut self, done: &mut Vec<IoDone>) {
        done.append(&mut self.disk.state().queues[self.number].done);
    }

    /// Whoever waits has the disk finish something, which goes as it was armed to go.
    fn wait(&mut self) -> io::Result<()> {
        if self.in_flight() == 0 {
            self.release_late();
        }
        if self.in_flight() == 0 {
            return Err(io::Error::other("nothing is in flight"));
        }
        self.finish(0, Ok(()));
        Ok(())
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
