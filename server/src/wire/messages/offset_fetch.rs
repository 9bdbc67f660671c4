//! OffsetFetch: how far groups have consumed.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    OffsetFetchRequest "1-10", flexible "6+" {
        group_id: Text = "0-7";
        topics: Option<Vec<OffsetFetchRequestTopic>> = "0-7", nullable "2-7";
        groups: Vec<OffsetFetchRequestGroup> = "8+";
        require_stable: bool = "7+", default false;
    }

    OffsetFetchRequestTopic {
        name: Text = "0-7";
        partition_indexes: Vec<i32> = "0-7";
    }

    OffsetFetchRequestGroup {
        group_id: Text = "8+";
        member_id: Option<Text> = "9+", nullable "9+", default None;
        member_epoch: i32 = "9+", default -1;
        topics: Option<Vec<OffsetFetchRequestTopics>> = "8+", nullable "8+";
    }

    OffsetFetchRequestTopics {
        name: Text = "8-9";
        topic_id: Uuid = "10+";
        partition_indexes: Vec<i32> = "8+";
    }
}

message! {
    OffsetFetchResponse "1-10", flexible "6+" {
        throttle_time_ms: i32 = "3+";
        topics: Vec<OffsetFetchResponseTopic> = "0-7";
        error_code: i16 = "2-7", default 0;
        groups: Vec<OffsetFetchResponseGroup> = "8+";
    }

    OffsetFetchResponseTopic {
        name: Text = "0-7";
        partitions: Vec<OffsetFetchResponsePartition> = "0-7";
    }

    OffsetFetchResponsePartition {
        partition_index: i32 = "0-7";
        committed_offset: i64 = "0-7";
        committed_leader_epoch: i32 = "5-7", default -1;
        metadata: Option<Text> = "0-7", nullable "0-7";
        error_code: i16 = "0-7";
    }

    OffsetFetchResponseGroup {
        group_id: Text = "8+";
        topics: Vec<OffsetFetchResponseTopics> = "8+";
        error_code: i16 = "8+", default 0;
    }

    OffsetFetchResponseTopics {
        name: Text = "8-9";
        topic_id: Uuid = "10+";
        partitions: Vec<OffsetFetchResponsePartitions> = "8+";
    }

    OffsetFetchResponsePartitions {
        partition_index: i32 = "8+";
        committed_offset: i64 = "8+";
        committed_leader_epoch: i32 = "8+", default -1;
        metadata: Option<Text> = "8+", nullable "8+";
        error_code: i16 = "8+";
    }
}
