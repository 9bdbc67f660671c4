//! CreatePartitions: topics that are to have more partitions.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    CreatePartitionsRequest "0-3", flexible "2+" {
        topics: Vec<CreatePartitionsTopic> = "0+";
        timeout_ms: i32 = "0+";
        validate_only: bool = "0+";
    }

    CreatePartitionsTopic {
        name: Text = "0+";
        count: i32 = "0+";
        assignments: Option<Vec<CreatePartitionsAssignment>> = "0+", nullable "0+";
    }

    CreatePartitionsAssignment {
        broker_ids: Vec<i32> = "0+";
    }
}

message! {
    CreatePartitionsResponse "0-3", flexible "2+" {
        throttle_time_ms: i32 = "0+";
        results: Vec<CreatePartitionsTopicResult> = "0+";
    }

    CreatePartitionsTopicResult {
        name: Text = "0+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "0+", nullable "0+", default None;
    }
}
