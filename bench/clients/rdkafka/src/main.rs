//! librdkafka, through the `rdkafka` crate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
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

/// A member of a group, read by whoever looks at it.
struct Member {
    consumer: BaseConsumer,
    /// The last offset that was read, by partition.
    last: BTreeMap<i32, i64>,
}

impl Member {
    fn join(bootstrap: &str, topic: &str) -> Result<Member, Failed> {
        let mut settings = config(bootstrap);
        settings.set("group.id", "rdkafka").set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = settings.create()?;
        consumer.subscribe(&[topic])?;
        Ok(Member { consumer, last: BTreeMap::new() })
    }

    /// Reads what is there, and says which partitions are its own.
    fn look(&mut self) -> Result<Vec<i32>, Failed> {
        while let Some(record) = self.consumer.poll(Duration::from_millis(50)) {
            let record = record?;
            self.last.insert(record.partition(), record.offset());
        }
        let assigned = self.consumer.assignment()?;
        Ok(assigned.elements().iter().map(|at| at.partition()).collect())
    }

    fn has_read(&self, assigned: &[i32]) -> bool {
        let last = (RECORDS / PARTITIONS - 1) as i64;
        assigned.len() == 1 && self.last.get(&assigned[0]) == Some(&last)
    }
}

/// Two members share a topic; a third one goes on where they stopped.
fn share(bootstrap: &str, topic: &str) -> Result<(), Failed> {
    let mut both = [Member::join(bootstrap, topic)?, Member::join(bootstrap, topic)?];
    let deadline = Instant::now() + LONG;
    loop {
        let [one, other] = &mut both;
        let (of_one, of_other) = (one.look()?, other.look()?);
        if one.has_read(&of_one) && other.has_read(&of_other) && of_one != of_other {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("not in time: {of_one:?} and {of_other:?} are shared out").into());
        }
    }
    for member in both {
        let mut offsets = TopicPartitionList::new();
        for at in member.consumer.assignment()?.elements() {
            let behind = Offset::Offset(member.last[&at.partition()] + 1);
            offsets.add_partition_offset(topic, at.partition(), behind)?;
        }
        member.consumer.commit(&offsets, CommitMode::Sync)?;
    }
    let mut third = Member::join(bootstrap, topic)?;
    let deadline = Instant::now() + LONG;
    while third.look()?.len() < PARTITIONS {
        if Instant::now() > deadline {
            return Err("not in time: the third has both partitions".into());
        }
    }
    for at in third.consumer.committed(LONG)?.elements() {
        if at.offset() != Offset::Offset((RECORDS / PARTITIONS) as i64) {
            return Err(format!("committed: {at:?}").into());
        }
    }
    if !third.last.is_empty() {
        return Err(format!("reads again: {:?}", third.last).into());
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
    share(&bootstrap, "rdkafka-zstd-all")?;
    println!("rdkafka: {combinations} combinations");
    Ok(())
}
