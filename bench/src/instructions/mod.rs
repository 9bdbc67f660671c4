//! Two commits beside each other by the instructions that their steps take, which a busy machine does not change.
//!
//! ```text
//! command -> source (a commit in a tree of its own, its steps built) -> callgrind (counts) -> change (what differs)
//! ```

mod callgrind;
mod change;
mod command;
mod source;

pub use command::InstructionsArgs;
