//! A log plus what Kafka promises of it: how far readers see, and no batch of a producer twice.

pub mod directory;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod partition;
mod producers;

pub use partition::{Ack, Appended, Bounds, Fetched, Partition, PartitionConfig, PartitionId, TimeQuery};
