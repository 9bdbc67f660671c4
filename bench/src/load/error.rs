//! `LoadError`: why a load could not be run, by what its user does about it.

use std::{fmt, io};

use kafka_protocol::ResponseError;

/// Why a load ended without figures.
#[derive(Debug)]
pub enum LoadError {
    /// The load cannot be: what of it.
    Workload(String),
    /// Nobody answers there.
    NoBroker {
        /// Who was asked.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker and this client have no version of an API in common.
    Unsupported {
        /// The API's name.
        api: String,
        /// First and last version of the broker; none when it does not serve it.
        broker: Option<(i16, i16)>,
        /// First and last version of this client.
        ours: (i16, i16),
    },
    /// The broker said no.
    Refused {
        /// To what.
        what: String,
        /// Its error.
        error: ResponseError,
        /// What it added.
        message: Option<String>,
    },
    /// What was sent was not acknowledged, and will not be.
    Undelivered {
        /// What was tried, and for how long.
        what: String,
        /// What the last attempt came to.
        last: String,
    },
    /// A broker answered other than the protocol says.
    Protocol {
        /// What is wrong with the answer.
        what: String,
    },
    /// The system refused something of our own.
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl LoadError {
    /// What the process ends with: 2 for a load that cannot be, 3 where nobody answers, 4 where the broker says no
    /// or cannot, 5 for messages that were lost, 1 for the rest.
    pub fn exit_code(&self) -> i32 {
        match self {
            LoadError::Workload(_) => 2,
            LoadError::NoBroker { .. } => 3,
            LoadError::Unsupported { .. } | LoadError::Refused { .. } => 4,
            LoadError::Undelivered { .. } => 5,
            LoadError::Protocol { .. } | LoadError::Io { .. } => 1,
        }
    }

    /// An answer's error, if it is one.
    pub(super) fn refused(
        what: impl FnOnce() -> String,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), LoadError> {
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(error) => {
                Err(LoadError::Refused { what: what(), error, message: message.map(str::to_owned) })
            }
        }
    }

    /// For `map_err`: names what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> LoadError {
        let what = what.into();
        move |source| LoadError::Io { what, source }
    }
}

/// What somebody who sees this error for the first time does about it.
fn remedy(error: ResponseError) -> Option<&'static str> {
    Some(match error {
        ResponseError::TopicAlreadyExists => {
            "delete it, choose another name, or load it as it is with --existing"
        }
        ResponseError::TopicAuthorizationFailed
        | ResponseError::ClusterAuthorizationFailed
        | ResponseError::GroupAuthorizationFailed => "the broker does not permit it to an anonymous client",
        ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge => {
            "smaller --batch-bytes or --message-bytes, or a larger max.message.bytes by --topic-config"
        }
        ResponseError::InvalidReplicationFactor => "the cluster has fewer brokers than that",
        ResponseError::UnknownTopicOrPartition => "the topic does not exist, or has fewer partitions",
        ResponseError::UnsupportedCompressionType => "the broker knows no such codec at this version",
        _ => return None,
    })
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Workload(what) => write!(f, "this load cannot be: {what}"),
            LoadError::NoBroker { address, source } => write!(f, "no broker answers at {address}: {source}"),
            LoadError::Unsupported { api, broker: None, ours } => {
                write!(f, "the broker does not serve {api} (this client: {} to {})", ours.0, ours.1)
            }
            LoadError::Unsupported { api, broker: Some(broker), ours } => write!(
                f,
                "{api}: the broker has versions {} to {}, this client {} to {}",
                broker.0, broker.1, ours.0, ours.1
            ),
            LoadError::Refused { what, error, message } => {
                write!(f, "{what}: {error:?}")?;
                if let Some(message) = message.as_ref().filter(|message| !message.is_empty()) {
                    write!(f, ": {message}")?;
                }
                remedy(*error).map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
            }
            LoadError::Undelivered { what, last } => write!(f, "{what}: {last}"),
            LoadError::Protocol { what } => write!(f, "an answer that cannot be: {what}"),
            LoadError::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::NoBroker { source, .. } | LoadError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
