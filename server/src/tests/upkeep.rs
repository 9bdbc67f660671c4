//! Old records go, and a start knows how far the logs had come.

use std::path::Path;
use std::time::{Duration, Instant};

use super::batch::read_batches;
use super::config;
use super::requests::{CREATE_TOPICS, FETCH, PRODUCE, create_topic, fetch, produce};
use super::tcp_client::TcpClient;
use crate::broker::{self, Running};
use crate::wire::messages::create_topics::{CreatableTopicConfig, CreateTopicsResponse};
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::wire::messages::fetch::{FetchResponse, PartitionData};
use crate::wire::messages::produce::ProduceResponse;
use crate::wire::{Api, ErrorCode, Records, Text};

const DELETE_RECORDS: i16 = 2;
const DELETE_TOPICS: i16 = 6;
const DEADLINE: Duration = Duration::from_secs(20);

fn start(dir: &Path) -> Running {
    broker::start(config(&[
        ("log.dirs", dir.to_str().unwrap()),
        ("log.retention.check.interval.ms", "20"),
        ("log.flush.offset.checkpoint.interval.ms", "20"),
    ]))
    .unwrap()
}

fn stop(broker: Running) {
    broker.broker().stop.ask();
    broker.join().unwrap();
}

/// Makes the topic `t`, whose segments hold a batch or two and are not kept.
fn make_topic(client: &mut TcpClient) {
    let mut request = create_topic("t", 1);
    request.topics[0].configs =
        [("internal.segment.bytes", "100"), ("retention.bytes", "0"), ("file.delete.delay.ms", "0")]
            .map(|(key, value)| CreatableTopicConfig {
                name: Text::from(key),
                value: Some(Text::from(value)),
            })
            .to_vec();
    let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &request);
    assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
}

fn produce_some(client: &mut TcpClient) {
    for _ in 0..5 {
        let produced: ProduceResponse =
            client.ask(Api::Produce, PRODUCE, &produce("t", &[(0, b"a payload of some bytes")]));
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
}

fn read_from(client: &mut TcpClient, offset: i64) -> PartitionData {
    let mut response: FetchResponse = client.ask(Api::Fetch, FETCH, &fetch("t", &[(0, offset)], 0, 0));
    response.responses.remove(0).partitions.remove(0)
}

fn segments(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir.join("t-0")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.ends_with(".log") || name.ends_with(".deleted")).collect()
}

fn lines(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join(file)).unwrap_or_default()
}

/// Waits for what upkeep does some time.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < DEADLINE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_not_kept_is_gone_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let running = start(dir);
    let mut client = TcpClient::connect(&running);
    make_topic(&mut client);
    produce_some(&mut client);
    eventually("the segments are still there", || segments(dir) == ["00000000000000000005.log"]);
    assert_eq!(read_from(&mut client, 4).error_code, ErrorCode::OffsetOutOfRange as i16);
    assert_eq!(read_from(&mut client, 5).error_code, 0);
    stop(running);
    assert_eq!(lines(dir, "log-start-offset-checkpoint"), "0\n1\nt 0 5\n");
    assert_eq!(lines(dir, "recovery-point-offset-checkpoint"), "0\n1\nt 0 5\n");
    assert_eq!(lines(dir, "replication-offset-checkpoint"), "0\n1\nt 0 5\n");

    // As after a kill: no clean stop is claimed, and only the checkpoints say where the log begins.
    std::fs::remove_file(dir.join(".kafka_cleanshutdown")).unwrap();
    let running = start(dir);
    let mut client = TcpClient::connect(&running);
    let data = read_from(&mut client, 5);
    assert_eq!((data.error_code, data.log_start_offset, data.high_watermark), (0, 5, 5));
    stop(running);
}

#[test]
fn the_next_topic_of_a_name_is_not_taken_for_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let running = start(dir);
    let mut client = TcpClient::connect(&running);
    make_topic(&mut client);
    produce_some(&mut client);
    eventually("the start was not written down", || {
        lines(dir, "log-start-offset-checkpoint").contains("t 0 5")
    });
    let topic = DeleteTopicState { name: Some(Text::from_static("t")), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let deleted: DeleteTopicsResponse = client.ask(Api::DeleteTopics, DELETE_TOPICS, &request);
    assert_eq!(deleted.responses[0].error_code, 0);
    for file in
        ["log-start-offset-checkpoint", "recovery-point-offset-checkpoint", "replication-offset-checkpoint"]
    {
        assert!(!lines(dir, file).contains("t 0"), "{file}");
    }
    make_topic(&mut client);
    assert_eq!(read_from(&mut client, 0).error_code, 0);
    stop(running);
}

#[test]
fn a_segment_that_is_deleted_while_it_is_sent_is_sent_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let running = start(dir);
    let (mut client, mut other) = (TcpClient::connect(&running), TcpClient::connect(&running));
    let mut request = create_topic("t", 1);
    // Its records are of 1970.
    request.topics[0].configs = [("retention.ms", "-1"), ("file.delete.delay.ms", "0")]
        .map(|(key, value)| CreatableTopicConfig { name: Text::from(key), value: Some(Text::from(value)) })
        .to_vec();
    let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &request);
    assert_eq!(created.topics[0].error_code, 0);
    // Far more than lies in the buffers of two sockets.
    let payloads: Vec<Vec<u8>> = (0..32).map(|nth| vec![nth; 1_000_000]).collect();
    for payload in &payloads {
        let produced: ProduceResponse = client.ask(Api::Produce, PRODUCE, &produce("t", &[(0, payload)]));
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    }
    let mut request = fetch("t", &[(0, 0)], 0, 0);
    request.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    client.send(Api::Fetch, FETCH, &request);
    let mut response: FetchResponse = client.receive_around(Api::Fetch, FETCH, 10_000, || {
        let partition = DeleteRecordsPartition { partition_index: 0, offset: -1 };
        let topic = DeleteRecordsTopic { name: Text::from("t"), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 60_000 };
        let deleted: DeleteRecordsResponse = other.ask(Api::DeleteRecords, DELETE_RECORDS, &request);
        let result = &deleted.topics[0].partitions[0];
        assert_eq!((result.error_code, result.low_watermark), (0, payloads.len() as i64));
        eventually("the segment is still there", || segments(dir) == ["00000000000000000032.log"]);
    });
    let Records::Bytes(bytes) = response.responses.remove(0).partitions.remove(0).records else {
        panic!("records are bytes on this side")
    };
    let read = read_batches(&bytes);
    assert_eq!(read.len(), payloads.len());
    assert!(
        read.iter()
            .zip(0..)
            .all(|((offset, payload), nth)| *offset == nth && *payload == payloads[nth as usize])
    );
    stop(running);
}
