//! Crashes of the real broker under load, each checked against a ledger of what clients sent, got
//! acknowledged and saw.
//!
//! ```text
//! power      the machine loses power: the disk forgets what was not flushed
//! kills      the process ends, by SIGKILL or SIGTERM, behind a proxy that drops responses
//! failing    one of two log directories is on a disk whose writes fail
//! start      how long a start after a crash takes
//! takeover   Apache Kafka takes over what a killed broker left
//! file_systems  power and kills on every kind of file system, and where the kernel has less
//! proof      the disk forgets what it should, and nothing else
//! subject    the broker, its clients and its book
//! ```

mod failing;
mod file_systems;
mod kills;
mod power;
mod proof;
mod start;
mod subject;
mod takeover;

pub use failing::FailingArgs;
pub use file_systems::FileSystemsArgs;
pub use kills::KillsArgs;
pub use power::PowerArgs;
pub use start::StartArgs;
pub(crate) use subject::CommonArgs;
pub use takeover::TakeoverArgs;
