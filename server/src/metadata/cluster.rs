//! `Cluster`: all that the metadata log says, as of one of its offsets.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use logmill_engine::format::Uuid;

use super::records::Record;
use super::records::brokers::{BrokerRegistrationChangeRecord, RegisterBrokerRecord};
use super::records::settings::{ConfigRecord, FeatureLevelRecord, ProducerIdsRecord};
use super::records::topics::{
    ClearElrRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use super::versions::{METADATA_VERSION, MetadataVersion};
use crate::wire::Text;

/// `ConfigRecord` of a topic.
pub(crate) const TOPIC_RESOURCE: i8 = 2;
/// `PartitionChangeRecord` that leaves the leader as it is.
const NO_LEADER_CHANGE: i32 = -2;
/// `PartitionChangeRecord` that leaves the recovery of a leader as it is.
const NO_RECOVERY_CHANGE: i8 = -1;

/// What of a record makes it the same as an earlier one: the type of the one that holds it, and the fields that name
/// it.
type KeptKey = (u32, Vec<u8>);

/// What is true of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cluster {
    features: BTreeMap<Text, i16>,
    brokers: BTreeMap<i32, RegisterBrokerRecord>,
    topics: HashMap<Uuid, ClusterTopic>,
    names: BTreeMap<Text, Uuid>,
    configs: BTreeMap<(i8, Text), BTreeMap<Text, Text>>,
    producer_ids: Option<ProducerIdsRecord>,
    /// Records that this broker makes no use of, as they stand in the log.
    kept: BTreeMap<KeptKey, Bytes>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClusterTopic {
    pub(crate) name: Text,
    /// All there is to know of each partition, changes included.
    pub(crate) partitions: BTreeMap<i32, PartitionRecord>,
}

impl Cluster {
    /// The level that decides the versions of records; `None` before the log says.
    pub(crate) fn metadata_version(&self) -> Option<MetadataVersion> {
        self.features.get(METADATA_VERSION).copied().map(MetadataVersion)
    }

    /// Features and their levels, none of which is 0.
    pub(crate) fn features(&self) -> &BTreeMap<Text, i16> {
        &self.features
    }

    /// The registration of a broker, changes included.
    pub(crate) fn broker(&self, id: i32) -> Option<&RegisterBrokerRecord> {
        self.brokers.get(&id)
    }

    /// All topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (Uuid, &ClusterTopic)> {
        self.names.values().map(|id| (*id, &self.topics[id]))
    }

    /// The topic with this id.
    pub(crate) fn topic(&self, id: Uuid) -> Option<&ClusterTopic> {
        self.topics.get(&id)
    }

    /// The settings that a resource was given.
    pub(crate) fn configs(&self, resource: i8, name: &str) -> impl Iterator<Item = (&Text, &Text)> {
        self.configs.get(&(resource, Text::from(name))).into_iter().flatten()
    }

    /// The first producer id that was never given out.
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.producer_ids.as_ref().map_or(0, |record| record.next_producer_id)
    }

    /// Takes up a record, or says why it cannot be one of this log. `value` is what it was read from.
    pub(super) fn replay(&mut self, record: Record, value: &Bytes) -> Result<(), String> {
        if let Some((key, is_removal)) = kept(&record) {
            match is_removal {
                true => drop(self.kept.remove(&key)),
                false => drop(self.kept.insert(key, value.clone())),
            }
            return Ok(());
        }
        match record {
            Record::FeatureLevel(FeatureLevelRecord { name, feature_level: 0 }) => {
                self.features.remove(&name);
            }
            Record::FeatureLevel(FeatureLevelRecord { name, feature_level }) => {
                if &*name == METADATA_VERSION {
                    MetadataVersion(feature_level).check()?;
                }
                self.features.insert(name, feature_level);
            }
            Record::RegisterBroker(record) => drop(self.brokers.insert(record.broker_id, record)),
            Record::UnregisterBroker(record) => drop(self.brokers.remove(&record.broker_id)),
            Record::FenceBroker(record) => self.registration(record.id)?.fenced = true,
            Record::UnfenceBroker(record) => self.registration(record.id)?.fenced = false,
            Record::BrokerRegistrationChange(change) => self.change_registration(change)?,
            Record::Topic(TopicRecord { name, topic_id }) => self.add_topic(name, topic_id)?,
            Record::RemoveTopic(RemoveTopicRecord { topic_id }) => self.remove_topic(topic_id)?,
            Record::Partition(partition) => {
                let topic = self.topic_of(partition.topic_id)?;
                topic.partitions.insert(partition.partition_id, partition);
            }
            Record::PartitionChange(change) => self.change_partition(change)?,
            Record::ClearElr(ClearElrRecord { topic_name }) => self.clear_elr(&topic_name),
            Record::Config(record) => self.configure(record),
            Record::ProducerIds(record) => self.producer_ids = Some(record),
            // Those that hold others together are taken care of where the log is read.
            Record::NoOp(_)
            | Record::BeginTransaction(_)
            | Record::EndTransaction(_)
            | Record::AbortTransaction(_) => (),
            Record::RegisterController(_)
            | Record::ClientQuota(_)
            | Record::AccessControlEntry(_)
            | Record::RemoveAccessControlEntry(_)
            | Record::UserScramCredential(_)
            | Record::RemoveUserScramCredential(_)
            | Record::DelegationToken(_)
            | Record::RemoveDelegationToken(_)
            | Record::ZkMigrationState(_) => unreachable!("they are kept"),
        }
        Ok(())
    }

    fn registration(&mut self, id: i32) -> Result<&mut RegisterBrokerRecord, String> {
        self.brokers.get_mut(&id).ok_or_else(|| format!("broker {id} is not registered"))
    }

    fn change_registration(&mut self, change: BrokerRegistrationChangeRecord) -> Result<(), String> {
        let broker = self.registration(change.broker_id)?;
        let changed = |now: bool, change: i8| if change == 0 { now } else { change > 0 };
        broker.fenced = changed(broker.fenced, change.fenced);
        broker.in_controlled_shutdown = changed(broker.in_controlled_shutdown, change.in_controlled_shutdown);
        if !change.log_dirs.is_empty() {
            broker.log_dirs = change.log_dirs;
        }
        if change.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs = change.cordoned_log_dirs;
        }
        Ok(())
    }

    fn add_topic(&mut self, name: Text, id: Uuid) -> Result<(), String> {
        if let Some(other) = self.names.get(&name) {
            return Err(format!("topics {other} and {id} are both named {name}"));
        }
        if let Some(other) = self.topics.get(&id) {
            return Err(format!("topic {} has the id of {name} already, {id}", other.name));
        }
        self.names.insert(name.clone(), id);
        self.topics.insert(id, ClusterTopic { name, partitions: BTreeMap::new() });
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), String> {
        let topic = self.topics.remove(&id).ok_or_else(|| format!("there is no topic {id}"))?;
        self.names.remove(&topic.name);
        self.configs.remove(&(TOPIC_RESOURCE, topic.name));
        Ok(())
    }

    fn topic_of(&mut self, id: Uuid) -> Result<&mut ClusterTopic, String> {
        self.topics.get_mut(&id).ok_or_else(|| format!("there is no topic {id}"))
    }

    /// A null, and what stands for no change, leaves a field as it was.
    fn change_partition(&mut self, change: PartitionChangeRecord) -> Result<(), String> {
        let index = change.partition_id;
        let topic = self.topic_of(change.topic_id)?;
        let name = &topic.name;
        let missing = || format!("there is no partition {name}-{index}");
        let now = topic.partitions.get_mut(&index).ok_or_else(missing)?;
        if change.leader != NO_LEADER_CHANGE {
            now.leader = change.leader;
            now.leader_epoch += 1;
        }
        if change.leader_recovery_state != NO_RECOVERY_CHANGE {
            now.leader_recovery_state = change.leader_recovery_state;
        }
        replace(&mut now.replicas, change.replicas);
        replace(&mut now.isr, change.isr);
        replace(&mut now.removing_replicas, change.removing_replicas);
        replace(&mut now.adding_replicas, change.adding_replicas);
        replace(&mut now.directories, change.directories);
        // A record has no empty list of those who may lead.
        let some = |list: Option<Vec<i32>>| list.filter(|list| !list.is_empty());
        now.eligible_leader_replicas =
            some(change.eligible_leader_replicas.or(now.eligible_leader_replicas.take()));
        now.last_known_elr = some(change.last_known_elr.or(now.last_known_elr.take()));
        now.partition_epoch += 1;
        Ok(())
    }

    /// Of one topic, or without a name of all.
    fn clear_elr(&mut self, name: &str) {
        let id = self.names.get(name);
        for (topic_id, topic) in &mut self.topics {
            if name.is_empty() || id == Some(topic_id) {
                for partition in topic.partitions.values_mut() {
                    partition.eligible_leader_replicas = None;
                    partition.last_known_elr = None;
                }
            }
        }
    }

    fn configure(&mut self, ConfigRecord { resource_type, resource_name, name, value }: ConfigRecord) {
        let resource = (resource_type, resource_name);
        match value {
            Some(value) => drop(self.configs.entry(resource).or_default().insert(name, value)),
            None => {
                if let Some(settings) = self.configs.get_mut(&resource) {
                    settings.remove(&name);
                    if settings.is_empty() {
                        self.configs.remove(&resource);
                    }
                }
            }
        }
    }

    /// Gives out the values of records that say all of it, in the versions of the log, those first that others
    /// rest on.
    pub(super) fn tell(&self, mut out: impl FnMut(Vec<u8>)) {
        let level = self.metadata_version().unwrap_or(MetadataVersion::LATEST);
        let mut tell = |record: Record| out(record.encode(level.version_of(&record)));
        let (first, others): (Vec<_>, Vec<_>) =
            self.features.iter().partition(|(name, _)| &***name == METADATA_VERSION);
        for (name, level) in first.into_iter().chain(others) {
            tell(FeatureLevelRecord { name: name.clone(), feature_level: *level }.into());
        }
        self.brokers.values().for_each(|broker| tell(broker.clone().into()));
        for (id, topic) in self.topics() {
            tell(TopicRecord { name: topic.name.clone(), topic_id: id }.into());
            topic.partitions.values().for_each(|partition| tell(partition.clone().into()));
        }
        for ((resource_type, resource_name), settings) in &self.configs {
            for (name, value) in settings {
                let (resource_name, name) = (resource_name.clone(), name.clone());
                let value = Some(value.clone());
                tell(ConfigRecord { resource_type: *resource_type, resource_name, name, value }.into());
            }
        }
        if let Some(producer_ids) = &self.producer_ids {
            tell(producer_ids.clone().into());
        }
        self.kept.values().for_each(|value| out(value.to_vec()));
    }
}

fn replace<T>(now: &mut T, changed: Option<T>) {
    if let Some(changed) = changed {
        *now = changed;
    }
}

/// The key of a record that is kept as it is, and whether the record takes it away.
fn kept(record: &Record) -> Option<(KeptKey, bool)> {
    const CONTROLLER: u32 = 27;
    const QUOTA: u32 = 14;
    const ACL: u32 = 18;
    const SCRAM: u32 = 11;
    const TOKEN: u32 = 10;
    const ZK: u32 = 21;
    let named = |kind: u32, name: &[u8], is_removal| Some(((kind, name.to_vec()), is_removal));
    let scram = |name: &Text, mechanism: i8| [&mechanism.to_be_bytes(), name.as_bytes()].concat();
    match record {
        Record::RegisterController(record) => named(CONTROLLER, &record.controller_id.to_be_bytes(), false),
        Record::ClientQuota(record) => {
            let mut parts: Vec<String> = record
                .entity
                .iter()
                .map(|part| format!("{:?} {:?}", part.entity_type, part.entity_name))
                .collect();
            parts.sort_unstable();
            named(QUOTA, format!("{parts:?} {:?}", record.key).as_bytes(), record.remove)
        }
        Record::AccessControlEntry(record) => named(ACL, &record.id.0, false),
        Record::RemoveAccessControlEntry(record) => named(ACL, &record.id.0, true),
        Record::UserScramCredential(record) => named(SCRAM, &scram(&record.name, record.mechanism), false),
        Record::RemoveUserScramCredential(record) => {
            named(SCRAM, &scram(&record.name, record.mechanism), true)
        }
        Record::DelegationToken(record) => named(TOKEN, record.token_id.as_bytes(), false),
        Record::RemoveDelegationToken(record) => named(TOKEN, record.token_id.as_bytes(), true),
        Record::ZkMigrationState(_) => named(ZK, &[], false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
