//! What is read is written the same, by us and by kafka-protocol.

use bytes::Bytes;

use super::sample::{self, Sample};
use super::{CODECS, Codec, codecs_and_versions};

/// Random messages of each version.
const SEEDS: std::ops::Range<u64> = 0..256;

/// Where the second codec is behind Apache Kafka 4.3.1.
const UNKNOWN_TO_OTHERS: [(&str, i16); 5] = [
    ("ListOffsetsRequest", 11),
    ("ListOffsetsResponse", 11),
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
    ("InitProducerIdRequest", 6),
];

fn check(codec: &Codec, version: i16, sample: Sample, what: &str) {
    let place = format!("{} v{version}, {what}", codec.schema.name);
    let bytes = Bytes::from(sample.bytes);
    let ours = (codec.rewrite)(bytes.clone(), version).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(ours, bytes, "{place}: rewritten by us");
    if let Some(others) = &codec.others
        && !UNKNOWN_TO_OTHERS.contains(&(codec.schema.name, version))
    {
        assert_eq!((others.rewrite)(ours, version), bytes, "{place}: rewritten by kafka-protocol");
    }
}

#[test]
fn every_version_of_every_message_is_rewritten_the_same_by_both_codecs() {
    for (codec, version) in codecs_and_versions() {
        check(codec, version, sample::full(codec.schema, version), "full");
        for seed in SEEDS {
            check(codec, version, sample::random(codec.schema, version, seed), &format!("seed {seed}"));
        }
    }
}

#[test]
fn the_list_of_what_kafka_protocol_does_not_know_is_exact() {
    let unknown: Vec<_> = codecs_and_versions()
        .filter(|(codec, version)| {
            let known = codec.others.as_ref().map(|others| others.known);
            known.is_some_and(|known| !(known.min..=known.max).contains(version))
        })
        .map(|(codec, version)| (codec.schema.name, version))
        .collect();
    assert_eq!(unknown, UNKNOWN_TO_OTHERS);
}

#[test]
fn a_version_that_does_not_exist_is_refused() {
    for codec in CODECS {
        for version in [codec.schema.valid.min - 1, codec.schema.valid.max + 1] {
            assert!((codec.read)(Bytes::from_static(&[0; 64]), version).is_err(), "{}", codec.schema.name);
        }
    }
}
