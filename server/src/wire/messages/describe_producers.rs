//! DescribeProducers: the idempotent producers that partitions know.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DescribeProducersRequest "0", flexible "0+" {
        topics: Vec<TopicRequest> = "0+";
    }

    TopicRequest {
        name: Text = "0+";
        partition_indexes: Vec<i32> = "0+";
    }
}

message! {
    DescribeProducersResponse "0", flexible "0+" {
        throttle_time_ms: i32 = "0+";
        topics: Vec<TopicResponse> = "0+";
    }

    TopicResponse {
        name: Text = "0+";
        partitions: Vec<PartitionResponse> = "0+";
    }

    PartitionResponse {
        partition_index: i32 = "0+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "0+", nullable "0+", default None;
        active_producers: Vec<ProducerState> = "0+";
    }

    ProducerState {
        producer_id: i64 = "0+";
        producer_epoch: i32 = "0+";
        last_sequence: i32 = "0+", default -1;
        last_timestamp: i64 = "0+", default -1;
        coordinator_epoch: i32 = "0+";
        current_txn_start_offset: i64 = "0+", default -1;
    }
}
