//! `Uuid`: the 16 bytes that identify a topic, a directory or a cluster, and their text form.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Sixteen bytes; as text 22 characters of URL-safe base64 without padding, as Apache Kafka writes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zeros: what requests and responses carry where no id is meant.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The id of the topic `__cluster_metadata`, which no other topic may have.
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A version 4 uuid out of 16 random bytes. `None` for the few that are reserved or whose text would
    /// begin with `-`, which command lines take for an option: draw again.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Uuid> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Uuid(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 22];
        let len = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).expect("16 bytes are 22 characters");
        f.write_str(std::str::from_utf8(&text[..len]).expect("base64 is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 16 bytes of URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAUuid(pub String);

impl fmt::Display for NotAUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a uuid: expected 22 characters of URL-safe base64", self.0)
    }
}

impl std::error::Error for NotAUuid {}

impl FromStr for Uuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<Uuid, NotAUuid> {
        let refuse = || NotAUuid(text.to_owned());
        // Apache Kafka's tools sometimes leave the padding on.
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| refuse())?;
        Ok(Uuid(bytes.try_into().map_err(|_| refuse())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_apache_kafka_prints() {
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(Uuid::METADATA_TOPIC));
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ==".parse(), Ok(Uuid::METADATA_TOPIC));
    }

    #[test]
    fn what_is_not_sixteen_bytes_is_refused() {
        for text in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAQAA", "AAAAAAAAAAAAAAAAAAAA/Q"] {
            assert!(text.parse::<Uuid>().is_err(), "{text:?} was taken for a uuid");
        }
    }

    #[test]
    fn a_drawn_id_has_version_and_variant_and_no_leading_dash() {
        assert_eq!(Uuid::from_random([0xfb; 16]), None);
        let id = Uuid::from_random([0xff; 16].map(|b: u8| b >> 1)).unwrap();
        assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 2));
    }
}
