//! `Cell`: one value, and how it is shown to people and to programs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::time::time_text;

/// Something to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Nothing, or null.
    None,
    /// A number.
    Number(i64),
    /// A number that need not be whole.
    Real(f64),
    /// Milliseconds since 1970; a number for programs.
    Time(i64),
    /// A checksum; in hexadecimal for people.
    Crc(u32),
    /// Yes or no.
    Flag(bool),
    /// Words.
    Text(String),
    /// Bytes, which are shown as text where they are that.
    Bytes(Vec<u8>),
    /// A name, which may occur again, and its value.
    Named(Vec<u8>, Box<Cell>),
    /// One after the other.
    List(Vec<Cell>),
    /// Each under its name.
    Object(Fields),
}

/// Values under names, in an order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(pub(crate) Vec<(&'static str, Cell)>);

impl Fields {
    /// With another value behind the others.
    pub(crate) fn with(mut self, name: &'static str, cell: impl Into<Cell>) -> Fields {
        self.0.push((name, cell.into()));
        self
    }

    /// `name=value` each. What is null or no is left out.
    pub(crate) fn text(&self) -> String {
        let shown = self.0.iter().filter(|(_, cell)| !matches!(cell, Cell::None | Cell::Flag(false)));
        let words = shown.map(|(name, cell)| match cell {
            Cell::Flag(true) => (*name).to_owned(),
            cell => format!("{name}={}", cell.text()),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// An object of JSON, on one line.
    pub(crate) fn json(&self) -> String {
        let fields = self.0.iter().map(|(name, cell)| format!("{}:{}", string(name), cell.json()));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

impl Cell {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Cell::None => "null".to_owned(),
            Cell::Number(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Time(ms) => time_text(*ms),
            Cell::Crc(crc) => format!("{crc:#010x}"),
            Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Cell::Text(text) => quoted(text),
            Cell::Bytes(bytes) => match readable(bytes) {
                Some(text) => quoted(text),
                None => hex(bytes),
            },
            Cell::Named(name, value) => format!("{}={}", Cell::Bytes(name.clone()).text(), value.text()),
            Cell::List(cells) => {
                format!("[{}]", cells.iter().map(Cell::text).collect::<Vec<_>>().join(", "))
            }
            Cell::Object(fields) => format!("{{{}}}", fields.text()),
        }
    }

    /// For people, in a column of a table, where nothing need be told from what stands beside it.
    pub(crate) fn column_text(&self) -> String {
        match self {
            Cell::None => "-".to_owned(),
            Cell::Text(text) => escaped(text),
            Cell::List(cells) => cells.iter().map(Cell::column_text).collect::<Vec<_>>().join(","),
            cell => cell.text(),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        match self {
            Cell::None => "null".to_owned(),
            Cell::Number(number) | Cell::Time(number) => number.to_string(),
            // JSON has no others.
            Cell::Real(number) if number.is_finite() => number.to_string(),
            Cell::Real(number) => string(&number.to_string()),
            Cell::Crc(crc) => crc.to_string(),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Text(text) => string(text),
            Cell::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => string(text),
                Err(_) => format!("{{\"base64\":\"{}\"}}", BASE64_STANDARD.encode(bytes)),
            },
            Cell::Named(name, value) => {
                format!("{{\"name\":{},\"value\":{}}}", Cell::Bytes(name.clone()).json(), value.json())
            }
            Cell::List(cells) => {
                format!("[{}]", cells.iter().map(Cell::json).collect::<Vec<_>>().join(","))
            }
            Cell::Object(fields) => fields.json(),
        }
    }
}

/// A string of JSON.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Bytes that a terminal can show.
fn readable(bytes: &[u8]) -> Option<&str> {
    let is_shown = |char: char| !char.is_control() || matches!(char, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_shown))
}

/// As it stands where nothing in it can be mistaken, otherwise between quotes.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.:/@+*%#~!?$&".contains(char);
    let is_taken = ["", "null"].contains(&text) || text.starts_with("0x");
    if text.chars().all(is_plain) && !is_taken { text.to_owned() } else { format!("\"{}\"", escaped(text)) }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, char| {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => {
                write!(out, "\\u{:04x}", u32::from(char)).expect("a string takes all that is written to it");
            }
            char => out.push(char),
        }
        out
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes all that is written to it");
        out
    })
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Cell {
        Cell::Number(number.into())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        // Positions and counts; one beyond would only be shown wrong.
        Cell::Number(number as i64)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Cell {
        Cell::Number(number as i64)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Cell {
        Cell::Flag(flag)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&[u8]> for Cell {
    fn from(bytes: &[u8]) -> Cell {
        Cell::Bytes(bytes.to_vec())
    }
}

impl From<Vec<Cell>> for Cell {
    fn from(cells: Vec<Cell>) -> Cell {
        Cell::List(cells)
    }
}

impl From<Fields> for Cell {
    fn from(fields: Fields) -> Cell {
        Cell::Object(fields)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::None, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: impl Into<Cell>, text: &str, json: &str) {
        let cell = cell.into();
        assert_eq!((cell.text(), cell.json()), (text.to_owned(), json.to_owned()));
    }

    #[test]
    fn values_are_shown_to_people_and_to_programs() {
        check(-1, "-1", "-1");
        check(Cell::Time(0), "1970-01-01T00:00:00.000Z", "0");
        check(Cell::Crc(0xabc), "0x00000abc", "2748");
        check(None::<i64>, "null", "null");
        check("plain-1.2", "plain-1.2", "\"plain-1.2\"");
        check("two words", "\"two words\"", "\"two words\"");
        check("", "\"\"", "\"\"");
        check("null", "\"null\"", "\"null\"");
        check("0xff", "\"0xff\"", "\"0xff\"");
        check("a\"b\\\n", "\"a\\\"b\\\\\\n\"", "\"a\\\"b\\\\\\n\"");
        check(&b"text"[..], "text", "\"text\"");
        check(&[0u8, 255][..], "0x00ff", "{\"base64\":\"AP8=\"}");
        check(&[7u8][..], "0x07", "\"\\u0007\"");
        check(vec![Cell::from(1), Cell::from("b")], "[1, b]", "[1,\"b\"]");
        check(Cell::Named(b"h".to_vec(), Box::new(Cell::None)), "h=null", "{\"name\":\"h\",\"value\":null}");
    }

    #[test]
    fn fields_keep_their_order_and_people_see_no_nulls() {
        let fields =
            Fields::default().with("b", 1).with("a", None::<i64>).with("is", true).with("not", false);
        assert_eq!(fields.text(), "b=1 is");
        assert_eq!(fields.json(), "{\"b\":1,\"a\":null,\"is\":true,\"not\":false}");
    }
}
