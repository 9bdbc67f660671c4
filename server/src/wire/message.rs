//! `message!`: the tables of messages, and the code that follows from them.

use super::read_error::{ReadError, Reason};
use super::reader::Reader;
use super::schema::Schema;
use super::value::{Form, Value};
use super::writer::Writer;

/// A message of a table: a request, a response, a header or a record.
pub trait Message: Value {
    /// Its table.
    const SCHEMA: &'static Schema;

    /// Takes the message off the reader, in a version that may not exist. Bytes behind it are left alone:
    /// Apache Kafka does not mind them, so a frame that is longer than its request is answered.
    fn read_message(reader: &mut Reader<'_>, version: i16) -> Result<Self, ReadError> {
        let schema = Self::SCHEMA;
        if !schema.valid.contains(version) {
            return Err(reader.error(schema.name, version, Reason::NoSuchVersion));
        }
        Self::read(reader, form_of(schema, version))
            .and_then(|message| reader.check_size().map(|()| message))
            .map_err(|reason| reader.error(schema.name, version, reason))
    }

    /// Appends the message in a version that exists. Fields that the version does not have are left out,
    /// whatever they hold.
    fn write_message(&self, writer: &mut Writer<'_>, version: i16) {
        let schema = Self::SCHEMA;
        assert!(schema.valid.contains(version), "{} v{version}: versions are {}", schema.name, schema.valid);
        self.write(writer, form_of(schema, version));
    }
}

fn form_of(schema: &Schema, version: i16) -> Form {
    Form { version, flexible: schema.flexible.contains(version), nullable: false }
}

/// Whether a field of this name says what went wrong.
pub(crate) const fn is_error_code(field: &str) -> bool {
    let (field, name) = (field.as_bytes(), b"error_code");
    if field.len() != name.len() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        if field[at] != name[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Defines a message and the structs inside it.
///
/// ```text
/// message! {
///     /// What it is.
///     FetchRequest "4-18", flexible "12+" {
///         cluster_id: Option<Text> = "12+", nullable "12+", tag 0 "12+", default None;
///         replica_id: i32 = "0-14", default -1;
///         topics: Vec<FetchTopic> = "0+";
///     }
///
///     FetchTopic {
///         topic: Text = "0-12";
///         topic_id: Uuid = "13+";
///     }
/// }
/// ```
///
/// A field reads: name, type, versions, and where the definition has them, in this order, `name "..."` (when
/// it is not the field's in camel case), `nullable`, `tag` with the tagged versions, `flexible`, `default`.
/// Types are the Rust ones ([`Value`]); one that is null in some version is an `Option`, except [`Records`],
/// which have a null of their own. Fields stand in the order of the wire, tags ascending.
///
/// [`Records`]: super::Records
macro_rules! message {
    (
        $(#[$meta:meta])*
        $message:ident $valid:literal, flexible $flexible:literal { $($fields:tt)* }
        $( $(#[$struct_meta:meta])* $struct:ident { $($struct_fields:tt)* } )*
    ) => {
        $crate::wire::message::structure! {
            $(#[$meta])*
            #[doc = concat!("`", stringify!($message), "`, versions ", $valid, ", flexible ", $flexible, ".")]
            $message { $($fields)* }
        }

        impl $crate::wire::message::Message for $message {
            const SCHEMA: &'static $crate::wire::schema::Schema = &$crate::wire::schema::Schema {
                name: $message::STRUCT.name,
                valid: $crate::wire::versions::Versions::parse($valid),
                flexible: $crate::wire::versions::Versions::parse($flexible),
                fields: $message::STRUCT.fields,
            };
        }

        $( $crate::wire::message::structure! {
            $(#[$struct_meta])*
            #[doc = concat!("`", stringify!($struct), "` of [`", stringify!($message), "`].")]
            $struct { $($struct_fields)* }
        } )*
    };
}

/// One struct of a table. Conditions on versions compare with constants: what a version does not have costs
/// a comparison.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        $struct:ident { $(
            $(#[$field_meta:meta])*
            $field:ident: $type:ty = $versions:literal
            $(, name $name:literal)?
            $(, nullable $nullable:literal)?
            $(, tag $tag:literal $tagged:literal)?
            $(, flexible $flexible:literal)?
            $(, default $default:expr)?
        ;)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $struct { $(
            $(#[$field_meta])*
            #[doc = concat!(
                "Versions ", $versions,
                $("; null in ", $nullable,)? $("; tag ", $tag, " in ", $tagged,)?
                $("; `", stringify!($default), "` by default",)? ".",
            )]
            pub $field: $type,
        )* }

        impl $struct {
            const STRUCT: &'static $crate::wire::schema::StructSchema =
                &$crate::wire::schema::StructSchema {
                    name: stringify!($struct),
                    fields: &[$(Self::$field),*],
                };

            $(
                #[expect(non_upper_case_globals, reason = "the table's line for the field of this name")]
                const $field: $crate::wire::schema::FieldSchema = $crate::wire::schema::FieldSchema::new(
                    {
                        const LEN: usize = $crate::wire::schema::camel_case_len(stringify!($field));
                        const CAMEL: [u8; LEN] = $crate::wire::schema::camel_case(stringify!($field));
                        $crate::wire::schema::ascii(&CAMEL)
                    },
                    <$type as $crate::wire::value::Value>::KIND,
                    $crate::wire::versions::Versions::parse($versions),
                )
                $(.named($name))?
                $(.nullable($crate::wire::versions::Versions::parse($nullable)))?
                $(.tagged($tag, $crate::wire::versions::Versions::parse($tagged)))?
                $(.flexible($crate::wire::versions::Versions::parse($flexible)))?
                $(.default(stringify!($default)))?;
            )*

            /// Reads the value of a tagged field, if the table has its tag.
            fn read_tag(
                &mut self,
                reader: &mut $crate::wire::Reader<'_>,
                tag: u32,
                form: $crate::wire::value::Form,
            ) -> Result<bool, $crate::wire::Reason> {
                $( if Self::$field.tag == Some(tag) {
                    let value = if Self::$field.in_tags(form.version) {
                        $crate::wire::value::Value::read(reader, Self::$field.form(form))
                    } else {
                        Err($crate::wire::Reason::TagNotInVersion(tag))
                    };
                    self.$field =
                        value.map_err(|reason| reader.fail(Self::STRUCT.name, Self::$field.name, reason))?;
                    return Ok(true);
                } )*
                // A table without fields looks at none of them.
                let _ = (reader, tag, form);
                Ok(false)
            }
        }

        impl Default for $struct {
            fn default() -> Self {
                $struct { $($field: $crate::wire::message::default_of!($type $(, $default)?)),* }
            }
        }

        impl $crate::wire::value::Value for $struct {
            const KIND: $crate::wire::Kind = $crate::wire::Kind::Struct(Self::STRUCT);

            fn initial() -> Self {
                Self::default()
            }

            fn read(
                reader: &mut $crate::wire::Reader<'_>,
                form: $crate::wire::value::Form,
            ) -> Result<Self, $crate::wire::Reason> {
                let mut this = $struct { $(
                    $field: if Self::$field.in_body(form.version) {
                        <$type as $crate::wire::value::Value>::read(reader, Self::$field.form(form))
                            .map_err(|reason| reader.fail(Self::STRUCT.name, Self::$field.name, reason))?
                    } else {
                        $crate::wire::message::default_of!($type $(, $default)?)
                    },
                )* };
                if form.flexible {
                    reader
                        .tagged_fields(|reader, tag| this.read_tag(reader, tag, form))
                        .map_err(|reason| reader.fail(Self::STRUCT.name, "tagged fields", reason))?;
                }
                Ok(this)
            }

            fn write(&self, writer: &mut $crate::wire::Writer<'_>, form: $crate::wire::value::Form) {
                $( if Self::$field.in_body(form.version) {
                    if const { $crate::wire::message::is_error_code(stringify!($field)) } {
                        writer.note_error(&self.$field);
                    }
                    $crate::wire::value::Value::write(&self.$field, writer, Self::$field.form(form));
                } )*
                if form.flexible {
                    $( let $field = Self::$field.in_tags(form.version)
                        && self.$field != $crate::wire::message::default_of!($type $(, $default)?); )*
                    writer.uvarint(0 $( + u32::from($field) )*);
                    $( if $field {
                        let tag = Self::$field.tag.expect("a tagged field has a tag");
                        writer.tagged(tag, |writer| {
                            $crate::wire::value::Value::write(&self.$field, writer, Self::$field.form(form));
                        });
                    } )*
                }
            }
        }

        impl $crate::wire::value::Nullable for $struct {
            /// A byte says whether the struct follows; Apache Kafka takes every negative one for a null.
            fn read_nullable(
                reader: &mut $crate::wire::Reader<'_>,
                form: $crate::wire::value::Form,
            ) -> Result<Option<Self>, $crate::wire::Reason> {
                let presence = reader.array().map(i8::from_be_bytes)?;
                if presence < 0 { Ok(None) } else { $crate::wire::value::Value::read(reader, form).map(Some) }
            }

            fn write_nullable(
                value: Option<&Self>,
                writer: &mut $crate::wire::Writer<'_>,
                form: $crate::wire::value::Form,
            ) {
                writer.put(&[if value.is_some() { 1 } else { -1i8 as u8 }]);
                if let Some(value) = value {
                    $crate::wire::value::Value::write(value, writer, form);
                }
            }
        }
    };
}

/// The default of a field: the one of its line, or its type's.
macro_rules! default_of {
    ($type:ty, $default:expr) => {
        $default
    };
    ($type:ty) => {
        <$type as $crate::wire::value::Value>::initial()
    };
}

pub(crate) use {default_of, message, structure};

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public structs, these in a private module")]
mod tests {
    use bytes::Bytes;
    use logmill_engine::format::Uuid;

    use super::*;
    use crate::wire::{Records, Text, Versions};

    message! {
        Everything "0-2", flexible "2+" {
            small: u16 = "0+";
            medium: u32 = "0+", default 5;
            real: f64 = "0+";
            blob: Bytes = "0+";
            maybe_blob: Option<Bytes> = "0+", nullable "1+";
            old_text: Text = "0+", name "oldText", flexible "none";
            records: Records = "0+";
            maybe_part: Option<Part> = "1+", nullable "1+", default None;
            tagged_part: Option<Part> = "2+", nullable "2+", tag 0 "2+", default None;
            tagged_ids: Vec<Uuid> = "1+", tag 1 "2+";
        }

        Part {
            flag: bool = "0+", default true;
            text: Text = "0-1";
        }
    }

    fn written(message: &Everything, version: i16) -> Vec<u8> {
        let mut buf = Vec::new();
        message.write_message(&mut Writer::new(&mut buf), version);
        buf
    }

    fn read(bytes: impl Into<Vec<u8>>, version: i16) -> Result<Everything, ReadError> {
        Everything::read_message(&mut Reader::new(&Bytes::from(bytes.into())), version)
    }

    #[test]
    fn defaults_are_those_of_the_lines_or_empty() {
        let message = Everything::default();
        assert_eq!((message.small, message.medium, message.real), (0, 5, 0.0));
        assert_eq!((message.maybe_blob, message.maybe_part), (Some(Bytes::new()), None));
        assert_eq!(message.records, Records::Null);
    }

    #[test]
    fn every_type_has_its_form() {
        let message = Everything {
            small: 0xfffe,
            medium: 0xffff_fffd,
            real: 1.0,
            blob: Bytes::from_static(b"b"),
            maybe_blob: None,
            old_text: "o".into(),
            records: Records::Bytes(Bytes::from_static(b"r")),
            maybe_part: Some(Part::default()),
            tagged_part: Some(Part { flag: false, ..Default::default() }),
            tagged_ids: vec![Uuid::METADATA_TOPIC],
        };
        let bytes = written(&message, 2);
        assert_eq!(
            &bytes[..],
            b"\xff\xfe\xff\xff\xff\xfd\x3f\xf0\0\0\0\0\0\0\x02b\0\0\x01o\x02r\
              \x01\x01\0\
              \x02\0\x03\x01\0\0\x01\x11\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
        );
        assert_eq!(read(bytes, 2), Ok(message));
    }

    #[test]
    fn what_a_version_does_not_have_is_left_out_and_read_as_its_default() {
        let message = Everything { maybe_blob: None, tagged_ids: vec![Uuid::ZERO], ..Default::default() };
        let bytes = written(&message, 0);
        assert_eq!(&bytes[..], b"\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let records = Records::Bytes(Bytes::new());
        assert_eq!(read(bytes, 0), Ok(Everything { records, ..Default::default() }));
    }

    #[test]
    fn a_field_is_tagged_in_its_tagged_versions_only() {
        let message = Everything {
            tagged_ids: vec![Uuid::ZERO],
            records: Records::Bytes(Bytes::new()),
            ..Default::default()
        };
        let bytes = written(&message, 1);
        assert_eq!(bytes[bytes.len() - 21..], [&b"\xff\0\0\0\x01"[..], &[0; 16]].concat());
        assert_eq!(read(bytes, 1), Ok(message));
    }

    #[test]
    fn tags_that_no_table_knows_are_skipped() {
        let message = Everything { records: Records::Bytes(Bytes::new()), ..Default::default() };
        let mut bytes = written(&message, 2);
        assert_eq!(bytes.last(), Some(&0), "no tagged fields");
        bytes.truncate(bytes.len() - 1);
        bytes.extend_from_slice(b"\x02\x05\x03xyz\xff\x7f\0");
        assert_eq!(read(bytes, 2), Ok(message));
    }

    #[test]
    fn bytes_behind_a_message_are_left_alone() {
        let mut bytes = written(&Everything::default(), 0);
        bytes.extend_from_slice(b"more");
        let frame = Bytes::from(bytes);
        let mut reader = Reader::new(&frame);
        Everything::read_message(&mut reader, 0).unwrap();
        assert_eq!(reader.remaining(), 4);
    }

    #[test]
    fn an_error_names_message_field_and_place() {
        let error = read(&b"\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x09"[..], 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Everything v0, byte 18: Everything.Blob needs 9, but 0 bytes are left"
        );
        let mut null = written(&Everything { maybe_blob: None, ..Default::default() }, 1).to_vec();
        let maybe_blob = null.windows(4).position(|bytes| bytes == [0xff; 4]).unwrap();
        assert_eq!(read(null.clone(), 1).map(|message| message.maybe_blob), Ok(None));
        null.truncate(maybe_blob + 4);
        assert_eq!(
            read(null, 0).unwrap_err().to_string(),
            "Everything v0, byte 22: Everything.MaybeBlob is null, which this version does not allow"
        );
        assert_eq!(
            read(&b""[..], 3).unwrap_err().to_string(),
            "Everything v3, byte 0: there is no such version"
        );
    }

    #[test]
    fn the_schema_has_what_the_lines_say() {
        let field = |name: &str| Everything::SCHEMA.fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(field("MaybeBlob").nullable, Versions::parse("1+"));
        assert_eq!(field("oldText").flexible, Versions::NONE);
        assert_eq!((field("Medium").default, field("Medium").kind.to_string()), (Some("5"), "uint32".into()));
        assert_eq!(field("MaybePart").default, Some("null"));
        let ids = field("TaggedIds");
        assert_eq!((ids.tag, ids.tagged), (Some(1), Versions::parse("2+")));
        assert_eq!(ids.kind.to_string(), "[]uuid");
    }
}
