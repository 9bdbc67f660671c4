//! Bytes to meaning and back, pure: nothing here touches a file.

pub mod batch;
pub mod builder;
pub mod partition_metadata;
pub mod record;
pub mod uuid;
pub mod view;

pub use batch::{Batch, BatchHeader, BatchLimits, ProducerSequence};
pub use builder::{BatchBuilder, NewRecord};
pub use uuid::Uuid;
pub use view::BatchView;
