//! A log plus what Kafka promises of it: how far readers see, and no batch of a producer twice.

mod aborted;
mod bounds;
mod config;
pub mod directory;
mod epochs;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod partition;
mod producer;
mod producers;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;
mod transactions;

pub use crate::format::PartitionId;
pub use bounds::{Bounds, Isolation};
pub use config::{Ack, FlushLimits, PartitionConfig};
pub use epochs::EpochEnd;
pub use partition::{Appended, Fetched, Marks, Partition, TimeQuery};
pub use producer::Marker;
pub use state::{Journalled, Known};
