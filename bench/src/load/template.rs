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
