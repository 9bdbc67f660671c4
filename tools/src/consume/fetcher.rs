//! `Fetcher`: asks the leaders of partitions for what comes, until it is enough.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use logmill_bench::client::{Client, ClientError, Cluster};
use logmill_server::wire::ErrorCode;

use super::batches::{Share, Shown, Taken};
use crate::print::Out;

/// How long a leader may wait for records: not so long that those of another one are kept waiting.
const WAIT_MS: i32 = 500;
const WAIT_OF_SEVERAL_MS: i32 = 50;
const PARTITION_BYTES_MAX: i32 = 1 << 20;
const FETCH_BYTES_MAX: i32 = 16 << 20;
/// Before a leader is looked for again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long a partition may be without one.
const LEADERLESS_MAX: Duration = Duration::from_secs(30);

/// When it is enough.
pub(super) struct Limits {
    pub(super) records: Option<u64>,
    pub(super) silence: Option<Duration>,
    /// The first offset of each partition that is not read any more.
    pub(super) ends: Option<BTreeMap<i32, i64>>,
    pub(super) is_committed: bool,
}

/// Reads a topic.
pub(super) struct Fetcher<'t> {
    client: Client,
    cluster: Cluster,
    topic: &'t str,
    positions: BTreeMap<i32, i64>,
    limits: Limits,
    printed: u64,
    /// Since when a partition has been without a leader.
    leaderless_since: Option<Instant>,
}

impl<'t> Fetcher<'t> {
    pub(super) fn new(
        client: Client,
        cluster: Cluster,
        topic: &'t str,
        positions: BTreeMap<i32, i64>,
        limits: Limits,
    ) -> Fetcher<'t> {
        Fetcher { client, cluster, topic, positions, limits, printed: 0, leaderless_since: None }
    }

    /// Prints records until a limit is reached; how many.
    pub(super) fn run(mut self, shown: &Shown, out: &mut Out) -> Result<u64, Box<dyn Error>> {
        let mut last_record = Instant::now();
        let mut text = Vec::new();
        loop {
            let by_leader = self.by_leader();
            if by_leader.is_empty() || self.left() == 0 {
                return Ok(self.printed);
            }
            let wait_ms = match self.limits.silence {
                Some(silence) => {
                    let left = silence.saturating_sub(last_record.elapsed());
                    if left.is_zero() {
                        return Ok(self.printed);
                    }
                    i32::try_from(left.as_millis()).unwrap_or(i32::MAX).max(1)
                }
                None => i32::MAX,
            };
            let most = if by_leader.len() > 1 { WAIT_OF_SEVERAL_MS } else { WAIT_MS };
            let before = self.printed;
            let mut is_leaderless = false;
            for (leader, partitions) in by_leader {
                for data in self.fetch(leader, &partitions, wait_ms.min(most))? {
                    is_leaderless |= !self.take(data, shown, &mut text)?;
                }
            }
            if self.printed > before {
                last_record = Instant::now();
                out.bytes(&text)?;
                out.flush()?;
                text.clear();
            }
            self.find_leaders(is_leaderless)?;
        }
    }

    fn left(&self) -> u64 {
        self.limits.records.map_or(u64::MAX, |max| max.saturating_sub(self.printed))
    }

    fn end_of(&self, partition: i32) -> i64 {
        let ends = self.limits.ends.as_ref();
        ends.map_or(i64::MAX, |ends| ends.get(&partition).copied().unwrap_or(0))
    }

    /// The partitions that are not at their ends, by leader.
    fn by_leader(&self) -> BTreeMap<i32, Vec<(i32, i64)>> {
        let mut by_leader = BTreeMap::<i32, Vec<(i32, i64)>>::new();
        for (partition, position) in &self.positions {
            if *position < self.end_of(*partition) {
                let partitions = &self.cluster.topics[0].partitions;
                let leader = partitions.iter().find(|one| one.partition_index == *partition);
                let leader = leader.map_or(-1, |partition| partition.leader_id.0);
                by_leader.entry(leader).or_default().push((*partition, *position));
            }
        }
        by_leader
    }

    fn fetch(
        &mut self,
        leader: i32,
        partitions: &[(i32, i64)],
        wait_ms: i32,
    ) -> Result<Vec<PartitionData>, ClientError> {
        let partition = |(partition, position): &(i32, i64)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*position)
                .with_partition_max_bytes(PARTITION_BYTES_MAX)
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_string(self.topic.to_owned())))
            .with_partitions(partitions.iter().map(partition).collect());
        let is_committed = self.limits.is_committed;
        let response = self.client.ask_broker(&self.cluster, leader, |_| {
            FetchRequest::default()
                .with_max_wait_ms(wait_ms)
                .with_min_bytes(1)
                .with_max_bytes(FETCH_BYTES_MAX)
                .with_isolation_level(i8::from(is_committed))
                .with_topics(vec![topic])
        })?;
        ClientError::refused(|| format!("reading {}", self.topic), response.error_code, None)?;
        Ok(response.responses.into_iter().flat_map(|topic| topic.partitions).collect())
    }

    /// Prints what came of a partition; `false` where another broker leads it now.
    fn take(
        &mut self,
        data: PartitionData,
        shown: &Shown,
        text: &mut Vec<u8>,
    ) -> Result<bool, Box<dyn Error>> {
        let partition = data.partition_index;
        let from = self.positions.get(&partition).copied().unwrap_or(0);
        let name = format!("{}-{partition}", self.topic);
        match ErrorCode::from_code(data.error_code) {
            Some(ErrorCode::NotLeaderOrFollower | ErrorCode::LeaderNotAvailable) => return Ok(false),
            Some(ErrorCode::OffsetOutOfRange) => {
                let (first, end) = (data.log_start_offset, data.high_watermark);
                let range = if end >= 0 { format!(": it has {first} to {end}") } else { String::new() };
                return Err(format!("{name}: offset {from} is out of range{range}").into());
            }
            _ => ClientError::refused(|| name, data.error_code, None)?,
        }
        let bytes = data.records.unwrap_or_default();
        let share = Share {
            topic: self.topic,
            partition,
            from,
            end: self.end_of(partition),
            bytes: &bytes,
            aborted: data.aborted_transactions.unwrap_or_default(),
        };
        let Taken { next, printed } = share.print(self.left(), shown, text)?;
        self.positions.insert(partition, next);
        self.printed += printed;
        Ok(true)
    }

    fn find_leaders(&mut self, is_leaderless: bool) -> Result<(), ClientError> {
        if !is_leaderless {
            self.leaderless_since = None;
            return Ok(());
        }
        let since = *self.leaderless_since.get_or_insert_with(Instant::now);
        thread::sleep(RETRY_AFTER);
        match self.client.topic(self.topic) {
            Ok(cluster) => self.cluster = cluster,
            // Elections take a while.
            Err(error) if error.code().is_some() && since.elapsed() < LEADERLESS_MAX => (),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
