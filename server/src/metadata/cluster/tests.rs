//! What records say, and that a snapshot of it says the same.

use super::*;
use crate::metadata::records::brokers::{FenceBrokerRecord, RegisterControllerRecord, UnfenceBrokerRecord};
use crate::metadata::records::security::{
    AccessControlEntryRecord, DelegationTokenRecord, RemoveAccessControlEntryRecord,
    RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
use crate::metadata::records::settings::{ClientQuotaRecord, EntityData};

const ID: Uuid = Uuid([3; 16]);

fn replayed(records: Vec<Record>) -> Cluster {
    let mut cluster = Cluster::default();
    records.into_iter().for_each(|record| replay(&mut cluster, record).unwrap());
    cluster
}

fn replay(cluster: &mut Cluster, record: Record) -> Result<(), String> {
    let level = cluster.metadata_version().unwrap_or(MetadataVersion::LATEST);
    let value = Bytes::from(record.encode(level.version_of(&record)));
    cluster.replay(Record::decode(&value).unwrap(), &value)
}

fn level(level: i16) -> Record {
    FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level: level }.into()
}

fn topic() -> Vec<Record> {
    let partition = |partition_id| PartitionRecord {
        partition_id,
        topic_id: ID,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 6,
        directories: vec![Uuid([9; 16])],
        ..Default::default()
    };
    vec![TopicRecord { name: "orders".into(), topic_id: ID }.into(), partition(0).into(), partition(1).into()]
}

fn config(resource_type: i8, resource: &str, name: &str, value: Option<&str>) -> Record {
    let value = value.map(Text::from);
    ConfigRecord { resource_type, resource_name: resource.into(), name: name.into(), value }.into()
}

fn settings(cluster: &Cluster, resource: i8, name: &str) -> Vec<(String, String)> {
    cluster.configs(resource, name).map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Replays what the cluster tells of itself.
fn told(cluster: &Cluster) -> Cluster {
    let mut again = Cluster::default();
    cluster.tell(|value| {
        let value = Bytes::from(value);
        again.replay(Record::decode(&value).unwrap(), &value).unwrap();
    });
    again
}

#[test]
fn a_change_of_a_partition_changes_what_it_names_and_counts_epochs() {
    let change = |change: PartitionChangeRecord| {
        let change = PartitionChangeRecord { partition_id: 1, topic_id: ID, ..change };
        let cluster = replayed([topic(), vec![change.into()]].concat());
        let topic = cluster.topic(ID).unwrap();
        (topic.partitions[&0].clone(), topic.partitions[&1].clone())
    };
    let (untouched, now) = change(PartitionChangeRecord { isr: Some(vec![]), ..Default::default() });
    assert_eq!((untouched.leader_epoch, untouched.partition_epoch), (4, 6));
    assert_eq!((now.isr, now.leader, now.leader_epoch, now.partition_epoch), (vec![], 1, 4, 7));
    let (_, now) = change(PartitionChangeRecord { leader: -1, ..Default::default() });
    assert_eq!((now.isr, now.leader, now.leader_epoch, now.partition_epoch), (vec![1], -1, 5, 7));
    let (_, now) = change(PartitionChangeRecord {
        directories: Some(vec![Uuid([8; 16])]),
        leader_recovery_state: 1,
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![]),
        replicas: Some(vec![1, 2]),
        adding_replicas: Some(vec![2]),
        removing_replicas: Some(vec![1]),
        ..Default::default()
    });
    assert_eq!((now.directories, now.leader_recovery_state), (vec![Uuid([8; 16])], 1));
    assert_eq!((now.eligible_leader_replicas, now.last_known_elr), (Some(vec![1]), None));
    assert_eq!((now.replicas, now.adding_replicas, now.removing_replicas), (vec![1, 2], vec![2], vec![1]));
}

#[test]
fn a_removed_topic_takes_its_settings_along_and_its_name_is_free() {
    let removed = RemoveTopicRecord { topic_id: ID }.into();
    let settings_of = [config(2, "orders", "a", Some("1")), config(2, "other", "a", Some("2"))];
    let mut cluster = replayed([topic(), settings_of.to_vec(), vec![removed]].concat());
    assert!(cluster.topic(ID).is_none() && cluster.topics().next().is_none());
    assert_eq!(settings(&cluster, 2, "orders"), []);
    assert_eq!(settings(&cluster, 2, "other"), [("a".to_owned(), "2".to_owned())]);
    replay(&mut cluster, TopicRecord { name: "orders".into(), topic_id: Uuid([4; 16]) }.into()).unwrap();
    assert_eq!(cluster.topics().map(|(id, _)| id).collect::<Vec<_>>(), [Uuid([4; 16])]);
}

#[test]
fn a_broker_is_fenced_until_that_changes() {
    let registered = RegisterBrokerRecord { broker_id: 1, broker_epoch: 7, ..Default::default() };
    let mut cluster = replayed(vec![registered.into()]);
    let change = |fenced, in_controlled_shutdown| {
        BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: 7,
            fenced,
            in_controlled_shutdown,
            ..Default::default()
        }
        .into()
    };
    for (record, state) in [
        (change(-1, 0), (false, false)),
        (change(0, 1), (false, true)),
        (change(1, 0), (true, true)),
        (change(0, -1), (true, false)),
        (UnfenceBrokerRecord { id: 1, epoch: 7 }.into(), (false, false)),
        (FenceBrokerRecord { id: 1, epoch: 7 }.into(), (true, false)),
    ] {
        replay(&mut cluster, record).unwrap();
        let broker = cluster.broker(1).unwrap();
        assert_eq!((broker.fenced, broker.in_controlled_shutdown), state);
    }
    assert_eq!(cluster.broker(1).unwrap().broker_epoch, 7);
}

#[test]
fn what_cannot_be_true_of_the_log_is_refused_and_named() {
    let mut cluster = replayed(topic());
    let other = Uuid([4; 16]);
    for (record, words) in [
        (TopicRecord { name: "orders".into(), topic_id: other }.into(), "both named orders"),
        (
            TopicRecord { name: "another".into(), topic_id: ID }.into(),
            "topic orders has the id of another already",
        ),
        (RemoveTopicRecord { topic_id: other }.into(), "there is no topic"),
        (PartitionRecord { topic_id: other, ..Default::default() }.into(), "there is no topic"),
        (
            PartitionChangeRecord { topic_id: ID, partition_id: 2, ..Default::default() }.into(),
            "there is no partition orders-2",
        ),
        (FenceBrokerRecord { id: 5, epoch: 0 }.into(), "broker 5 is not registered"),
        (level(31), "metadata.version 31, expected 7 to 30"),
    ] {
        let error = replay(&mut cluster, record).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_is_told_of_a_cluster_makes_the_same_one_in_the_versions_of_its_level() {
    let quota = |user: &str, remove| {
        let entity = EntityData { entity_type: "user".into(), entity_name: Some(user.into()) };
        let key = "producer_byte_rate".into();
        Record::from(ClientQuotaRecord { entity: vec![entity], key, value: 5.0, remove })
    };
    let acl = |id| AccessControlEntryRecord { id: Uuid([id; 16]), ..Default::default() };
    let scram =
        |name: &str| UserScramCredentialRecord { name: name.into(), iterations: 4096, ..Default::default() };
    for (metadata_version, cordoned) in [(30, Some(vec![Uuid([9; 16])])), (25, None)] {
        let broker = RegisterBrokerRecord {
            broker_id: 1,
            log_dirs: vec![Uuid([9; 16])],
            cordoned_log_dirs: cordoned,
            ..Default::default()
        };
        let records = [
            vec![
                FeatureLevelRecord { name: "group.version".into(), feature_level: 1 }.into(),
                FeatureLevelRecord { name: "share.version".into(), feature_level: 1 }.into(),
                FeatureLevelRecord { name: "share.version".into(), feature_level: 0 }.into(),
                level(metadata_version),
                broker.into(),
                config(4, "", "min.insync.replicas", Some("1")),
                config(2, "orders", "retention.ms", Some("-1")),
                config(2, "orders", "a", Some("1")),
                config(2, "orders", "a", None),
                ProducerIdsRecord { broker_id: 1, broker_epoch: 7, next_producer_id: 3000 }.into(),
                RegisterControllerRecord { controller_id: 1, ..Default::default() }.into(),
                quota("a", false),
                quota("b", false),
                quota("a", true),
                acl(1).into(),
                acl(2).into(),
                RemoveAccessControlEntryRecord { id: Uuid([1; 16]) }.into(),
                scram("a").into(),
                scram("b").into(),
                RemoveUserScramCredentialRecord { name: "a".into(), mechanism: 0 }.into(),
                DelegationTokenRecord { token_id: "t".into(), ..Default::default() }.into(),
            ],
            topic(),
        ];
        let cluster = replayed(records.concat());
        assert_eq!(told(&cluster), cluster);
        assert_eq!(cluster.kept.len(), 5, "a controller, a quota, an entry, a user and a token");
        assert_eq!(cluster.next_producer_id(), 3000);
        assert_eq!(cluster.features().len(), 2);
        let mut values = Vec::new();
        cluster.tell(|value| values.push(value));
        assert_eq!(values[0], level(metadata_version).encode(0), "what decides versions comes first");
    }
}

#[test]
fn records_that_nobody_uses_are_kept_byte_for_byte() {
    // With a tagged field that no version of 4.3.1 has.
    let acl = AccessControlEntryRecord {
        id: Uuid([7; 16]),
        resource_type: 2,
        resource_name: "n".into(),
        pattern_type: 3,
        ..Default::default()
    };
    let mut with_tag = Record::from(acl).encode(0);
    assert_eq!(with_tag.pop(), Some(0), "no tagged fields");
    with_tag.extend([1, 9, 2, 0xaa, 0xbb]);
    let value = Bytes::from(with_tag);
    let mut cluster = Cluster::default();
    cluster.replay(Record::decode(&value).unwrap(), &value).unwrap();
    let mut told = Vec::new();
    cluster.tell(|value| told.push(value));
    assert_eq!(told, [value.to_vec()]);
}
