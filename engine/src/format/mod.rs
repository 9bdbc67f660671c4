//! Bytes to meaning and back, pure: nothing here touches a file.

pub mod batch;
pub mod partition_metadata;
pub mod record;
pub mod uuid;

pub use batch::{Batch, BatchHeader, BatchLimits, ProducerSequence};
pub use uuid::Uuid;
