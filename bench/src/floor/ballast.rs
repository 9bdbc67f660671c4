//! The work of a client that makes its batches, done over until it has cost as much CPU time.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a client fills and copies at a time.
const RECORD_BYTES: usize = 1024;
/// What a client's batches lie in, one after the other: more than the caches hold. The Java client's
/// `buffer.memory`.
const BUFFER_BYTES: usize = 32 << 20;

/// One thread's share of a client's work. The batches that it makes are not sent: what the server gets
/// is the same whether its client is busy or not.
pub(super) struct Ballast {
    cpu_s_per_byte: f64,
    spent: CpuClock,
    record: [u8; RECORD_BYTES],
    buffer: Vec<u8>,
    batch_bytes: usize,
    next_batch: usize,
    random: u64,
}

impl Ballast {
    /// For the calling thread, which is to spend so much for each byte, from here on.
    pub(super) fn new(cpu_s_per_byte: f64, batch_bytes: usize) -> Ballast {
        Ballast {
            cpu_s_per_byte,
            spent: CpuClock::start(),
            record: [0; RECORD_BYTES],
            buffer: vec![0; BUFFER_BYTES.max(batch_bytes)],
            batch_bytes,
            next_batch: 0,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Makes batches until the thread has spent what `bytes`, all since the start, are to cost. What else it
    /// did counts: sending and waking are a client's work too.
    pub(super) fn work(&mut self, bytes: u64) {
        let due = Duration::from_secs_f64(bytes as f64 * self.cpu_s_per_byte);
        while self.spent.elapsed() < due {
            self.make_batch();
        }
    }

    fn make_batch(&mut self) {
        if self.next_batch + self.batch_bytes > self.buffer.len() {
            self.next_batch = 0;
        }
        let batch = &mut self.buffer[self.next_batch..self.next_batch + self.batch_bytes];
        for place in batch.chunks_mut(RECORD_BYTES) {
            for byte in &mut self.record {
                self.random = self
                    .random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (self.random >> 56) as u8;
            }
            // Also a short last one: the record is filled either way.
            place.copy_from_slice(&black_box(&self.record)[..place.len()]);
        }
        black_box(crc32c::crc32c(batch));
        self.next_batch += self.batch_bytes;
    }
}

/// CPU time of the thread that started it; means nothing on another.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuClock {
    started: Duration,
}

impl CpuClock {
    pub(super) fn start() -> CpuClock {
        CpuClock { started: thread_cpu() }
    }

    pub(super) fn elapsed(self) -> Duration {
        thread_cpu() - self.started
    }
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("CPU time is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_what_the_bytes_are_to_cost_and_is_not_done_twice() {
        let clock = CpuClock::start();
        let mut ballast = Ballast::new(100e-9, 10_000);
        for _ in 0..2 {
            ballast.work(1_000_000);
        }
        let spent = clock.elapsed();
        assert!(spent >= Duration::from_millis(100), "{spent:?}");
        // Far less than twice, with room for zeroing the buffer.
        assert!(spent < Duration::from_millis(180), "{spent:?}");
    }
}
