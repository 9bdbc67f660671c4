//! Batches that are refused, and some that are not.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{FindCoordinatorRequest, TransactionalId};
use logmill_engine::format::BatchBuilder;

use super::{Client, NOT_EXPECTED, batch, changed, name_of, text, topic_name};

/// The last version that names topics, the first that names them by id.
const BY_NAME: i16 = 11;
const BY_ID: i16 = 13;
const HOUR_MS: i64 = 3_600_000;
const UNKNOWN_ID: &str = "07070707-0707-0707-0707-070707070707";

/// Where fields stand in a batch.
mod at {
    pub(super) const LENGTH: usize = 8;
    pub(super) const MAGIC: usize = 16;
    pub(super) const CRC: usize = 17;
    pub(super) const ATTRIBUTES: usize = 21;
    pub(super) const LAST_OFFSET_DELTA: usize = 23;
    pub(super) const COUNT: usize = 57;
}

/// One request with one batch, and the code that both brokers answer.
struct Case<'a> {
    what: &'static str,
    expected: i16,
    records: Bytes,
    topic: &'static str,
    partition: i32,
    acks: i16,
    version: i16,
    topic_id: Option<&'a str>,
}

fn case(expected: i16, what: &'static str, topic: &'static str, records: Bytes) -> Case<'static> {
    Case { what, expected, records, topic, partition: 0, acks: -1, version: BY_NAME, topic_id: None }
}

fn plain() -> Bytes {
    batch(BatchBuilder::new(), &[None, Some("k"), None], now_ms())
}

fn of_producer(id: i64, epoch: i16, sequence: i32) -> Bytes {
    batch(BatchBuilder::new().producer(id, epoch, sequence), &[None, None], now_ms())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn cases(id: &str) -> Vec<Case<'_>> {
    let mut cases = well_formed(id);
    cases.extend(malformed());
    cases.extend(against_the_rules_of_a_topic());
    cases.extend(of_producers());
    cases.extend(nowhere(id));
    cases
}

fn well_formed(id: &str) -> Vec<Case<'_>> {
    vec![
        case(0, "a batch", "plain", plain()),
        Case { acks: 1, ..case(0, "acks=1", "plain", plain()) },
        Case { version: BY_ID, topic_id: Some(id), ..case(0, "by topic id", "", plain()) },
        case(0, "a topic that has the broker's time", "broker-time", plain()),
        Case { version: 3, ..case(0, "the oldest version", "plain", plain()) },
    ]
}

fn malformed() -> Vec<Case<'static>> {
    let good = plain();
    let twice = [&good[..], &good[..]].concat().into();
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let mut wrong_crc = good.to_vec();
    wrong_crc[at::CRC] ^= 1;
    let mut short = good.to_vec();
    short[at::LENGTH..at::LENGTH + 4].copy_from_slice(&13i32.to_be_bytes());
    vec![
        case(2, "a flipped bit", "plain", damaged.into()),
        case(2, "a wrong checksum", "plain", wrong_crc.into()),
        case(2, "a length that no batch has", "plain", short.into()),
        case(87, "nothing", "plain", Bytes::new()),
        case(87, "a batch cut short", "plain", good.slice(..good.len() - 1)),
        case(87, "a header cut short", "plain", good.slice(..20)),
        case(87, "two batches", "plain", twice),
        case(87, "magic 0", "plain", changed(&good, at::MAGIC, &[0])),
        case(87, "magic 1", "plain", changed(&good, at::MAGIC, &[1])),
        case(87, "a base offset", "plain", changed(&good, 0, &1i64.to_be_bytes())),
        case(87, "no records", "plain", changed(&good, at::COUNT, &0i32.to_be_bytes())),
        case(
            87,
            "fewer offsets than records",
            "plain",
            changed(&good, at::LAST_OFFSET_DELTA, &1i32.to_be_bytes()),
        ),
        case(87, "a control batch", "plain", changed(&good, at::ATTRIBUTES, &0x20i16.to_be_bytes())),
        Case {
            version: 6,
            ..case(
                76,
                "zstd before its version",
                "plain",
                changed(&good, at::ATTRIBUTES, &4i16.to_be_bytes()),
            )
        },
    ]
}

fn against_the_rules_of_a_topic() -> Vec<Case<'static>> {
    let value = "v".repeat(2_000);
    let large = batch(BatchBuilder::new(), &[Some(&value)], now_ms());
    let early = batch(BatchBuilder::new(), &[None, None], now_ms() - 2 * HOUR_MS);
    let late = batch(BatchBuilder::new(), &[None], now_ms() + 2 * HOUR_MS);
    vec![
        case(10, "larger than max.message.bytes", "small", large),
        case(87, "no keys in a compacted topic", "compacted", plain()),
        case(32, "too old", "timely", early),
        case(32, "too new", "timely", late),
        case(0, "in time", "timely", plain()),
    ]
}

/// In this order: each finds what those before it wrote.
fn of_producers() -> Vec<Case<'static>> {
    let case = |expected, what, records| case(expected, what, "numbered", records);
    let repeated = of_producer(100, 1, 4);
    vec![
        case(0, "a producer's first batch", of_producer(100, 1, 0)),
        case(0, "its second", of_producer(100, 1, 2)),
        case(0, "its third", repeated.clone()),
        case(0, "the third again", repeated),
        case(45, "a gap", of_producer(100, 1, 9)),
        case(45, "half of two batches", of_producer(100, 1, 3)),
        case(47, "an older epoch", of_producer(100, 0, 6)),
        case(45, "a newer epoch that does not begin at 0", of_producer(100, 2, 6)),
        case(0, "a newer epoch", of_producer(100, 2, 0)),
        case(47, "the epoch before", of_producer(100, 1, 6)),
        case(0, "more", of_producer(100, 2, 2)),
        case(0, "more", of_producer(100, 2, 4)),
        case(0, "more", of_producer(100, 2, 6)),
        case(0, "more", of_producer(100, 2, 8)),
        case(0, "more", of_producer(100, 2, 10)),
        case(0, "the fifth last again", of_producer(100, 2, 2)),
        case(45, "the sixth last again", of_producer(100, 2, 0)),
        case(0, "a producer that nobody knows, in the middle", of_producer(101, 0, 7)),
        case(87, "a producer without a sequence", of_producer(102, 0, -1)),
        case(0, "a producer without an epoch", of_producer(102, -1, 0)),
        case(53, "a transaction without an id", {
            batch(BatchBuilder::new().producer(103, 0, 0).transactional(), &[None], now_ms())
        }),
    ]
}

fn nowhere(id: &str) -> Vec<Case<'_>> {
    vec![
        case(3, "an unknown topic", "unknown", plain()),
        Case { partition: 1, ..case(3, "an unknown partition", "plain", plain()) },
        Case { partition: -1, ..case(3, "a negative partition", "plain", plain()) },
        Case { version: BY_ID, topic_id: Some(UNKNOWN_ID), ..case(100, "an unknown topic id", "", plain()) },
        Case {
            version: BY_ID,
            topic_id: Some(id),
            partition: 1,
            ..case(3, "a partition beside its id", "", plain())
        },
        case(17, "an internal topic", "__consumer_offsets", plain()),
        Case { acks: 2, ..case(21, "acks=2", "plain", plain()) },
        Case { acks: -2, ..case(21, "acks=-2", "plain", plain()) },
        Case { acks: 2, ..case(3, "acks=2 for an unknown topic", "unknown", plain()) },
    ]
}

/// Makes the topics, sends every batch, and says what came back.
pub(crate) fn answers(client: &mut Client) -> Vec<String> {
    let id = client.create("plain", &[]);
    client.create("broker-time", &[("message.timestamp.type", "LogAppendTime")]);
    client.create("small", &[("max.message.bytes", "1000")]);
    client.create("small-segments", &[("segment.bytes", "1048576"), ("max.message.bytes", "3000000")]);
    client.create("compacted", &[("cleanup.policy", "compact")]);
    let hour = "3600000";
    client.create(
        "timely",
        &[("message.timestamp.before.max.ms", hour), ("message.timestamp.after.max.ms", hour)],
    );
    client.create("numbered", &[]);
    make_internal_topic(client);
    cases(&id).into_iter().map(|case| answer(client, case)).collect()
}

/// Its topic is made when a group's coordinator is first looked for.
fn make_internal_topic(client: &mut Client) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("group")]);
    while client.ask(4, &request).coordinators[0].error_code != 0 {}
    while !client.is_served("__consumer_offsets") {}
}

/// What each of them calls an error of its own: codes for a codec that does not exist, for a transaction that nobody
/// has begun, and for a batch that is larger than a segment.
pub(crate) fn codes_that_differ(client: &mut Client) -> [&'static str; 3] {
    let unknown_codec = changed(&plain(), at::ATTRIBUTES, &5i16.to_be_bytes());
    let transactional = batch(BatchBuilder::new().producer(104, 0, 0).transactional(), &[None], now_ms());
    let large = batch(BatchBuilder::new(), &[Some(&"v".repeat(1_500_000))], now_ms());
    let requests = [
        ("plain", unknown_codec, None),
        ("plain", transactional, Some("nobody's")),
        ("small-segments", large, None),
    ];
    requests.map(|(topic, records, id)| {
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(records));
        let topic =
            TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_transactional_id(id.map(|id| TransactionalId(text(id))))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        name_of(client.ask(BY_NAME, &request).responses[0].partition_responses[0].error_code)
    })
}

fn answer(client: &mut Client, case: Case<'_>) -> String {
    let partition =
        PartitionProduceData::default().with_index(case.partition).with_records(Some(case.records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(case.topic))
        .with_topic_id(case.topic_id.map(|id| id.parse().unwrap()).unwrap_or_default())
        .with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(case.acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let mut response = client.ask(case.version, &request);
    let answer = response.responses.remove(0).partition_responses.remove(0);
    let code = answer.error_code;
    let wrong: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    let time = if answer.log_append_time_ms < 0 { "no time" } else { "a time" };
    let mut line = format!(
        "{}: {}, offset {}, {time}, wrong records {wrong:?}",
        case.what,
        name_of(code),
        answer.base_offset
    );
    if code != case.expected {
        line += &format!(", {NOT_EXPECTED}: {} is ({:?})", name_of(case.expected), answer.error_message);
    }
    line
}
