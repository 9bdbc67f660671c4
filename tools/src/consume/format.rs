//! How a record is printed.

use std::io::{self, Write};

use crate::print::{Cell, Fields};
use crate::produce::unescaped;

/// A record with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consumed<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// In which form.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// A line each.
    Format(Format),
    /// A JSON object each.
    Json,
}

impl Form {
    /// The value on a line, behind the key where there is a separator.
    pub(super) fn lines(key_separator: Option<&str>) -> Form {
        let mut parts = Vec::new();
        if let Some(separator) = key_separator {
            parts.extend([Part::Key, Part::Bytes(unescaped(separator))]);
        }
        parts.extend([Part::Value, Part::Bytes(b"\n".to_vec())]);
        Form::Format(Format(parts))
    }

    /// Writes a record; `null` stands for a key or value that is null.
    pub(super) fn write(&self, record: &Consumed<'_>, null: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Form::Format(format) => format.write(record, null, to),
            Form::Json => writeln!(to, "{}", json(record)),
        }
    }
}

fn json(record: &Consumed<'_>) -> String {
    let bytes = |bytes: Option<&[u8]>| bytes.map_or(Cell::None, Cell::from);
    let headers = record.headers.iter();
    let headers: Vec<Cell> =
        headers.map(|(name, value)| Cell::Named(name.to_vec(), Box::new(bytes(*value)))).collect();
    Fields::default()
        .with("topic", record.topic)
        .with("partition", record.partition)
        .with("offset", record.offset)
        .with("timestamp", Cell::Time(record.timestamp))
        .with("key", bytes(record.key))
        .with("value", bytes(record.value))
        .with("headers", headers)
        .json()
}

/// Parts that are written one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    Key,
    KeyLen,
    Value,
    ValueLen,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

impl Format {
    /// Reads `%`-fields; those of kcat mean the same.
    pub(super) fn parse(text: &str) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut pieces = text.split('%');
        let mut literal = pieces.next().unwrap_or_default().to_owned();
        let mut is_percent = false;
        for piece in pieces {
            // The piece between the two signs of `%%`.
            if piece.is_empty() && !is_percent {
                literal.push('%');
                is_percent = true;
                continue;
            }
            if std::mem::take(&mut is_percent) {
                literal.push_str(piece);
                continue;
            }
            let field = piece.chars().next().ok_or("--format: a % without a field behind it")?;
            let part = match field {
                's' => Part::Value,
                'S' => Part::ValueLen,
                'k' => Part::Key,
                'K' => Part::KeyLen,
                't' => Part::Topic,
                'p' => Part::Partition,
                'o' => Part::Offset,
                'T' => Part::Timestamp,
                'h' => Part::Headers,
                other => {
                    return Err(format!("--format: %{other}: expected one of s, S, k, K, t, p, o, T, h, %"));
                }
            };
            parts.push(Part::Bytes(unescaped(&std::mem::take(&mut literal))));
            parts.push(part);
            piece[field.len_utf8()..].clone_into(&mut literal);
        }
        if is_percent {
            return Err("--format: a % without a field behind it".to_owned());
        }
        parts.push(Part::Bytes(unescaped(&literal)));
        parts.retain(|part| *part != Part::Bytes(Vec::new()));
        Ok(Format(parts))
    }

    fn write(&self, record: &Consumed<'_>, null: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
        let len = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => to.extend(bytes),
                Part::Key => to.extend(record.key.unwrap_or(null)),
                Part::KeyLen => write!(to, "{}", len(record.key))?,
                Part::Value => to.extend(record.value.unwrap_or(null)),
                Part::ValueLen => write!(to, "{}", len(record.value))?,
                Part::Topic => to.extend(record.topic.as_bytes()),
                Part::Partition => write!(to, "{}", record.partition)?,
                Part::Offset => write!(to, "{}", record.offset)?,
                Part::Timestamp => write!(to, "{}", record.timestamp)?,
                Part::Headers => {
                    for (index, (name, value)) in record.headers.iter().enumerate() {
                        to.extend(if index == 0 { &b""[..] } else { b"," });
                        to.extend(*name);
                        to.extend(b"=");
                        to.extend(value.unwrap_or(null));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Consumed<'_> = Consumed {
        topic: "orders",
        partition: 2,
        offset: 40,
        timestamp: 1_700_000_000_000,
        key: Some(b"k"),
        value: None,
        headers: &[(b"a", Some(b"1")), (b"b", None)],
    };

    fn printed(form: &Form, null: &str) -> String {
        let mut bytes = Vec::new();
        form.write(&RECORD, null.as_bytes(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn formatted(format: &str) -> String {
        printed(&Form::Format(Format::parse(format).unwrap()), "NULL")
    }

    #[test]
    fn fields_are_put_in_their_places() {
        assert_eq!(formatted("%t-%p@%o %T\\n"), "orders-2@40 1700000000000\n");
        assert_eq!(formatted("%k(%K)=%s(%S) %h"), "k(1)=NULL(-1) a=1,b=NULL");
        assert_eq!(formatted("100%% of %o%%"), "100% of 40%");
        assert_eq!(formatted("%%s%%%o"), "%s%40");
        assert_eq!(formatted("plain\\x41"), "plainA");
    }

    #[test]
    fn a_field_that_does_not_exist_is_refused() {
        assert!(Format::parse("%s %z").unwrap_err().contains("%z"));
        for text in ["%s %", "%", "%%%"] {
            assert!(Format::parse(text).unwrap_err().contains("without a field"), "{text}");
        }
    }

    #[test]
    fn lines_have_values_and_keys_where_they_are_asked_for() {
        assert_eq!(printed(&Form::lines(None), ""), "\n");
        assert_eq!(printed(&Form::lines(Some("\\t")), "-"), "k\t-\n");
    }

    #[test]
    fn programs_get_everything() {
        let expected = "{\"topic\":\"orders\",\"partition\":2,\"offset\":40,\"timestamp\":1700000000000,\"key\":\"k\",\
                        \"value\":null,\"headers\":[{\"name\":\"a\",\"value\":\"1\"},\
                        {\"name\":\"b\",\"value\":null}]}\n";
        assert_eq!(printed(&Form::Json, ""), expected);
    }
}
