//! `Templates`: batches that are made once. What is sent of one is a copy of its front, stamped.

use std::collections::HashMap;
use std::fs;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::compression::{self, Compressor};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::batch::{CODES, HEADER, STAMP, Stamp, code, put, varint};
use super::keys::{KEY_BYTES, key};
use super::workload::{Codec, Keys};
use super::{LoadError, Workload};

/// Batches without compression that take turns: enough that they differ, few enough to stay in the caches.
const POOL_BYTES: usize = 512 << 10;
/// Compressed batches that are kept. Beyond that each is compressed when it is sent.
const COMPRESSED_BYTES_MAX: usize = 64 << 20;
/// Records of a batch, at most: its offsets are counted with 32 bits, and nobody has batches that large.
const RECORDS_MAX: usize = 1 << 20;

/// One for all producers of a thread.
pub(super) struct Templates {
    pool: Vec<Template>,
    next: usize,
    codec: Codec,
    has_keys: bool,
    /// By number of records and code.
    compressed: HashMap<(u32, u64), Bytes>,
    compressed_bytes: usize,
}

/// A full batch without compression, and where things lie in it.
struct Template {
    bytes: Bytes,
    records: Vec<Place>,
}

/// Where a record ends, and where what is patched in it begins.
#[derive(Clone, Copy)]
struct Place {
    delta: usize,
    key: usize,
    value: usize,
    end: usize,
}

/// What a batch is to hold.
pub(super) struct Content<'a> {
    pub(super) stamp: Stamp,
    /// When each message was due, in Unix time.
    pub(super) due_unix_us: &'a dyn Fn(u32) -> u64,
    /// Numbers of the keys; as many as messages, or none.
    pub(super) keys: &'a [u32],
}

impl Templates {
    pub(super) fn new(workload: &Workload) -> Result<Templates, LoadError> {
        let mut random = StdRng::seed_from_u64(workload.seed);
        let payload = match &workload.payload_file {
            Some(path) => {
                let bytes = fs::read(path).map_err(LoadError::io(format!("reading {}", path.display())))?;
                if bytes.len() != workload.message_bytes {
                    return Err(LoadError::Workload(format!(
                        "{} has {} bytes, messages {}",
                        path.display(),
                        bytes.len(),
                        workload.message_bytes
                    )));
                }
                Some(Bytes::from(bytes))
            }
            None => None,
        };
        let first = Template::new(workload, payload.as_ref(), &mut random);
        let count = match workload.codec {
            Codec::None => (POOL_BYTES / first.bytes.len()).clamp(1, 64),
            _ => 1,
        };
        let mut pool = vec![first];
        pool.resize_with(count, || Template::new(workload, payload.as_ref(), &mut random));
        Ok(Templates {
            pool,
            next: 0,
            codec: workload.codec,
            has_keys: workload.keys != Keys::None,
            compressed: HashMap::new(),
            compressed_bytes: 0,
        })
    }

    /// Records of a full batch.
    pub(super) fn records_max(&self) -> u32 {
        self.pool[0].records.len() as u32
    }

    /// Whether the records of a workload say in their values when they were due.
    pub(super) fn stamps_values(workload: &Workload) -> bool {
        workload.message_bytes >= STAMP && workload.codec == Codec::None
    }

    /// The bytes of a batch with so many messages, to be finished by `finish` where they were copied to; and which
    /// of the pool it is.
    pub(super) fn begin(&mut self, content: &Content<'_>) -> (usize, Bytes) {
        if self.codec != Codec::None {
            return (0, self.compressed(content));
        }
        self.next = (self.next + 1) % self.pool.len();
        let template = &self.pool[self.next];
        (self.next, template.bytes.slice(..template.end(content.stamp.count)))
    }

    /// Bytes of a batch that `begin` would give, when they depend on nothing else.
    pub(super) fn bytes(&self, pick: usize, count: u32) -> Option<u32> {
        (self.codec == Codec::None).then(|| self.pool[pick].end(count) as u32)
    }

    fn compressed(&mut self, content: &Content<'_>) -> Bytes {
        let count = content.stamp.count;
        if self.has_keys {
            // Which keys is known only now.
            let mut batch = self.pool[0].bytes[..self.pool[0].end(count)].to_vec();
            self.pool[0].patch(&mut batch, content);
            return compress(self.codec, &batch);
        }
        let code = code(content.stamp.first_unix_us);
        if let Some(made) = self.compressed.get(&(count, code)) {
            return made.clone();
        }
        let mut batch = self.pool[0].bytes[..self.pool[0].end(count)].to_vec();
        for place in &self.pool[0].records[..count as usize] {
            batch[place.delta] = zigzag(code);
        }
        let made = compress(self.codec, &batch);
        if self.compressed_bytes + made.len() <= COMPRESSED_BYTES_MAX {
            self.compressed_bytes += made.len();
            self.compressed.insert((count, code), made.clone());
        }
        made
    }

    /// Makes a copy of what `begin` gave this very batch.
    pub(super) fn finish(&self, pick: usize, batch: &mut [u8], content: &Content<'_>) {
        if self.codec == Codec::None {
            self.pool[pick].patch(batch, content);
        }
        content.stamp.write(batch);
    }

    /// Whether the header has to say the part of the millisecond.
    pub(super) fn is_coded(&self) -> bool {
        self.codec != Codec::None || !self.pool[0].has_stamps()
    }
}

impl Template {
    fn new(workload: &Workload, payload: Option<&Bytes>, random: &mut StdRng) -> Template {
        let mut records = Vec::new();
        let mut bytes_left = workload.batch_bytes.saturating_sub(HEADER);
        loop {
            let record = Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: -1,
                producer_epoch: -1,
                timestamp_type: TimestampType::Creation,
                offset: records.len() as i64,
                sequence: records.len() as i32,
                timestamp: 0,
                key: (workload.keys != Keys::None).then(|| Bytes::copy_from_slice(&key(0))),
                value: Some(payload.cloned().unwrap_or_else(|| value(workload, random))),
                headers: Default::default(),
            };
            let bytes = record_bytes(&record);
            // A batch has one record at least, however large.
            if !records.is_empty() && (bytes > bytes_left || records.len() == RECORDS_MAX) {
                break;
            }
            bytes_left = bytes_left.saturating_sub(bytes);
            records.push(record);
        }
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("records within the limits above");
        let bytes = bytes.freeze();
        let mut places = Vec::with_capacity(records.len());
        let mut rest = &bytes[HEADER..];
        while !rest.is_empty() {
            places.push(Place::next(bytes.len(), &mut rest).expect("the encoder writes whole records"));
        }
        Template { bytes, records: places }
    }

    /// Where the record behind so many ends.
    fn end(&self, count: u32) -> usize {
        self.records[count as usize - 1].end
    }

    /// Whether values have room for a timestamp.
    fn has_stamps(&self) -> bool {
        let place = self.records[0];
        // A byte for the number of headers stands behind the value.
        place.end - place.value > STAMP
    }

    /// Writes what differs from one batch to the next into its records.
    fn patch(&self, batch: &mut [u8], content: &Content<'_>) {
        let has_stamps = self.has_stamps() && !content.stamp.is_coded;
        let code = zigzag(code(content.stamp.first_unix_us));
        for (index, place) in self.records[..content.stamp.count as usize].iter().enumerate() {
            if has_stamps {
                put(batch, place.value, (content.due_unix_us)(index as u32).to_be_bytes());
            } else {
                batch[place.delta] = code;
            }
            if let Some(number) = content.keys.get(index) {
                put(batch, place.key, key(*number as usize));
            }
        }
    }
}

/// A delta below [`CODES`] as one byte.
fn zigzag(code: u64) -> u8 {
    (code * 2) as u8
}

const _: () = assert!(CODES * 2 <= 0x80);

impl Place {
    /// Takes the record in front of `rest`, which ends at `end`.
    fn next(end: usize, rest: &mut &[u8]) -> Option<Place> {
        let len = varint(rest)? as usize;
        let (mut record, behind) = rest.split_at_checked(len)?;
        *rest = behind;
        let end = end - behind.len();
        record = record.get(1..)?;
        let delta = end - record.len();
        varint(&mut record)?;
        varint(&mut record)?;
        let key_bytes = varint(&mut record)?;
        let key = end - record.len();
        record = record.get(key_bytes.max(0) as usize..)?;
        varint(&mut record)?;
        Some(Place { delta, key, value: end - record.len(), end })
    }
}

fn value(workload: &Workload, random: &mut StdRng) -> Bytes {
    let mut value = vec![0; workload.message_bytes];
    let share = (workload.message_bytes as f64 * workload.random_share) as usize;
    random.fill_bytes(&mut value[..share]);
    value.into()
}

/// What a record takes in a batch, its own length included.
fn record_bytes(record: &Record) -> usize {
    let varint_bytes =
        |value: usize| (1..).find(|bytes| (value as u64) << 1 >> (7 * bytes) == 0).unwrap_or(10);
    let key = record.key.as_ref().map_or(0, |_| KEY_BYTES);
    let value = record.value.as_ref().map_or(0, Bytes::len);
    let body = 2 + varint_bytes(record.offset as usize) + 1 + key + varint_bytes(value) + value + 1;
    body + varint_bytes(body)
}

/// The same batch with its records compressed.
fn compress(codec: Codec, batch: &[u8]) -> Bytes {
    let mut compressed = BytesMut::with_capacity(batch.len());
    compressed.put_slice(&batch[..HEADER]);
    let records = &batch[HEADER..];
    let write = |buffer: &mut BytesMut| {
        buffer.put_slice(records);
        Ok(())
    };
    let (attributes, done) = match codec {
        Codec::None => {
            compressed.put_slice(records);
            (Compression::None, Ok(()))
        }
        Codec::Gzip => (Compression::Gzip, compression::Gzip::compress(&mut compressed, write)),
        Codec::Snappy => (Compression::Snappy, compression::Snappy::compress(&mut compressed, write)),
        Codec::Lz4 => (Compression::Lz4, compression::Lz4::compress(&mut compressed, write)),
        Codec::Zstd => (Compression::Zstd, compression::Zstd::compress(&mut compressed, write)),
    };
    done.expect("compressing into memory does not fail");
    put(&mut compressed, 21, (attributes as i16).to_be_bytes());
    compressed.freeze()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;

    use super::super::batch::BatchView;
    use super::*;

    const DUE_US: u64 = 1_700_000_000_000_000;

    fn content<'a>(stamp: Stamp, due: &'a dyn Fn(u32) -> u64, keys: &'a [u32]) -> Content<'a> {
        Content { stamp, due_unix_us: due, keys }
    }

    fn stamp(templates: &Templates, count: u32) -> Stamp {
        Stamp {
            count,
            producer: Some((77, 3)),
            sequence: 1_000,
            first_unix_us: DUE_US + 437,
            is_coded: templates.is_coded(),
        }
    }

    /// A batch as it goes out.
    fn made(workload: &Workload, count: u32, keys: &[u32]) -> Vec<u8> {
        let mut templates = Templates::new(workload).unwrap();
        let due = |index| DUE_US + 437 + u64::from(index) * 250;
        let content = content(stamp(&templates, count), &due, keys);
        let (pick, bytes) = templates.begin(&content);
        let mut batch = bytes.to_vec();
        templates.finish(pick, &mut batch, &content);
        batch
    }

    fn due_times(workload: &Workload, batch: &[u8]) -> Vec<(u64, u64)> {
        let mut times = Vec::new();
        let view = BatchView::first_of(batch).unwrap();
        assert_eq!((view.len(), view.checksums().0), (batch.len(), view.checksums().1));
        view.due_times(Templates::stamps_values(workload), |due, count| times.push((due - DUE_US, count)));
        times
    }

    #[test]
    fn every_codec_makes_batches_that_another_client_reads() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for keys in [Keys::None, Keys::Random] {
                let workload = Workload { codec, keys, ..Workload::default() };
                let numbers = if keys == Keys::None { &[][..] } else { &[5, 9_999, 0] };
                let batch = made(&workload, 3, numbers);
                let set = RecordBatchDecoder::decode(&mut Bytes::from(batch)).unwrap();
                assert_eq!(set.records.len(), 3, "{codec:?}");
                for (index, record) in set.records.iter().enumerate() {
                    assert_eq!(
                        (record.offset, record.sequence),
                        (index as i64, 1_000 + index as i32),
                        "{codec:?}"
                    );
                    assert_eq!((record.producer_id, record.producer_epoch), (77, 3), "{codec:?}");
                    assert_eq!(record.timestamp, DUE_US as i64 / 1000, "{codec:?}");
                    assert_eq!(record.value.as_ref().unwrap().len(), 1024, "{codec:?}");
                    let key = numbers.get(index).map(|number| Bytes::copy_from_slice(&key(*number as usize)));
                    assert_eq!(record.key, key, "{codec:?}");
                }
            }
        }
    }

    #[test]
    fn a_batch_tells_when_its_messages_were_due() {
        let plain = Workload::default();
        assert_eq!(due_times(&plain, &made(&plain, 3, &[])), [(437, 1), (687, 1), (937, 1)]);
        // The sixteenth of a millisecond that holds the first one, from 375 to 437.5, and all with it.
        let coded = [(375, 3)];
        let zstd = Workload { codec: Codec::Zstd, ..plain.clone() };
        assert_eq!(due_times(&zstd, &made(&zstd, 3, &[])), coded);
        let small = Workload { message_bytes: 7, ..plain };
        assert_eq!(due_times(&small, &made(&small, 3, &[])), coded);
    }

    #[test]
    fn a_full_batch_has_as_many_records_as_its_bytes_hold() {
        for message_bytes in [1, 8, 100, 127, 1_024, 16_000] {
            let workload = Workload { message_bytes, ..Workload::default() };
            let count = Templates::new(&workload).unwrap().records_max();
            let batch = made(&workload, count, &[]);
            assert!(batch.len() <= workload.batch_bytes, "{message_bytes}: {} bytes", batch.len());
            // Another record would not have found room; a few bytes more are its own lengths.
            assert!(
                batch.len() + message_bytes + 12 > workload.batch_bytes,
                "{message_bytes}: {}",
                batch.len()
            );
        }
        let large = Workload { message_bytes: 100_000, ..Workload::default() };
        assert_eq!(Templates::new(&large).unwrap().records_max(), 1, "one at least");
    }

    #[test]
    fn a_payload_file_is_every_value_and_has_to_fit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[9; 50]).unwrap();
        let workload =
            Workload { message_bytes: 50, payload_file: Some(file.path().into()), ..Workload::default() };
        let set = RecordBatchDecoder::decode(&mut Bytes::from(made(&workload, 2, &[]))).unwrap();
        // But for the timestamp in front.
        assert!(set.records.iter().all(|record| record.value.as_ref().unwrap()[STAMP..] == [9; 50 - STAMP]));
        let other = Workload { message_bytes: 51, ..workload };
        assert!(matches!(Templates::new(&other).err(), Some(LoadError::Workload(_))));
    }
}
