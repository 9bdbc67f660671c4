//! Bytes to meaning and back, pure: nothing here touches a file.

pub mod batch;
pub mod builder;
pub mod checked;
pub mod checkpoint;
pub mod clean_shutdown;
pub mod codec;
pub mod control;
pub mod header;
pub mod index_entry;
pub mod legacy;
pub mod meta_properties;
pub mod partition_id;
pub mod partition_metadata;
pub mod producer_batches;
pub mod producer_snapshot;
pub mod properties;
pub mod record;
pub mod rules;
pub mod uuid;
pub mod view;

pub use batch::Batch;
pub use builder::{BatchBuilder, NewRecord};
pub use checked::{BadBatch, CheckedBatches};
pub use codec::{Codec, Compression};
pub use control::ControlRecord;
pub use header::{BatchHeader, ProducerSequence};
pub use index_entry::{AbortedEntry, OffsetEntry, TimeEntry};
pub use meta_properties::MetaProperties;
pub use partition_id::{PartitionId, PartitionMap};
pub use producer_batches::{BatchNote, ProducerBatches};
pub use producer_snapshot::ProducerEntry;
pub use record::Record;
pub use rules::{BatchRules, TimestampRule};
pub use uuid::Uuid;
pub use view::BatchView;
