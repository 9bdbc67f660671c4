//! `Fault`: what is to go wrong, and when.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Opening a file or directory that is there.
    Open,
    /// Reading a file, whole or a part.
    Read,
    /// Listing a directory.
    List,
    /// Asking for a file's length.
    Len,
    /// Asking for the room of a file system.
    Space,
    /// Making a file, or emptying it.
    Create,
    /// Writing to a file; to a direct one durably.
    Write,
    /// Cutting or extending a file.
    SetLen,
    /// Giving blocks to a file.
    Allocate,
    /// A sync of a file that is waited for.
    Sync,
    /// A sync of a directory that is waited for.
    SyncDir,
    /// Dropping a file from the page cache.
    DropCached,
    /// Making one directory.
    CreateDir,
    /// Renaming a file or directory.
    Rename,
    /// Removing one file.
    RemoveFile,
    /// Removing one directory, which is empty.
    RemoveDir,
    /// Taking a lock.
    Lock,
    /// Giving a sync to a queue.
    SubmitSync,
    /// Giving a durable write to a queue.
    SubmitWrite,
    /// The end of a sync in a queue.
    FinishSync,
    /// The end of a durable write in a queue.
    FinishWrite,
    /// Bringing bytes into the page cache, by a queue.
    ReadIn,
}

impl Operation {
    /// Every one of them.
    pub const ALL: [Operation; 22] = [
        Operation::Open,
        Operation::Read,
        Operation::List,
        Operation::Len,
        Operation::Space,
        Operation::Create,
        Operation::Write,
        Operation::SetLen,
        Operation::Allocate,
        Operation::Sync,
        Operation::SyncDir,
        Operation::DropCached,
        Operation::CreateDir,
        Operation::Rename,
        Operation::RemoveFile,
        Operation::RemoveDir,
        Operation::Lock,
        Operation::SubmitSync,
        Operation::SubmitWrite,
        Operation::FinishSync,
        Operation::FinishWrite,
        Operation::ReadIn,
    ];

    /// Whether it only looks: a power cut before it leaves what one before the next change leaves.
    pub(super) fn is_look(self) -> bool {
        use Operation::{Len, List, Open, Read, ReadIn, Space};
        matches!(self, Open | Read | List | Len | Space | ReadIn)
    }
}

/// How an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It answers with this error and nothing happens; but a sync that fails loses what it was to make
    /// durable, and a queued write that fails leaves any of its sectors.
    Fail(Errno),
    /// A write writes only a beginning of its bytes and answers with an error. Anything else answers with
    /// `EIO`.
    Short,
    /// A read, or a write, answers `Ok` with one bit changed. Nothing else is touched by it.
    FlipBit,
    /// A submitted operation is not done before the disk is told to release what is late. Of any other the
    /// caller waits for the end, which only [`SimDisk::waits`](super::SimDisk::waits) tells.
    Late,
}

/// Something that goes wrong once, with the first operation of a kind unless more is said.
#[derive(Debug, Clone)]
pub struct Fault {
    operation: Operation,
    effect: Effect,
    path: String,
    skips: u64,
    times: u64,
}

impl Fault {
    /// The next operation of this kind goes wrong.
    pub fn new(operation: Operation, effect: Effect) -> Fault {
        Fault { operation, effect, path: String::new(), skips: 0, times: 1 }
    }

    /// Only with a path that this text is a part of.
    pub fn on(self, path: impl Into<String>) -> Fault {
        Fault { path: path.into(), ..self }
    }

    /// So many go well before.
    pub fn after(self, skips: u64) -> Fault {
        Fault { skips, ..self }
    }

    /// So many in a row go wrong.
    pub fn times(self, times: u64) -> Fault {
        Fault { times, ..self }
    }

    /// All go wrong from then on.
    pub fn forever(self) -> Fault {
        self.times(u64::MAX)
    }

    /// What becomes of an operation, which counts.
    pub(super) fn strikes(&mut self, operation: Operation, path: &Path) -> Option<Effect> {
        let is_meant = operation == self.operation && path.to_string_lossy().contains(&self.path);
        if !is_meant {
            return None;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(self.effect)
    }

    pub(super) fn is_over(&self) -> bool {
        self.times == 0
    }
}

impl Effect {
    /// The error that it means for an operation that it has no other meaning for.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Effect::Fail(errno) => Some(errno.into()),
            Effect::Short => Some(Errno::IO.into()),
            Effect::FlipBit | Effect::Late => None,
        }
    }
}
