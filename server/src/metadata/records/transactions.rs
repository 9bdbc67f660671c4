//! Records that hold others together, in the words of Apache Kafka's definitions.

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// What follows counts when its end is there.
    BeginTransactionRecord "0", flexible "0+" {
        name: Option<Text> = "0+", nullable "0+", tag 0 "0+", default None;
    }
}

message! {
    /// What was begun counts.
    EndTransactionRecord "0", flexible "0+" {}
}

message! {
    /// What was begun does not count.
    AbortTransactionRecord "0", flexible "0+" {
        reason: Option<Text> = "0+", nullable "0+", tag 0 "0+", default None;
    }
}

message! {
    /// Says that the controller is alive.
    NoOpRecord "0", flexible "0+" {}
}
