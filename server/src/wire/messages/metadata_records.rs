//! Records of Apache Kafka's metadata log that tell of topics, in the words of its definitions.

use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::text::Text;

/// `apiKey` of [`TopicRecord`].
pub const TOPIC: u32 = 2;
/// `apiKey` of [`ConfigRecord`].
pub const CONFIG: u32 = 4;
/// `apiKey` of [`RemoveTopicRecord`].
pub const REMOVE_TOPIC: u32 = 9;

message! {
    TopicRecord "0", flexible "0+" {
        name: Text = "0+";
        topic_id: Uuid = "0+";
    }
}

message! {
    RemoveTopicRecord "0", flexible "0+" {
        topic_id: Uuid = "0+";
    }
}

message! {
    ConfigRecord "0", flexible "0+" {
        resource_type: i8 = "0+";
        resource_name: Text = "0+";
        name: Text = "0+";
        value: Option<Text> = "0+", nullable "0+";
    }
}
