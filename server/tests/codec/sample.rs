//! Samples: the bytes of messages, made from their schemas alone by a writer that shares no code with ours.

use logmill_server::wire::{FieldSchema, Kind, Schema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The bytes of one message, and where the lengths in it stand.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<Length>,
}

/// A length of a string, byte field, array or tagged field, or a count of tagged fields.
pub(crate) struct Length {
    pub(crate) at: usize,
    pub(crate) form: LengthForm,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum LengthForm {
    Int16,
    Int32,
    Uvarint,
}

/// What the fields hold.
enum Fill {
    /// Anything: empty or not, null or not, the default or not.
    Random(Box<StdRng>),
    /// Nothing null or empty, every tagged field there.
    Full,
    /// Every field its default.
    Default,
}

/// A message with random content, the same for the same seed.
pub(crate) fn random(schema: &Schema, version: i16, seed: u64) -> Sample {
    sample(schema, version, Fill::Random(Box::new(StdRng::seed_from_u64(seed))))
}

/// A message that leaves no field out.
pub(crate) fn full(schema: &Schema, version: i16) -> Sample {
    sample(schema, version, Fill::Full)
}

fn sample(schema: &Schema, version: i16, fill: Fill) -> Sample {
    let flexible = schema.flexible.contains(version);
    let mut sampler = Sampler { version, flexible, fill, sample: Sample::default() };
    sampler.fields(schema.fields);
    sampler.sample
}

struct Sampler {
    version: i16,
    flexible: bool,
    fill: Fill,
    sample: Sample,
}

impl Sampler {
    fn fields(&mut self, fields: &[FieldSchema]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.in_body(version)) {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let mut values = Vec::new();
        for field in fields.iter().filter(|field| field.in_tags(version)) {
            let value = self.alone(field);
            // A tagged field that holds its default is not written.
            if value.bytes != self.default_of(field) && !self.leaves_out() {
                values.push((field.tag.expect("a tagged field has a tag"), value));
            }
        }
        self.length(LengthForm::Uvarint, values.len() as i64);
        for (tag, value) in values {
            self.uvarint(u64::from(tag));
            self.length(LengthForm::Uvarint, value.bytes.len() as i64);
            let shift = self.sample.bytes.len();
            self.sample.bytes.extend(value.bytes);
            self.sample.lengths.extend(value.lengths.into_iter().map(|l| Length { at: l.at + shift, ..l }));
        }
    }

    /// Whether to leave a tagged field out.
    fn leaves_out(&mut self) -> bool {
        match &mut self.fill {
            Fill::Random(rng) => rng.random_bool(0.5),
            Fill::Full | Fill::Default => false,
        }
    }

    /// The bytes of one field.
    fn alone(&mut self, field: &FieldSchema) -> Sample {
        let before = std::mem::take(&mut self.sample);
        self.field(field);
        std::mem::replace(&mut self.sample, before)
    }

    fn default_of(&self, field: &FieldSchema) -> Vec<u8> {
        let (version, flexible) = (self.version, self.flexible);
        let mut sampler = Sampler { version, flexible, fill: Fill::Default, sample: Sample::default() };
        sampler.field(field);
        sampler.sample.bytes
    }

    fn field(&mut self, field: &FieldSchema) {
        let nullable = field.nullable.contains(self.version);
        let flexible = self.flexible && field.flexible.contains(self.version);
        let null = nullable
            && match &mut self.fill {
                Fill::Random(rng) => rng.random_bool(0.25),
                Fill::Full => false,
                Fill::Default => {
                    field.default == Some("null")
                        || matches!(field.kind, Kind::Records) && field.default.is_none()
                }
            };
        self.value(field.kind, field.default, nullable, null, flexible);
    }

    fn value(&mut self, kind: Kind, default: Option<&str>, nullable: bool, null: bool, flexible: bool) {
        match kind {
            Kind::Bool => {
                let value = match &mut self.fill {
                    Fill::Random(rng) => rng.random_bool(0.5),
                    Fill::Full => default != Some("true"),
                    Fill::Default => default == Some("true"),
                };
                self.sample.bytes.push(u8::from(value));
            }
            Kind::Int8 => self.number(1, default),
            Kind::Int16 | Kind::Uint16 => self.number(2, default),
            Kind::Int32 | Kind::Uint32 => self.number(4, default),
            Kind::Int64 | Kind::Float64 => self.number(8, default),
            Kind::Uuid => {
                let uuid = match &mut self.fill {
                    Fill::Random(rng) => [[0; 16], rng.random()][rng.random_range(0..2)],
                    Fill::Full => [7; 16],
                    Fill::Default => [0; 16],
                };
                self.sample.bytes.extend(uuid);
            }
            Kind::String => {
                let text = match &mut self.fill {
                    Fill::Random(rng) => ["", "a", "größe-日本", "orders"][rng.random_range(0..4)],
                    Fill::Full => "größe",
                    Fill::Default => default.filter(|text| *text != "null").unwrap_or(""),
                };
                self.any_length(flexible, LengthForm::Int16, if null { -1 } else { text.len() as i64 });
                self.sample.bytes.extend(if null { &[] } else { text.as_bytes() });
            }
            Kind::Bytes | Kind::Records => {
                let len = if null { -1 } else { self.count() };
                self.any_length(flexible, LengthForm::Int32, len);
                self.sample.bytes.extend((0..len).map(|i| 0xf0 | i as u8));
            }
            Kind::Array(element) => {
                let len = if null { -1 } else { self.count() };
                self.any_length(flexible, LengthForm::Int32, len);
                for _ in 0..len {
                    self.value(*element, None, false, false, flexible);
                }
            }
            Kind::Struct(inner) => {
                if nullable {
                    self.sample.bytes.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.fields(inner.fields);
                }
            }
        }
    }

    /// How many elements or bytes.
    fn count(&mut self) -> i64 {
        match &mut self.fill {
            Fill::Random(rng) => rng.random_range(0..4),
            Fill::Full => 2,
            Fill::Default => 0,
        }
    }

    fn number(&mut self, width: usize, default: Option<&str>) {
        let default = default.map_or(0, |text| match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).expect("a default in hex"),
            None => text.parse().expect("a default in decimal"),
        });
        let value = match &mut self.fill {
            Fill::Random(rng) => {
                let any = rng.random::<i64>();
                [default, 0, 1, -1, i64::MAX, i64::MIN, any, any][rng.random_range(0..8)]
            }
            Fill::Full => 0x1112_1314_1516_1718,
            Fill::Default => default,
        };
        self.sample.bytes.extend(&value.to_be_bytes()[8 - width..]);
    }

    fn any_length(&mut self, flexible: bool, old: LengthForm, len: i64) {
        if flexible { self.length(LengthForm::Uvarint, len + 1) } else { self.length(old, len) }
    }

    fn length(&mut self, form: LengthForm, value: i64) {
        self.sample.lengths.push(Length { at: self.sample.bytes.len(), form });
        match form {
            LengthForm::Int16 => self.sample.bytes.extend((value as i16).to_be_bytes()),
            LengthForm::Int32 => self.sample.bytes.extend((value as i32).to_be_bytes()),
            LengthForm::Uvarint => self.uvarint(value as u64),
        }
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.sample.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.sample.bytes.push(value as u8);
    }
}
