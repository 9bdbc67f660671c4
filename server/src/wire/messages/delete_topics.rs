//! DeleteTopics: topics that are to go, by name or id.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DeleteTopicsRequest "1-6", flexible "4+" {
        topics: Vec<DeleteTopicState> = "6+";
        topic_names: Vec<Text> = "0-5";
        timeout_ms: i32 = "0+";
    }

    DeleteTopicState {
        name: Option<Text> = "6+", nullable "6+", default None;
        topic_id: Uuid = "6+";
    }
}

message! {
    DeleteTopicsResponse "1-6", flexible "4+" {
        throttle_time_ms: i32 = "1+";
        responses: Vec<DeletableTopicResult> = "0+";
    }

    DeletableTopicResult {
        name: Option<Text> = "0+", nullable "6+";
        topic_id: Uuid = "6+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "5+", nullable "5+", default None;
    }
}
