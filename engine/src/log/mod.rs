//! One partition's records on disk: segments named as Apache Kafka names them, appended to and read from.

mod cache;
mod clock;
mod deletion;
mod device;
mod entry_file;
mod file_name;
mod largest;
mod leftovers;
#[expect(clippy::module_inception, reason = "the noun of the room has a file like any other")]
mod log;
mod lookup;
mod offset_index;
mod opening;
mod recovery;
mod replay;
mod resume;
mod retention;
mod scan;
mod segment;
mod time_index;
mod times;

#[cfg(test)]
mod tests;

pub use cache::{Cache, CacheLimits};
pub use deletion::Guard;
pub(crate) use file_name::file_path;
pub use file_name::{FileKind, base_of, file_name};
pub use log::{BatchSlice, Log, LogEnd, LogLimits, TimedOffset};
pub use opening::{Opened, Opening, Visit, Visitor};
pub use recovery::Cut;
pub(crate) use recovery::name_again;
pub use replay::{LogPiece, Replayed};
pub use resume::ResumePoint;
pub use retention::Retention;
