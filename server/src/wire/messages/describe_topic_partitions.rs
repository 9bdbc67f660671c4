//! DescribeTopicPartitions: topics in pages, with more of each partition than Metadata tells.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DescribeTopicPartitionsRequest "0", flexible "0+" {
        topics: Vec<TopicRequest> = "0+";
        response_partition_limit: i32 = "0+", default 2000;
        cursor: Option<Cursor> = "0+", nullable "0+", default None;
    }

    TopicRequest {
        name: Text = "0+";
    }

    Cursor {
        topic_name: Text = "0+";
        partition_index: i32 = "0+";
    }
}

message! {
    DescribeTopicPartitionsResponse "0", flexible "0+" {
        throttle_time_ms: i32 = "0+";
        topics: Vec<DescribeTopicPartitionsResponseTopic> = "0+";
        next_cursor: Option<Cursor> = "0+", nullable "0+", default None;
    }

    DescribeTopicPartitionsResponseTopic {
        error_code: i16 = "0+";
        name: Option<Text> = "0+", nullable "0+";
        topic_id: Uuid = "0+";
        is_internal: bool = "0+", default false;
        partitions: Vec<DescribeTopicPartitionsResponsePartition> = "0+";
        topic_authorized_operations: i32 = "0+", default -2147483648;
    }

    DescribeTopicPartitionsResponsePartition {
        error_code: i16 = "0+";
        partition_index: i32 = "0+";
        leader_id: i32 = "0+";
        leader_epoch: i32 = "0+", default -1;
        replica_nodes: Vec<i32> = "0+";
        isr_nodes: Vec<i32> = "0+";
        eligible_leader_replicas: Option<Vec<i32>> = "0+", nullable "0+", default None;
        last_known_elr: Option<Vec<i32>> = "0+", nullable "0+", default None;
        offline_replicas: Vec<i32> = "0+";
    }
}
