//! `LineForm`: how a line is a record.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// Its name and its value.
type Header = (String, Option<Vec<u8>>);

/// What is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
    pub(super) timestamp: Option<i64>,
}

impl Record {
    /// About how many bytes of a batch it takes.
    pub(super) fn size(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + len(value) + 10);
        len(&self.key) + len(&self.value) + headers.sum::<usize>() + 30
    }
}

/// What a line is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct LineForm {
    pub(super) key_separator: Option<Vec<u8>>,
    pub(super) has_headers: bool,
    pub(super) null: Option<Vec<u8>>,
    pub(super) is_json: bool,
}

impl LineForm {
    /// The record that a line is, or why it is none.
    pub(super) fn read(&self, line: &[u8]) -> Result<Record, String> {
        if self.is_json {
            return read_json(line);
        }
        let mut rest = line;
        let mut record = Record::default();
        if self.has_headers {
            let (headers, behind) = split(rest, b"\t").ok_or("no tab behind the headers")?;
            record.headers = read_headers(headers)?;
            rest = behind;
        }
        if let Some(separator) = &self.key_separator {
            let (key, behind) = split(rest, separator).ok_or("no key separator")?;
            record.key = self.nullable(key);
            rest = behind;
        }
        record.value = self.nullable(rest);
        Ok(record)
    }

    fn nullable(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        (self.null.as_deref() != Some(bytes)).then(|| bytes.to_vec())
    }
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if separator.is_empty() {
        return None;
    }
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

fn read_headers(text: &[u8]) -> Result<Vec<Header>, String> {
    let pairs = text.split(|byte| *byte == b',').filter(|pair| !pair.is_empty());
    let pair = |pair: &[u8]| {
        let (name, value) = split(pair, b":").ok_or("a header without a colon")?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| "a header's name that is no text")?;
        Ok((name, Some(value.to_vec())))
    };
    pairs.map(pair).collect()
}

fn read_json(line: &[u8]) -> Result<Record, String> {
    let Value::Object(object) = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?
    else {
        return Err("no object of JSON".to_owned());
    };
    let field = |name: &str| match object.get(name) {
        Some(value) => read_bytes(value).map_err(|fault| format!("{name}: {fault}")),
        None => Ok(None),
    };
    let headers = match object.get("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(headers)) => headers.iter().map(read_header).collect::<Result<_, _>>()?,
        Some(_) => return Err("headers: expected a list".to_owned()),
    };
    let timestamp = match object.get("timestamp") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_i64().ok_or("timestamp: expected milliseconds since 1970")?),
    };
    Ok(Record { key: field("key")?, value: field("value")?, headers, timestamp })
}

fn read_header(header: &Value) -> Result<Header, String> {
    let name = header.get("name").and_then(Value::as_str).ok_or("headers: expected a name of each")?;
    let value = read_bytes(header.get("value").unwrap_or(&Value::Null));
    Ok((name.to_owned(), value.map_err(|fault| format!("header {name}: {fault}"))?))
}

/// A text, `{"base64": "..."}` for what is none, or null.
fn read_bytes(value: &Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone().into_bytes())),
        Value::Object(object) => {
            let text = object.get("base64").and_then(Value::as_str);
            let text = text.ok_or("expected a string, null or {\"base64\": \"...\"}")?;
            BASE64_STANDARD.decode(text).map(Some).map_err(|error| format!("base64: {error}"))
        }
        _ => Err("expected a string, null or {\"base64\": \"...\"}".to_owned()),
    }
}

/// A text of the command line with `\t`, `\n`, `\r`, `\\` and `\xNN` as the bytes that they stand for.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        let (escaped, behind) = match (byte, rest) {
            (b'\\', [b't', behind @ ..]) => (b'\t', behind),
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b'r', behind @ ..]) => (b'\r', behind),
            (b'\\', [b'\\', behind @ ..]) => (b'\\', behind),
            (b'\\', [b'x', high, low, behind @ ..]) => match hex(*high, *low) {
                Some(byte) => (byte, behind),
                None => (b'\\', rest),
            },
            (byte, rest) => (*byte, rest),
        };
        bytes.push(escaped);
        rest = behind;
    }
    bytes
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_values_or_keys_and_values_with_headers() {
        let plain = LineForm::default();
        assert_eq!(plain.read(b"a:b").unwrap(), Record { value: bytes("a:b"), ..Record::default() });
        let form = LineForm {
            key_separator: Some(b": ".to_vec()),
            has_headers: true,
            null: bytes("NULL"),
            is_json: false,
        };
        let record = form.read(b"h:1,g:\tkey: value: more").unwrap();
        assert_eq!((record.key, record.value), (bytes("key"), bytes("value: more")));
        assert_eq!(record.headers, [("h".to_owned(), bytes("1")), ("g".to_owned(), bytes(""))]);
        let record = form.read(b"\tNULL: NULL").unwrap();
        assert_eq!(record, Record::default());
        assert_eq!(form.read(b"no tab").unwrap_err(), "no tab behind the headers");
        assert_eq!(form.read(b"\tno key").unwrap_err(), "no key separator");
        assert_eq!(form.read(b"h\tk: v").unwrap_err(), "a header without a colon");
    }

    #[test]
    fn what_consume_prints_is_read() {
        let form = LineForm { is_json: true, ..LineForm::default() };
        let line = br#"{"topic":"t","offset":7,"timestamp":5,"key":{"base64":"AP8="},"value":null,
                        "headers":[{"name":"h","value":"x"},{"name":"h","value":null}]}"#;
        let expected = Record {
            key: Some(vec![0, 255]),
            value: None,
            headers: vec![("h".to_owned(), bytes("x")), ("h".to_owned(), None)],
            timestamp: Some(5),
        };
        assert_eq!(form.read(line).unwrap(), expected);
        assert_eq!(form.read(b"{}").unwrap(), Record::default());
        for (line, fault) in [
            ("[1]", "no object of JSON"),
            ("{\"value\":7}", "value: expected a string, null or {\"base64\": \"...\"}"),
            ("{\"timestamp\":\"now\"}", "timestamp: expected milliseconds since 1970"),
            ("{\"headers\":[{}]}", "headers: expected a name of each"),
        ] {
            assert_eq!(form.read(line.as_bytes()).unwrap_err(), fault);
        }
        assert!(form.read(b"value").unwrap_err().starts_with("no JSON: "));
        assert!(form.read(b"{\"key\":{\"base64\":\"?\"}}").unwrap_err().starts_with("key: base64: "));
    }

    #[test]
    fn escapes_of_the_command_line_stand_for_bytes() {
        assert_eq!(unescaped("a\\tb\\\\n\\x00\\xfF\\q\\x"), b"a\tb\\n\0\xff\\q\\x");
    }
}
