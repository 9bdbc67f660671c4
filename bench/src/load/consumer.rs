//! `Consumer`: reads its partitions, counts what it gets, and lets go of the bytes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use tokio::time::sleep;

use super::LoadError;
use super::batch::BatchView;
use super::cluster::RETRY_AFTER;
use super::figures::{Counter, Shared, lock};
use super::template::Templates;
use super::topics::{self, EARLIEST, topic_name};

/// Beyond what the broker may wait.
const PATIENCE_BEYOND_WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// What one consumer reads.
#[derive(Debug, Clone)]
pub(super) struct ConsumerJob {
    pub(super) topic: String,
    pub(super) partitions: Vec<Position>,
    /// Whether what it reads is sent meanwhile, so that it has an end-to-end latency.
    pub(super) is_timed: bool,
}

/// Where it is in a partition.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The end of the backlog; none once it was read, or without one.
    pub(super) backlog_end: Option<i64>,
}

/// One consumer; a task for each broker that leads some of its partitions.
pub(super) struct Consumer {
    shared: Arc<Shared>,
    figures: Counter,
    topic: String,
    is_timed: bool,
    stamps_values: bool,
    positions: RefCell<Vec<Position>>,
    brokers: RefCell<BTreeSet<i32>>,
}

impl Consumer {
    /// Reads until its tasks are dropped; fails when it is told no.
    pub(super) fn start(job: ConsumerJob, shared: Arc<Shared>, figures: Counter) {
        let consumer = Rc::new(Consumer {
            stamps_values: Templates::stamps_values(&shared.workload),
            shared,
            figures,
            topic: job.topic,
            is_timed: job.is_timed,
            positions: RefCell::new(job.partitions),
            brokers: RefCell::default(),
        });
        consumer.follow_leaders();
    }

    /// Has a task for every broker that leads one of its partitions.
    fn follow_leaders(self: &Rc<Consumer>) {
        let layout = self.shared.cluster.layout();
        for position in self.positions.borrow().iter() {
            let leader = layout.leader(&self.topic, position.partition as usize);
            if let Some(broker) = leader.filter(|broker| self.brokers.borrow_mut().insert(*broker)) {
                let consumer = Rc::clone(self);
                tokio::task::spawn_local(async move { consumer.read_from(broker).await });
            }
        }
    }

    async fn read_from(self: Rc<Consumer>, broker: i32) {
        loop {
            match self.read_until_it_fails(broker).await {
                // It leads nothing of ours any more.
                Ok(()) => {
                    self.brokers.borrow_mut().remove(&broker);
                    return;
                }
                Err(error @ (LoadError::Refused { .. } | LoadError::Unsupported { .. })) => {
                    return self.shared.fail(error);
                }
                Err(_lost) => {
                    lock(&self.figures).totals.connections_lost += 1;
                    sleep(RETRY_AFTER).await;
                    self.look_for_leaders().await;
                }
            }
        }
    }

    /// What is read later than the cluster answers is read then: a failure here is not one of the load.
    async fn look_for_leaders(self: &Rc<Consumer>) {
        drop(self.shared.cluster.refresh().await);
        self.follow_leaders();
    }

    async fn read_until_it_fails(self: &Rc<Consumer>, broker: i32) -> Result<(), LoadError> {
        let wait = std::time::Duration::from_millis(self.shared.workload.fetch.wait_ms.max(0) as u64);
        let mut connection = self.shared.cluster.broker(broker).await?;
        connection.wait_at_most(wait + PATIENCE_BEYOND_WAIT);
        loop {
            let Some(request) = self.request(broker) else { return Ok(()) };
            let response = connection.ask(&request).await?;
            let read_us = self.shared.clock.now_us();
            LoadError::refused(|| format!("reading {}", self.topic), response.error_code, None)?;
            let misled = self.take(&response, read_us)?;
            drop(response);
            self.repair(misled).await?;
        }
    }

    /// For all its partitions that the broker leads; none when it leads none.
    fn request(&self, broker: i32) -> Option<FetchRequest> {
        let options = &self.shared.workload.fetch;
        let layout = self.shared.cluster.layout();
        let mine =
            |position: &&Position| layout.leader(&self.topic, position.partition as usize) == Some(broker);
        let partition = |position: &Position| {
            FetchPartition::default()
                .with_partition(position.partition)
                .with_fetch_offset(position.offset)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(options.partition_bytes)
        };
        let positions = self.positions.borrow();
        let partitions: Vec<FetchPartition> = positions.iter().filter(mine).map(partition).collect();
        if partitions.is_empty() {
            return None;
        }
        Some(
            FetchRequest::default()
                .with_replica_id((-1).into())
                .with_max_wait_ms(options.wait_ms)
                .with_min_bytes(options.min_bytes)
                .with_max_bytes(options.max_bytes)
                .with_session_id(0)
                .with_session_epoch(-1)
                .with_topics(vec![
                    FetchTopic::default().with_topic(topic_name(&self.topic)).with_partitions(partitions),
                ]),
        )
    }

    /// Counts what came. Which partitions have another leader, and which begin behind where we are.
    fn take(&self, response: &FetchResponse, read_us: u64) -> Result<Misled, LoadError> {
        let mut figures = lock(&self.figures);
        let mut positions = self.positions.borrow_mut();
        let mut misled = Misled::default();
        figures.consumed.requests += 1;
        // Partitions are answered for in the order in which they were asked for, mostly.
        let mut guess = 0;
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let is_it = |position: &Position| position.partition == data.partition_index;
            let found = match positions.get(guess).is_some_and(is_it) {
                true => Some(guess),
                false => positions.iter().position(is_it),
            };
            let Some(index) = found else { continue };
            guess = index + 1;
            match ResponseError::try_from_code(data.error_code) {
                None => self.take_batches(&mut figures, &mut positions[index], data, read_us)?,
                Some(ResponseError::OffsetOutOfRange) => misled.behind.push(index),
                Some(error) if error.is_retriable() => misled.has_moved = true,
                Some(error) => {
                    let what = format!("reading {}-{}", self.topic, data.partition_index);
                    return Err(LoadError::Refused { what, error, message: None });
                }
            }
        }
        Ok(misled)
    }

    fn take_batches(
        &self,
        figures: &mut super::figures::Figures,
        position: &mut Position,
        data: &PartitionData,
        read_us: u64,
    ) -> Result<(), LoadError> {
        let clock = self.shared.clock;
        let mut rest = data.records.as_deref().unwrap_or_default();
        while let Some(batch) = BatchView::first_of(rest) {
            rest = &rest[batch.len()..];
            if self.shared.workload.fetch.check_crc {
                let (crc, computed) = batch.checksums();
                if crc != computed {
                    return Err(LoadError::Refused {
                        what: format!(
                            "reading {}-{} at offset {}: crc {computed:#x}, expected {crc:#x}",
                            self.topic, position.partition, position.offset
                        ),
                        error: ResponseError::CorruptMessage,
                        message: None,
                    });
                }
            }
            // The batch that holds the offset may begin before it; then it was counted.
            if batch.next_offset() <= position.offset {
                continue;
            }
            position.offset = batch.next_offset();
            let messages = batch.messages();
            figures.consumed.messages += messages;
            figures.consumed.bytes += messages * self.shared.workload.message_bytes as u64;
            figures.consumed.batch_bytes += batch.len() as u64;
            figures.consumed.batches += 1;
            figures.totals.consumed += messages;
            figures.consumed_at_us = read_us;
            let is_backlog = position.backlog_end.is_some_and(|end| position.offset <= end);
            if self.is_timed && !is_backlog {
                let record = &mut figures.end_to_end;
                batch.due_times(self.stamps_values, |due_unix_us, times| {
                    record.record(read_us.saturating_sub(clock.at_us(due_unix_us)), times);
                });
            }
        }
        if position.backlog_end.is_some_and(|end| position.offset >= end) {
            position.backlog_end = None;
            self.shared.draining.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn repair(self: &Rc<Consumer>, misled: Misled) -> Result<(), LoadError> {
        if misled.has_moved {
            sleep(RETRY_AFTER).await;
            self.look_for_leaders().await;
        }
        if !misled.behind.is_empty() {
            let earliest = topics::offsets(&self.shared.cluster, &self.topic, EARLIEST).await?;
            let mut positions = self.positions.borrow_mut();
            for index in misled.behind {
                let position = &mut positions[index];
                let first = earliest.get(&position.partition).copied().unwrap_or(position.offset);
                let skipped = first.saturating_sub(position.offset).max(0) as u64;
                lock(&self.figures).totals.offsets_skipped += skipped;
                position.offset = first;
            }
        }
        Ok(())
    }
}

/// Partitions that are elsewhere than a consumer thought.
#[derive(Debug, Default)]
struct Misled {
    has_moved: bool,
    /// Indexes of positions before the beginning of the log.
    behind: Vec<usize>,
}
