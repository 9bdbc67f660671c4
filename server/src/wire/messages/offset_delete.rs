//! OffsetDelete: what a group has committed for some partitions is forgotten.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    OffsetDeleteRequest "0", flexible "none" {
        group_id: Text = "0+";
        topics: Vec<OffsetDeleteRequestTopic> = "0+";
    }

    OffsetDeleteRequestTopic {
        name: Text = "0+";
        partitions: Vec<OffsetDeleteRequestPartition> = "0+";
    }

    OffsetDeleteRequestPartition {
        partition_index: i32 = "0+";
    }
}

message! {
    OffsetDeleteResponse "0", flexible "none" {
        error_code: i16 = "0+";
        throttle_time_ms: i32 = "0+";
        topics: Vec<OffsetDeleteResponseTopic> = "0+";
    }

    OffsetDeleteResponseTopic {
        name: Text = "0+";
        partitions: Vec<OffsetDeleteResponsePartition> = "0+";
    }

    OffsetDeleteResponsePartition {
        partition_index: i32 = "0+";
        error_code: i16 = "0+";
    }
}
