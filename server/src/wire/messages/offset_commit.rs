//! OffsetCommit: how far a group has consumed.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    OffsetCommitRequest "2-10", flexible "8+" {
        group_id: Text = "0+";
        generation_id_or_member_epoch: i32 = "1+", default -1;
        member_id: Text = "1+";
        group_instance_id: Option<Text> = "7+", nullable "7+", default None;
        retention_time_ms: i64 = "2-4", default -1;
        topics: Vec<OffsetCommitRequestTopic> = "0+";
    }

    OffsetCommitRequestTopic {
        name: Text = "0-9";
        topic_id: Uuid = "10+";
        partitions: Vec<OffsetCommitRequestPartition> = "0+";
    }

    OffsetCommitRequestPartition {
        partition_index: i32 = "0+";
        committed_offset: i64 = "0+";
        committed_leader_epoch: i32 = "6+", default -1;
        committed_metadata: Option<Text> = "0+", nullable "0+";
    }
}

message! {
    OffsetCommitResponse "2-10", flexible "8+" {
        throttle_time_ms: i32 = "3+";
        topics: Vec<OffsetCommitResponseTopic> = "0+";
    }

    OffsetCommitResponseTopic {
        name: Text = "0-9";
        topic_id: Uuid = "10+";
        partitions: Vec<OffsetCommitResponsePartition> = "0+";
    }

    OffsetCommitResponsePartition {
        partition_index: i32 = "0+";
        error_code: i16 = "0+";
    }
}
