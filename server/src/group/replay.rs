//! A coordinator's log, read from its first record to its last.

use std::borrow::Cow;

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::format::codec::decompressed_bytes_max;
use logmill_engine::format::{BatchView, CheckedBatches};
use logmill_engine::partition::{Isolation, PartitionId};
use logmill_engine::shard::Shard;

use super::records::Record;

/// How much of a log is read at a time, if no batch is larger.
const REPLAY_BYTES: u32 = 1 << 20;

/// Shows every record that the log holds.
pub(super) fn replay(engine: &mut Shard, id: PartitionId, mut see: impl FnMut(&Record)) -> Result<(), Error> {
    let mut offset = engine.bounds(id)?.start;
    while let Some(slice) = engine.fetch(id, offset, REPLAY_BYTES, Isolation::Uncommitted)?.slice {
        let file = slice.bytes;
        let mut bytes = vec![0; file.len as usize];
        let read = file.file.read_at(&mut bytes, file.position).map_err(|source| Error::Io {
            doing: format!("replaying the log of partition {} of topic {}", id.index, id.topic),
            source,
        })?;
        bytes.truncate(read);
        let bytes = Bytes::from(bytes);
        let corrupt = |what: String| Error::Corrupt(format!("segment {:020}.log: {what}", slice.segment));
        // The topic is compacted.
        let mut batches = CheckedBatches::new(&bytes, file.position, offset, true);
        for batch in &mut batches {
            let batch = batch.map_err(|bad| corrupt(bad.to_string()))?;
            replay_batch(&bytes, batch, &mut see).map_err(|fault| {
                corrupt(format!("batch at offset {}: {fault}", batch.header.base_offset()))
            })?;
        }
        if batches.next_offset() == offset {
            return Err(corrupt(format!("no whole batch at offset {offset} in {read} bytes")));
        }
        offset = batches.next_offset();
    }
    Ok(())
}

fn replay_batch(bytes: &Bytes, batch: BatchView<'_>, see: &mut impl FnMut(&Record)) -> Result<(), String> {
    if batch.header.is_transactional() || batch.header.is_control() {
        return Err("transactional, which no coordinator of ours writes".to_owned());
    }
    let uncompressed = batch.uncompressed(decompressed_bytes_max(batch.records.len()));
    let records = match uncompressed.map_err(|error| error.to_string())? {
        Cow::Borrowed(records) => bytes.slice_ref(records),
        Cow::Owned(records) => Bytes::from(records),
    };
    for (index, record) in batch.records_in(&records).enumerate() {
        let record = record.map_err(|bad| bad.to_string())?;
        let key = record.key.ok_or_else(|| format!("record {index} has no key"))?;
        let value = record.value.map(|value| records.slice_ref(value));
        let decoded = Record::decode(&records.slice_ref(key), value.as_ref());
        if let Some(decoded) = decoded.map_err(|error| format!("record {index}: {error}"))? {
            see(&decoded);
        }
    }
    Ok(())
}
