//! `SimDisk`: the simulated disk as its users see it, and as who breaks it does.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use super::fault::{Effect, Fault, Operation};
use super::file::SimFile;
use super::queue::{InQueue, SimQueue};
use super::state::State;
use super::step::Step;
use super::tree::{NodeId, Tree};
use crate::disk::{DirEntry, Disk, IoQueue, OpenFile, OpenMode, Space};

/// What a disk without a limit says that it has.
const SPACE_TOTAL: u64 = 1 << 40;

/// A disk in memory. Clones are the same disk; [`SimDisk::after_kill`] and [`SimDisk::after_crash`] are disks
/// of their own.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new(0)
    }
}

impl SimDisk {
    /// An empty disk. The seed decides what a failed or short write leaves and which bit is flipped.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::of(State::new(Tree::new(), seed))
    }

    pub(super) fn of(state: State) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Whether both are the same disk.
    pub(super) fn is(&self, other: &SimDisk) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of the lock panics")
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        state.check_power()?;
        Ok(state)
    }

    /// The disk as the next process finds it when this one was killed: the page cache is there, and what is
    /// pending stays so. Its steps are counted from 0, and nothing is armed.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.state();
        SimDisk::of(state.copy(state.tree.clone()))
    }

    /// The disk as the next process finds it after a power cut: of what was pending any part is there, by the
    /// seed, and that is all there is. Its steps are counted from 0, and nothing is armed.
    pub fn after_crash(&self, seed: u64) -> SimDisk {
        SimDisk::of(self.state().after_crash(seed))
    }

    /// Forgets what is clean in the page cache.
    pub fn drop_caches(&self) {
        self.state().tree.drop_caches();
    }

    /// Makes everything durable, names included.
    pub fn settle(&self) {
        self.state().tree.settle();
    }

    /// Cuts the power in the middle of a step, the first being 0: what it changes is pending, it is not done,
    /// and everything behind it fails.
    pub fn crash_at(&self, step: u64) {
        self.state().crash_at(step);
    }

    /// Whether the power was cut.
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// How many steps were begun: operations that change something or make it durable. Those that only look
    /// are none, since a power cut before one leaves what a power cut before the next step leaves.
    pub fn steps(&self) -> u64 {
        self.state().steps()
    }

    /// Has something go wrong.
    pub fn arm(&self, fault: Fault) {
        self.state().arm(fault);
    }

    /// Forgets every fault that was armed.
    pub fn heal(&self) {
        self.state().heal();
    }

    /// How often this was asked for, whatever came of it.
    pub fn times(&self, operation: Operation) -> u64 {
        self.state().times(operation)
    }

    /// How many operations were late that their caller has waited for: those that are in no queue.
    pub fn waits(&self) -> u64 {
        self.state().waits()
    }

    /// Lets the files below a directory take at most so many bytes, as if it were a file system of that size.
    /// A nested one has to be named before the one that it lies in.
    pub fn limit_space(&self, dir: &Path, bytes: u64) {
        self.state().limit_space(dir, bytes);
    }

    /// Begins to note down steps.
    pub fn keep_trace(&self) {
        self.state().keep_trace();
    }

    /// The steps since the last call.
    pub fn take_trace(&self) -> Vec<Step> {
        self.state().take_trace()
    }

    /// Begins to keep, for each step, the disk as a kill in the middle of it leaves it: what
    /// [`SimDisk::crash_at`] gives, without running everything before it again for each step.
    pub fn keep_crash_points(&self) {
        self.state().keep_crash_points();
    }

    /// As [`SimDisk::keep_crash_points`], for one step only, the first being 0.
    pub fn keep_crash_point(&self, step: u64) {
        self.state().keep_crash_point(step);
    }

    /// The steps since the last call that were to be kept, each with the disk in the middle of it.
    pub fn take_crash_points(&self) -> Vec<(Step, SimDisk)> {
        self.state().take_crash_points()
    }

    /// Flips bits of a byte of a file, in the page cache and on the device.
    pub fn damage(&self, path: &Path, position: u64, bits: u8) -> io::Result<()> {
        let mut state = self.state();
        let id = state.tree.find(path)?;
        state.tree.content_mut(id)?.damage(position, bits);
        Ok(())
    }

    /// Says when a file was last modified. The disk knows no clock: of other files it says that they were
    /// modified at the end of time, so that nobody takes them for old.
    pub fn set_modified(&self, path: &Path, now_ms: i64) -> io::Result<()> {
        let mut state = self.state();
        let id = state.tree.find(path)?;
        state.tree.content_mut(id)?.set_modified(now_ms);
        Ok(())
    }

    /// The queues that shards have taken, in the order in which they took them.
    pub fn queues(&self) -> Vec<SimQueue> {
        (0..self.state().queues.len()).map(|number| SimQueue::new(self.clone(), number)).collect()
    }

    fn handle(&self, state: &mut State, id: NodeId, path: &Path, is_direct: bool) -> OpenFile {
        state.retain(id);
        Arc::new(SimFile::new(self.clone(), id, path, is_direct))
    }

    fn open_found(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        let mut state = self.powered()?;
        state.look(Operation::Open, path)?;
        let id = state.tree.find(path)?;
        match (mode == OpenMode::Directory, state.tree.is_dir(id)) {
            (true, false) => Err(Errno::NOTDIR.into()),
            (false, true) => Err(Errno::ISDIR.into()),
            _ => Ok(self.handle(&mut state, id, path, mode == OpenMode::Direct)),
        }
    }

    /// Makes a file that is missing. One that is there is emptied, if that is wanted.
    fn open_made(&self, path: &Path, operation: Operation, is_emptied: bool) -> io::Result<OpenFile> {
        let mut state = self.powered()?;
        let stamp = state.stamp;
        let (dir, name) = state.tree.find_parent(path)?;
        let found = match state.tree.find(path) {
            Ok(id) if state.tree.is_dir(id) => return Err(Errno::ISDIR.into()),
            found => found.ok(),
        };
        let begun = state.begin_plain(operation, path, 0)?;
        let id = match found {
            Some(id) if is_emptied => {
                state.tree.content_mut(id)?.set_len(0, stamp);
                id
            }
            Some(id) => id,
            None => state.tree.create_file(dir, name, stamp),
        };
        state.cut(begun)?;
        Ok(self.handle(&mut state, id, path, false))
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        match mode {
            OpenMode::Existing | OpenMode::Direct | OpenMode::Directory => self.open_found(path, mode),
            OpenMode::CreateNew if self.powered()?.tree.find(path).is_ok() => Err(Errno::EXIST.into()),
            OpenMode::CreateNew | OpenMode::Replace => self.open_made(path, Operation::Create, true),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.powered()?;
        let effect = state.look(Operation::Read, path)?;
        let id = state.tree.find(path)?;
        let content = state.tree.content(id)?;
        let mut bytes = vec![0; content.len() as usize];
        content.read(&mut bytes, 0);
        if effect == Some(Effect::FlipBit) {
            state.random.flip_bit(&mut bytes);
        }
        Ok(bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.powered()?;
        state.look(Operation::List, dir)?;
        let listed = state.tree.list(state.tree.find(dir)?)?.into_iter();
        let entry = |listed: super::tree::Listed| DirEntry {
            name: listed.name.to_string(),
            is_dir: listed.file_len.is_none(),
            len: listed.file_len.unwrap_or(0),
        };
        Ok(listed.map(entry).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let missing = dir.ancestors().take_while(|part| state.tree.find(part).is_err());
        for part in missing.collect::<Vec<_>>().into_iter().rev() {
            let (parent, name) = state.tree.find_parent(part)?;
            let begun = state.begin_plain(Operation::CreateDir, part, 0)?;
            let stamp = state.stamp;
            state.tree.create_dir(parent, name, stamp);
            state.cut(begun)?;
        }
        if state.tree.is_dir(state.tree.find(dir)?) { Ok(()) } else { Err(Errno::EXIST.into()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let id = state.tree.find(from)?;
        let (dir, name) = state.tree.find_parent(to)?;
        if to != from && to.starts_with(from) {
            return Err(Errno::INVAL.into());
        }
        if let Ok(replaced) = state.tree.find(to)
            && replaced != id
        {
            match (state.tree.is_dir(id), state.tree.is_dir(replaced)) {
                (true, true) if !state.tree.list(replaced)?.is_empty() => return Err(Errno::NOTEMPTY.into()),
                (true, false) => return Err(Errno::NOTDIR.into()),
                (false, true) => return Err(Errno::ISDIR.into()),
                _ => (),
            }
        }
        let begun = state.begin_plain(Operation::Rename, from, 0)?;
        let stamp = state.stamp;
        state.tree.rename(id, dir, name, stamp);
        state.cut(begun)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let id = state.tree.find(path)?;
        if state.tree.is_dir(id) {
            return Err(Errno::ISDIR.into());
        }
        remove(&mut state, id, Operation::RemoveFile, path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let id = state.tree.find(dir)?;
        remove_below(&mut state, id, dir)?;
        remove(&mut state, id, Operation::RemoveDir, dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let file = self.open_found(dir, OpenMode::Directory)?;
        file.sync()
    }

    fn lock(&self, path: &Path) -> io::Result<OpenFile> {
        // A second process is never simulated beside the first.
        self.open_made(path, Operation::Lock, false)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let mut state = self.powered()?;
        state.look(Operation::Space, dir)?;
        state.tree.find(dir)?;
        let (total, free) = state.space(dir).unwrap_or((SPACE_TOTAL, SPACE_TOTAL));
        Ok(Space { total, free })
    }

    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>> {
        let mut state = self.powered()?;
        state.queues.push(InQueue::default());
        Ok(Box::new(SimQueue::new(self.clone(), state.queues.len() - 1)))
    }
}

fn remove(state: &mut State, id: NodeId, operation: Operation, path: &Path) -> io::Result<()> {
    let begun = state.begin_plain(operation, path, 0)?;
    let stamp = state.stamp;
    state.tree.unlink(id, stamp);
    state.cut(begun)
}

fn remove_below(state: &mut State, dir: NodeId, path: &Path) -> io::Result<()> {
    for listed in state.tree.list(dir)? {
        let path = path.join(&*listed.name);
        if listed.file_len.is_some() {
            remove(state, listed.id, Operation::RemoveFile, &path)?;
        } else {
            remove_below(state, listed.id, &path)?;
            remove(state, listed.id, Operation::RemoveDir, &path)?;
        }
    }
    Ok(())
}
