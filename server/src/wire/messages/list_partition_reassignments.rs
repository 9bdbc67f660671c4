//! ListPartitionReassignments: partitions that are moving between brokers.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    ListPartitionReassignmentsRequest "0", flexible "0+" {
        timeout_ms: i32 = "0+", default 60000;
        topics: Option<Vec<ListPartitionReassignmentsTopics>> = "0+", nullable "0+", default None;
    }

    ListPartitionReassignmentsTopics {
        name: Text = "0+";
        partition_indexes: Vec<i32> = "0+";
    }
}

message! {
    ListPartitionReassignmentsResponse "0", flexible "0+" {
        throttle_time_ms: i32 = "0+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "0+", nullable "0+";
        topics: Vec<OngoingTopicReassignment> = "0+";
    }

    OngoingTopicReassignment {
        name: Text = "0+";
        partitions: Vec<OngoingPartitionReassignment> = "0+";
    }

    OngoingPartitionReassignment {
        partition_index: i32 = "0+";
        replicas: Vec<i32> = "0+";
        adding_replicas: Vec<i32> = "0+";
        removing_replicas: Vec<i32> = "0+";
    }
}
