//! `Bounds`: how far a partition reaches, and for whom.

/// How far a partition reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset.
    pub start: i64,
    /// The first offset that readers do not see yet, the high watermark: without replicas everything durable is
    /// in front of it.
    pub readable: i64,
    /// The first offset that belongs to a transaction which is not decided for every reader, the last stable
    /// offset; not behind `readable`.
    pub stable: i64,
}

impl Bounds {
    /// The first offset that such a reader does not see.
    pub fn visible(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Uncommitted => self.readable,
            Isolation::Committed => self.stable,
        }
    }
}

/// What a reader wants of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything.
    Uncommitted,
    /// Nothing that is not decided, and to be told what was aborted.
    Committed,
}
