//! `Op`: what an operation in the queue was for, as its token tells.

/// What a finished operation is reported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// A sync of the wave in flight.
    Wave {
        /// Index of the log directory.
        dir: usize,
    },
    /// The journal's frame of the wave in flight.
    Frame {
        /// Index of the log directory.
        dir: usize,
    },
    /// A sync behind the journal.
    Behind {
        /// Index of the log directory.
        dir: usize,
        /// Which of the partitions that are being synced.
        job: usize,
    },
    /// A read for somebody who sends.
    ReadIn {
        /// Which of them.
        job: u32,
    },
}

const KIND_BITS: u32 = 2;
const DIR_BITS: u32 = 30;

impl Op {
    pub(super) fn token(self) -> u64 {
        let (kind, dir, job) = match self {
            Op::Wave { dir } => (0, dir, 0),
            Op::Frame { dir } => (1, dir, 0),
            Op::Behind { dir, job } => (2, dir, job),
            Op::ReadIn { job } => (3, 0, job as usize),
        };
        assert!(dir < 1 << DIR_BITS && job <= u32::MAX as usize, "directories and jobs are few");
        kind | (dir as u64) << KIND_BITS | (job as u64) << (KIND_BITS + DIR_BITS)
    }

    pub(super) fn of(token: u64) -> Op {
        let dir = (token >> KIND_BITS) as usize & ((1 << DIR_BITS) - 1);
        let job = (token >> (KIND_BITS + DIR_BITS)) as usize;
        match token & ((1 << KIND_BITS) - 1) {
            0 => Op::Wave { dir },
            1 => Op::Frame { dir },
            2 => Op::Behind { dir, job },
            _ => Op::ReadIn { job: job as u32 },
        }
    }

    /// Whether it makes durable what was written before.
    pub(super) fn is_sync(self) -> bool {
        matches!(self, Op::Wave { .. } | Op::Behind { .. })
    }

    /// The log directory that it writes to.
    pub(super) fn dir(self) -> Option<usize> {
        match self {
            Op::Wave { dir } | Op::Frame { dir } | Op::Behind { dir, .. } => Some(dir),
            Op::ReadIn { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_was_made_from() {
        for op in [
            Op::Wave { dir: 0 },
            Op::Frame { dir: 77 },
            Op::Behind { dir: 3, job: 1_000_000 },
            Op::ReadIn { job: u32::MAX },
        ] {
            assert_eq!(Op::of(op.token()), op);
        }
    }
}
