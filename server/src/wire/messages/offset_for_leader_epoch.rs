//! OffsetForLeaderEpoch: where a leader's epoch ends.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    OffsetForLeaderEpochRequest "2-4", flexible "4+" {
        replica_id: i32 = "3+", default -2;
        topics: Vec<OffsetForLeaderTopic> = "0+";
    }

    OffsetForLeaderTopic {
        topic: Text = "0+";
        partitions: Vec<OffsetForLeaderPartition> = "0+";
    }

    OffsetForLeaderPartition {
        partition: i32 = "0+";
        current_leader_epoch: i32 = "2+", default -1;
        leader_epoch: i32 = "0+";
    }
}

message! {
    OffsetForLeaderEpochResponse "2-4", flexible "4+" {
        throttle_time_ms: i32 = "2+";
        topics: Vec<OffsetForLeaderTopicResult> = "0+";
    }

    OffsetForLeaderTopicResult {
        topic: Text = "0+";
        partitions: Vec<EpochEndOffset> = "0+";
    }

    EpochEndOffset {
        error_code: i16 = "0+";
        partition: i32 = "0+";
        leader_epoch: i32 = "1+", default -1;
        end_offset: i64 = "0+", default -1;
    }
}
