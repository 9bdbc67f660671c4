//! Bytes to meaning and back, pure: nothing here touches a file.

pub mod batch;
pub mod builder;
pub mod checkpoint;
pub mod index_entry;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod record;
pub mod uuid;
pub mod view;

pub use batch::{Batch, BatchHeader, BatchLimits, ProducerSequence};
pub use builder::{BatchBuilder, NewRecord};
pub use index_entry::{AbortedEntry, OffsetEntry, TimeEntry};
pub use producer_snapshot::ProducerEntry;
pub use uuid::Uuid;
pub use view::BatchView;
