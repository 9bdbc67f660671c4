//! `Text`: a string that is a slice of the frame it was read from.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str;

use bytes::Bytes;

/// UTF-8 of at most [`Text::BYTES_MAX`] bytes, cheap to clone.
///
/// One that came from a request keeps the whole frame alive: what outlives the request is copied
/// ([`Text::detached`]).
#[derive(Clone, Default)]
pub struct Text(Bytes);

impl Text {
    /// The longest string that the protocol can carry: its length is an `int16`, and Apache Kafka refuses
    /// longer ones in the compact form too.
    pub const BYTES_MAX: usize = i16::MAX as usize;
    /// The empty string.
    pub const EMPTY: Text = Text(Bytes::new());

    /// A text that is part of the program.
    pub const fn from_static(text: &'static str) -> Text {
        assert!(text.len() <= Text::BYTES_MAX, "a text of the program fits the protocol");
        Text(Bytes::from_static(text.as_bytes()))
    }

    /// A slice of a frame; its length has been checked.
    pub(super) fn from_frame(bytes: Bytes) -> Result<Text, str::Utf8Error> {
        debug_assert!(bytes.len() <= Text::BYTES_MAX);
        str::from_utf8(&bytes)?;
        Ok(Text(bytes))
    }

    /// The string.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes the bytes from a `str` or checks them, and `Bytes` never change.
        unsafe { str::from_utf8_unchecked(&self.0) }
    }

    /// The same string in memory of its own.
    pub fn detached(&self) -> Text {
        Text(Bytes::copy_from_slice(&self.0))
    }
}

impl From<&str> for Text {
    /// Cuts what is longer than [`Text::BYTES_MAX`]. Everything that was read is shorter; what can be
    /// longer are messages for people that quote it.
    fn from(text: &str) -> Text {
        Text(Bytes::copy_from_slice(&text.as_bytes()[..sendable_len(text)]))
    }
}

impl From<String> for Text {
    /// Cuts like [`From<&str>`](Text#impl-From%3C%26str%3E-for-Text).
    fn from(mut text: String) -> Text {
        text.truncate(sendable_len(&text));
        Text(Bytes::from(text))
    }
}

/// How many bytes of `text` can be sent without cutting a character.
fn sendable_len(text: &str) -> usize {
    text.floor_char_boundary(Text::BYTES_MAX)
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// Equal, ordered and hashed as the `str` is, so that a map keyed by `Text` can be asked for a `&str`.
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_map_keyed_by_text_is_asked_for_a_str() {
        let map = HashMap::from([(Text::from("orders"), 1)]);
        assert_eq!(map.get("orders"), Some(&1));
    }

    #[test]
    fn a_text_too_long_to_send_is_cut_between_characters() {
        let long = "x".to_owned() + &"é".repeat(Text::BYTES_MAX);
        assert_eq!(Text::from(long.as_str()).len(), Text::BYTES_MAX);
        let longer = "é".repeat(Text::BYTES_MAX);
        assert_eq!(Text::from(longer).len(), Text::BYTES_MAX - 1);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused() {
        assert!(Text::from_frame(Bytes::from_static(&[0xc3, 0x28])).is_err());
    }

    #[test]
    fn a_text_from_a_frame_is_a_slice_and_a_detached_one_is_not() {
        let frame = Bytes::from_static(b"topic");
        let text = Text::from_frame(frame.clone()).unwrap();
        assert_eq!(text.as_ptr(), frame.as_ptr());
        assert_ne!(text.detached().as_ptr(), frame.as_ptr());
        assert_eq!(text.detached(), text);
    }
}
