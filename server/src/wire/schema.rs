//! `Schema`: a message's table as data, so that tests can hold it against Apache Kafka's definition.

use std::fmt;

use super::value::Form;
use super::versions::Versions;

/// A message.
#[derive(Debug)]
pub struct Schema {
    /// Kafka's name of it.
    pub name: &'static str,
    /// The versions it exists in.
    pub valid: Versions,
    /// The versions with compact lengths and tagged fields.
    pub flexible: Versions,
    /// Its fields, in the order on the wire.
    pub fields: &'static [FieldSchema],
}

/// A struct inside a message.
#[derive(Debug)]
pub struct StructSchema {
    /// Kafka's name of it.
    pub name: &'static str,
    /// Its fields, in the order on the wire.
    pub fields: &'static [FieldSchema],
}

/// A field of a message or struct.
#[derive(Debug, Clone, Copy)]
pub struct FieldSchema {
    /// Kafka's name of it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The versions it exists in.
    pub versions: Versions,
    /// Those in which it may be null.
    pub nullable: Versions,
    /// Its tag, where it has one.
    pub tag: Option<u32>,
    /// The versions in which it is written as a tagged field.
    pub tagged: Versions,
    /// The versions in which its length is compact, where the message is flexible.
    pub flexible: Versions,
    /// The default that the definition names, as written there. Without one a number is 0 and everything
    /// else empty, also what may be null; only records are null.
    pub default: Option<&'static str>,
}

/// A field's type.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One byte, 0 or not.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes.
    Int16,
    /// Two bytes without a sign.
    Uint16,
    /// Four bytes.
    Int32,
    /// Four bytes without a sign.
    Uint32,
    /// Eight bytes.
    Int64,
    /// Eight bytes, IEEE 754.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// A length and UTF-8.
    String,
    /// A length and bytes.
    Bytes,
    /// A length and record batches.
    Records,
    /// A length and elements.
    Array(&'static Kind),
    /// Fields one after the other.
    Struct(&'static StructSchema),
}

/// The type in the notation of Kafka's definitions.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "bool",
            Kind::Int8 => "int8",
            Kind::Int16 => "int16",
            Kind::Uint16 => "uint16",
            Kind::Int32 => "int32",
            Kind::Uint32 => "uint32",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Uuid => "uuid",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::Records => "records",
            Kind::Array(element) => return write!(f, "[]{element}"),
            Kind::Struct(inner) => inner.name,
        })
    }
}

impl FieldSchema {
    /// A field with nothing but a name, a type and versions.
    pub const fn new(name: &'static str, kind: Kind, versions: Versions) -> FieldSchema {
        FieldSchema {
            name,
            kind,
            versions,
            nullable: Versions::NONE,
            tag: None,
            tagged: Versions::NONE,
            flexible: Versions::ALL,
            default: None,
        }
    }

    /// The same, under another name.
    pub const fn named(self, name: &'static str) -> FieldSchema {
        FieldSchema { name, ..self }
    }

    /// The same, null in these versions too.
    pub const fn nullable(self, nullable: Versions) -> FieldSchema {
        FieldSchema { nullable, ..self }
    }

    /// The same, tagged in these versions.
    pub const fn tagged(self, tag: u32, tagged: Versions) -> FieldSchema {
        FieldSchema { tag: Some(tag), tagged, ..self }
    }

    /// The same, with a compact length in these versions only.
    pub const fn flexible(self, flexible: Versions) -> FieldSchema {
        FieldSchema { flexible, ..self }
    }

    /// The same, with the default that a table has in Rust.
    pub const fn default(self, rust: &'static str) -> FieldSchema {
        let default = match rust.as_bytes() {
            b"None" => "null",
            b"Text::EMPTY" => "",
            _ => rust,
        };
        FieldSchema { default: Some(default), ..self }
    }

    /// The form of the field's value in a message of this form.
    #[inline]
    pub const fn form(&self, message: Form) -> Form {
        Form {
            version: message.version,
            flexible: message.flexible && self.flexible.contains(message.version),
            nullable: self.nullable.contains(message.version),
        }
    }

    /// Whether the field stands among those that every message of this version has.
    #[inline]
    pub const fn in_body(&self, version: i16) -> bool {
        self.versions.contains(version) && !self.tagged.contains(version)
    }

    /// Whether the field stands among the tagged ones of this version.
    #[inline]
    pub const fn in_tags(&self, version: i16) -> bool {
        self.versions.contains(version) && self.tagged.contains(version)
    }
}

/// How many bytes [`camel_case`] of `snake` has.
pub const fn camel_case_len(snake: &str) -> usize {
    let bytes = snake.as_bytes();
    let (mut len, mut at) = (0, 0);
    while at < bytes.len() {
        len += (bytes[at] != b'_') as usize;
        at += 1;
    }
    len
}

/// `replica_id` as `ReplicaId`.
pub const fn camel_case<const N: usize>(snake: &str) -> [u8; N] {
    let bytes = snake.as_bytes();
    let mut camel = [0; N];
    let (mut len, mut at, mut first) = (0, 0, true);
    while at < bytes.len() {
        if bytes[at] == b'_' {
            first = true;
        } else {
            camel[len] = if first { bytes[at].to_ascii_uppercase() } else { bytes[at] };
            (len, first) = (len + 1, false);
        }
        at += 1;
    }
    camel
}

/// What [`camel_case`] made, as a name.
pub const fn ascii(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => panic!("a field's name is ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_fields() {
        for (snake, camel) in
            [("acks", "Acks"), ("replica_id", "ReplicaId"), ("enable2_pc", "Enable2Pc"), ("a_b_c", "ABC")]
        {
            assert_eq!(camel_case_len(snake), camel.len());
            assert_eq!(&camel_case::<16>(snake)[..camel.len()], camel.as_bytes());
        }
    }
}
