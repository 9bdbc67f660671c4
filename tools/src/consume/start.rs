//! `Start`: where reading begins.

use crate::print::parse_time;

/// Where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// At the first record that is there.
    Earliest,
    /// Behind the last one.
    Latest,
    /// At an offset.
    At(i64),
    /// So many records in front of the end.
    Last(i64),
    /// At the first record of a time or later.
    Time(i64),
}

impl Start {
    pub(super) fn parse(text: &str) -> Result<Start, String> {
        let refused = || format!("{text:?}: expected earliest, latest, an offset, -N, or @ and a time");
        match text {
            "earliest" | "beginning" => return Ok(Start::Earliest),
            "latest" | "end" => return Ok(Start::Latest),
            _ => (),
        }
        if let Some(time) = text.strip_prefix('@') {
            return parse_time(time).filter(|time| *time >= 0).map(Start::Time).ok_or_else(refused);
        }
        match text.parse::<i64>() {
            Ok(offset) if offset >= 0 && !text.starts_with('+') => Ok(Start::At(offset)),
            Ok(offset) if offset > i64::MIN && offset < 0 => Ok(Start::Last(-offset)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, start) in [
            ("earliest", Start::Earliest),
            ("end", Start::Latest),
            ("0", Start::At(0)),
            ("-5", Start::Last(5)),
            ("@1700000000000", Start::Time(1_700_000_000_000)),
            ("@2023-11-14T22:13:20Z", Start::Time(1_700_000_000_000)),
        ] {
            assert_eq!(Start::parse(text), Ok(start), "{text}");
        }
        for text in ["", "soon", "+5", "@", "@-5", "1.5"] {
            assert!(Start::parse(text).unwrap_err().starts_with(&format!("{text:?}: expected")), "{text}");
        }
    }
}
