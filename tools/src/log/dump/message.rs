//! A message of the protocol as values under names, read by its table alone.

use bytes::Bytes;
use logmill_engine::format::Uuid;
use logmill_server::wire::{FieldSchema, Kind, Reader, Reason, Schema};

use crate::print::{Cell, Fields};

/// How values of a message lie.
#[derive(Clone, Copy)]
struct Form {
    version: i16,
    is_flexible: bool,
    is_nullable: bool,
}

/// The fields of a message that stands at the reader, in the names of Apache Kafka's definitions.
pub(super) fn read_message(
    schema: &'static Schema,
    reader: &mut Reader<'_>,
    version: i16,
) -> Result<Fields, String> {
    if !schema.valid.contains(version) {
        return Err(format!("{} of version {version}, which is not known", schema.name));
    }
    let form = Form { version, is_flexible: schema.flexible.contains(version), is_nullable: false };
    read_struct(schema.fields, reader, form).map_err(|reason| format!("{}: {reason}", schema.name))
}

fn read_struct(
    schema: &'static [FieldSchema],
    reader: &mut Reader<'_>,
    form: Form,
) -> Result<Fields, Reason> {
    let mut fields = Fields::default();
    for field in schema.iter().filter(|field| field.in_body(form.version)) {
        fields.0.push((field.name, read_value(field.kind, reader, form_of(field, form))?));
    }
    if form.is_flexible {
        reader.tagged_fields(|reader, tag| {
            let is_it = |field: &&FieldSchema| field.tag == Some(tag) && field.in_tags(form.version);
            let Some(field) = schema.iter().find(is_it) else { return Ok(false) };
            fields.0.push((field.name, read_value(field.kind, reader, form_of(field, form))?));
            Ok(true)
        })?;
    }
    Ok(fields)
}

fn form_of(field: &FieldSchema, message: Form) -> Form {
    Form {
        version: message.version,
        is_flexible: message.is_flexible && field.flexible.contains(message.version),
        is_nullable: field.nullable.contains(message.version),
    }
}

fn read_value(kind: Kind, reader: &mut Reader<'_>, form: Form) -> Result<Cell, Reason> {
    Ok(match kind {
        Kind::Bool => Cell::Flag(reader.array::<1>()? != [0]),
        Kind::Int8 => i64::from(i8::from_be_bytes(reader.array()?)).into(),
        Kind::Int16 => i64::from(i16::from_be_bytes(reader.array()?)).into(),
        Kind::Uint16 => i64::from(u16::from_be_bytes(reader.array()?)).into(),
        Kind::Int32 => i32::from_be_bytes(reader.array()?).into(),
        Kind::Uint32 => i64::from(u32::from_be_bytes(reader.array()?)).into(),
        Kind::Int64 => i64::from_be_bytes(reader.array()?).into(),
        Kind::Float64 => Cell::Real(f64::from_be_bytes(reader.array()?)),
        Kind::Uuid => Uuid(reader.array()?).to_string().into(),
        Kind::String => match string_len(reader, form)? {
            Some(len) => reader.text(len)?.to_string().into(),
            None => null(form)?,
        },
        Kind::Bytes | Kind::Records => match len(reader, form)? {
            Some(len) => Cell::Bytes(reader.bytes(len)?.to_vec()),
            None => null(form)?,
        },
        Kind::Array(element) => match len(reader, form)? {
            Some(len) => {
                let of_element = Form { is_nullable: false, ..form };
                // A length is not believed before the elements are there: each takes a byte at least.
                Cell::List(
                    (0..len).map(|_| read_value(*element, reader, of_element)).collect::<Result<_, _>>()?,
                )
            }
            None => null(form)?,
        },
        Kind::Struct(inner) => {
            // One that may be null has a byte in front: -1 for null.
            if form.is_nullable && i8::from_be_bytes(reader.array()?) < 0 {
                return Ok(Cell::None);
            }
            Cell::Object(read_struct(inner.fields, reader, form)?)
        }
    })
}

fn string_len(reader: &mut Reader<'_>, form: Form) -> Result<Option<usize>, Reason> {
    if form.is_flexible {
        return reader.compact_len();
    }
    let len = i16::from_be_bytes(reader.array()?);
    reader.signed_len(len.into())
}

fn len(reader: &mut Reader<'_>, form: Form) -> Result<Option<usize>, Reason> {
    if form.is_flexible {
        return reader.compact_len();
    }
    let len = i32::from_be_bytes(reader.array()?);
    reader.signed_len(len)
}

fn null(form: Form) -> Result<Cell, Reason> {
    if form.is_nullable { Ok(Cell::None) } else { Err(Reason::Null) }
}

/// An integer of two bytes in front of a message: its type, or its version.
pub(super) fn read_int16(reader: &mut Reader<'_>) -> Result<i16, String> {
    reader.array().map(i16::from_be_bytes).map_err(|reason| reason.to_string())
}

/// Bytes for a reader.
pub(super) fn frame(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
