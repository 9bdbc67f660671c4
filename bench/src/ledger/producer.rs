//! `Producer`: sends records of its own to several partitions, idempotently, five requests in flight. What
//! was not answered it sends again, unchanged and in its order, until it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use rand::Rng;
use rand::rngs::StdRng;

use super::book::Book;
use super::clients::Gate;
use super::record::{Identity, value};
use crate::rig::Connection;

/// As many as an idempotent client may have.
const IN_FLIGHT_MAX: usize = 5;

/// Records of a batch.
const RECORDS_MAX: u64 = 20;

const PRODUCE: i16 = 12;
const INIT_PRODUCER_ID: i16 = 4;

/// How long an answer may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Before a connection that failed is made again.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// One producer.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) index: u32,
    pub(super) broker: SocketAddr,
    pub(super) topic: String,
    /// To which partitions it sends.
    pub(super) partitions: Vec<i32>,
    pub(super) acks: i16,
    pub(super) book: Arc<Book>,
    pub(super) random: StdRng,
}

/// What makes a batch this producer's.
#[derive(Debug, Clone, Copy)]
struct ProducerId {
    id: i64,
    epoch: i16,
}

/// A request that is not answered in full.
#[derive(Debug)]
struct Outstanding {
    shares: Vec<Share>,
}

/// One partition's batch of a request.
#[derive(Debug, Clone)]
struct Share {
    partition: i32,
    numbers: Range<u64>,
    records: Bytes,
}

/// What an answer says of a share.
enum Outcome {
    Stored(Option<i64>),
    Again,
    /// Never, with the reason.
    Refused(String),
}

impl Producer {
    /// Sends until the gate is shut for good and everything was answered.
    pub(super) fn run(mut self, gate: &Gate) {
        let mut outstanding = VecDeque::new();
        let mut next = BTreeMap::new();
        let mut given_up = BTreeSet::new();
        let mut producer_id = None;
        while gate.pass(!outstanding.is_empty()) {
            // Whatever ended the connection, what was not answered is sent again on the next one.
            let ended = self.connect(&mut producer_id).and_then(|(mut connection, id)| {
                self.pump(&mut connection, id, gate, &mut outstanding, &mut next, &mut given_up)
            });
            if ended.is_err() {
                std::thread::sleep(RETRY_AFTER);
            }
        }
    }

    fn connect(&self, producer_id: &mut Option<ProducerId>) -> io::Result<(Connection, ProducerId)> {
        let mut connection = Connection::open(self.broker, PATIENCE)?;
        let id = match *producer_id {
            Some(id) => id,
            None => {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(None)
                    .with_transaction_timeout_ms(60_000);
                let response = connection.ask(INIT_PRODUCER_ID, &request)?;
                if response.error_code != 0 {
                    return Err(io::Error::other("no producer id"));
                }
                *producer_id.insert(ProducerId { id: response.producer_id.0, epoch: response.producer_epoch })
            }
        };
        Ok((connection, id))
    }

    /// Sends and receives on one connection until it fails or the gate is shut.
    fn pump(
        &mut self,
        connection: &mut Connection,
        id: ProducerId,
        gate: &Gate,
        outstanding: &mut VecDeque<Outstanding>,
        next: &mut BTreeMap<i32, u64>,
        given_up: &mut BTreeSet<i32>,
    ) -> io::Result<()> {
        outstanding.retain(|request| !request.shares.is_empty());
        for request in outstanding.iter() {
            connection.send(PRODUCE, &self.request(request))?;
        }
        // Requests at the front of `outstanding` whose answer is still to come.
        let mut in_flight = outstanding.len();
        let mut failed = BTreeSet::new();
        loop {
            let is_open = gate.is_open();
            while is_open && failed.is_empty() && outstanding.len() < IN_FLIGHT_MAX {
                let Some(request) = self.new_request(id, next, given_up) else { break };
                let frame = self.request(&request);
                // Written down first: it may arrive although sending it fails.
                outstanding.push_back(request);
                in_flight += 1;
                connection.send(PRODUCE, &frame)?;
            }
            if in_flight == 0 {
                return if failed.is_empty() { Ok(()) } else { Err(io::Error::other("sends again")) };
            }
            let answered = outstanding.len() - in_flight;
            let response: ProduceResponse = connection.receive(PRODUCE)?;
            in_flight -= 1;
            self.settle(&mut outstanding[answered], &response, &mut failed, given_up);
            if answered == 0 && outstanding[0].shares.is_empty() {
                outstanding.pop_front();
            }
        }
    }

    /// Takes out of a request what was answered for good.
    fn settle(
        &self,
        request: &mut Outstanding,
        response: &ProduceResponse,
        failed: &mut BTreeSet<i32>,
        given_up: &mut BTreeSet<i32>,
    ) {
        let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let answers: BTreeMap<i32, &PartitionProduceResponse> =
            answers.map(|answer| (answer.index, answer)).collect();
        request.shares.retain(|share| {
            let partition = share.partition;
            match outcome(answers.get(&partition).copied(), failed.contains(&partition)) {
                Outcome::Stored(offset) => {
                    self.book.acknowledged(partition, self.index, share.numbers.clone(), offset);
                    false
                }
                Outcome::Again => {
                    failed.insert(partition);
                    true
                }
                Outcome::Refused(why) => {
                    if given_up.insert(partition) {
                        let records = &share.numbers;
                        let what = format!(
                            "partition {partition}: records {records:?} of producer {}: {why}",
                            self.index
                        );
                        self.book.contradict("refused", what);
                    }
                    false
                }
            }
        });
    }

    /// A batch for each of some partitions. None when there is none that takes any.
    fn new_request(
        &mut self,
        id: ProducerId,
        next: &mut BTreeMap<i32, u64>,
        given_up: &BTreeSet<i32>,
    ) -> Option<Outstanding> {
        let open: Vec<i32> = self.partitions.iter().copied().filter(|p| !given_up.contains(p)).collect();
        if open.is_empty() {
            return None;
        }
        let count = self.random.random_range(1..=open.len());
        let first = self.random.random_range(0..open.len());
        let mut shares = Vec::with_capacity(count);
        for at in 0..count {
            let partition = open[(first + at) % open.len()];
            let from = next.entry(partition).or_default();
            let numbers = *from..*from + self.random.random_range(1..=RECORDS_MAX);
            *from = numbers.end;
            self.book.sending(partition, self.index, numbers.clone());
            let records = batch(self.book.run, self.index, partition, numbers.clone(), id);
            shares.push(Share { partition, numbers, records });
        }
        Some(Outstanding { shares })
    }

    fn request(&self, outstanding: &Outstanding) -> ProduceRequest {
        let partition = |share: &Share| {
            PartitionProduceData::default()
                .with_index(share.partition)
                .with_records(Some(share.records.clone()))
        };
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(self.topic.clone())))
            .with_partition_data(outstanding.shares.iter().map(partition).collect());
        ProduceRequest::default().with_acks(self.acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
    }
}

/// What becomes of a batch. `after_failure`: one before it failed on this connection, so that it may be out
/// of order for that reason.
fn outcome(answer: Option<&PartitionProduceResponse>, after_failure: bool) -> Outcome {
    let Some(answer) = answer else { return Outcome::Again };
    let Some(error) = ResponseError::try_from_code(answer.error_code) else {
        return Outcome::Stored(Some(answer.base_offset));
    };
    match error {
        ResponseError::DuplicateSequenceNumber => Outcome::Stored(None),
        ResponseError::OutOfOrderSequenceNumber if after_failure => Outcome::Again,
        error if error.is_retriable() && error != ResponseError::CorruptMessage => Outcome::Again,
        error => {
            let message = answer.error_message.as_ref().map_or("", |message| message.as_str());
            Outcome::Refused(format!("{error:?} {message}"))
        }
    }
}

/// A batch of records, as an idempotent producer sends it.
fn batch(run: u64, producer: u32, partition: i32, numbers: Range<u64>, id: ProducerId) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let record = |number: u64| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: id.id,
        producer_epoch: id.epoch,
        timestamp_type: TimestampType::Creation,
        offset: (number - numbers.start) as i64,
        sequence: number as i32,
        timestamp: now,
        key: None,
        value: Some(value(run, partition, Identity { producer, number })),
        headers: Default::default(),
    };
    let records: Vec<Record> = numbers.clone().map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("small records fit into a batch");
    bytes.freeze()
}
