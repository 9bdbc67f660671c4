//! DescribeGroups: the state of groups and their members.

use bytes::Bytes;

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DescribeGroupsRequest "0-6", flexible "5+" {
        groups: Vec<Text> = "0+";
        include_authorized_operations: bool = "3+";
    }
}

message! {
    DescribeGroupsResponse "0-6", flexible "5+" {
        throttle_time_ms: i32 = "1+";
        groups: Vec<DescribedGroup> = "0+";
    }

    DescribedGroup {
        error_code: i16 = "0+";
        error_message: Option<Text> = "6+", nullable "6+", default None;
        group_id: Text = "0+";
        group_state: Text = "0+";
        protocol_type: Text = "0+";
        protocol_data: Text = "0+";
        members: Vec<DescribedGroupMember> = "0+";
        authorized_operations: i32 = "3+", default -2147483648;
    }

    DescribedGroupMember {
        member_id: Text = "0+";
        group_instance_id: Option<Text> = "4+", nullable "4+", default None;
        client_id: Text = "0+";
        client_host: Text = "0+";
        member_metadata: Bytes = "0+";
        member_assignment: Bytes = "0+";
    }
}
