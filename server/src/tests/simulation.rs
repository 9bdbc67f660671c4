//! The broker over simulated seams: one seed, one run.

use logmill_engine::disk::sim::SimDisk;

use super::batch::read_batches;
use super::config;
use super::requests::{CREATE_TOPICS, FETCH, PRODUCE, create_topic, fetch, produce};
use super::sim_client::SimClient;
use crate::sim::{Event, World};
use crate::wire::messages::create_topics::CreateTopicsResponse;
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::produce::ProduceResponse;
use crate::wire::{Api, Records};

const PARTITIONS: i32 = 4;
const PRODUCERS: usize = 3;
const REQUESTS: u32 = 40;

fn start(seed: u64, disk: &SimDisk) -> World {
    let config = config(&[("logmill.shards", "3"), ("logmill.mailbox.messages", "1"), ("log.dirs", "/data")]);
    World::start(seed, config, disk.clone()).unwrap()
}

async fn create(mut client: SimClient) {
    let created: CreateTopicsResponse =
        client.ask(Api::CreateTopics, CREATE_TOPICS, &create_topic("t", PARTITIONS)).await;
    assert_eq!(created.topics[0].error_code, 0);
}

/// Writes numbered records to all partitions, five requests in flight.
async fn produce_numbered(mut client: SimClient, producer: u8) {
    for request in 0..REQUESTS {
        if request >= 5 {
            receive_ack(&mut client).await;
        }
        let payload = [&[producer][..], &request.to_be_bytes()].concat();
        let payloads: Vec<(i32, &[u8])> = (0..PARTITIONS).map(|index| (index, &payload[..])).collect();
        client.send(Api::Produce, PRODUCE, &produce("t", &payloads)).await;
    }
    for _ in 0..5 {
        receive_ack(&mut client).await;
    }
}

async fn receive_ack(client: &mut SimClient) {
    let response: ProduceResponse = client.receive(Api::Produce, PRODUCE).await;
    for partition in &response.responses[0].partition_responses {
        assert_eq!(partition.error_code, 0);
    }
}

/// Reads a partition until it has seen so many records, waiting for them, and returns them.
async fn consume(mut client: SimClient, partition: i32, records: usize) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    while read.len() < records {
        let request = fetch("t", &[(partition, read.len() as i64)], 1, 500);
        let response: FetchResponse = client.ask(Api::Fetch, FETCH, &request).await;
        let data = &response.responses[0].partitions[0];
        assert_eq!(data.error_code, 0);
        let Records::Bytes(bytes) = &data.records else { panic!("records are bytes on this side") };
        for (offset, payload) in read_batches(bytes) {
            assert_eq!(offset, read.len() as i64, "offsets are dense");
            read.push(payload);
        }
    }
    read
}

/// Producers and waiting consumers at once; what happened, and what was read.
fn run(seed: u64, disk: &SimDisk) -> (Vec<Event>, Vec<Vec<Vec<u8>>>) {
    let world = start(seed, disk);
    let connect = || SimClient::new(world.connect());
    let (first, producers) = (connect(), [(); PRODUCERS].map(|()| connect()));
    let consumers: Vec<SimClient> = (0..PARTITIONS).map(|_| connect()).collect();
    let read = world.run(async move {
        create(first).await;
        let written = PRODUCERS * REQUESTS as usize;
        let reading = (0..).zip(consumers).map(|(partition, client)| consume(client, partition, written));
        let [a, b, c] = producers;
        let writing = async {
            tokio::join!(produce_numbered(a, 0), produce_numbered(b, 1), produce_numbered(c, 2));
        };
        let reading: [_; PARTITIONS as usize] =
            reading.collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("one for each partition"));
        let [p0, p1, p2, p3] = reading;
        let (p0, p1, p2, p3, ()) = tokio::join!(p0, p1, p2, p3, writing);
        vec![p0, p1, p2, p3]
    });
    (world.take_trace(), read)
}

/// Each producer's records lie in every partition in the order in which it sent them.
fn check_order(partitions: &[Vec<Vec<u8>>], seed: u64) {
    for (partition, records) in partitions.iter().enumerate() {
        let mut next = [0u32; PRODUCERS];
        for record in records {
            let (producer, number) = (usize::from(record[0]), &record[1..]);
            assert_eq!(number, next[producer].to_be_bytes(), "seed {seed}, partition {partition}");
            next[producer] += 1;
        }
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let (first, read) = run(42, &SimDisk::default());
    let (second, read_again) = run(42, &SimDisk::default());
    assert!(first.len() > 1_000, "{} events", first.len());
    assert_eq!(first.iter().zip(&second).position(|(a, b)| a != b), None, "the first event that differs");
    assert_eq!((first.len(), read), (second.len(), read_again));
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run(1, &SimDisk::default()).0, run(2, &SimDisk::default()).0);
}

#[test]
fn order_holds_whatever_the_seed() {
    for seed in 0..30 {
        check_order(&run(seed, &SimDisk::default()).1, seed);
    }
}

#[test]
fn a_broker_started_again_serves_what_the_one_before_it_acknowledged() {
    let disk = SimDisk::default();
    let (_, read) = run(5, &disk);
    let world = start(6, &disk);
    for (partition, records) in (0..).zip(read) {
        let client = SimClient::new(world.connect());
        let count = records.len();
        assert_eq!(world.run(consume(client, partition, count)), records, "partition {partition}");
    }
}

#[test]
fn a_fetch_waits_as_long_as_it_said_and_no_longer() {
    let world = start(9, &SimDisk::default());
    let (first, mut client) = (SimClient::new(world.connect()), SimClient::new(world.connect()));
    world.run(async move {
        create(first).await;
        let request = fetch("t", &[(0, 0), (1, 0), (2, 0)], 1, 777);
        let response: FetchResponse = client.ask(Api::Fetch, FETCH, &request).await;
        assert!(response.responses[0].partitions.iter().all(|data| data.records.is_empty()));
    });
    let slept: Vec<Event> =
        world.take_trace().into_iter().filter(|event| matches!(event, Event::Slept { .. })).collect();
    assert_eq!(slept, [Event::Slept { until_ms: 777 }], "no polling in between");
}
