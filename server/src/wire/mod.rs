//! Kafka's wire protocol: declarative tables of messages, and the bounded reading and writing that follow
//! from them.
//!
//! A table ([`message!`](message)) says of each field what Apache Kafka's definition says: type, versions,
//! where it may be null, tag, default. The struct, its `Default`, reading, writing and the [`Schema`] that
//! tests compare with Apache's own all come from that one place.
//!
//! **What is read was sent by a stranger.** No length is believed before the bytes are there, nothing
//! panics, and nothing recurses deeper than the tables, whose constants could not be evaluated if they
//! contained each other. Text, bytes and records stay slices of the frame.

pub mod api;
pub mod error_code;
pub mod few;
pub mod message;
pub mod messages;
pub mod read_error;
pub mod reader;
pub mod records;
pub mod request;
pub mod response;
pub mod schema;
pub mod text;
pub mod value;
pub mod versions;
pub mod writer;

pub use api::{APIS, Api, ApiRow};
pub use error_code::ErrorCode;
pub use few::Few;
pub use message::Message;
pub use messages::schemas;
pub use read_error::{ReadError, Reason};
pub use reader::Reader;
pub use records::Records;
pub use request::{HeaderError, read_request_header};
pub use response::{Chunk, Encoded, ResponseTooLarge, encode_response};
pub use schema::{FieldSchema, Kind, Schema, StructSchema};
pub use text::Text;
pub use versions::Versions;
pub use writer::MESSAGE_BYTES_MAX;
pub use writer::Writer;
