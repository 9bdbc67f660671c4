//! Control records at both ends of a snapshot, in the words of Apache Kafka's definitions.

use crate::wire::message::message;

message! {
    /// The first record.
    SnapshotHeaderRecord "0", flexible "0+" {
        version: i16 = "0+";
        last_contained_log_timestamp: i64 = "0+";
    }
}

message! {
    /// The last one: the snapshot is whole.
    SnapshotFooterRecord "0", flexible "0+" {
        version: i16 = "0+";
    }
}
