//! Heartbeat: a member is alive, and learns whether its group is rebalancing.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    HeartbeatRequest "0-4", flexible "4+" {
        group_id: Text = "0+";
        generation_id: i32 = "0+";
        member_id: Text = "0+";
        group_instance_id: Option<Text> = "3+", nullable "3+", default None;
    }
}

message! {
    HeartbeatResponse "0-4", flexible "4+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "0+";
    }
}
