//! InitProducerId: an identity for an idempotent or transactional producer.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    InitProducerIdRequest "0-6", flexible "2+" {
        transactional_id: Option<Text> = "0+", nullable "0+";
        transaction_timeout_ms: i32 = "0+";
        producer_id: i64 = "3+", default -1;
        producer_epoch: i16 = "3+", default -1;
        enable2_pc: bool = "6+", default false;
        keep_prepared_txn: bool = "6+", default false;
    }
}

message! {
    InitProducerIdResponse "0-6", flexible "2+" {
        throttle_time_ms: i32 = "0+";
        error_code: i16 = "0+";
        producer_id: i64 = "0+", default -1;
        producer_epoch: i16 = "0+";
        ongoing_txn_producer_id: i64 = "6+", default -1;
        ongoing_txn_producer_epoch: i16 = "6+", default -1;
    }
}
