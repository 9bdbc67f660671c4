//! Producer ids: none is given to two producers, also where another broker gave some out before.

use std::collections::HashSet;
use std::fs;

use super::batch::batch;
use super::config;
use super::requests::{CREATE_TOPICS, INIT_PRODUCER_ID, PRODUCE, create_topic, produce_batches};
use super::tcp_client::TcpClient;
use crate::broker::{self, Running};
use crate::wire::Api;
use crate::wire::messages::create_topics::CreateTopicsResponse;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::produce::ProduceResponse;

fn start(dir: &tempfile::TempDir) -> Running {
    broker::start(config(&[("log.dirs", dir.path().to_str().unwrap())])).unwrap()
}

fn stop(broker: Running) {
    broker.broker().stop.ask();
    broker.join().unwrap();
}

/// Ids for producers, one of each connection: connections lie on different shards.
fn ids(broker: &Running, count: usize) -> Vec<i64> {
    let id = |_| {
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let mut client = TcpClient::connect(broker);
        let given: InitProducerIdResponse = client.ask(Api::InitProducerId, INIT_PRODUCER_ID, &request);
        assert_eq!((given.error_code, given.producer_epoch), (0, 0));
        given.producer_id
    };
    (0..count).map(id).collect()
}

/// Has a producer that got its id elsewhere write to every partition.
fn write_as(broker: &Running, producer_id: i64, epoch: i16) {
    let mut client = TcpClient::connect(broker);
    let batches = (0..4).map(|partition| (partition, batch(b"payload", Some((producer_id, epoch, 0)))));
    let response: ProduceResponse = client.ask(Api::Produce, PRODUCE, &produce_batches("t", batches));
    let mut partitions = response.responses[0].partition_responses.iter();
    assert!(partitions.all(|partition| partition.error_code == 0));
}

#[test]
fn no_id_is_given_out_twice_by_starts_after_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = HashSet::new();
    for _ in 0..3 {
        let broker = start(&dir);
        assert!(ids(&broker, 20).into_iter().all(|id| given.insert(id)));
        stop(broker);
    }
}

#[test]
fn ids_begin_above_those_that_another_broker_left_in_logs_but_not_above_ids_that_nobody_gave_out() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(&dir);
    let mut client = TcpClient::connect(&broker);
    let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &create_topic("t", 4));
    assert_eq!(created.topics[0].error_code, 0);
    write_as(&broker, 123_456, 0);
    write_as(&broker, i64::MAX, 0);
    write_as(&broker, 7, 0);
    stop(broker);
    let _ = fs::remove_file(dir.path().join("logmill.producer-ids"));

    let broker = start(&dir);
    let given = ids(&broker, 10);
    assert!(given.iter().all(|id| (123_457..200_000).contains(id)), "{given:?}");
    stop(broker);
}
