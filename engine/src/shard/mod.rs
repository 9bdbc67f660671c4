//! Everything that one thread owns: its partitions, and the commit waves that make them durable.

mod behind;
mod commit;
mod counts;
mod limits;
mod log_dir;
mod op;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod shard;
#[cfg(test)]
mod tests;
mod upkeep;
mod wave;

pub use counts::CommitCounts;
pub use limits::CommitLimits;
pub use shard::{OpenPartition, Progress, Shard, ShardConfig};
pub use upkeep::PartitionMarks;
pub use wave::Ticket;
