//! `Sender`: records into batches, and batches to the leaders of their partitions.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::{Client, ClientError, Cluster};
use logmill_engine::format::{BatchBuilder, Compression, NewRecord};
use logmill_server::wire::ErrorCode;

use super::line::Record;
use super::partitioner::partition_of;
use crate::connect::TIMEOUT_MS;
use crate::outcome::Usage;
use crate::print::{Fields, Out};

/// How long a partition may be without a leader.
const LEADERLESS_MAX: Duration = Duration::from_secs(30);
/// Before a leader is looked for again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A batch is begun anew behind this many bytes of records: brokers take a little more than a mebibyte.
const BATCH_BYTES_MAX: usize = 900 << 10;

/// Sends to one topic.
pub(super) struct Sender {
    client: Client,
    cluster: Cluster,
    topic: String,
    /// The only partition that is sent to, where one was named.
    partition: Option<i32>,
    acks: i16,
    compression: Compression,
    /// Of records without keys.
    next_partition: usize,
}

/// A batch that is not acknowledged.
struct Batch {
    partition: i32,
    count: usize,
    records: Bytes,
}

impl Sender {
    pub(super) fn new(
        mut client: Client,
        topic: &str,
        partition: Option<i32>,
        acks: i16,
        compression: Compression,
    ) -> Result<Sender, Box<dyn Error>> {
        let cluster = client.topic(topic)?;
        let partitions = cluster.topics[0].partitions.len();
        if let Some(partition) = partition
            && !(0..partitions as i32).contains(&partition)
        {
            return Err(Usage(format!("--partition {partition}: {topic} has {partitions}, from 0 on")).into());
        }
        let topic = topic.to_owned();
        Ok(Sender { client, cluster, topic, partition, acks, compression, next_partition: 0 })
    }

    /// Sends records and waits until they are acknowledged.
    pub(super) fn send(&mut self, records: Vec<Record>, out: &mut Out) -> Result<(), Box<dyn Error>> {
        let mut by_partition = BTreeMap::<i32, Vec<Record>>::new();
        let partitions = self.cluster.topics[0].partitions.len();
        // Those without a key stay together, so that batches become large.
        self.next_partition = (self.next_partition + 1) % partitions;
        for record in records {
            let partition = match (self.partition, &record.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => partition_of(key, partitions) as i32,
                (None, None) => self.next_partition as i32,
            };
            by_partition.entry(partition).or_default().push(record);
        }
        let mut rounds: Vec<Vec<Batch>> = Vec::new();
        for (partition, records) in by_partition {
            for (round, batch) in self.batches(partition, records).into_iter().enumerate() {
                if rounds.len() == round {
                    rounds.push(Vec::new());
                }
                rounds[round].push(batch);
            }
        }
        // One batch of a partition behind the other: so their order is kept.
        rounds.into_iter().try_for_each(|batches| self.deliver(batches, out))
    }

    fn batches(&self, partition: i32, records: Vec<Record>) -> Vec<Batch> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut batches = Vec::new();
        let mut rest = &records[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |record: &&Record| {
                bytes += record.size();
                bytes <= BATCH_BYTES_MAX
            };
            // One that is too large for any batch goes by itself: the broker says what it takes.
            let count = rest.iter().take_while(fits).count().max(1);
            let mut builder = BatchBuilder::new().compressed(self.compression);
            for record in &rest[..count] {
                let headers: Vec<(&str, Option<&[u8]>)> =
                    record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
                builder.push(&NewRecord {
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    timestamp: record.timestamp.unwrap_or(now),
                    headers: &headers,
                });
            }
            batches.push(Batch { partition, count, records: builder.finish() });
            rest = &rest[count..];
        }
        batches
    }

    /// Sends batches of different partitions until all are acknowledged.
    fn deliver(&mut self, mut batches: Vec<Batch>, out: &mut Out) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + LEADERLESS_MAX;
        loop {
            let (left, refused) = self.deliver_once(batches, out)?;
            batches = left;
            let Some(refused) = refused else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(refused.into());
            }
            thread::sleep(RETRY_AFTER);
            match self.client.topic(&self.topic) {
                Ok(cluster) => self.cluster = cluster,
                // Elections take a while.
                Err(error) if error.code().is_some_and(is_passing) => (),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The batches that were refused for the moment, and why.
    fn deliver_once(
        &mut self,
        batches: Vec<Batch>,
        out: &mut Out,
    ) -> Result<(Vec<Batch>, Option<ClientError>), Box<dyn Error>> {
        let mut by_leader = BTreeMap::<i32, Vec<Batch>>::new();
        for batch in batches {
            let partitions = &self.cluster.topics[0].partitions;
            let leader = partitions.iter().find(|one| one.partition_index == batch.partition);
            by_leader.entry(leader.map_or(-1, |partition| partition.leader_id.0)).or_default().push(batch);
        }
        let (mut left, mut why) = (Vec::new(), None);
        for (leader, batches) in by_leader {
            let partition = |batch: &Batch| {
                PartitionProduceData::default()
                    .with_index(batch.partition)
                    .with_records(Some(batch.records.clone()))
            };
            let topic = TopicProduceData::default()
                .with_name(TopicName(StrBytes::from_string(self.topic.clone())))
                .with_partition_data(batches.iter().map(partition).collect());
            let acks = self.acks;
            let response = self.client.ask_broker(&self.cluster, leader, |_| {
                ProduceRequest::default()
                    .with_acks(acks)
                    .with_timeout_ms(TIMEOUT_MS)
                    .with_topic_data(vec![topic])
            })?;
            let answers: BTreeMap<i32, _> = response
                .responses
                .into_iter()
                .flat_map(|topic| topic.partition_responses)
                .map(|answer| (answer.index, answer))
                .collect();
            for batch in batches {
                let what = || format!("{}-{}", self.topic, batch.partition);
                let answer = answers
                    .get(&batch.partition)
                    .ok_or_else(|| format!("{}: the broker did not answer for it", what()))?;
                let message = answer.error_message.as_ref().map(StrBytes::as_str);
                match ClientError::refused(what, answer.error_code, message) {
                    Ok(()) => self.tell(&batch, answer.base_offset, out)?,
                    Err(refused) if is_passing(answer.error_code) => {
                        why = Some(refused);
                        left.push(batch);
                    }
                    Err(refused) => return Err(refused.into()),
                }
            }
        }
        Ok((left, why))
    }

    fn tell(&self, batch: &Batch, base_offset: i64, out: &mut Out) -> std::io::Result<()> {
        if !out.is_json() {
            return Ok(());
        }
        let fields = Fields::default()
            .with("topic", self.topic.as_str())
            .with("partition", batch.partition)
            .with("base_offset", base_offset)
            .with("count", batch.count);
        out.line(&fields.json())?;
        out.flush()
    }
}

/// Whether a batch was refused without being stored, for a reason that passes.
fn is_passing(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        Some(
            ErrorCode::LeaderNotAvailable
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::UnknownTopicOrPartition
        )
    )
}
