//! Fetch: record batches from an offset on.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::records::Records;
use crate::wire::text::Text;

message! {
    FetchRequest "4-18", flexible "12+" {
        cluster_id: Option<Text> = "12+", nullable "12+", tag 0 "12+", default None;
        replica_id: i32 = "0-14", default -1;
        replica_state: ReplicaState = "15+", tag 1 "15+";
        max_wait_ms: i32 = "0+";
        min_bytes: i32 = "0+";
        max_bytes: i32 = "3+", default 0x7fffffff;
        isolation_level: i8 = "4+", default 0;
        session_id: i32 = "7+", default 0;
        session_epoch: i32 = "7+", default -1;
        topics: Vec<FetchTopic> = "0+";
        forgotten_topics_data: Vec<ForgottenTopic> = "7+";
        rack_id: Text = "11+", default Text::EMPTY;
    }

    ReplicaState {
        replica_id: i32 = "15+", default -1;
        replica_epoch: i64 = "15+", default -1;
    }

    FetchTopic {
        topic: Text = "0-12";
        topic_id: Uuid = "13+";
        partitions: Vec<FetchPartition> = "0+";
    }

    FetchPartition {
        partition: i32 = "0+";
        current_leader_epoch: i32 = "9+", default -1;
        fetch_offset: i64 = "0+";
        last_fetched_epoch: i32 = "12+", default -1;
        log_start_offset: i64 = "5+", default -1;
        partition_max_bytes: i32 = "0+";
        replica_directory_id: Uuid = "17+", tag 0 "17+";
        high_watermark: i64 = "18+", tag 1 "18+", default 9223372036854775807;
    }

    ForgottenTopic {
        topic: Text = "7-12";
        topic_id: Uuid = "13+";
        partitions: Vec<i32> = "7+";
    }
}

message! {
    FetchResponse "4-18", flexible "12+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "7+";
        session_id: i32 = "7+", default 0;
        responses: Vec<FetchableTopicResponse> = "0+";
        node_endpoints: Vec<NodeEndpoint> = "16+", tag 0 "16+";
    }

    FetchableTopicResponse {
        topic: Text = "0-12";
        topic_id: Uuid = "13+";
        partitions: Vec<PartitionData> = "0+";
    }

    PartitionData {
        partition_index: i32 = "0+";
        error_code: i16 = "0+";
        high_watermark: i64 = "0+";
        last_stable_offset: i64 = "4+", default -1;
        log_start_offset: i64 = "5+", default -1;
        diverging_epoch: EpochEndOffset = "12+", tag 0 "12+";
        current_leader: LeaderIdAndEpoch = "12+", tag 1 "12+";
        snapshot_id: SnapshotId = "12+", tag 2 "12+";
        aborted_transactions: Option<Vec<AbortedTransaction>> = "4+", nullable "4+";
        preferred_read_replica: i32 = "11+", default -1;
        records: Records = "0+", nullable "0+";
    }

    EpochEndOffset {
        epoch: i32 = "12+", default -1;
        end_offset: i64 = "12+", default -1;
    }

    LeaderIdAndEpoch {
        leader_id: i32 = "12+", default -1;
        leader_epoch: i32 = "12+", default -1;
    }

    SnapshotId {
        end_offset: i64 = "0+", default -1;
        epoch: i32 = "0+", default -1;
    }

    AbortedTransaction {
        producer_id: i64 = "4+";
        first_offset: i64 = "4+";
    }

    NodeEndpoint {
        node_id: i32 = "16+";
        host: Text = "16+";
        port: i32 = "16+";
        rack: Option<Text> = "16+", nullable "16+", default None;
    }
}
