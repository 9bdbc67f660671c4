//! JoinGroup: a consumer wants to be a member of its group.

use bytes::Bytes;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    JoinGroupRequest "0-9", flexible "6+" {
        group_id: Text = "0+";
        session_timeout_ms: i32 = "0+";
        rebalance_timeout_ms: i32 = "1+", default -1;
        member_id: Text = "0+";
        group_instance_id: Option<Text> = "5+", nullable "5+", default None;
        protocol_type: Text = "0+";
        protocols: Vec<JoinGroupRequestProtocol> = "0+";
        reason: Option<Text> = "8+", nullable "8+", default None;
    }

    JoinGroupRequestProtocol {
        name: Text = "0+";
        metadata: Bytes = "0+";
    }
}

message! {
    JoinGroupResponse "0-9", flexible "6+" {
        throttle_time_ms: i32 = "2+";
        error_code: i16 = "0+";
        generation_id: i32 = "0+", default -1;
        protocol_type: Option<Text> = "7+", nullable "7+", default None;
        protocol_name: Option<Text> = "0+", nullable "7+";
        leader: Text = "0+";
        skip_assignment: bool = "9+", default false;
        member_id: Text = "0+";
        members: Vec<JoinGroupResponseMember> = "0+";
    }

    JoinGroupResponseMember {
        member_id: Text = "0+";
        group_instance_id: Option<Text> = "5+", nullable "5+", default None;
        metadata: Bytes = "0+";
    }
}
