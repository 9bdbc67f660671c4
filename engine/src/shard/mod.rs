//! Everything that one thread owns: its partitions, and the commit waves that make them durable.

mod behind;
mod commit;
mod counts;
mod flush;
mod limits;
mod log_dir;
mod op;
mod opener;
mod read_in;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod shard;
#[cfg(test)]
mod tests;
mod truncate;
mod upkeep;
mod wave;

pub use counts::CommitCounts;
pub use limits::CommitLimits;
pub use opener::{OpenPartition, Opened, Opener};
pub use read_in::READ_IN_BYTES_MAX;
pub use shard::{Progress, Shard, ShardConfig};
pub use upkeep::{DeleteBefore, PartitionMarks};
pub use wave::Ticket;
