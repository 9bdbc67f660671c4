//! DeleteGroups: groups without members, and what they have committed, go.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DeleteGroupsRequest "0-2", flexible "2+" {
        groups_names: Vec<Text> = "0+";
    }
}

message! {
    DeleteGroupsResponse "0-2", flexible "2+" {
        throttle_time_ms: i32 = "0+";
        results: Vec<DeletableGroupResult> = "0+";
    }

    DeletableGroupResult {
        group_id: Text = "0+";
        error_code: i16 = "0+";
    }
}
