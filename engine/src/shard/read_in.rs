//! `ReadsIn`: cold data on its way into the page cache, so that nobody who sends it has the shard's thread wait
//! for a device.

use std::collections::VecDeque;

use super::op::Op;
use super::shard::Shard;
use crate::disk::{AlignedBuf, FileSlice};

/// Reads of one shard that are in flight at a time; others wait, so that few bytes are on their way that many
/// readers want.
const IN_FLIGHT_MAX: usize = 2;
/// Most bytes of one.
pub const READ_IN_BYTES_MAX: u32 = 512 * 1024;

/// The reads of one shard.
#[derive(Debug, Default)]
pub(super) struct ReadsIn {
    next_job: u32,
    waiting: VecDeque<(u32, FileSlice)>,
    in_flight: usize,
    /// Memory that no read is using.
    spare: Vec<AlignedBuf>,
}

impl Shard {
    /// Brings a slice of at most [`READ_IN_BYTES_MAX`] into the page cache. Its number stands in
    /// [`super::Progress::read_in`] when that is done, or cannot be done.
    pub fn read_in(&mut self, slice: FileSlice) -> u32 {
        assert!(slice.len <= READ_IN_BYTES_MAX, "a slice of {} bytes is read in", slice.len);
        let job = self.reads_in.next_job;
        self.reads_in.next_job = job.wrapping_add(1);
        self.reads_in.waiting.push_back((job, slice));
        self.start_reads_in();
        job
    }

    fn start_reads_in(&mut self) {
        while self.reads_in.in_flight < IN_FLIGHT_MAX {
            let Some((job, slice)) = self.reads_in.waiting.pop_front() else { return };
            let mut buf = self.reads_in.spare.pop().unwrap_or_default();
            buf.set_len(slice.len as usize);
            let token = Op::ReadIn { job }.token();
            match self.queue.read_in(&slice.file, buf, slice.position, token) {
                Ok(()) => self.reads_in.in_flight += 1,
                // The send itself says what is wrong.
                Err(_) => self.progress.read_in.push(job),
            }
        }
    }

    pub(super) fn was_read_in(&mut self, job: u32, buf: Option<AlignedBuf>) {
        self.reads_in.in_flight -= 1;
        self.reads_in.spare.extend(buf);
        self.progress.read_in.push(job);
        self.start_reads_in();
    }
}
