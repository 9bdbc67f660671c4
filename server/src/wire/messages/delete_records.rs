//! DeleteRecords: the first records of partitions, up to an offset.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DeleteRecordsRequest "0-2", flexible "2+" {
        topics: Vec<DeleteRecordsTopic> = "0+";
        timeout_ms: i32 = "0+";
    }

    DeleteRecordsTopic {
        name: Text = "0+";
        partitions: Vec<DeleteRecordsPartition> = "0+";
    }

    DeleteRecordsPartition {
        partition_index: i32 = "0+";
        offset: i64 = "0+";
    }
}

message! {
    DeleteRecordsResponse "0-2", flexible "2+" {
        throttle_time_ms: i32 = "0+";
        topics: Vec<DeleteRecordsTopicResult> = "0+";
    }

    DeleteRecordsTopicResult {
        name: Text = "0+";
        partitions: Vec<DeleteRecordsPartitionResult> = "0+";
    }

    DeleteRecordsPartitionResult {
        partition_index: i32 = "0+";
        low_watermark: i64 = "0+";
        error_code: i16 = "0+";
    }
}
