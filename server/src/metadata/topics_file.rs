//! `logmill.topics`: what partition directories do not say of topics, and which changes are under way.
//!
//! ```text
//! 0                                              version
//! making|live|deleted <tab> topic id <tab> name <tab> number of partitions [<tab> key=value]...
//! ```
//!
//! Bytes below space, and `%`, are written as `%` and two hexadecimal digits. The file is replaced whole. A
//! start makes what is missing of a topic in the making and removes what is left of a deleted one: so a change
//! that a crash cut short is finished. A live topic has all its directories.

use std::fmt::Write as _;

use logmill_engine::format::Uuid;

/// The file's name, in one of the log directories.
pub(crate) const FILE_NAME: &str = "logmill.topics";
const VERSION: &str = "0";

/// How far a topic has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Some of its directories may be missing; nobody was told of it.
    Making,
    /// All of its directories were durable when this was written.
    Live,
    /// Some of its directories may be left.
    Deleted,
}

impl State {
    const ALL: [State; 3] = [State::Making, State::Live, State::Deleted];

    fn word(self) -> &'static str {
        match self {
            State::Making => "making",
            State::Live => "live",
            State::Deleted => "deleted",
        }
    }
}

/// One topic's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicLine {
    pub(crate) state: State,
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// At least one, and no more than an `i32` counts.
    pub(crate) partitions: usize,
    pub(crate) overrides: Vec<(String, String)>,
}

pub(crate) fn write(lines: &[TopicLine]) -> String {
    let mut text = format!("{VERSION}\n");
    for line in lines {
        let state = line.state.word();
        let _ = write!(text, "{state}\t{}\t{}\t{}", line.id, line.name, line.partitions);
        for (key, value) in &line.overrides {
            let _ = write!(text, "\t{key}={}", escape(value));
        }
        text.push('\n');
    }
    text
}

/// The lines, or what is wrong with one of them.
pub(crate) fn read(content: &[u8]) -> Result<Vec<TopicLine>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.lines();
    match lines.next() {
        Some(VERSION) => (),
        other => return Err(format!("version {other:?}, expected {VERSION:?}")),
    }
    let numbered = lines.enumerate();
    numbered
        .map(|(index, line)| read_line(line).ok_or_else(|| format!("line {}: {line:?}", index + 2)))
        .collect()
}

fn read_line(line: &str) -> Option<TopicLine> {
    let mut fields = line.split('\t');
    let word = fields.next()?;
    let state = State::ALL.into_iter().find(|state| state.word() == word)?;
    let id = fields.next()?.parse().ok()?;
    let name = fields.next()?.to_owned();
    let partitions: i32 = fields.next()?.parse().ok().filter(|count| *count > 0)?;
    let partitions = partitions as usize;
    let overrides = fields
        .map(|field| field.split_once('=').and_then(|(key, value)| Some((key.to_owned(), unescape(value)?))));
    Some(TopicLine { state, id, name, partitions, overrides: overrides.collect::<Option<_>>()? })
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for char in value.chars() {
        if char < ' ' || char == '%' {
            let _ = write!(escaped, "%{:02x}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut value = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        value.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        value.push_str(rest);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<TopicLine> {
        let line = |state, name: &str, overrides: &[(&str, &str)]| TopicLine {
            state,
            id: Uuid([3; 16]),
            name: name.to_owned(),
            partitions: 12,
            overrides: overrides
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        vec![
            line(State::Live, "plain", &[]),
            line(State::Deleted, "a.b_c-d", &[("k", ""), ("l", "100%\tof\n=\u{e9}")]),
            line(State::Making, "z", &[("cleanup.policy", "compact,delete")]),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(write(&sample()).as_bytes()), Ok(sample()));
        assert_eq!(read(write(&[]).as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn damage_is_named_by_line() {
        for (content, word) in [
            ("", "version"),
            ("1\n", "version"),
            ("0\nlive\n", "line 2"),
            ("0\nalive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t1\n", "line 2"),
            ("0\nlive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t1\nlive\tAwMDAwMDAwMDAwMDAwMDAw\ty\t-1\n", "line 3"),
            ("0\nlive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t0\n", "line 2"),
            ("0\nlive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t2147483648\n", "line 2"),
            ("0\nlive\tshort\tx\t1\n", "line 2"),
            ("0\nlive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t1\tk=%z\n", "line 2"),
            ("0\nlive\tAwMDAwMDAwMDAwMDAwMDAw\tx\t1\tk\n", "line 2"),
        ] {
            let error = read(content.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{content:?}: {error}");
        }
    }
}
