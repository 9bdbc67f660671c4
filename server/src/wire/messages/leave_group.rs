//! LeaveGroup: members go, or are sent away.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    LeaveGroupRequest "0-5", flexible "4+" {
        group_id: Text = "0+";
        member_id: Text = "0-2";
        members: Vec<MemberIdentity> = "3+";
    }

    MemberIdentity {
        member_id: Text = "3+";
        group_instance_id: Option<Text> = "3+", nullable "3+", default None;
        reason: Option<Text> = "5+", nullable "5+", default None;
    }
}

message! {
    LeaveGroupResponse "0-5", flexible "4+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "0+";
        members: Vec<MemberResponse> = "3+";
    }

    MemberResponse {
        member_id: Text = "3+";
        group_instance_id: Option<Text> = "3+", nullable "3+";
        error_code: i16 = "3+";
    }
}
