//! `Step`: one operation that changed something, or made it durable.

use std::fmt;
use std::path::PathBuf;

use super::fault::Operation;

/// What was asked for, and the how manieth step of its disk it was, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which of the disk's steps.
    pub number: u64,
    /// What was asked for.
    pub operation: Operation,
    /// Of which file or directory; of a rename the old name.
    pub path: PathBuf,
    /// Where in the file, or which length.
    pub position: u64,
    /// How many bytes.
    pub len: usize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { number, operation, path, position, len } = self;
        write!(f, "step {number}: {operation:?} {}", path.display())?;
        match (position, len) {
            (0, 0) => Ok(()),
            (position, 0) => write!(f, " at {position}"),
            (position, len) => write!(f, " at {position}, {len} bytes"),
        }
    }
}
