//! The syntax of Java's `.properties` files: text to keys and values.

/// One key with its value, as the file has them: escapes resolved, spaces behind the value kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Where it begins, counted from 1.
    pub line: u32,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Where it begins, counted from 1.
    pub line: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// Every property in the order of the file, one entry for each time a key is named, and every bad line.
///
/// The bytes are ISO 8859-1, as Java reads them: a name in UTF-8 comes out as the same wrong characters that
/// Apache Kafka would see, so both find the same directory.
pub fn parse(bytes: &[u8]) -> (Vec<Property>, Vec<BadLine>) {
    let mut properties = Vec::new();
    let mut bad = Vec::new();
    let mut lines = Lines { bytes, position: 0, line: 1 };
    while let Some((line, text)) = lines.next_logical() {
        let (key, value) = split(&text);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => properties.push(Property { key, value, line }),
            (Err(reason), _) | (_, Err(reason)) => bad.push(BadLine { line, reason }),
        }
    }
    (properties, bad)
}

struct Lines<'a> {
    bytes: &'a [u8],
    position: usize,
    line: u32,
}

impl Lines<'_> {
    /// The next line that is neither blank nor a comment, with its number, and with the lines joined that a
    /// backslash continues; other escapes are left in it.
    fn next_logical(&mut self) -> Option<(u32, Vec<u8>)> {
        let mut joined = Vec::new();
        let mut first = None;
        while let Some((line, natural)) = self.next_natural() {
            let text = skip_blanks(natural);
            if joined.is_empty() && matches!(text.first(), None | Some(b'#' | b'!')) {
                first = None;
                continue;
            }
            let first = *first.get_or_insert(line);
            let backslashes = text.iter().rev().take_while(|&&b| b == b'\\').count();
            if backslashes % 2 == 0 {
                joined.extend_from_slice(text);
                return Some((first, joined));
            }
            joined.extend_from_slice(&text[..text.len() - 1]);
        }
        first.filter(|_| !joined.is_empty()).map(|first| (first, joined))
    }

    /// The bytes up to the next line end, which is `\n`, `\r` or both.
    fn next_natural(&mut self) -> Option<(u32, &[u8])> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return None;
        }
        let len = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        let end = match rest[len..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            [..] => 1,
        };
        let line = self.line;
        self.position += len + end;
        self.line += 1;
        Some((line, &rest[..len]))
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&b| !is_blank(b)).unwrap_or(text.len())..]
}

/// Key and value: the key ends at the first `=`, `:` or blank that has no backslash before it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    let is_end = |&b: &u8| {
        let ends = !escaped && (matches!(b, b'=' | b':') || is_blank(b));
        escaped = b == b'\\' && !escaped;
        ends
    };
    let key_len = line.iter().position(is_end).unwrap_or(line.len());
    let (key, rest) = line.split_at(key_len);
    let rest = skip_blanks(rest);
    let rest = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
    (key, skip_blanks(rest))
}

fn unescape(text: &[u8]) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            units.push((*byte).into());
            continue;
        }
        let [escape, tail @ ..] = rest else { break };
        rest = tail;
        units.push(match escape {
            b't' => 0x09,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b'f' => 0x0c,
            b'u' => {
                let unit =
                    rest.get(..4).and_then(hex).ok_or("\\u without four hexadecimal digits behind it")?;
                rest = &rest[4..];
                unit
            }
            other => (*other).into(),
        });
    }
    String::from_utf16(&units).map_err(|_| "half of a surrogate pair in \\u escapes".to_owned())
}

fn hex(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)? as u16))
}

/// A value as the file has to have it, so that reading gives it back.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (index, unit) in value.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(b' ') if index == 0 => escaped.push_str("\\ "),
            Ok(byte @ (b'\\' | b'=' | b':' | b'#' | b'!')) => escaped.extend(['\\', byte.into()]),
            Ok(byte @ b' '..=b'~') => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("\\u{unit:04X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// `~n` and the like in the fixture.
    fn decode(text: &str) -> Vec<u16> {
        let mut units = Vec::new();
        let mut chars = text.encode_utf16();
        while let Some(unit) = chars.next() {
            if unit != u16::from(b'~') {
                units.push(unit);
                continue;
            }
            units.push(match char::from_u32(chars.next().unwrap().into()).unwrap() {
                'n' => 0x0a,
                'r' => 0x0d,
                't' => 0x09,
                'f' => 0x0c,
                'x' => {
                    let digits: Vec<u16> = chars.by_ref().take(4).collect();
                    u16::from_str_radix(&String::from_utf16(&digits).unwrap(), 16).unwrap()
                }
                other => other as u16,
            });
        }
        units
    }

    #[test]
    fn reads_what_java_reads() {
        let mut cases = 0;
        for case in include_str!("testdata/java_properties.txt").lines().skip(2) {
            let (input, expected) = case.split_once('\t').unwrap();
            let (properties, bad) = parse(String::from_utf16(&decode(input)).unwrap().as_bytes());
            let held: BTreeMap<_, _> = properties.into_iter().map(|p| (p.key, p.value)).collect();
            let held: String = held.iter().map(|(key, value)| format!("<{key}|{value}>")).collect();
            let held = if bad.is_empty() { held } else { "error".to_owned() };
            assert_eq!(held, String::from_utf16(&decode(expected)).unwrap(), "{case}");
            cases += 1;
        }
        assert_eq!(cases, 57, "cases of the fixture");
    }

    #[test]
    fn a_bad_escape_is_one_error_with_its_line_and_the_rest_is_read() {
        let (properties, bad) = parse(b"# head\n\na=1\nb=\\u00g0\\\n  more\nc=\\uD800\nd=4");
        assert_eq!(
            properties.iter().map(|p| (p.key.as_str(), p.line)).collect::<Vec<_>>(),
            [("a", 3), ("d", 7)]
        );
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [4, 6]);
    }

    #[test]
    fn bytes_above_ascii_are_latin_1() {
        let (properties, _) = parse("log.dirs=/ä".as_bytes());
        assert_eq!(properties[0].value, "/\u{c3}\u{a4}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let alphabet = b"a=:\\#! \n\r\tu0";
        for seed in 0..alphabet.len().pow(5) {
            let text: Vec<u8> =
                (0..5).map(|digit| alphabet[seed / alphabet.len().pow(digit) % alphabet.len()]).collect();
            let _ = parse(&text);
        }
    }

    #[test]
    fn an_escaped_value_is_read_as_it_was() {
        for value in ["plain", "", " in front", "a=b:c#d!e\\f", "tab\there\nand there", "größe \u{1f600}"] {
            let text = format!("key={}\n", escape(value));
            assert!(text.is_ascii());
            let (properties, bad) = parse(text.as_bytes());
            assert_eq!((properties[0].value.as_str(), bad.len()), (value, 0), "{text:?}");
        }
    }
}
