//! `Encoded`: a response as it goes to the socket, from memory and from files.

use std::fmt;
use std::mem;

use bytes::Bytes;
use logmill_engine::disk::FileSlice;

use super::api::Api;
use super::message::Message;
use super::messages::header::ResponseHeader;
use super::writer::{MESSAGE_BYTES_MAX, Writer};

/// A response of so many bytes gets memory of just its size, and the buffer it was encoded in serves the next
/// one. A longer one takes the buffer with it.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the four in front of a frame that hold its length.
const LENGTH_BYTES: usize = 4;

/// A whole frame, its length in front. `rest` is empty unless the response sends from files.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The first bytes, from the frame's length on.
    pub head: Bytes,
    /// What follows them, in order.
    pub rest: Vec<Chunk>,
    /// Whether it says of anything that it went wrong.
    pub is_error: bool,
}

/// A piece of a frame.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes in a file.
    Slice(FileSlice),
}

/// A response that fits no frame, or takes more memory than one answer may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseTooLarge {
    /// The API.
    pub api: &'static str,
}

impl fmt::Display for ResponseTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ResponseTooLarge { api } = self;
        let in_all = i32::MAX;
        write!(f, "a {api} response of more than {MESSAGE_BYTES_MAX} bytes in memory or {in_all} in all")
    }
}

impl Encoded {
    /// How many bytes go to the socket.
    pub fn len(&self) -> usize {
        self.head.len() + self.rest.iter().map(Chunk::len).sum::<usize>()
    }

    /// Never: a frame has at least its length.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Chunk {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::Slice(slice) => slice.len as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes the answer to a request of `api` in `version`.
///
/// `buf` is the shard's, empty between responses, also after one that is too large.
pub fn encode_response<M: Message>(
    buf: &mut Vec<u8>,
    api: Api,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Encoded, ResponseTooLarge> {
    let row = api.row();
    assert!(row.response.name == M::SCHEMA.name, "{} answered with {}", row.name, M::SCHEMA.name);
    assert!(buf.is_empty(), "a response begins at the front of its buffer");
    let mut writer = Writer::new(buf);
    writer.put(&[0; LENGTH_BYTES]);
    ResponseHeader { correlation_id }.write_message(&mut writer, row.response_header_version(version));
    body.write_message(&mut writer, version);
    let (is_cut, is_error) = (writer.is_cut(), writer.is_error());
    let slices = writer.finish();

    let in_files: usize = slices.iter().map(|(_, slice)| slice.len as usize).sum();
    let frame_len = match i32::try_from(buf.len() - LENGTH_BYTES + in_files) {
        Ok(frame_len) if !is_cut => frame_len,
        Ok(_) | Err(_) => {
            // Nobody has use for a buffer of that size again.
            *buf = Vec::new();
            return Err(ResponseTooLarge { api: row.name });
        }
    };
    buf[..LENGTH_BYTES].copy_from_slice(&frame_len.to_be_bytes());
    let bytes = if buf.len() <= COPIED_BYTES_MAX {
        let copied = Bytes::copy_from_slice(buf);
        buf.clear();
        copied
    } else {
        Bytes::from(mem::take(buf))
    };
    let (head, rest) = split(bytes, slices);
    Ok(Encoded { head, rest, is_error })
}

/// Cuts the bytes where slices go between them.
fn split(mut bytes: Bytes, slices: Vec<(usize, FileSlice)>) -> (Bytes, Vec<Chunk>) {
    let mut rest = Vec::with_capacity(if slices.is_empty() { 0 } else { 2 * slices.len() + 1 });
    let head_len = slices.first().map_or(bytes.len(), |(position, _)| *position);
    let head = bytes.split_to(head_len);
    let mut done = head_len;
    for (position, slice) in slices {
        if position > done {
            rest.push(Chunk::Bytes(bytes.split_to(position - done)));
            done = position;
        }
        rest.push(Chunk::Slice(slice));
    }
    if !bytes.is_empty() {
        rest.push(Chunk::Bytes(bytes));
    }
    (head, rest)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::sync::Arc;

    use logmill_engine::disk::File;

    use super::*;
    use crate::wire::Records;
    use crate::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::wire::messages::init_producer_id::InitProducerIdResponse;

    /// A file that must not be touched: encoding only passes it on.
    #[derive(Debug)]
    struct Untouchable;

    impl File for Untouchable {
        fn write_all_at(&self, _: [&[u8]; 2], _: u64) -> io::Result<()> {
            panic!("encoding wrote to a file")
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            panic!("encoding read a file")
        }
        fn len(&self) -> io::Result<u64> {
            panic!("encoding asked for a file's length")
        }
        fn modified_ms(&self) -> io::Result<i64> {
            panic!("encoding asked for a file's time")
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            panic!("encoding cut a file")
        }
        fn allocate(&self, _: u64) -> io::Result<()> {
            panic!("encoding extended a file")
        }
        fn drop_cached(&self) -> io::Result<()> {
            panic!("encoding dropped a file's pages")
        }
        fn is_cached(&self, _: u64, _: u32) -> bool {
            panic!("encoding looked for a file's pages")
        }
        fn is_direct(&self) -> bool {
            panic!("encoding asked how a file is read")
        }
        fn sync(&self) -> io::Result<()> {
            panic!("encoding synced a file")
        }
        fn as_fd(&self) -> Option<BorrowedFd<'_>> {
            panic!("encoding took a file's descriptor")
        }
    }

    fn slice(position: u64, len: u32) -> FileSlice {
        FileSlice { file: Arc::new(Untouchable), position, len }
    }

    #[test]
    fn a_response_without_files_is_one_run_of_bytes() {
        let mut buf = Vec::new();
        let body = InitProducerIdResponse { producer_id: 1, producer_epoch: 2, ..Default::default() };
        let encoded = encode_response(&mut buf, Api::InitProducerId, 2, 9, &body).unwrap();
        assert_eq!(
            &encoded.head[..],
            b"\0\0\0\x16\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x02\0".as_slice()
        );
        assert!(encoded.rest.is_empty() && buf.is_empty());
    }

    /// The pieces as bytes, those in files as `f` times their length.
    fn sent(encoded: &Encoded) -> Vec<u8> {
        let mut sent = encoded.head.to_vec();
        for chunk in &encoded.rest {
            match chunk {
                Chunk::Bytes(bytes) => sent.extend_from_slice(bytes),
                Chunk::Slice(slice) => sent.extend(vec![b'f'; slice.len as usize]),
            }
        }
        sent
    }

    #[test]
    fn file_slices_stand_where_their_bytes_would() {
        let response = |records: [Records; 3]| FetchResponse {
            responses: vec![FetchableTopicResponse {
                partitions: records
                    .map(|records| PartitionData { records, ..Default::default() })
                    .into_iter()
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let in_files = response([
            Records::Slices(vec![slice(0, 5), slice(0, 0), slice(100, 7)]),
            Records::Slices(vec![]),
            Records::Slices(vec![slice(50, 300)]),
        ]);
        let in_memory = response([12, 0, 300].map(|len| Records::Bytes(Bytes::from(vec![b'f'; len]))));
        for version in [4, 11, 12, 18] {
            let mut buf = Vec::new();
            let encoded = encode_response(&mut buf, Api::Fetch, version, 3, &in_files).unwrap();
            let expected = encode_response(&mut buf, Api::Fetch, version, 3, &in_memory).unwrap();
            assert_eq!(sent(&encoded), expected.head, "v{version}");
            assert_eq!(encoded.len(), expected.head.len());
            assert_eq!(encoded.head[..4], (encoded.len() as i32 - 4).to_be_bytes());
            let slices = encoded.rest.iter().filter(|chunk| matches!(chunk, Chunk::Slice(_)));
            assert_eq!(slices.count(), 3, "an empty slice is not sent");
        }
    }

    /// A fetch response of records in so many pieces of memory, or of one file.
    fn fetched(records: Vec<Records>) -> FetchResponse {
        let partition = |records| PartitionData { records, ..Default::default() };
        let partitions = records.into_iter().map(partition).collect();
        let topic = FetchableTopicResponse { partitions, ..Default::default() };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }

    #[test]
    fn a_response_that_fits_no_frame_or_takes_too_much_memory_is_an_error_and_leaves_the_buffer_empty() {
        let piece = Bytes::from(vec![0; 1 << 20]);
        let pieces = |count| vec![Records::Bytes(piece.clone()); count];
        let in_file = |len| vec![Records::Slices(vec![slice(0, len)])];
        let mut buf = Vec::new();
        let mut encode = |body| {
            let encoded =
                encode_response(&mut buf, Api::Fetch, 12, 3, &fetched(body)).map(|encoded| encoded.len());
            assert!(buf.is_empty());
            encoded
        };
        let too_large = Err(ResponseTooLarge { api: "Fetch" });
        assert!(encode(pieces(255)).is_ok_and(|len| len > 255 << 20));
        assert_eq!(encode(pieces(256)), too_large);
        assert_eq!(encode(pieces(2_100)), too_large);
        assert!(encode(in_file(i32::MAX as u32 - 100)).is_ok());
        assert_eq!(encode(in_file(i32::MAX as u32 - 1)), too_large);
        assert!(encode(pieces(1)).is_ok());
    }
}
