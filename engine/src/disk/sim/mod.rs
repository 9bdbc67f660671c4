//! The simulated disk: a page cache over a device, both in memory, that can be broken in every way in which
//! real ones break.
//!
//! - A write changes the page cache. What of it a power cut leaves is decided by a seed: any subset of the
//!   sectors of 512 bytes, each as it was at any time since it was last made durable, and any length that the
//!   file had since.
//! - [`File::sync`](super::File::sync) and a queue's sync make bytes and length durable, not the file's name.
//!   Names become durable with a sync of their directory; before it a power cut leaves any subset of the
//!   changes. A rename is whole or not at all.
//! - A direct write is durable when it is done, and any subset of its sectors before. A direct read sees the
//!   device; dirty sectors are handed to the device first, as the kernel does.
//! - After a failed sync the bytes can be read and later syncs answer `Ok`. They are gone with the next power
//!   cut, or when the page cache is dropped.
//!
//! The same seed and the same calls give the same disk. Copies share what is not changed in them.

mod content;
mod disk;
mod fault;
mod file;
mod lottery;
mod queue;
mod random;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod tree;

pub use disk::SimDisk;
pub use fault::{Effect, Fault, Operation};
pub use queue::SimQueue;
pub use step::Step;
