//! `Disk`: the FUSE file system of one file, which is the disk. What it does with a request depends on
//! whether there is power.

use std::ffi::OsStr;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

use super::image::{Image, Lost};
use super::order::{Afterwards, Cut, Failure, Order, When};

/// The file's name.
pub(super) const FILE: &str = "disk";

const FILE_NUMBER: INodeNo = INodeNo(2);

/// How long the kernel may believe what it was told of the file: nothing of it changes.
const ATTRIBUTES_LAST: Duration = Duration::from_secs(3_600);

/// The FUSE side of a disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) state: Arc<Mutex<State>>,
}

/// A disk and its power.
#[derive(Debug)]
pub(super) struct State {
    image: Image,
    power: Power,
    /// A cut whose moment is to come.
    armed: Option<Cut>,
    failure: Option<Errno>,
    delay: Duration,
    /// Bytes a second, where there is a bound.
    rate: Option<u64>,
    /// When what was asked for so far is done at that rate.
    free_at: Instant,
    /// Cuts ordered so far.
    cuts: u64,
    /// Requests that came while the disk was silent.
    held: Vec<Held>,
    /// Who hears of each loss of power.
    lost: Sender<Lost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Silent,
    Errors,
}

/// A request that is not answered yet.
#[derive(Debug)]
enum Held {
    Read(ReplyData),
    Write(ReplyWrite),
    Flush(ReplyEmpty),
}

impl Held {
    fn refuse(self, error: Errno) {
        match self {
            Held::Read(reply) => reply.error(error),
            Held::Write(reply) => reply.error(error),
            Held::Flush(reply) => reply.error(error),
        }
    }
}

impl State {
    pub(super) fn new(image: Image, lost: Sender<Lost>) -> State {
        State {
            image,
            power: Power::On,
            armed: None,
            failure: None,
            delay: Duration::ZERO,
            rate: None,
            free_at: Instant::now(),
            cuts: 0,
            held: Vec::new(),
            lost,
        }
    }

    /// Does what it is told.
    pub(super) fn obey(&mut self, order: Order) -> io::Result<()> {
        self.cuts += u64::from(matches!(order, Order::Cut(_)));
        match order {
            Order::Cut(cut) if cut.when == When::Now => self.cut(cut)?,
            Order::Cut(cut) => self.armed = Some(cut),
            Order::Release => self.release(),
            Order::PowerOn => {
                self.release();
                self.power = Power::On;
            }
            Order::Fail(Failure::Io) => self.failure = Some(Errno::EIO),
            Order::Fail(Failure::NoSpace) => self.failure = Some(Errno::ENOSPC),
            Order::Heal => self.failure = None,
            Order::Delay(delay) => self.delay = delay,
            Order::Rate(bytes) => self.rate = Some(bytes),
        }
        Ok(())
    }

    /// How long it takes from now on until so many bytes more are read or written.
    fn time_for(&mut self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return self.delay };
        let transfer = Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.free_at = self.free_at.max(now) + transfer;
        self.delay + (self.free_at - now)
    }

    /// Names the last cut that was ordered.
    pub(super) fn last_cut(&self) -> u64 {
        self.cuts
    }

    /// Answers who waits in a silent disk.
    pub(super) fn release(&mut self) {
        self.armed = None;
        if self.power == Power::Silent {
            self.power = Power::Errors;
        }
        for held in self.held.drain(..) {
            held.refuse(Errno::EIO);
        }
    }

    fn cut(&mut self, cut: Cut) -> io::Result<()> {
        self.armed = None;
        self.power = match cut.afterwards {
            Afterwards::Silent => Power::Silent,
            Afterwards::Errors => Power::Errors,
        };
        let lost = self.image.lose(cut.loss)?;
        // Nobody listens any more when this process is about to end.
        let _ = self.lost.send(lost);
        Ok(())
    }

    /// Whether the moment of an armed cut is now. `counted` takes one off what it waits for.
    fn is_now(&mut self, counted: impl FnOnce(&mut When) -> Option<&mut u32>) -> Option<Cut> {
        let cut = self.armed.as_mut()?;
        let left = counted(&mut cut.when)?;
        *left = left.saturating_sub(1);
        (*left == 0).then_some(*cut)
    }

    /// Gives the request back when there is power to do it.
    fn with_power(&mut self, request: Held) -> Option<Held> {
        match self.power {
            Power::On => Some(request),
            Power::Silent => {
                self.held.push(request);
                None
            }
            Power::Errors => {
                request.refuse(Errno::EIO);
                None
            }
        }
    }

    fn read(&mut self, position: u64, len: usize, reply: ReplyData) {
        let Some(Held::Read(reply)) = self.with_power(Held::Read(reply)) else { return };
        match self.image.read(position, len) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(&mut self, position: u64, bytes: &[u8], reply: ReplyWrite) {
        let Some(Held::Write(reply)) = self.with_power(Held::Write(reply)) else { return };
        if let Some(error) = self.failure {
            return reply.error(error);
        }
        if let Err(error) = self.image.write(position, bytes) {
            return reply.error(error.into());
        }
        if let Some(cut) = self.is_now(|when| if let When::AtWrite(left) = when { Some(left) } else { None })
        {
            return self.cut_during(cut, Held::Write(reply));
        }
        reply.written(bytes.len() as u32);
    }

    fn flush(&mut self, reply: ReplyEmpty) {
        let Some(Held::Flush(reply)) = self.with_power(Held::Flush(reply)) else { return };
        if self.image.is_flushed() {
            return reply.ok();
        }
        if let Some(cut) = self.is_now(|when| if let When::AtFlush(left) = when { Some(left) } else { None })
        {
            return self.cut_during(cut, Held::Flush(reply));
        }
        self.image.flush();
        reply.ok();
    }

    fn cut_during(&mut self, cut: Cut, request: Held) {
        match self.cut(cut) {
            Ok(()) => drop(self.with_power(request)),
            Err(error) => request.refuse(error.into()),
        }
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// The state, when a request of so many bytes has taken its time.
    fn state(&self, bytes: usize) -> MutexGuard<'_, State> {
        let time = lock(&self.state).time_for(bytes, Instant::now());
        thread::sleep(time);
        lock(&self.state)
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let len = lock(&self.state).image.len().map_err(Errno::from)?;
        let (kind, perm, size) = match number {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            FILE_NUMBER => (FileType::RegularFile, 0o600, len),
            _ => return Err(Errno::ENOENT),
        };
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(FILE_NUMBER) {
            Ok(attributes) if name == FILE => reply.entry(&ATTRIBUTES_LAST, &attributes, Generation(0)),
            Ok(_) => reply.error(Errno::ENOENT),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Ok(attributes) => reply.attr(&ATTRIBUTES_LAST, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Past the page cache: whatever is written arrives here before it is answered.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.state(size as usize).read(offset, size as usize, reply);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.state(data.len()).write(offset, data, reply);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state(0).flush(reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A file descriptor was closed, which is nothing to a disk.
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        // Zeros are written, then, instead of a hole punched.
        reply.error(Errno::EOPNOTSUPP);
    }
}
