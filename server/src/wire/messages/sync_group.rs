//! SyncGroup: the leader of a group hands the assignment in, every member takes its share.

use bytes::Bytes;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    SyncGroupRequest "0-5", flexible "4+" {
        group_id: Text = "0+";
        generation_id: i32 = "0+";
        member_id: Text = "0+";
        group_instance_id: Option<Text> = "3+", nullable "3+", default None;
        protocol_type: Option<Text> = "5+", nullable "5+", default None;
        protocol_name: Option<Text> = "5+", nullable "5+", default None;
        assignments: Vec<SyncGroupRequestAssignment> = "0+";
    }

    SyncGroupRequestAssignment {
        member_id: Text = "0+";
        assignment: Bytes = "0+";
    }
}

message! {
    SyncGroupResponse "0-5", flexible "4+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "0+";
        protocol_type: Option<Text> = "5+", nullable "5+", default None;
        protocol_name: Option<Text> = "5+", nullable "5+", default None;
        assignment: Bytes = "0+";
    }
}
