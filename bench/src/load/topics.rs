//! Topics: made, waited for, looked at and deleted again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::cluster::{Cluster, RETRY_AFTER};
use super::{LoadError, Workload};

/// How long new topics may take to get leaders.
const LEADERS_MAX: Duration = Duration::from_secs(60);
/// What brokers are given to make or delete topics.
const TIMEOUT_MS: i32 = 60_000;

/// `ListOffsets` for the first offset, and for the one behind the last.
pub(super) const EARLIEST: i64 = -2;
pub(super) const LATEST: i64 = -1;

/// The names of a workload's topics; `unique` stands in for a name that is not told.
pub(super) fn names(workload: &Workload, unique: &str) -> Vec<String> {
    let prefix = workload.topic.as_deref().unwrap_or(unique);
    match workload.topics {
        1 => vec![prefix.to_owned()],
        count => (0..count).map(|index| format!("{prefix}-{index}")).collect(),
    }
}

/// Makes them all or fails.
pub(super) async fn create(
    cluster: &Cluster,
    workload: &Workload,
    topics: &[String],
) -> Result<(), LoadError> {
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    let topic = |name: &String| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(workload.partitions as i32)
            .with_replication_factor(workload.replication_factor)
            .with_configs(workload.topic_configs.iter().map(config).collect())
    };
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(TIMEOUT_MS);
    let response = cluster.any().await?.ask(&request).await?;
    for topic in &response.topics {
        let message = topic.error_message.as_ref().map(StrBytes::as_str);
        LoadError::refused(|| format!("creating topic {}", topic.name.as_str()), topic.error_code, message)?;
    }
    Ok(())
}

/// Waits until every partition of the topics has a leader that knows it is one.
pub(super) async fn await_leaders(
    cluster: &Cluster,
    workload: &Workload,
    topics: &[String],
) -> Result<(), LoadError> {
    let deadline = Instant::now() + LEADERS_MAX;
    loop {
        let why = match leaderless(cluster, workload, topics).await {
            Ok(None) => return Ok(()),
            Ok(Some(leaderless)) => leaderless,
            Err(LoadError::Refused { error: ResponseError::UnknownTopicOrPartition, what, message })
                if workload.existing =>
            {
                let error = ResponseError::UnknownTopicOrPartition;
                return Err(LoadError::Refused { what, error, message });
            }
            // A broker may not have heard of a topic that another one has made.
            Err(LoadError::Refused { error, what, .. }) if error.is_retriable() => {
                format!("{what}: {error:?}")
            }
            Err(error) => return Err(error),
        };
        if Instant::now() > deadline {
            let what = format!("waiting for topics for {} s", LEADERS_MAX.as_secs());
            return Err(LoadError::Undelivered { what, last: why });
        }
        tokio::time::sleep(RETRY_AFTER / 4).await;
    }
}

/// A partition without a leader, if there is one.
async fn leaderless(
    cluster: &Cluster,
    workload: &Workload,
    topics: &[String],
) -> Result<Option<String>, LoadError> {
    let layout = cluster.refresh().await?;
    for topic in topics {
        let partitions = match workload.existing {
            true => layout.partitions(topic).max(1),
            false => workload.partitions as usize,
        };
        let without = |partition: &usize| layout.leader(topic, *partition).is_none();
        if let Some(partition) = (0..partitions).find(without) {
            return Ok(Some(format!("{topic}-{partition} has no leader")));
        }
        // Metadata may be ahead of the leader itself. One that refuses a producer's first batch for that reason and
        // takes the second would find the first one out of order when it is sent again.
        offsets(cluster, topic, LATEST).await?;
    }
    Ok(None)
}

/// Deletes them; those that are gone are no error.
pub(super) async fn delete(cluster: &Cluster, topics: &[String]) -> Result<(), LoadError> {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(topics.iter().map(|topic| topic_name(topic)).collect())
        .with_timeout_ms(TIMEOUT_MS);
    let response = cluster.any().await?.ask(&request).await?;
    for topic in &response.responses {
        if topic.error_code == ResponseError::UnknownTopicOrPartition.code() {
            continue;
        }
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        LoadError::refused(|| format!("deleting topic {name}"), topic.error_code, None)?;
    }
    Ok(())
}

/// An offset of each partition of a topic: [`EARLIEST`] or [`LATEST`].
pub(super) async fn offsets(
    cluster: &Cluster,
    topic: &str,
    which: i64,
) -> Result<BTreeMap<i32, i64>, LoadError> {
    let layout = cluster.layout();
    let mut by_leader = BTreeMap::<i32, Vec<i32>>::new();
    for partition in 0..layout.partitions(topic) {
        let leader = layout.leader(topic, partition).ok_or_else(|| LoadError::Protocol {
            what: format!("{topic}-{partition} has lost its leader"),
        })?;
        by_leader.entry(leader).or_default().push(partition as i32);
    }
    let mut offsets = BTreeMap::new();
    for (leader, partitions) in by_leader {
        let partition = |partition: &i32| {
            ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(which)
        };
        let topics = vec![
            ListOffsetsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions.iter().map(partition).collect()),
        ];
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics);
        let response = cluster.broker(leader).await?.ask(&request).await?;
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let what = || format!("asking for an offset of {topic}-{}", answer.partition_index);
            LoadError::refused(what, answer.error_code, None)?;
            offsets.insert(answer.partition_index, answer.offset);
        }
    }
    Ok(offsets)
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
