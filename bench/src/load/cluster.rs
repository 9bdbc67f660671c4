//! `Cluster`: the brokers behind a bootstrap address, and who leads which partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{InitProducerIdRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::LoadError;
use super::wire::{Connection, Versions};

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Before something that failed for the moment is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Known to all threads of a run.
pub(super) struct Cluster {
    bootstrap: Vec<String>,
    versions: Versions,
    topics: Mutex<Vec<String>>,
    layout: Mutex<Arc<Layout>>,
}

/// Who was where when somebody last asked.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Address of each broker.
    pub(super) brokers: BTreeMap<i32, String>,
    /// By topic, the leader of each partition.
    leaders: BTreeMap<String, Vec<Option<i32>>>,
}

impl Layout {
    /// Who leads a partition, as far as anybody does.
    pub(super) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        (*self.leaders.get(topic)?.get(partition)?).filter(|broker| self.brokers.contains_key(broker))
    }

    /// Partitions of a topic.
    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.leaders.get(topic).map_or(0, Vec::len)
    }
}

impl Cluster {
    /// Asks the first of the addresses where somebody answers.
    pub(super) async fn connect(bootstrap: &[String]) -> Result<Cluster, LoadError> {
        let (connection, _) = first_of(bootstrap, None).await?;
        let cluster = Cluster {
            bootstrap: bootstrap.to_vec(),
            versions: connection.versions().clone(),
            topics: Mutex::default(),
            layout: Mutex::default(),
        };
        cluster.refresh().await?;
        Ok(cluster)
    }

    /// What the brokers offer.
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// What was last heard.
    pub(super) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&lock(&self.layout))
    }

    /// From here on these topics are asked for too.
    pub(super) fn watch(&self, topics: &[String]) {
        lock(&self.topics).extend(topics.iter().cloned());
    }

    /// Asks who leads what. The code of a topic that is not there or may not be seen is an error.
    pub(super) async fn refresh(&self) -> Result<Arc<Layout>, LoadError> {
        let topics = lock(&self.topics).clone();
        let name = |topic: &String| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(topic.clone()))))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(name).collect()))
            .with_allow_auto_topic_creation(false);
        let response = self.any().await?.ask(&request).await?;
        let mut layout = Layout::default();
        for broker in &response.brokers {
            layout.brokers.insert(broker.node_id.0, format!("{}:{}", broker.host, broker.port));
        }
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            LoadError::refused(|| format!("topic {}", name.as_str()), topic.error_code, None)?;
            let mut leaders = vec![None; topic.partitions.len()];
            for partition in &topic.partitions {
                if let Some(leader) = leaders.get_mut(partition.partition_index as usize) {
                    *leader = (partition.leader_id.0 >= 0).then_some(partition.leader_id.0);
                }
            }
            layout.leaders.insert(name.to_string(), leaders);
        }
        let layout = Arc::new(layout);
        *lock(&self.layout) = Arc::clone(&layout);
        Ok(layout)
    }

    /// A connection to any broker that answers.
    pub(super) async fn any(&self) -> Result<Connection, LoadError> {
        let known: Vec<String> = self.layout().brokers.values().cloned().collect();
        match first_of(&self.bootstrap, Some(&self.versions)).await {
            Ok((connection, _)) => Ok(connection),
            Err(error) if known.is_empty() => Err(error),
            Err(_) => Ok(first_of(&known, Some(&self.versions)).await?.0),
        }
    }

    /// A connection to a certain broker.
    pub(super) async fn broker(&self, id: i32) -> Result<Connection, LoadError> {
        let address = self.layout().brokers.get(&id).cloned();
        let address = address.ok_or_else(|| LoadError::Protocol { what: format!("broker {id} is gone") })?;
        Connection::open(&address, Some(&self.versions), PATIENCE).await
    }

    /// An id for an idempotent producer, and its epoch.
    pub(super) async fn producer_id(&self) -> Result<(i64, i16), LoadError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let mut attempts = 0;
        loop {
            let response = self.any().await?.ask(&request).await?;
            let refused = LoadError::refused(|| "asking for a producer id".into(), response.error_code, None);
            match refused {
                Ok(()) => return Ok((response.producer_id.0, response.producer_epoch)),
                // A cluster that was just made has no coordinator yet.
                Err(LoadError::Refused { error, .. }) if error.is_retriable() && attempts < 100 => {
                    attempts += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn first_of(
    addresses: &[String],
    versions: Option<&Versions>,
) -> Result<(Connection, String), LoadError> {
    let mut failed = LoadError::Workload("no address of a broker".into());
    for address in addresses {
        match Connection::open(address, versions, PATIENCE).await {
            Ok(connection) => return Ok((connection, address.clone())),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
