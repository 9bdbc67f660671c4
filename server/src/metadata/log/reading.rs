//! Walks the batches of a metadata log's file, and reads the records in them.

use bytes::Bytes;
use logmill_engine::format::{BadBatch, BatchView, CheckedBatches};

use super::super::records::Record;
use super::super::records::control::Control;

/// What the records of one batch may come to.
const RECORDS_BYTES_MAX: usize = 64 << 20;
/// How many offsets a batch may lie behind a damaged one to be taken for one that was appended after it.
const OFFSETS_AHEAD_MAX: i64 = 1 << 32;

/// A record, and where it stands.
#[derive(Debug)]
pub(crate) enum Entry {
    /// One of the controller's, with the value that it was read from.
    Record { offset: i64, record: Record, value: Bytes },
    /// One of the quorum's.
    Control(Control),
}

/// How far a file was read.
#[derive(Debug)]
pub(super) struct Walked {
    /// Behind its last whole batch.
    pub(super) position: u64,
    /// The offset behind that.
    pub(super) next_offset: i64,
    /// The epoch of that batch; `None` without one.
    pub(super) epoch: Option<i32>,
    /// Its largest timestamp.
    pub(super) timestamp: i64,
    /// Why the next bytes are no batch; `None` at the end of the file.
    pub(super) damage: Option<String>,
}

/// Gives `visit` what stands in a file from the batch on that holds `from`. The file begins with `first_offset`.
pub(super) fn walk(
    content: &[u8],
    first_offset: i64,
    from: i64,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<Walked, BadBatch> {
    let mut walked =
        Walked { position: 0, next_offset: first_offset, epoch: None, timestamp: -1, damage: None };
    let mut batches = CheckedBatches::new(content, 0, first_offset, false);
    for batch in &mut batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(bad) => {
                walked.damage = Some(bad.fault);
                return Ok(walked);
            }
        };
        if batch.header.last_offset() >= from {
            entries(&batch, visit).map_err(|fault| BadBatch { position: walked.position, fault })?;
        }
        walked.position += batch.header.size().expect("a batch that was read has a size") as u64;
        walked.next_offset = batch.header.last_offset() + 1;
        walked.epoch = Some(batch.header.leader_epoch());
        walked.timestamp = batch.header.max_timestamp();
    }
    if walked.position < content.len() as u64 {
        walked.damage = Some("it is cut".to_owned());
    }
    Ok(walked)
}

fn entries(batch: &BatchView<'_>, visit: &mut dyn FnMut(Entry) -> Result<(), String>) -> Result<(), String> {
    let records = batch.uncompressed(RECORDS_BYTES_MAX).map_err(|error| error.to_string())?;
    for record in batch.records_in(&records) {
        let record = record.map_err(|bad| bad.to_string())?;
        if batch.header.is_control() {
            if let Some(control) = Control::decode(record.key, record.value)? {
                visit(Entry::Control(control))?;
            }
            continue;
        }
        let offset = batch.header.base_offset() + record.time.offset_delta;
        let value = record.value.ok_or_else(|| format!("the record at offset {offset} has no value"))?;
        let value = Bytes::copy_from_slice(value);
        let record = Record::decode(&value).map_err(|error| format!("offset {offset}: {error}"))?;
        visit(Entry::Record { offset, record, value })?;
    }
    Ok(())
}

/// The position of a whole batch somewhere behind `position`, where there is none. Each append was durable before
/// the next one began: what lies in front of a whole batch has been acknowledged.
pub(super) fn whole_batch_behind(content: &[u8], position: u64, next_offset: i64) -> Option<u64> {
    let ahead = next_offset..next_offset.saturating_add(OFFSETS_AHEAD_MAX);
    let first = usize::try_from(position).expect("a position in memory") + 1;
    (first..content.len()).find_map(|at| {
        let (batch, _) = BatchView::split_first(&content[at..])?;
        let is_one = ahead.contains(&batch.header.base_offset()) && batch.check().is_ok();
        is_one.then_some(at as u64)
    })
}
