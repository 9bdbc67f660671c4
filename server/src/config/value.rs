//! `Value`: what the text of a setting means, by its type, and the range that it must lie in.
//!
//! The refusals are worded as Apache Kafka words them, because its tools print them as they come.

use std::fmt;

/// The type of a setting; the numbers are those of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Text.
    String = 2,
    /// A 32-bit number.
    Int = 3,
    /// A 16-bit number.
    Short = 4,
    /// A 64-bit number.
    Long = 5,
    /// A double-precision number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// The name of a Java class.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

impl ValueType {
    /// The type's number in DescribeConfigs.
    pub fn code(self) -> i8 {
        self as i8
    }

    /// The type's name, as Apache Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Boolean => "BOOLEAN",
            ValueType::String => "STRING",
            ValueType::Int => "INT",
            ValueType::Short => "SHORT",
            ValueType::Long => "LONG",
            ValueType::Double => "DOUBLE",
            ValueType::List => "LIST",
            ValueType::Class => "CLASS",
            ValueType::Password => "PASSWORD",
        }
    }
}

/// A setting's value, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a [`ValueType::Boolean`].
    Boolean(bool),
    /// Of an [`ValueType::Int`], [`ValueType::Short`] or [`ValueType::Long`].
    Number(i64),
    /// Of a [`ValueType::Double`].
    Double(f64),
    /// Of a [`ValueType::String`], [`ValueType::Class`] or [`ValueType::Password`].
    Text(String),
    /// Of a [`ValueType::List`].
    List(Vec<String>),
}

/// A setting that is refused; the text is the error message that goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig(pub String);

impl InvalidConfig {
    fn value(name: &str, value: impl fmt::Display, reason: impl fmt::Display) -> InvalidConfig {
        InvalidConfig(format!("Invalid value {value} for configuration {name}: {reason}"))
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidConfig {}

/// Which values of its type a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Every one.
    Any,
    /// Numbers from this one up.
    AtLeast(i64),
    /// Numbers from the first to the second, both included.
    Between(i64, i64),
    /// One of these texts, in this case.
    OneOf(&'static [&'static str]),
    /// A list of these texts, possibly empty; one that is named twice counts once.
    ListOf(&'static [&'static str]),
    /// A list of any texts, not empty; one that is named twice counts once.
    NotEmpty,
    /// Text that is not empty.
    Text,
    /// A gzip level, or -1 for zlib's own choice.
    GzipLevel,
    /// `*`, or a list of `partition:broker`.
    Replicas,
}

/// Type and range of one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// What its text is read as.
    pub value_type: ValueType,
    /// What it may be then.
    pub range: Range,
}

impl Rule {
    /// Reads the text of the setting `name`.
    pub fn read(&self, name: &str, text: &str) -> Result<Value, InvalidConfig> {
        let mut value = self.parse(name, text)?;
        if let (Value::List(items), Range::ListOf(_) | Range::NotEmpty) = (&mut value, self.range) {
            drop_repeated(items);
        }
        self.check(name, &value)?;
        Ok(value)
    }

    fn parse(&self, name: &str, text: &str) -> Result<Value, InvalidConfig> {
        // Java's trim takes every control character with it.
        let trimmed = text.trim_matches(|c| c <= ' ');
        let not_a_number = || {
            InvalidConfig::value(name, text, format_args!("Not a number of type {}", self.value_type.name()))
        };
        match self.value_type {
            ValueType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            ValueType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            ValueType::Boolean => {
                Err(InvalidConfig::value(name, text, "Expected value to be either true or false"))
            }
            ValueType::Int => {
                trimmed.parse::<i32>().map(|n| Value::Number(n.into())).map_err(|_| not_a_number())
            }
            ValueType::Short => {
                trimmed.parse::<i16>().map(|n| Value::Number(n.into())).map_err(|_| not_a_number())
            }
            ValueType::Long => trimmed.parse().map(Value::Number).map_err(|_| not_a_number()),
            ValueType::Double => parse_double(trimmed).map(Value::Double).ok_or_else(not_a_number),
            ValueType::List if trimmed.is_empty() => Ok(Value::List(Vec::new())),
            ValueType::List => {
                Ok(Value::List(trimmed.split(',').map(|item| item.trim().to_owned()).collect()))
            }
            ValueType::String | ValueType::Class | ValueType::Password => Ok(Value::Text(trimmed.to_owned())),
        }
    }

    /// Whether a value of the setting `name` lies in the range.
    pub(super) fn check(&self, name: &str, value: &Value) -> Result<(), InvalidConfig> {
        let refuse =
            |reason: fmt::Arguments<'_>| Err(InvalidConfig::value(name, value.in_messages(), reason));
        match (self.range, value) {
            (Range::AtLeast(min) | Range::Between(min, _), value) if value.is_below(min) => {
                refuse(format_args!("Value must be at least {min}"))
            }
            (Range::Between(_, max), value) if value.is_above(max) => {
                refuse(format_args!("Value must be no more than {max}"))
            }
            (Range::OneOf(allowed), Value::Text(text)) if !allowed.contains(&text.as_str()) => {
                refuse(format_args!("String must be one of: {}", allowed.join(", ")))
            }
            (Range::NotEmpty, Value::List(items)) if items.is_empty() => Err(InvalidConfig(format!(
                "Configuration '{name}' must not be empty. Valid values include: any non-empty value"
            ))),
            (Range::ListOf(_) | Range::NotEmpty, Value::List(items))
                if items.iter().any(String::is_empty) =>
            {
                Err(InvalidConfig(format!("Configuration '{name}' values must not be empty.")))
            }
            (Range::ListOf(allowed), Value::List(items)) => {
                match items.iter().find(|item| !allowed.contains(&item.as_str())) {
                    Some(item) => {
                        let allowed = allowed.join(", ");
                        Err(InvalidConfig::value(
                            name,
                            item,
                            format_args!("String must be one of: {allowed}"),
                        ))
                    }
                    None => Ok(()),
                }
            }
            (Range::Text, Value::Text(text)) if text.is_empty() => {
                refuse(format_args!("String must be non-empty"))
            }
            (Range::GzipLevel, Value::Number(level)) if *level != -1 && !(1..=9).contains(level) => {
                refuse(format_args!("Value must be between 1 and 9 or equal to -1"))
            }
            (Range::Replicas, Value::List(items)) if !are_replicas(items) => refuse(format_args!(
                "{name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            )),
            _ => Ok(()),
        }
    }
}

impl Value {
    fn is_below(&self, min: i64) -> bool {
        match self {
            Value::Number(number) => *number < min,
            Value::Double(number) => *number < min as f64,
            Value::Boolean(_) | Value::Text(_) | Value::List(_) => false,
        }
    }

    fn is_above(&self, max: i64) -> bool {
        match self {
            Value::Number(number) => *number > max,
            Value::Double(number) => *number > max as f64,
            Value::Boolean(_) | Value::Text(_) | Value::List(_) => false,
        }
    }

    /// The value as a message shows it: lists in brackets.
    fn in_messages(&self) -> String {
        match self {
            Value::List(items) => format!("[{}]", items.join(", ")),
            other => other.to_string(),
        }
    }
}

/// The value as DescribeConfigs shows it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Double(value) => f.write_str(&double_as_java_prints(*value)),
            Value::Text(value) => f.write_str(value),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// The range in words, for error messages and docs. Empty when there is nothing to say.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Any => Ok(()),
            Range::AtLeast(min) => write!(f, "at least {min}"),
            Range::Between(min, max) => write!(f, "{min} to {max}"),
            Range::OneOf(allowed) => write!(f, "one of {}", allowed.join(", ")),
            Range::ListOf(allowed) => write!(f, "any of {}", allowed.join(", ")),
            Range::NotEmpty | Range::Text => f.write_str("not empty"),
            Range::GzipLevel => f.write_str("1 to 9, or -1"),
            Range::Replicas => f.write_str("partition:broker each, or `*`"),
        }
    }
}

fn drop_repeated(items: &mut Vec<String>) {
    let mut kept = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    *items = kept;
}

/// Java's grammar without its hexadecimal form: no `inf`, no `nan`, but `0.5f` and `1d`.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    if digits.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    digits.parse().ok()
}

/// `Double.toString` of Java: always a fraction, and an exponent outside of 0.001 to 10,000,000.
fn double_as_java_prints(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    let (digits, exponent) = text.split_once('E').expect("the format has an exponent");
    let fraction = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{fraction}E{exponent}")
}

fn are_replicas(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |item: &String| {
        item.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    items.iter().all(|item| item.is_empty() || is_replica(item)) || items.concat() == "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_and_printed_as_java_does() {
        let rule = Rule { value_type: ValueType::Double, range: Range::Any };
        for (text, printed) in [
            ("0.001", "0.001"),
            ("0.00099", "9.9E-4"),
            (".1f", "0.1"),
            ("1d", "1.0"),
            ("1.", "1.0"),
            ("1.0e0", "1.0"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e-320", "1.0E-320"),
            ("1e10", "1.0E10"),
            ("123456.789", "123456.789"),
            ("9999999", "9999999.0"),
            ("1.7976931348623157E308", "1.7976931348623157E308"),
            ("-0", "-0.0"),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
        ] {
            assert_eq!(rule.read("x", text).map(|v| v.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in ["", "nan", "inf", "infinity", "half", "1e", ".", "1ff", "0,5", "--1"] {
            assert!(rule.read("x", text).is_err(), "{text:?} was taken for a number");
        }
    }

    #[test]
    fn an_empty_list_is_refused_where_one_is_needed() {
        let rule = Rule { value_type: ValueType::List, range: Range::NotEmpty };
        let refused = rule.read("log.dirs", " ").unwrap_err();
        assert!(refused.0.contains("'log.dirs' must not be empty"), "{refused}");
        assert!(rule.read("log.dirs", "a,,b").is_err());
        assert_eq!(rule.read("log.dirs", "a , b,a").unwrap().to_string(), "a,b");
    }
}
