//! What records of internal topics say, in the words of Apache Kafka's definitions.

use logmill_engine::format::Record;
use logmill_server::group::records::RECORD_TYPES;
use logmill_server::metadata::records as metadata_records;
use logmill_server::metadata::records::control::CONTROL_TYPES;
use logmill_server::wire::Reader;

use super::message::{frame, read_int16, read_message};
use crate::log::files::METADATA_TOPIC;
use crate::print::{Cell, Fields};

const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// The only version of the frame around records of the metadata log.
const METADATA_FRAME: u32 = 1;

/// The version that Apache Kafka reads control records of the metadata log in, whatever they say of themselves.
const CONTROL_VERSION: i16 = 0;

/// How records of a topic are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// As bytes that mean something to others.
    Plain,
    /// `int16` type and key, `int16` version and value.
    Coordinator(&'static str),
    /// `uvarint` frame, type and version, and the record, all in the value.
    Metadata,
}

impl Decoder {
    pub(super) fn of(topic: Option<&str>) -> Decoder {
        match topic {
            Some(CONSUMER_OFFSETS) => Decoder::Coordinator(CONSUMER_OFFSETS),
            Some(METADATA_TOPIC) => Decoder::Metadata,
            _ => Decoder::Plain,
        }
    }

    /// Key and value of a record, as far as they can be read; otherwise as bytes, with the reason.
    pub(super) fn fields(self, record: &Record<'_>) -> Fields {
        let read = match self {
            Decoder::Plain => return plain(record),
            Decoder::Coordinator(_) => coordinator(record),
            Decoder::Metadata => metadata(record),
        };
        read.unwrap_or_else(|reason| plain(record).with("undecoded", reason))
    }
}

fn plain(record: &Record<'_>) -> Fields {
    // A null is shown: it deletes a key.
    let shown = |bytes: Option<&[u8]>| bytes.map_or(Cell::None, Cell::from);
    Fields::default().with("key", shown(record.key)).with("value", shown(record.value))
}

fn coordinator(record: &Record<'_>) -> Result<Fields, String> {
    let key = frame(record.key.ok_or("no key")?);
    let mut reader = Reader::new(&key);
    let record_type = read_int16(&mut reader)?;
    let (_, key_schema, value_schema) = RECORD_TYPES
        .iter()
        .find(|(known, ..)| *known == record_type)
        .ok_or_else(|| format!("a record of type {record_type}"))?;
    let name = key_schema.name.strip_suffix("Key").unwrap_or(key_schema.name);
    let fields = Fields::default().with("type", name);
    let fields = fields.with("key", read_message(key_schema, &mut reader, 0)?);
    let Some(value) = record.value else { return Ok(fields.with("value", Cell::None)) };
    let value = frame(value);
    let mut reader = Reader::new(&value);
    let version = read_int16(&mut reader)?;
    let value = read_message(value_schema, &mut reader, version)?;
    Ok(fields.with("version", i64::from(version)).with("value", value))
}

fn metadata(record: &Record<'_>) -> Result<Fields, String> {
    let value = frame(record.value.ok_or("no value")?);
    let mut reader = Reader::new(&value);
    let mut number = || reader.uvarint().map_err(|reason| reason.to_string());
    let (frame, record_type, version) = (number()?, number()?, number()?);
    if frame != METADATA_FRAME {
        return Err(format!("a frame of version {frame}, expected {METADATA_FRAME}"));
    }
    let version = i16::try_from(version).map_err(|_| format!("a record of version {version}"))?;
    let (_, schema) = metadata_records::RECORD_TYPES
        .iter()
        .find(|(known, _)| *known == record_type)
        .ok_or_else(|| format!("a record of type {record_type}, version {version}"))?;
    let value = read_message(schema, &mut reader, version)?;
    Ok(Fields::default().with("type", schema.name).with("version", i64::from(version)).with("value", value))
}

/// A control record of the metadata log.
pub(super) fn control(kind: i16, value: Option<&[u8]>) -> Result<Fields, String> {
    let (_, schema) = CONTROL_TYPES
        .iter()
        .find(|(known, _)| *known == kind)
        .ok_or_else(|| format!("a control record of type {kind}"))?;
    let value = frame(value.ok_or("no value")?);
    let value = read_message(schema, &mut Reader::new(&value), CONTROL_VERSION)?;
    Ok(Fields::default().with("type", schema.name).with("value", value))
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::record::Records;
    use logmill_engine::format::{BatchBuilder, BatchView, NewRecord};

    use super::*;

    /// What is shown of a record, for programs.
    fn shown(decoder: Decoder, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut builder = BatchBuilder::new();
        builder.push(&NewRecord { key, value, timestamp: 0, headers: &[] });
        let bytes = builder.finish();
        let (batch, _) = BatchView::split_first(&bytes).unwrap();
        let record = Records::new(batch.records, 1).next().unwrap().unwrap();
        decoder.fields(&record).json()
    }

    #[test]
    fn a_committed_offset_is_told_in_words() {
        let decoder = Decoder::of(Some("__consumer_offsets"));
        let key = b"\0\x01\0\x01g\0\x01t\0\0\0\x03";
        let value = b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x07";
        let expected = "{\"type\":\"OffsetCommit\",\"key\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":3},\
                        \"version\":3,\"value\":{\"offset\":5,\"leaderEpoch\":2,\"metadata\":\"m\",\
                        \"commitTimestamp\":7}}";
        assert_eq!(shown(decoder, Some(key), Some(value)), expected);
        let deleted = "{\"type\":\"OffsetCommit\",\"key\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":3},\
                       \"value\":null}";
        assert_eq!(shown(decoder, Some(key), None), deleted);
        // Version 4 is flexible, with the topic's id behind a tag.
        let value =
            [&b"\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x02\x02m\0\0\0\0\0\0\0\x07\x01\0\x10"[..], &[1; 16]].concat();
        let told = shown(decoder, Some(key), Some(&value));
        assert!(told.contains("\"topicId\":\"AQEBAQEBAQEBAQEBAQEBAQ\""), "{told}");
    }

    #[test]
    fn a_topic_of_the_metadata_log_is_told_in_words() {
        let value = [&[1, 2, 0, 3][..], b"ab", &[7; 16], &[0]].concat();
        let expected = "{\"type\":\"TopicRecord\",\"version\":0,\"value\":{\"Name\":\"ab\",\
                        \"TopicId\":\"BwcHBwcHBwcHBwcHBwcHBw\"}}";
        assert_eq!(shown(Decoder::of(Some("__cluster_metadata")), None, Some(&value)), expected);
    }

    #[test]
    fn a_control_record_of_the_metadata_log_is_told_in_words() {
        // Version 0, the last contained timestamp 5, no tagged fields.
        let value = [0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0];
        let told = control(3, Some(&value)).unwrap().json();
        let expected = "{\"type\":\"SnapshotHeaderRecord\",\"value\":{\"Version\":0,\
                        \"LastContainedLogTimestamp\":5}}";
        assert_eq!(told, expected);
        assert_eq!(control(9, Some(&value)).unwrap_err(), "a control record of type 9");
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is_with_the_reason() {
        let decoder = Decoder::of(Some("__consumer_offsets"));
        let unknown = shown(decoder, Some(b"\0\x63?"), None);
        assert!(unknown.contains("\"undecoded\":\"a record of type 99\""), "{unknown}");
        for key in [&b"\0"[..], b"\0\x01\0\x05g", b"\0\x01\0\x01g\0\x01t"] {
            let told = shown(decoder, Some(key), None);
            assert!(told.starts_with("{\"key\":") && told.contains("undecoded"), "{told}");
        }
        let plain = shown(Decoder::of(Some("orders")), None, Some(b"v"));
        assert_eq!(plain, "{\"key\":null,\"value\":\"v\"}");
    }
}
