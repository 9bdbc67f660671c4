//! `ClientError`: why a cluster did not do what it was asked to do.

use std::{fmt, io};

use logmill_server::wire::ErrorCode;

/// Why.
#[derive(Debug)]
pub enum ClientError {
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
        code: i16,
        /// What it added.
        message: Option<String>,
    },
    /// An answer that cannot be, or none.
    Broken {
        /// What was asked.
        what: String,
        /// What is wrong.
        source: io::Error,
    },
}

impl ClientError {
    /// An answer's error, if it is one.
    pub fn refused(
        what: impl FnOnce() -> String,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), ClientError> {
        match code {
            0 => Ok(()),
            code => Err(ClientError::Refused { what: what(), code, message: message.map(str::to_owned) }),
        }
    }

    /// The broker's error code, if it said no.
    pub fn code(&self) -> Option<i16> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// What somebody who sees this error for the first time does about it.
fn remedy(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UnknownTopicOrPartition => "logmill topic list shows the topics that exist",
        ErrorCode::TopicAlreadyExists => "--if-not-exists leaves one that exists as it is",
        ErrorCode::InvalidReplicationFactor => "the cluster has fewer brokers than that",
        ErrorCode::MessageTooLarge => "the topic's max.message.bytes says how much it takes",
        ErrorCode::ClusterAuthorizationFailed | ErrorCode::TopicAuthorizationFailed => {
            "the broker does not permit it to an anonymous client"
        }
        _ => return None,
    })
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoBroker { address, source } => {
                write!(f, "no broker answers at {address}: {source} (--bootstrap says where to ask)")
            }
            ClientError::Unsupported { api, broker: None, .. } => {
                write!(f, "the broker does not serve {api}: a newer one may")
            }
            ClientError::Unsupported { api, broker: Some(broker), ours } => write!(
                f,
                "{api}: the broker has versions {} to {}, this client {} to {}",
                broker.0, broker.1, ours.0, ours.1
            ),
            ClientError::Refused { what, code, message } => {
                let known = ErrorCode::from_code(*code);
                match known {
                    Some(code) => write!(f, "{what}: {}", code.name())?,
                    None => write!(f, "{what}: error {code}")?,
                }
                if let Some(message) = message.as_ref().filter(|message| !message.is_empty()) {
                    write!(f, ": {message}")?;
                }
                known.and_then(remedy).map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
            }
            ClientError::Broken { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::NoBroker { source, .. } | ClientError::Broken { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_kafkas_names_with_what_to_do() {
        let refused = |code, message| ClientError::refused(|| "topic t".into(), code, message).unwrap_err();
        let unknown = refused(3, None).to_string();
        assert!(unknown.starts_with("topic t: UNKNOWN_TOPIC_OR_PARTITION (logmill topic list"), "{unknown}");
        assert_eq!(refused(40, Some("no such key")).to_string(), "topic t: INVALID_CONFIG: no such key");
        assert_eq!(refused(9_999, None).to_string(), "topic t: error 9999");
        assert!(ClientError::refused(String::new, 0, None).is_ok());
    }

    #[test]
    fn an_api_that_a_broker_lacks_is_named() {
        let lacks = |broker| ClientError::Unsupported { api: "DescribeConfigs".into(), broker, ours: (1, 4) };
        assert_eq!(lacks(None).to_string(), "the broker does not serve DescribeConfigs: a newer one may");
        let apart = "DescribeConfigs: the broker has versions 5 to 6, this client 1 to 4";
        assert_eq!(lacks(Some((5, 6))).to_string(), apart);
    }
}
