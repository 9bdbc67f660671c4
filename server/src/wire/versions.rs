//! `Versions`: a range of versions in the notation of Apache Kafka's definitions.

use std::fmt;

/// An inclusive range of versions; empty where `min` is above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The first version of the range.
    pub min: i16,
    /// The last one, [`Versions::OPEN`] where the notation has a `+`.
    pub max: i16,
}

impl Versions {
    /// The `max` of a range without an end.
    pub const OPEN: i16 = i16::MAX;
    /// No version at all.
    pub const NONE: Versions = Versions { min: 0, max: -1 };
    /// Every version.
    pub const ALL: Versions = Versions { min: 0, max: Versions::OPEN };

    /// Reads `"3-13"`, `"9+"`, `"0"` or `"none"`. Panics on anything else: tables are evaluated by the
    /// compiler.
    pub const fn parse(text: &str) -> Versions {
        if is_none(text) {
            return Versions::NONE;
        }
        let bytes = text.as_bytes();
        let (min, at) = number(bytes, 0);
        if at == bytes.len() {
            return Versions { min, max: min };
        }
        if bytes[at] == b'+' {
            assert!(at + 1 == bytes.len(), "nothing follows the + of a range of versions");
            return Versions { min, max: Versions::OPEN };
        }
        assert!(bytes[at] == b'-', "a range of versions is written 3, 3-13, 3+ or none");
        let (max, end) = number(bytes, at + 1);
        assert!(end == bytes.len() && min <= max, "a range of versions ends with its larger number");
        Versions { min, max }
    }

    /// Whether `version` lies in the range.
    #[inline]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Whether the range has no version.
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }
}

const fn is_none(text: &str) -> bool {
    matches!(text.as_bytes(), b"none")
}

/// The number that begins at `at`, and where it ends.
const fn number(bytes: &[u8], mut at: usize) -> (i16, usize) {
    let first = at;
    let mut value: i16 = 0;
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        value = value * 10 + (bytes[at] - b'0') as i16;
        at += 1;
    }
    assert!(at > first, "a version is a number");
    (value, at)
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            range if range.is_empty() => f.write_str("none"),
            Versions { min, max: Versions::OPEN } => write!(f, "{min}+"),
            Versions { min, max } if min == max => write!(f, "{min}"),
            Versions { min, max } => write!(f, "{min}-{max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_reads_and_prints_the_same() {
        for text in ["0", "0-12", "13+", "none", "10-11"] {
            assert_eq!(Versions::parse(text).to_string(), text);
        }
        assert_eq!(Versions::parse("3-13"), Versions { min: 3, max: 13 });
    }

    #[test]
    fn both_ends_belong_to_the_range() {
        let range = Versions::parse("3-5");
        assert_eq!([2, 3, 5, 6].map(|v| range.contains(v)), [false, true, true, false]);
        assert!(Versions::parse("3+").contains(i16::MAX));
        assert!(!Versions::NONE.contains(0) && !Versions::NONE.contains(-1));
    }
}
