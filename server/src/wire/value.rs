//! `Value`: what can stand in a field, and its form on the wire.

use bytes::Bytes;
use logmill_engine::format::Uuid;

use super::few::Few;
use super::read_error::Reason;
use super::reader::Reader;
use super::records::Records;
use super::schema::Kind;
use super::text::Text;
use super::writer::Writer;

/// What decides the form of a value, apart from its type.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The message's version.
    pub version: i16,
    /// Whether lengths are compact and structs end with tagged fields.
    pub flexible: bool,
    /// Whether the value may be null. Elements of an array never are.
    pub nullable: bool,
}

impl Form {
    #[inline]
    fn of_element(self) -> Form {
        Form { nullable: false, ..self }
    }
}

/// A type of fields.
pub trait Value: Sized {
    /// The type's name in Kafka's definitions.
    const KIND: Kind;

    /// What a field holds whose definition names no default.
    fn initial() -> Self;
    /// Takes the value off the reader.
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason>;
    /// Appends the value.
    fn write(&self, writer: &mut Writer<'_>, form: Form);

    /// Whether it says, as an error code, that something went wrong.
    fn is_error(&self) -> bool {
        false
    }
}

/// A type of fields that can be null, then held as an `Option`.
pub trait Nullable: Value {
    /// Takes the value, or a null, off the reader.
    fn read_nullable(reader: &mut Reader<'_>, form: Form) -> Result<Option<Self>, Reason>;
    /// Appends the value, or a null.
    fn write_nullable(value: Option<&Self>, writer: &mut Writer<'_>, form: Form);
}

/// Numbers: all of their bytes, the most significant first.
macro_rules! number {
    ($($type:ty => $kind:ident),*) => { $(
        impl Value for $type {
            const KIND: Kind = Kind::$kind;

            fn initial() -> Self {
                <$type>::default()
            }

            #[inline]
            fn read(reader: &mut Reader<'_>, _: Form) -> Result<Self, Reason> {
                reader.array().map(<$type>::from_be_bytes)
            }

            #[inline]
            fn write(&self, writer: &mut Writer<'_>, _: Form) {
                writer.put(&self.to_be_bytes());
            }

            fn is_error(&self) -> bool {
                *self != Self::initial()
            }
        }
    )* };
}

number!(i8 => Int8, i16 => Int16, u16 => Uint16, i32 => Int32, u32 => Uint32, i64 => Int64, f64 => Float64);

impl Value for bool {
    const KIND: Kind = Kind::Bool;

    fn initial() -> Self {
        false
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, _: Form) -> Result<Self, Reason> {
        reader.array().map(|[byte]| byte != 0)
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, _: Form) {
        writer.put(&[u8::from(*self)]);
    }
}

impl Value for Uuid {
    const KIND: Kind = Kind::Uuid;

    fn initial() -> Self {
        Uuid::ZERO
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, _: Form) -> Result<Self, Reason> {
        reader.array().map(Uuid)
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, _: Form) {
        writer.put(&self.0);
    }
}

impl Value for Text {
    const KIND: Kind = Kind::String;

    fn initial() -> Self {
        Text::EMPTY
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        Text::read_nullable(reader, form)?.ok_or(Reason::Null)
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        Text::write_nullable(Some(self), writer, form);
    }
}

impl Nullable for Text {
    #[inline]
    fn read_nullable(reader: &mut Reader<'_>, form: Form) -> Result<Option<Self>, Reason> {
        let len = if form.flexible {
            reader.compact_len()?
        } else {
            let len = reader.array().map(i16::from_be_bytes)?;
            reader.signed_len(i32::from(len))?
        };
        len.map(|len| reader.text(len)).transpose()
    }

    #[inline]
    fn write_nullable(value: Option<&Self>, writer: &mut Writer<'_>, form: Form) {
        let len = value.map(|text| text.len());
        if form.flexible {
            writer.compact_len(len);
        } else {
            let len = len.map_or(-1, |len| i16::try_from(len).expect("a Text fits the protocol"));
            writer.put(&len.to_be_bytes());
        }
        if let Some(text) = value {
            writer.put(text.as_bytes());
        }
    }
}

/// A length of everything but strings.
#[inline]
fn read_len(reader: &mut Reader<'_>, form: Form) -> Result<Option<usize>, Reason> {
    if form.flexible {
        reader.compact_len()
    } else {
        let len = reader.array().map(i32::from_be_bytes)?;
        reader.signed_len(len)
    }
}

#[inline]
fn write_len(len: Option<usize>, writer: &mut Writer<'_>, form: Form) {
    if form.flexible { writer.compact_len(len) } else { writer.signed_len(len) }
}

impl Value for Bytes {
    const KIND: Kind = Kind::Bytes;

    fn initial() -> Self {
        Bytes::new()
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        Bytes::read_nullable(reader, form)?.ok_or(Reason::Null)
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        Bytes::write_nullable(Some(self), writer, form);
    }
}

impl Nullable for Bytes {
    #[inline]
    fn read_nullable(reader: &mut Reader<'_>, form: Form) -> Result<Option<Self>, Reason> {
        read_len(reader, form)?.map(|len| reader.bytes(len)).transpose()
    }

    #[inline]
    fn write_nullable(value: Option<&Self>, writer: &mut Writer<'_>, form: Form) {
        write_len(value.map(|bytes| bytes.len()), writer, form);
        if let Some(bytes) = value {
            writer.put(bytes);
        }
    }
}

impl Value for Records {
    const KIND: Kind = Kind::Records;

    fn initial() -> Self {
        Records::Null
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        match read_len(reader, form)? {
            Some(len) => reader.records(len).map(Records::Bytes),
            None if form.nullable => Ok(Records::Null),
            None => Err(Reason::Null),
        }
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        match self {
            Records::Null => write_len(if form.nullable { None } else { Some(0) }, writer, form),
            Records::Bytes(bytes) => bytes.write(writer, form),
            Records::Slices(slices) => {
                write_len(Some(self.len()), writer, form);
                slices.iter().for_each(|slice| writer.put_slice(slice));
            }
        }
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);

    fn initial() -> Self {
        Vec::new()
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        Vec::read_nullable(reader, form)?.ok_or(Reason::Null)
    }

    #[inline]
    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        Vec::write_nullable(Some(self), writer, form);
    }
}

impl<T: Value> Nullable for Vec<T> {
    fn read_nullable(reader: &mut Reader<'_>, form: Form) -> Result<Option<Self>, Reason> {
        let Some(len) = read_len(reader, form)? else { return Ok(None) };
        let mut elements = Vec::new();
        while elements.len() < len {
            if elements.len() == elements.capacity() {
                elements.reserve_exact(reader.room_for::<T>(len - elements.len(), elements.len())?);
            }
            elements.push(T::read(reader, form.of_element())?);
            reader.check_size()?;
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer<'_>, form: Form) {
        write_len(value.map(Vec::len), writer, form);
        for element in value.into_iter().flatten() {
            element.write(writer, form.of_element());
        }
    }
}

impl<T: Value> Value for Few<T> {
    const KIND: Kind = Kind::Array(&T::KIND);

    fn initial() -> Self {
        Few::new()
    }

    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        let len = read_len(reader, form)?.ok_or(Reason::Null)?;
        let mut elements = Few::new();
        while elements.len() < len {
            if elements.len() == elements.capacity() {
                elements.reserve_exact(reader.room_for::<T>(len - elements.len(), elements.len())?);
            }
            elements.push(T::read(reader, form.of_element())?);
            reader.check_size()?;
        }
        Ok(elements)
    }

    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        write_len(Some(self.len()), writer, form);
        for element in self {
            element.write(writer, form.of_element());
        }
    }
}

impl<T: Nullable> Value for Option<T> {
    const KIND: Kind = T::KIND;

    fn initial() -> Self {
        Some(T::initial())
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, form: Form) -> Result<Self, Reason> {
        if form.nullable { T::read_nullable(reader, form) } else { T::read(reader, form).map(Some) }
    }

    /// A null that the version does not have is written as empty: an old client is better served with that
    /// than with a closed connection.
    #[inline]
    fn write(&self, writer: &mut Writer<'_>, form: Form) {
        match self {
            value if form.nullable => T::write_nullable(value.as_ref(), writer, form),
            Some(value) => value.write(writer, form),
            None => T::initial().write(writer, form),
        }
    }
}
