//! `ReadError`: which field of which message could not be read, where, and why.

use std::fmt;

use super::reader::{LIST_BYTES_MAX, NOT_RECORDS_BYTES_MAX};

/// Bytes that are not the message they should be. Nothing in it is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// The message that was read.
    pub message: &'static str,
    /// In which version.
    pub version: i16,
    /// The struct that holds the field: the message itself, or one of its parts.
    pub structure: &'static str,
    /// The field, by Kafka's name. Empty where the fault lies with the message as a whole.
    pub field: &'static str,
    /// How many bytes of the frame had been read.
    pub position: usize,
    /// What was wrong.
    pub reason: Reason,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { message, version, structure, field, position, reason } = self;
        write!(f, "{message} v{version}, byte {position}: ")?;
        if !field.is_empty() {
            write!(f, "{structure}.{field} ")?;
        }
        write!(f, "{reason}")
    }
}

impl std::error::Error for ReadError {}

/// What is wrong with a field. Numbers are as wide as the protocol's, to keep every `Result` small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The field, or the length it announces, reaches beyond the frame or the tagged field around it. An
    /// array's length counts elements, each of which has at least one byte.
    Truncated {
        /// Bytes or elements announced.
        needed: u32,
        /// Bytes that are there.
        left: u32,
    },
    /// A length below -1.
    NegativeLength(i32),
    /// A null where the version does not allow one.
    Null,
    /// A string longer than the protocol allows.
    TooLong(u32),
    /// With it so many bytes of the request are not records, which is more than is read of one.
    TooMuch(u32),
    /// A list of which so many elements were read, and more would take more memory than a request's lists may.
    TooManyElements(u32),
    /// A varint of more than 32 bits.
    Varint,
    /// A string that is not UTF-8.
    Utf8,
    /// A tag that the table knows, but not in this version.
    TagNotInVersion(u32),
    /// A tagged field whose value is shorter than its size says.
    TagSize {
        /// The tag.
        tag: u32,
        /// Bytes behind the value.
        left: u32,
    },
    /// The message does not exist in this version.
    NoSuchVersion,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::Truncated { needed, left } => write!(f, "needs {needed}, but {left} bytes are left"),
            Reason::NegativeLength(length) => write!(f, "has the length {length}"),
            Reason::Null => f.write_str("is null, which this version does not allow"),
            Reason::TooLong(length) => write!(f, "is a string of {length} bytes"),
            Reason::TooMuch(bytes) => {
                write!(
                    f,
                    "makes {bytes} bytes that are not records, above the {NOT_RECORDS_BYTES_MAX} of a request"
                )
            }
            Reason::TooManyElements(count) => {
                write!(
                    f,
                    "is a list of more than {count}, above the {LIST_BYTES_MAX} bytes of a request's lists"
                )
            }
            Reason::Varint => f.write_str("is a varint of more than 32 bits"),
            Reason::Utf8 => f.write_str("is not UTF-8"),
            Reason::TagNotInVersion(tag) => write!(f, "has the tag {tag}, which this version does not"),
            Reason::TagSize { tag, left } => write!(f, "has {left} bytes behind the value of tag {tag}"),
            Reason::NoSuchVersion => f.write_str("there is no such version"),
        }
    }
}
