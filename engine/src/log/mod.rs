//! One partition's records on disk: segments named as Apache Kafka names them, appended to and read from.

mod index;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod log;
mod scan;
mod segment;

pub use log::{BatchSlice, Log, LogEnd, LogLimits, TimedOffset};
