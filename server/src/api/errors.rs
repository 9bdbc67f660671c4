//! Kafka's error codes for what the engine answers.

use std::cmp::Ordering;

use logmill_engine::{Error, Refusal};

use crate::metadata::LEADER_EPOCH;
use crate::wire::ErrorCode;

/// Stands for a client that does not say which leader epoch it knows.
const NO_EPOCH: i32 = -1;

/// The code for an engine's error.
pub(crate) fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Refused(refusal) => code_of_refusal(refusal),
        Error::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        Error::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        // Clients try these again, at another broker or after this one is mended.
        Error::Offline(_) | Error::Io { .. } => ErrorCode::KafkaStorageError,
        // As Apache Kafka says it of its own segments too: consumers tell of it and do not skip what is there.
        Error::Corrupt(_) => ErrorCode::CorruptMessage,
    }
}

fn code_of_refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Damaged(_) => ErrorCode::CorruptMessage,
        Refusal::Invalid(_) | Refusal::Records { is_out_of_time: false, .. } => ErrorCode::InvalidRecord,
        Refusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::Timestamp(_) | Refusal::Records { is_out_of_time: true, .. } => ErrorCode::InvalidTimestamp,
        Refusal::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
        Refusal::NotInTransaction | Refusal::InTransaction { .. } => ErrorCode::InvalidTxnState,
        Refusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::StaleProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        Refusal::StaleCoordinatorEpoch { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}

/// The code for a client that knows of another leader than this one: of an earlier or of a later.
pub(crate) fn code_of_epoch(known: i32) -> Option<ErrorCode> {
    match known.cmp(&LEADER_EPOCH) {
        _ if known == NO_EPOCH => None,
        Ordering::Less => Some(ErrorCode::FencedLeaderEpoch),
        Ordering::Equal => None,
        Ordering::Greater => Some(ErrorCode::UnknownLeaderEpoch),
    }
}
