//! ListGroups: which groups there are.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    ListGroupsRequest "0-5", flexible "3+" {
        states_filter: Vec<Text> = "4+";
        types_filter: Vec<Text> = "5+";
    }
}

message! {
    ListGroupsResponse "0-5", flexible "3+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "0+";
        groups: Vec<ListedGroup> = "0+";
    }

    ListedGroup {
        group_id: Text = "0+";
        protocol_type: Text = "0+";
        group_state: Text = "4+";
        group_type: Text = "5+";
    }
}
