//! The beginning of a request: which API it is for, in which version, from whom.

use std::fmt;

use super::api::Api;
use super::message::Message;
use super::messages::header::RequestHeader;
use super::read_error::ReadError;
use super::reader::Reader;

/// A request that cannot be told apart from noise. Apache Kafka closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// No API of ours has this key.
    UnknownApi(i16),
    /// The header ends too early or is damaged.
    Malformed(ReadError),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::UnknownApi(key) => write!(f, "request with the unknown api key {key}"),
            HeaderError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HeaderError {}

/// Takes the header off a frame; the request's body is next.
///
/// The version in it may be one that we do not serve: [`ApiRow::accepts`](super::ApiRow::accepts) is for the
/// caller to ask, who answers an ApiVersions request of the future instead of closing the connection. The
/// header of such a one reads like the newest that we know.
pub fn read_request_header(reader: &mut Reader<'_>) -> Result<(Api, RequestHeader), HeaderError> {
    // Every version of the header begins with the key and version that decide which version it is.
    let start = reader.clone().array().map(|[k0, k1, v0, v1]| (i16::from_be_bytes([k0, k1]), [v0, v1]));
    let (key, version) = match start {
        Ok((key, version)) => (key, i16::from_be_bytes(version)),
        Err(reason) => return Err(HeaderError::Malformed(reader.error("RequestHeader", 1, reason))),
    };
    let api = Api::from_key(key).ok_or(HeaderError::UnknownApi(key))?;
    let header = RequestHeader::read_message(reader, api.row().request_header_version(version))
        .map_err(HeaderError::Malformed)?;
    Ok((api, header))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn header(bytes: &'static [u8]) -> Result<(Api, RequestHeader), HeaderError> {
        read_request_header(&mut Reader::new(&Bytes::from_static(bytes)))
    }

    #[test]
    fn the_client_id_has_the_old_form_in_a_flexible_header() {
        let (api, header) = header(b"\0\x12\0\x03\0\0\0\x07\0\x02me\0").unwrap();
        assert_eq!(api, Api::ApiVersions);
        assert_eq!((header.request_api_version, header.correlation_id), (3, 7));
        assert_eq!(header.client_id.as_deref(), Some("me"));
    }

    #[test]
    fn the_header_of_a_version_to_come_can_be_read() {
        let (_, header) = header(b"\0\x12\0\x63\0\0\0\x07\xff\xff\0").unwrap();
        assert_eq!((header.request_api_version, header.client_id), (99, None));
    }

    #[test]
    fn an_unknown_key_and_a_short_header_are_refused() {
        assert_eq!(header(b"\x7f\xff\0\0"), Err(HeaderError::UnknownApi(i16::MAX)));
        assert!(matches!(header(b"\0\x12\0"), Err(HeaderError::Malformed(_))));
        assert!(matches!(header(b"\0\x12\0\x03\0\0"), Err(HeaderError::Malformed(_))));
    }
}
