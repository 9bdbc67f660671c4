//! `Error`: what the engine answers when it cannot do what was asked, by what the caller does next.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The engine's one error.
#[derive(Debug)]
pub enum Error {
    /// The batch is not taken and nothing has changed; sent again it fails again.
    Refused(Refusal),
    /// The partition's log directory has failed; it serves nobody until the process starts anew.
    Offline(PathBuf),
    /// The offset lies outside of what may be read.
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset that is there.
        start: i64,
        /// The first offset that is not there yet.
        end: i64,
    },
    /// Bytes on disk that cannot be what was written. Names the file, the place and both values.
    Corrupt(String),
    /// Storage failed; `doing` names the operation and the path.
    Io {
        /// What was being done, to which path.
        doing: String,
        /// What the disk answered.
        source: io::Error,
    },
    /// No such partition on this shard.
    UnknownPartition,
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are not what the sender computed its checksum over, or no batch at all.
    Damaged(String),
    /// A whole batch that breaks a rule.
    Invalid(String),
    /// Larger than the topic takes.
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The topic's `max.message.bytes`.
        max: usize,
    },
    /// A timestamp outside of what the topic takes.
    Timestamp(String),
    /// Records that break a rule of the topic.
    Records {
        /// Whether one of them is of a time that the topic does not take.
        is_out_of_time: bool,
        /// What is wrong with the batch.
        message: String,
        /// What is wrong with each record, the first ones at least.
        errors: Vec<RecordError>,
    },
    /// A codec that does not exist.
    UnknownCodec(u8),
    /// A transactional batch outside of a transaction.
    NotInTransaction,
    /// A batch outside of the transaction that its producer has open.
    InTransaction {
        /// The producer.
        producer_id: i64,
    },
    /// The producer's sequence leaves a gap or goes back.
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence that would continue its batches.
        expected: i32,
        /// The sequence that came.
        found: i32,
    },
    /// A newer producer with the same id has written.
    StaleProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The newest epoch seen.
        current: i16,
        /// The epoch that came.
        found: i16,
    },
    /// A newer coordinator has ended a transaction of the producer.
    StaleCoordinatorEpoch {
        /// The producer.
        producer_id: i64,
        /// The newest epoch seen.
        current: i32,
        /// The epoch that came.
        found: i32,
    },
}

/// What is wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Which one of its batch, from 0.
    pub index: i32,
    /// The rule that it breaks.
    pub message: String,
}

impl Error {
    /// Wraps what the disk answered with what was being done to which path.
    pub(crate) fn io(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { doing: doing.to_string(), source }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Offline(dir) => write!(f, "log directory {} is offline", dir.display()),
            Error::OutOfRange { offset, start, end } => {
                write!(f, "offset {offset} is out of range: the log holds {start} to {end}")
            }
            Error::Corrupt(what) => f.write_str(what),
            Error::Io { doing, source } => write!(f, "{doing}: {source}"),
            Error::UnknownPartition => f.write_str("no such partition on this shard"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Damaged(what)
            | Refusal::Invalid(what)
            | Refusal::Timestamp(what)
            | Refusal::Records { message: what, .. } => f.write_str(what),
            Refusal::TooLarge { size, max } => {
                write!(
                    f,
                    "The record batch size is {size} bytes, which exceeds the maximum configured size of {max}."
                )
            }
            Refusal::UnknownCodec(codec) => write!(f, "Unknown compression type id: {codec}"),
            Refusal::NotInTransaction => f.write_str("a transactional batch outside of a transaction"),
            Refusal::InTransaction { producer_id } => {
                write!(f, "producer {producer_id} has a transaction open that the batch does not belong to")
            }
            Refusal::OutOfOrderSequence { producer_id, expected, found } => {
                write!(
                    f,
                    "out of order sequence of producer {producer_id}: expected {expected}, found {found}"
                )
            }
            Refusal::StaleProducerEpoch { producer_id, current, found } => {
                write!(f, "epoch {found} of producer {producer_id} is older than its newest, {current}")
            }
            Refusal::StaleCoordinatorEpoch { producer_id, current, found } => {
                write!(
                    f,
                    "coordinator epoch {found} for producer {producer_id} is older than its newest, {current}"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
