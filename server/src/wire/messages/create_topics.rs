//! CreateTopics: new topics with their partitions and settings.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    CreateTopicsRequest "2-7", flexible "5+" {
        topics: Vec<CreatableTopic> = "0+";
        timeout_ms: i32 = "0+", name "timeoutMs", default 60000;
        validate_only: bool = "1+", name "validateOnly", default false;
    }

    CreatableTopic {
        name: Text = "0+";
        num_partitions: i32 = "0+";
        replication_factor: i16 = "0+";
        assignments: Vec<CreatableReplicaAssignment> = "0+";
        configs: Vec<CreatableTopicConfig> = "0+";
    }

    CreatableReplicaAssignment {
        partition_index: i32 = "0+";
        broker_ids: Vec<i32> = "0+";
    }

    CreatableTopicConfig {
        name: Text = "0+";
        value: Option<Text> = "0+", nullable "0+";
    }
}

message! {
    CreateTopicsResponse "2-7", flexible "5+" {
        throttle_time_ms: i32 = "2+";
        topics: Vec<CreatableTopicResult> = "0+";
    }

    CreatableTopicResult {
        name: Text = "0+";
        topic_id: Uuid = "7+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "1+", nullable "0+";
        topic_config_error_code: i16 = "5+", tag 0 "5+";
        num_partitions: i32 = "5+", default -1;
        replication_factor: i16 = "5+", default -1;
        configs: Option<Vec<CreatableTopicConfigs>> = "5+", nullable "5+";
    }

    CreatableTopicConfigs {
        name: Text = "5+";
        value: Option<Text> = "5+", nullable "5+";
        read_only: bool = "5+";
        config_source: i8 = "5+", default -1;
        is_sensitive: bool = "5+";
    }
}
