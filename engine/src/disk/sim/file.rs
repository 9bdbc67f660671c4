//! `SimFile`: an open file or directory of a simulated disk.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, MutexGuard};

use rustix::io::Errno;

use super::SimDisk;
use super::content::{Content, Stamp};
use super::fault::{Effect, Operation};
use super::state::State;
use super::tree::NodeId;
use crate::disk::{DIRECT_ALIGN, File};

/// Who has it open keeps it, whatever becomes of its name.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    pub(super) id: NodeId,
    /// Its name when it was opened.
    pub(super) path: Arc<Path>,
    is_direct: bool,
}

impl SimFile {
    /// The caller has retained the node.
    pub(super) fn new(disk: SimDisk, id: NodeId, path: &Path, is_direct: bool) -> SimFile {
        SimFile { disk, id, path: path.into(), is_direct }
    }

    /// Whether it is one of this disk's.
    pub(super) fn is_on(&self, disk: &SimDisk) -> bool {
        self.disk.is(disk)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.check_power()?;
        Ok(state)
    }

    /// As the kernel refuses it.
    fn check_alignment(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let is_whole = position.is_multiple_of(DIRECT_ALIGN as u64)
            && bytes.len().is_multiple_of(DIRECT_ALIGN)
            && bytes.as_ptr().addr().is_multiple_of(DIRECT_ALIGN);
        if self.is_direct && !is_whole { Err(Errno::INVAL.into()) } else { Ok(()) }
    }

    /// A change that an effect can only have fail.
    fn change(
        &self,
        operation: Operation,
        len: u64,
        change: impl FnOnce(&mut Content, Stamp),
    ) -> io::Result<()> {
        let mut state = self.powered()?;
        let begun = state.begin_plain(operation, &self.path, len)?;
        let stamp = state.stamp;
        change(state.tree.content_mut(self.id)?, stamp);
        state.cut(begun)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.state().release(self.id);
    }
}

impl File for SimFile {
    fn write_all_at(&self, parts: [&[u8]; 2], position: u64) -> io::Result<()> {
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            self.check_alignment(position, part)?;
        }
        let mut bytes = parts.concat();
        let mut state = self.powered()?;
        let begun = state.begin(Operation::Write, &self.path, (position, bytes.len()))?;
        let fitting = state.fitting(&self.path, self.id, position, bytes.len())?;
        let (written, result) = match begun.effect {
            Some(Effect::Fail(errno)) => (0, Err(errno.into())),
            Some(Effect::Short) => {
                (state.random.below(bytes.len().max(1)).min(fitting), Err(io::ErrorKind::WriteZero.into()))
            }
            _ if fitting < bytes.len() => (fitting, Err(Errno::NOSPC.into())),
            Some(Effect::FlipBit) => {
                state.random.flip_bit(&mut bytes);
                (bytes.len(), Ok(()))
            }
            Some(Effect::Late) | None => (bytes.len(), Ok(())),
        };
        let stamp = state.stamp;
        state.tree.content_mut(self.id)?.write(&bytes[..written], position, stamp);
        state.cut(begun)?;
        if self.is_direct {
            state.tree.content_mut(self.id)?.sync_range(position, written, Stamp::MAX);
        }
        result
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.check_alignment(position, buf)?;
        let mut state = self.powered()?;
        let effect = state.look(Operation::Read, &self.path)?;
        let content = state.tree.content(self.id)?;
        let read =
            if self.is_direct { content.read_direct(buf, position) } else { content.read(buf, position) };
        if effect == Some(Effect::FlipBit) {
            state.random.flip_bit(&mut buf[..read]);
        }
        Ok(read)
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.powered()?;
        state.look(Operation::Len, &self.path)?;
        Ok(state.tree.content(self.id)?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let mut state = self.powered()?;
        state.look(Operation::Len, &self.path)?;
        Ok(state.tree.content(self.id)?.modified_ms())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Operation::SetLen, len, |content, stamp| content.set_len(len, stamp))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let state = self.powered()?;
        let needed = len.saturating_sub(state.tree.content(self.id)?.usage());
        let has_room = state.space(&self.path).is_none_or(|(_, free)| needed <= free);
        drop(state);
        if !has_room {
            return Err(Errno::NOSPC.into());
        }
        self.change(Operation::Allocate, len, |content, stamp| content.allocate(len, stamp))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.powered()?;
        let is_dir = state.tree.is_dir(self.id);
        let operation = if is_dir { Operation::SyncDir } else { Operation::Sync };
        let begun = state.begin(operation, &self.path, (0, 0))?;
        let error = begun.effect.and_then(Effect::error);
        state.cut(begun)?;
        match error {
            None => state.sync(self.id, Stamp::MAX),
            Some(error) => {
                state.fail_sync(self.id, Stamp::MAX);
                Err(error)
            }
        }
    }

    fn drop_cached(&self) -> io::Result<()> {
        self.change(Operation::DropCached, 0, |content, _| content.drop_cached())
    }

    fn is_cached(&self, _: u64, _: u32) -> bool {
        true
    }

    fn is_direct(&self) -> bool {
        self.is_direct
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
