//! Names of topics: which are allowed, which collide, which are the broker's own.

use std::fmt;

/// The longest name: with a partition number behind it, it still fits a directory entry.
pub const NAME_LEN_MAX: usize = 249;

/// Committed offsets and group membership.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// State of transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// State of share groups.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The metadata log, which is no topic that a client could create.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A name that no topic may have. Shown as Apache Kafka words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTopicName(String);

impl fmt::Display for InvalidTopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic name is invalid: {}", self.0)
    }
}

impl std::error::Error for InvalidTopicName {}

/// Checks that a topic may have this name.
pub fn validate(name: &str) -> Result<(), InvalidTopicName> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > NAME_LEN_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_LEN_MAX}")
    } else if !name.bytes().all(is_legal) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(InvalidTopicName(reason))
}

/// Whether topics of these names could not be told apart in the names of metrics, where a dot becomes an
/// underscore. A topic that collides with another one is not created.
pub fn collide(a: &str, b: &str) -> bool {
    let plain = |b: u8| if b == b'.' { b'_' } else { b };
    a.len() == b.len() && a.bytes().map(plain).eq(b.bytes().map(plain))
}

/// Whether the broker keeps its own state in the topic: clients may read it and not create or change it.
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_are_refused_in_the_words_of_apache_kafka() {
        let message = |name: &str| validate(name).unwrap_err().to_string();
        assert_eq!(message(""), "Topic name is invalid: the empty string is not allowed");
        assert_eq!(message("."), "Topic name is invalid: '.' is not allowed");
        assert_eq!(message(".."), "Topic name is invalid: '..' is not allowed");
        for name in ["a b", "äö", "a/b", "a\0"] {
            let reason = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
            assert_eq!(message(name), format!("Topic name is invalid: '{name}' {reason}"));
        }
        let long = "x".repeat(250);
        assert_eq!(
            message(&long),
            format!(
                "Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"
            )
        );
    }

    #[test]
    fn names_up_to_the_limit_are_valid() {
        for name in ["a", "...", "A-z_0.9", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn dot_and_underscore_collide_in_the_same_place_only() {
        assert!(collide("a.b", "a_b"));
        assert!(collide("a.b", "a.b"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a_bc"));
        assert!(!collide("a.b_c", "ab._c"));
    }

    #[test]
    fn the_metadata_log_is_no_internal_topic() {
        assert!(is_internal("__consumer_offsets"));
        assert!(!is_internal("__cluster_metadata"));
    }
}
