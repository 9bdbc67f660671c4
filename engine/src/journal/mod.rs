//! One shard's journal in one log directory: what its partitions appended, in one place, so that one write
//! makes all of it durable.
//!
//! ```text
//! journal file   4,096-byte blocks, zeros where nothing was written yet
//!                +---------+---------+-----------------+---------
//!                | frame   | frame   | frame           | what an earlier generation left
//!                +---------+---------+-----------------+---------
//! frame          begins at a block, zeros behind its items up to the next block
//!                +--------+------+---------+------+---------+------+--------
//!                | header | item | payload | item | payload | ...  | zeros
//!                +--------+------+---------+------+---------+------+--------
//! ```
//!
//! A file is written from its beginning in one generation, and again in a later one when nothing that it
//! holds is needed any more.

mod files;
mod frame;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod journal;
mod name;
mod replay;
mod retired;

pub use frame::{FRAME_BYTES_MAX, Frame, FrameNumbers, Item, ItemKind, Place};
pub use journal::{FrameWrite, Journal, JournalConfig, StateRecord};
pub use name::{JournalName, SLOTS, journal_files};
pub use replay::{FoundFrames, PartitionReplay, Piece, Recovered, journals_in, newest_generation, read_all};
pub use retired::{finish_retiring, fitting_bytes, retire_others, retire_unfit};
