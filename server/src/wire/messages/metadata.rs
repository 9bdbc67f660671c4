//! Metadata: brokers, topics, and who leads which partition.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    MetadataRequest "0-13", flexible "9+" {
        topics: Option<Vec<MetadataRequestTopic>> = "0+", nullable "1+";
        allow_auto_topic_creation: bool = "4+", default true;
        include_cluster_authorized_operations: bool = "8-10";
        include_topic_authorized_operations: bool = "8+";
    }

    MetadataRequestTopic {
        topic_id: Uuid = "10+";
        name: Option<Text> = "0+", nullable "10+";
    }
}

message! {
    MetadataResponse "0-13", flexible "9+" {
        throttle_time_ms: i32 = "3+";
        brokers: Vec<MetadataResponseBroker> = "0+";
        cluster_id: Option<Text> = "2+", nullable "2+", default None;
        controller_id: i32 = "1+", default -1;
        topics: Vec<MetadataResponseTopic> = "0+";
        cluster_authorized_operations: i32 = "8-10", default -2147483648;
        error_code: i16 = "13+";
    }

    MetadataResponseBroker {
        node_id: i32 = "0+";
        host: Text = "0+";
        port: i32 = "0+";
        rack: Option<Text> = "1+", nullable "1+", default None;
    }

    MetadataResponseTopic {
        error_code: i16 = "0+";
        name: Option<Text> = "0+", nullable "12+";
        topic_id: Uuid = "10+";
        is_internal: bool = "1+", default false;
        partitions: Vec<MetadataResponsePartition> = "0+";
        topic_authorized_operations: i32 = "8+", default -2147483648;
    }

    MetadataResponsePartition {
        error_code: i16 = "0+";
        partition_index: i32 = "0+";
        leader_id: i32 = "0+";
        leader_epoch: i32 = "7+", default -1;
        replica_nodes: Vec<i32> = "0+";
        isr_nodes: Vec<i32> = "0+";
        offline_replicas: Vec<i32> = "5+";
    }
}
