//! `.log` and the metadata log's `.checkpoint`: batches and their records.

use std::path::Path;

use logmill_engine::format::control::ControlRecord;
use logmill_engine::format::header::sequence_after;
use logmill_engine::format::legacy::LegacyEntry;
use logmill_engine::format::{BatchHeader, BatchView, Codec, Record};

use super::internal::{Decoder, control};
use super::{Dump, Dumped};
use crate::log::files::{Content, METADATA_TOPIC, topic_of};
use crate::log::walk::{End, Found, FoundBatch, SegmentWalk};
use crate::print::{Cell, Fields};

/// What the records of one batch may come to.
pub(crate) const RECORDS_BYTES_MAX: usize = 1 << 30;

impl Dump {
    pub(super) fn batches(&mut self, path: &Path, content: Content) -> Dumped {
        let file = Dump::open(path)?;
        let mut walk = SegmentWalk::new(&file)?;
        let (what, decoder) = match content {
            Content::MetadataSnapshot => ("snapshot of the metadata log", Decoder::of(Some(METADATA_TOPIC))),
            _ => ("batches", Decoder::of(topic_of(path).as_deref())),
        };
        self.begin(path, what, walk.len())?;
        while let Some(found) = walk.next()? {
            self.batch(&found, decoder)?;
        }
        match walk.end() {
            End::Whole => Ok(()),
            End::Cut { position, rest, fault } => {
                self.fault(Some(position), &format!("{fault} ({rest} bytes are left)"))
            }
        }
    }

    fn batch(&mut self, found: &Found<'_>, decoder: Decoder) -> Dumped {
        let mut fields = batch_fields(found);
        let is_damaged = found.fault.is_some();
        self.faults += u64::from(is_damaged);
        if !self.has_records || is_damaged {
            return self.line("batch", &fields);
        }
        let read = match found.batch {
            FoundBatch::Batch(batch) => records(&batch, decoder),
            FoundBatch::Legacy(entry) => messages(&entry),
        };
        let (records, fault) = read;
        self.faults += u64::from(fault.is_some());
        if self.out.is_json() {
            fields = fields.with("records", records.into_iter().map(Cell::Object).collect::<Vec<_>>());
            return self.line("batch", &fields.with("records_fault", fault));
        }
        self.line("batch", &fields)?;
        for record in records {
            self.out.line(&format!("    {}", record.text()))?;
        }
        if let Some(fault) = fault {
            self.out.line(&format!("    fault {fault}"))?;
        }
        Ok(())
    }
}

/// A batch without its records.
fn batch_fields(found: &Found<'_>) -> Fields {
    let fields = Fields::default()
        .with("position", found.position)
        .with("size", found.size)
        .with("base_offset", found.batch.base_offset())
        .with("last_offset", found.batch.last_offset());
    let fields = match found.batch {
        FoundBatch::Batch(batch) => header_fields(fields, batch.header),
        FoundBatch::Legacy(entry) => fields
            .with("timestamp", Cell::Time(entry.max_timestamp()))
            .with("compressed", entry.is_compressed())
            .with("magic", i64::from(entry.magic())),
    };
    fields.with("fault", found.fault.clone())
}

fn header_fields(fields: Fields, header: &BatchHeader) -> Fields {
    // -1 stands for none; without a producer a coordinator leaves the sequence at 0.
    let some = |number: i64| (number >= 0).then_some(number);
    let base = header.base_sequence();
    let last = if base < 0 { -1 } else { sequence_after(base, header.last_offset_delta()) };
    let clock = if header.is_log_append_time() { "append" } else { "create" };
    fields
        .with("count", header.record_count())
        .with("timestamp", Cell::Time(header.max_timestamp()))
        .with("timestamp_type", clock)
        .with("codec", codec_name(header))
        .with("leader_epoch", header.leader_epoch())
        .with("producer_id", some(header.producer_id()))
        .with("producer_epoch", some(header.producer_epoch().into()))
        .with("base_sequence", some(base.into()))
        .with("last_sequence", some(last.into()))
        .with("transactional", header.is_transactional())
        .with("control", header.is_control())
        .with("magic", i64::from(header.magic()))
        .with("crc", Cell::Crc(header.crc()))
}

/// As Apache Kafka's settings name it.
fn codec_name(header: &BatchHeader) -> Cell {
    match header.codec() {
        Ok(Codec::None) => "none".into(),
        Ok(Codec::Gzip) => "gzip".into(),
        Ok(Codec::Snappy) => "snappy".into(),
        Ok(Codec::Lz4) => "lz4".into(),
        Ok(Codec::Zstd) => "zstd".into(),
        Err(id) => format!("unknown-{id}").into(),
    }
}

/// The records of an undamaged batch, and why there are no more than those.
fn records(batch: &BatchView<'_>, decoder: Decoder) -> (Vec<Fields>, Option<String>) {
    let bytes = match batch.uncompressed(RECORDS_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut shown = Vec::new();
    for record in batch.records_in(&bytes) {
        match record {
            Ok(record) => shown.push(record_fields(batch.header, &record, decoder)),
            Err(bad) => return (shown, Some(bad.to_string())),
        }
    }
    (shown, None)
}

fn record_fields(header: &BatchHeader, record: &Record<'_>, decoder: Decoder) -> Fields {
    let fields = Fields::default()
        .with("offset", header.base_offset().wrapping_add(record.time.offset_delta))
        .with("timestamp", Cell::Time(header.timestamp_of(record.time.timestamp_delta)));
    if header.is_control() {
        return control_fields(fields, record);
    }
    let mut fields = fields;
    fields.0.extend(decoder.fields(record).0);
    let header = |(name, value): (&[u8], Option<&[u8]>)| {
        Cell::Named(name.to_vec(), Box::new(value.map_or(Cell::None, Cell::from)))
    };
    let headers: Vec<Cell> = record.headers.map(header).collect();
    if headers.is_empty() { fields } else { fields.with("headers", headers) }
}

fn control_fields(fields: Fields, record: &Record<'_>) -> Fields {
    let end =
        |fields: Fields, what: &str, epoch: i32| fields.with("end", what).with("coordinator_epoch", epoch);
    match ControlRecord::read(record) {
        Ok(ControlRecord::Abort { coordinator_epoch }) => end(fields, "abort", coordinator_epoch),
        Ok(ControlRecord::Commit { coordinator_epoch }) => end(fields, "commit", coordinator_epoch),
        Ok(ControlRecord::Other(kind)) => {
            let told = control(kind, record.value).unwrap_or_else(|reason| {
                let value = record.value.map_or(Cell::None, Cell::from);
                Fields::default().with("value", value).with("undecoded", reason)
            });
            let mut fields = fields.with("control_type", i64::from(kind));
            fields.0.extend(told.0);
            fields
        }
        Err(fault) => fields.with("fault", fault),
    }
}

/// The messages of an undamaged entry of magic 0 or 1.
fn messages(entry: &LegacyEntry<'_>) -> (Vec<Fields>, Option<String>) {
    let mut shown = Vec::new();
    let read = entry.messages(RECORDS_BYTES_MAX, |message| {
        let bytes = |bytes: Option<&[u8]>| bytes.map_or(Cell::None, Cell::from);
        shown.push(
            Fields::default()
                .with("offset", message.offset)
                .with("timestamp", Cell::Time(message.timestamp))
                .with("key", bytes(message.key))
                .with("value", bytes(message.value)),
        );
    });
    (shown, read.err())
}
