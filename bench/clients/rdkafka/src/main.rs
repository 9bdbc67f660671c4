//! librdkafka, through the `rdkafka` crate.

use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

const RECORDS: usize = 300;
const PARTITIONS: usize = 2;
const LONG: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error>;

fn key(number: usize) -> String {
    format!("key {number}")
}

/// Of many lengths, the longest of several kilobytes, and worth compressing.
fn value(number: usize) -> String {
    format!("value {number} ").repeat(1 + number * number % 400)
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// A record that is not delivered ends the program.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = delivered {
            eprintln!("{}: {error}", record.topic());
            std::process::exit(1);
        }
    }
}

fn round_trip(bootstrap: &str, topic: &str, codec: &str, acks: &str) -> Result<(), Failed> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(1));
    for created in block_on(admin.create_topics([&new], &AdminOptions::new()))? {
        created.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }

    let mut settings = config(bootstrap);
    settings.set("compression.type", codec).set("acks", acks);
    let producer: ThreadedProducer<Deliveries> = settings.create_with_context(Deliveries)?;
    for number in 0..RECORDS {
        let (key, value) = (key(number), value(number));
        let partition = (number % PARTITIONS) as i32;
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(LONG)?;

    let consumer: BaseConsumer = config(bootstrap).set("group.id", "unused").create()?;
    let mut from = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        from.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&from)?;
    let mut next = [0; PARTITIONS];
    for count in 0..RECORDS {
        let record = consumer.poll(LONG).ok_or_else(|| format!("{topic} ends after {count} records"))??;
        let partition = record.partition() as usize;
        let number = next[partition] * PARTITIONS + partition;
        let is_expected = record.offset() == next[partition] as i64
            && record.key() == Some(key(number).as_bytes())
            && record.payload() == Some(value(number).as_bytes());
        if !is_expected {
            return Err(format!("{topic}-{partition}: offset {} is not record {number}", record.offset()).into());
        }
        next[partition] += 1;
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let bootstrap = std::env::args().nth(1).ok_or("expected the broker's address")?;
    let mut combinations = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            round_trip(&bootstrap, &format!("rdkafka-{codec}-{acks}"), codec, acks)?;
            combinations += 1;
        }
    }
    println!("rdkafka: {combinations} combinations");
    Ok(())
}
