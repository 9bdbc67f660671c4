//! Logmill's storage engine: partitions as logs, made durable in groups, one shard per thread.
//!
//! The engine is passive: it spawns nothing, never sleeps, and reads no clock and no configuration. Its
//! caller passes the time in, calls append, submit and reap, and gets back what became durable.

pub mod disk;
mod error;
pub mod format;
pub mod journal;
pub mod log;
pub mod partition;
mod planted;
pub mod shard;

pub use error::{Error, RecordError, Refusal};
