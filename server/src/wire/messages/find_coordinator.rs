//! FindCoordinator: which broker keeps the state of a group or a transaction.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    FindCoordinatorRequest "0-6", flexible "3+" {
        key: Text = "0-3";
        key_type: i8 = "1+", default 0;
        coordinator_keys: Vec<Text> = "4+";
    }
}

message! {
    FindCoordinatorResponse "0-6", flexible "3+" {
        throttle_time_ms: i32 = "1+";
        error_code: i16 = "0-3";
        error_message: Option<Text> = "1-3", nullable "1-3";
        node_id: i32 = "0-3";
        host: Text = "0-3";
        port: i32 = "0-3";
        coordinators: Vec<Coordinator> = "4+";
    }

    Coordinator {
        key: Text = "4+";
        node_id: i32 = "4+";
        host: Text = "4+";
        port: i32 = "4+";
        error_code: i16 = "4+";
        error_message: Option<Text> = "4+", nullable "4+";
    }
}
