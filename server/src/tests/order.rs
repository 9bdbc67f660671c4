//! Order: what one connection produces to a partition lies in it in the order of the requests, also when a
//! mailbox has no room. Producers without idempotence show it by what lies there, those with it by sequences
//! that the broker checks.

use std::collections::VecDeque;
use std::thread;

use super::batch::{batch, read_batches};
use super::config;
use super::requests::{
    CREATE_TOPICS, FETCH, INIT_PRODUCER_ID, PRODUCE, create_topic, fetch, produce_batches,
};
use super::tcp_client::TcpClient;
use crate::broker::{self, Running};
use crate::shard::planted;
use crate::wire::messages::create_topics::CreateTopicsResponse;
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::produce::ProduceResponse;
use crate::wire::{Api, Records};

const PARTITIONS: i32 = 4;
const PRODUCERS: usize = 4;
const IN_FLIGHT: usize = 5;

/// What stands in a record: who wrote it, and its number among those of its producer in its partition.
fn payload(producer: usize, sequence: u32) -> [u8; 8] {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&(producer as u32).to_be_bytes());
    payload[4..].copy_from_slice(&sequence.to_be_bytes());
    payload
}

/// Whether producers are idempotent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sequences {
    Checked,
    None,
}

/// Each producer writes so many records, to one partition after the other, five requests in flight.
fn produce_all(broker: &Running, requests: u32, sequences: Sequences) {
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            scope.spawn(move || {
                let mut client = TcpClient::connect(broker);
                let identity = (sequences == Sequences::Checked).then(|| producer_identity(&mut client));
                let mut in_flight = VecDeque::new();
                for request in 0..requests {
                    if in_flight.len() == IN_FLIGHT {
                        receive_ack(&mut client, in_flight.pop_front().unwrap());
                    }
                    let partition = (request % PARTITIONS as u32) as i32;
                    let number = request / PARTITIONS as u32;
                    let numbered = identity.map(|(id, epoch)| (id, epoch, number as i32));
                    let batch = batch(&payload(producer, number), numbered);
                    in_flight.push_back(client.send(
                        Api::Produce,
                        PRODUCE,
                        &produce_batches("t", [(partition, batch)]),
                    ));
                }
                in_flight.into_iter().for_each(|request| receive_ack(&mut client, request));
            });
        }
    });
}

fn producer_identity(client: &mut TcpClient) -> (i64, i16) {
    let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    let given: InitProducerIdResponse = client.ask(Api::InitProducerId, INIT_PRODUCER_ID, &request);
    assert_eq!(given.error_code, 0);
    (given.producer_id, given.producer_epoch)
}

fn receive_ack(client: &mut TcpClient, expected: i32) {
    let (correlation_id, response) = client.receive::<ProduceResponse>(Api::Produce, PRODUCE);
    assert_eq!(correlation_id, expected, "answers come in the order of the requests");
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0, "{:?}", partition.error_message);
}

/// The first place where a producer's records in a partition do not follow each other.
fn first_disorder(broker: &Running, requests: u32) -> Option<String> {
    let mut client = TcpClient::connect(broker);
    for partition in 0..PARTITIONS {
        let mut expected = [0u32; PRODUCERS];
        let mut offset = 0;
        loop {
            let request = fetch("t", &[(partition, offset)], 0, 0);
            let response: FetchResponse = client.ask(Api::Fetch, FETCH, &request);
            let data = &response.responses[0].partitions[0];
            assert_eq!(data.error_code, 0);
            let Records::Bytes(bytes) = &data.records else { panic!("records are bytes on this side") };
            let batches = read_batches(bytes);
            if batches.is_empty() {
                break;
            }
            for (base_offset, read) in batches {
                assert_eq!(base_offset, offset, "offsets are dense");
                let producer = u32::from_be_bytes(read[..4].try_into().unwrap()) as usize;
                if read != payload(producer, expected[producer]) {
                    return Some(format!("partition {partition}, offset {offset}: {read:?}"));
                }
                expected[producer] += 1;
                offset += 1;
            }
        }
        let written = requests / PARTITIONS as u32;
        assert_eq!(expected, [written; PRODUCERS], "partition {partition} has every record");
    }
    None
}

fn start(dir: &tempfile::TempDir) -> Running {
    let log_dir = dir.path().to_str().unwrap();
    let broker = broker::start(config(&[("log.dirs", log_dir), ("logmill.mailbox.messages", "1")])).unwrap();
    let mut client = TcpClient::connect(&broker);
    let created: CreateTopicsResponse =
        client.ask(Api::CreateTopics, CREATE_TOPICS, &create_topic("t", PARTITIONS));
    assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
    broker
}

fn stop(broker: Running) {
    broker.broker().stop.ask();
    broker.join().unwrap();
}

#[test]
fn a_hundred_thousand_produces_through_mailboxes_of_one_keep_their_order() {
    for sequences in [Sequences::None, Sequences::Checked] {
        let dir = tempfile::tempdir().unwrap();
        let broker = start(&dir);
        let requests = 100_000 / PRODUCERS as u32;
        produce_all(&broker, requests, sequences);
        assert_eq!(first_disorder(&broker, requests), None, "{sequences:?}");
        stop(broker);
    }
}

#[test]
fn a_request_that_overtakes_one_that_waits_for_room_is_caught() {
    // Whether it overtakes is up to the threads: some runs may not show it.
    const RUNS_MAX: usize = 20;
    let requests = 10_000;
    let is_caught = (0..RUNS_MAX).any(|_| {
        let dir = tempfile::tempdir().unwrap();
        let broker = planted::overtaking(|| start(&dir));
        produce_all(&broker, requests, Sequences::None);
        let is_caught = first_disorder(&broker, requests).is_some();
        stop(broker);
        is_caught
    });
    assert!(is_caught, "the planted bug went unseen in {RUNS_MAX} runs");
}
