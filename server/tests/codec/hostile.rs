//! Bytes that lie: no panic, no more memory than what arrived accounts for.

use bytes::Bytes;
use logmill_server::wire::messages::metadata::MetadataRequest;
use logmill_server::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use logmill_server::wire::reader::{LIST_BYTES_MAX, NOT_RECORDS_BYTES_MAX};
use logmill_server::wire::{Message, ReadError, Reader, Reason, Records, Writer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::allocations::{Allocated, allocated_by};
use super::sample::{self, Length, LengthForm, Sample};
use super::{Codec, codecs_and_versions};

/// The first few elements of an array may take this much more memory than there are bytes: one is larger in
/// memory than on the wire.
const FIRST_ELEMENTS_BYTES: usize = 1024;

/// How many bytes all allocations for a frame can come to for each of its bytes. The dearest byte is half
/// of a MetadataRequestTopic of an empty name, 48 bytes in memory, in an array that grew several times.
const TOTAL_PER_BYTE: usize = 64;

/// Reads a frame that may be anything. Says whether it was a message, and the largest allocation.
fn read_bounded(codec: &Codec, version: i16, bytes: &[u8], what: &str) -> (bool, usize) {
    let frame = shared(bytes);
    let (result, Allocated { largest, total }) = allocated_by(|| (codec.read)(frame, version));
    let place = format!("{} v{version}, {what}, {} bytes", codec.schema.name, bytes.len());
    assert!(total <= bytes.len() * TOTAL_PER_BYTE + FIRST_ELEMENTS_BYTES, "{place}: allocated {total}");
    if let Err(error) = &result {
        assert_eq!(error.message, codec.schema.name);
        assert!(error.position <= bytes.len(), "{place}: {error}");
    }
    (result.is_ok(), largest)
}

/// Asserts that a frame is refused, and that nobody made more room than it has bytes.
fn check_refused(codec: &Codec, version: i16, bytes: &[u8], what: &str) {
    let (read, largest) = read_bounded(codec, version, bytes, what);
    let place = format!("{} v{version}, {what}, {} bytes", codec.schema.name, bytes.len());
    assert!(!read, "{place}: was read");
    assert!(largest <= bytes.len() + FIRST_ELEMENTS_BYTES, "{place}: allocated {largest} at once");
}

/// A frame as the network gives it: its counter of owners exists already.
fn shared(bytes: &[u8]) -> Bytes {
    let frame = Bytes::copy_from_slice(bytes);
    drop(frame.clone());
    frame
}

#[test]
fn a_message_cut_anywhere_is_an_error() {
    for (codec, version) in codecs_and_versions() {
        let Sample { bytes, .. } = sample::full(codec.schema, version);
        let (read, _) = read_bounded(codec, version, &bytes, "whole");
        assert!(read, "{} v{version} was not read whole", codec.schema.name);
        for cut in 0..bytes.len() {
            check_refused(codec, version, &bytes[..cut], &format!("cut at {cut}"));
        }
    }
}

/// The sample with one length replaced by others' bytes.
fn with_length(sample: &Sample, length: &Length, bytes: &[u8]) -> Vec<u8> {
    let width = match length.form {
        LengthForm::Int16 => 2,
        LengthForm::Int32 => 4,
        LengthForm::Uvarint => 1 + sample.bytes[length.at..].iter().take_while(|byte| **byte >= 0x80).count(),
    };
    [&sample.bytes[..length.at], bytes, &sample.bytes[length.at + width..]].concat()
}

/// The sample once for each of its lengths and each lie about it, with the place of the length.
pub(crate) fn lies(sample: &Sample) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let of_int16 = [i16::MAX, i16::MIN, -2].map(|len| len.to_be_bytes().to_vec());
    let of_int32 = [i32::MAX, i32::MIN, -2].map(|len| len.to_be_bytes().to_vec());
    let of_uvarint = [
        vec![0xff, 0xff, 0xff, 0xff, 0x07],             // i32::MAX
        vec![0x80, 0x80, 0x80, 0x80, 0x08],             // i32::MIN as unsigned
        vec![0xfe, 0xff, 0xff, 0xff, 0x0f],             // -2 as unsigned
        vec![0xff, 0xff, 0xff, 0xff, 0x1f],             // 33 bits
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // too many bytes
    ];
    sample.lengths.iter().flat_map(move |length| {
        let lies = match length.form {
            LengthForm::Int16 => &of_int16[..],
            LengthForm::Int32 => &of_int32,
            LengthForm::Uvarint => &of_uvarint,
        };
        lies.iter().map(|lie| (length.at, with_length(sample, length, lie))).collect::<Vec<_>>()
    })
}

#[test]
fn a_length_that_lies_is_an_error() {
    for (codec, version) in codecs_and_versions() {
        for (at, bytes) in lies(&sample::full(codec.schema, version)) {
            check_refused(codec, version, &bytes, &format!("length at {at}"));
        }
    }
}

#[test]
fn a_length_that_could_be_true_makes_no_more_room_than_there_are_bytes() {
    for (codec, version) in codecs_and_versions() {
        let sample = sample::full(codec.schema, version);
        for length in &sample.lengths {
            let left = sample.bytes.len().saturating_sub(length.at + 5);
            let lie = match length.form {
                LengthForm::Int16 => (left as u16).to_be_bytes().to_vec(),
                LengthForm::Int32 => (left as u32).to_be_bytes().to_vec(),
                LengthForm::Uvarint => vec![left as u8 | 0x80, (left >> 7) as u8],
            };
            let bytes = with_length(&sample, length, &lie);
            let (_, largest) = read_bounded(codec, version, &bytes, "length of all that is left");
            assert!(
                largest <= bytes.len() + FIRST_ELEMENTS_BYTES,
                "{} v{version}, length at {} is {left}: allocated {largest} at once for {} bytes",
                codec.schema.name,
                length.at,
                bytes.len()
            );
        }
    }
}

#[test]
fn noise_is_read_within_bounds() {
    for (codec, version) in codecs_and_versions() {
        for seed in 0..32 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut bytes = sample::random(codec.schema, version, seed).bytes;
            if !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
                read_bounded(codec, version, &bytes, &format!("seed {seed}, bit flipped at {at}"));
            }
            rng.fill(&mut bytes[..]);
            read_bounded(codec, version, &bytes, &format!("seed {seed}, random bytes"));
        }
    }
}

#[test]
fn the_dearest_request_stays_within_the_factor() {
    const TOPICS: u32 = 100_000;
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.compact_len(Some(TOPICS as usize));
    // A topic of version 9: an empty name and no tagged fields.
    (0..TOPICS).for_each(|_| writer.put(&[1, 0]));
    writer.put(&[1, 0, 0, 0]);

    let frame = shared(&bytes);
    let (request, Allocated { total, .. }) =
        allocated_by(|| MetadataRequest::read_message(&mut Reader::new(&frame), 9));
    assert_eq!(request.unwrap().topics.unwrap().len(), TOPICS as usize);
    assert!(total <= bytes.len() * TOTAL_PER_BYTE, "{total} for {}", bytes.len());
}

/// Reads a request of a stranger, and asserts that its lists took no more memory than lists may. One that grows
/// is copied, so all its allocations come to more, but not to more than three times that.
fn read_request<M: Message>(version: i16, bytes: &[u8]) -> Result<M, ReadError> {
    let frame = shared(bytes);
    let (read, Allocated { largest, total }) =
        allocated_by(|| M::read_message(&mut Reader::of_request(&frame), version));
    let place = format!("{} v{version} of {} bytes", M::SCHEMA.name, bytes.len());
    assert!(largest <= LIST_BYTES_MAX + FIRST_ELEMENTS_BYTES, "{place}: allocated {largest} at once");
    assert!(total <= 3 * LIST_BYTES_MAX, "{place}: allocated {total}");
    read
}

/// A Produce of version 9 with so many topics, each of which has these bytes.
pub(crate) fn produce_of_topics(topics: usize, topic: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.put(b"\0\xff\xff\0\0\x75\x30");
    writer.compact_len(Some(topics));
    bytes.extend(topic.repeat(topics));
    bytes.push(0);
    bytes
}

#[test]
fn a_request_takes_no_more_memory_than_its_bytes_and_bounded_lists() {
    // An empty name, no partitions, no tagged fields.
    let empty_topics = |topics| produce_of_topics(topics, &[1, 1, 0]);
    let read = |bytes: &[u8]| read_request::<ProduceRequest>(9, bytes);
    assert_eq!(read(&empty_topics(200_000)).unwrap().topic_data.len(), 200_000);
    for topics in [400_000, 2_000_000, 30_000_000] {
        let error = read(&empty_topics(topics)).unwrap_err();
        assert!(matches!(error.reason, Reason::TooManyElements(_)), "{error}");
        assert_eq!((error.structure, error.field), ("ProduceRequest", "TopicData"));
    }
    // One topic with partitions without records.
    let mut partitions = vec![1];
    Writer::new(&mut partitions).compact_len(Some(2_000_000));
    partitions.extend([0, 0, 0, 0, 1, 0].repeat(2_000_000));
    partitions.push(0);
    let error = read(&produce_of_topics(1, &partitions)).unwrap_err();
    assert!(matches!(error.reason, Reason::TooManyElements(_)), "{error}");

    // Half of a topic of a Metadata request, and of others that are all lists, is a byte.
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).compact_len(Some(4_000_000));
    bytes.extend([1, 0].repeat(4_000_000));
    let error = read_request::<MetadataRequest>(9, &bytes).unwrap_err();
    assert!(matches!(error.reason, Reason::TooManyElements(_)), "{error}");
}

#[test]
fn a_request_may_have_many_records_and_not_many_other_bytes() {
    let read = |bytes: &[u8]| read_request::<ProduceRequest>(9, bytes);
    let with_name_and_records = |name: usize, records: usize| {
        let mut topic = Vec::new();
        let mut writer = Writer::new(&mut topic);
        writer.compact_len(Some(name));
        writer.put(&vec![b'n'; name]);
        writer.put(&[2, 0, 0, 0, 7]);
        writer.compact_len(Some(records));
        writer.put(&vec![7; records]);
        writer.put(&[0, 0]);
        topic
    };
    let request = read(&produce_of_topics(100, &with_name_and_records(100, 1 << 20))).unwrap();
    assert_eq!(request.topic_data.len(), 100);
    // A topic is 32 KiB but for 268 bytes, 256 of them too much by far.
    let few = read(&produce_of_topics(255, &with_name_and_records(32_500, 1)));
    assert_eq!(few.unwrap().topic_data.len(), 255);
    let error = read(&produce_of_topics(300, &with_name_and_records(32_500, 1))).unwrap_err();
    let Reason::TooMuch(bytes) = error.reason else { panic!("{error}") };
    assert!((1..=32_600).contains(&(bytes as usize - NOT_RECORDS_BYTES_MAX)), "{error}");
    // What nobody reads counts too: a tagged field that no table has.
    let mut tagged = produce_of_topics(1, &with_name_and_records(1, 1));
    assert_eq!(tagged.pop(), Some(0));
    let mut writer = Writer::new(&mut tagged);
    writer.put(&[1, 99]);
    writer.uvarint(NOT_RECORDS_BYTES_MAX as u32);
    writer.put(&vec![0; NOT_RECORDS_BYTES_MAX]);
    assert!(matches!(read(&tagged).unwrap_err().reason, Reason::TooMuch(_)));
}

#[test]
fn reading_a_produce_request_allocates_its_arrays_only() {
    let mut bytes = Vec::new();
    let partition_data = (0..100)
        .map(|index| PartitionProduceData { index, records: Records::Bytes(Bytes::from_static(&[7; 100])) })
        .collect();
    let topic = TopicProduceData { name: "orders".into(), partition_data, ..Default::default() };
    let sent = ProduceRequest {
        transactional_id: Some("payments".into()),
        topic_data: vec![topic].into(),
        ..Default::default()
    };
    sent.write_message(&mut Writer::new(&mut bytes), 12);

    let frame = shared(&bytes);
    let (read, Allocated { total, .. }) =
        allocated_by(|| ProduceRequest::read_message(&mut Reader::new(&frame), 12).unwrap());
    assert_eq!(read, sent);
    // The first topic needs none.
    assert_eq!(total, 100 * size_of::<PartitionProduceData>());
    let inside = |part: &[u8]| frame.as_ptr_range().contains(&part.as_ptr());
    assert!(inside(read.topic_data[0].name.as_bytes()), "the name was copied");
    let Records::Bytes(records) = &read.topic_data[0].partition_data[99].records else {
        panic!("no records")
    };
    assert!(inside(records), "the records were copied");
}
