//! `NewTopic`: what a client wants of a topic, and the rules that it must keep to.
//!
//! The rules, their order and their messages are those of Apache Kafka's controller, so that its tools and the
//! people who know them read what they expect.

use std::collections::BTreeSet;
use std::sync::Arc;

use logmill_engine::format::Uuid;

use super::controller::Refused;
use super::image::{Image, Topic};
use crate::config::describe::{CreatedConfig, created};
use crate::config::{Config, TopicOverrides, topic_name};
use crate::wire::{ErrorCode, Text};

/// Brokers of the cluster: this one.
const BROKERS: i16 = 1;
/// Stands for the broker's default, of partitions and of replicas.
const DEFAULT: i32 = -1;
/// Partitions that one request may ask for, refused topics included.
const PARTITIONS_MAX: u64 = 10_000;
/// Metadata records that one request may cause: one for each topic, each of its settings and each of its
/// partitions.
const RECORDS_MAX: usize = 10_000;

/// A topic as a client asks for it.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: Text,
    /// -1: the broker's default.
    pub(crate) partitions: i32,
    /// -1: the broker's default.
    pub(crate) replication_factor: i16,
    /// Brokers by partition, where the client chooses them itself.
    pub(crate) assignments: Vec<(i32, Vec<i32>)>,
    pub(crate) configs: Vec<(Text, Option<Text>)>,
}

/// A topic that was made, or would have been.
#[derive(Debug, Clone)]
pub(crate) struct CreatedTopic {
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<CreatedConfig>,
}

impl CreatedTopic {
    pub(crate) fn of(topic: &Topic, config: &Config) -> CreatedTopic {
        CreatedTopic {
            id: topic.id,
            partitions: topic.dirs.len() as i32,
            replication_factor: BROKERS,
            configs: created(&topic.overrides, &config.layers),
        }
    }
}

impl NewTopic {
    /// A topic of which the broker chooses everything.
    pub(crate) fn with_defaults(name: Text) -> NewTopic {
        NewTopic {
            name,
            partitions: DEFAULT,
            replication_factor: DEFAULT as i16,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }

    /// How many partitions it shall have: none or fewer where it is to be refused.
    pub(crate) fn partition_count(&self, config: &Config) -> i32 {
        match (self.assignments.len(), self.partitions) {
            (0, DEFAULT) => config.num_partitions,
            (0, count) => count,
            (assigned, _) => assigned as i32,
        }
    }
}

/// Whether all topics of a request together are few enough to look at.
pub(crate) fn check_size(topics: &[NewTopic], config: &Config) -> Result<(), Refused> {
    let count = |topic: &NewTopic| u64::try_from(topic.partition_count(config)).unwrap_or(0);
    if topics.iter().map(count).sum::<u64>() > PARTITIONS_MAX {
        return Err(Refused::new(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ));
    }
    Ok(())
}

/// Whether the topics that passed are few enough to be made together.
pub(crate) fn check_records(created: &[Arc<Topic>]) -> Result<(), Refused> {
    let records = |topic: &Arc<Topic>| 1 + topic.overrides.iter().count() + topic.dirs.len();
    if created.iter().map(records).sum::<usize>() > RECORDS_MAX {
        return Err(Refused::new(
            ErrorCode::PolicyViolation,
            "Unable to perform excessively large batch operation.",
        ));
    }
    Ok(())
}

/// Whether a topic may be made beside those of the image; its settings if so.
pub(crate) fn check(topic: &NewTopic, image: &Image, config: &Config) -> Result<TopicOverrides, Refused> {
    check_name(&topic.name, image)?;
    let settings = topic.configs.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let overrides = TopicOverrides::parse(settings, &config.layers)
        .map_err(|invalid| Refused::new(ErrorCode::InvalidConfig, invalid.to_string()))?;
    if topic.assignments.is_empty() {
        check_counts(topic, config)?;
    } else {
        check_assignments(topic, config.node_id)?;
    }
    Ok(overrides)
}

fn check_name(name: &str, image: &Image) -> Result<(), Refused> {
    if image.by_name(name).is_some() {
        return Err(Refused::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    if let Some(other) = colliding(name, image) {
        return Err(Refused::new(
            ErrorCode::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {}", other.name),
        ));
    }
    topic_name::validate(name)
        .map_err(|invalid| Refused::new(ErrorCode::InvalidTopicException, invalid.to_string()))
}

fn colliding<'a>(name: &str, image: &'a Image) -> Option<&'a Arc<Topic>> {
    // Names that collide are the same up to the first letter in which they can differ.
    let same = &name[..name.find(['.', '_'])?];
    let mut candidates = image.topics_from(same).take_while(|other| other.name.starts_with(same));
    candidates.find(|other| topic_name::collide(&other.name, name))
}

fn check_counts(topic: &NewTopic, config: &Config) -> Result<(), Refused> {
    if topic.replication_factor == 0 || i32::from(topic.replication_factor) < DEFAULT {
        return Err(Refused::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if topic.partitions == 0 || topic.partitions < DEFAULT {
        return Err(Refused::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let factor = match i32::from(topic.replication_factor) {
        DEFAULT => config.default_replication_factor,
        factor => factor,
    };
    if factor > i32::from(BROKERS) {
        return Err(Refused::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                 cannot be reached because only {BROKERS} broker(s) are registered or some brokers have all \
                 their log directories cordoned."
            ),
        ));
    }
    Ok(())
}

fn check_assignments(topic: &NewTopic, node_id: i32) -> Result<(), Refused> {
    let contradicts = |count| {
        let message = format!("A manual partition assignment was specified, but {count} was not set to -1.");
        Err(Refused::new(ErrorCode::InvalidRequest, message))
    };
    if i32::from(topic.replication_factor) != DEFAULT {
        return contradicts("replication factor");
    }
    if topic.partitions != DEFAULT {
        return contradicts("numPartitions");
    }
    let invalid = |message: String| Err(Refused::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut partitions = BTreeSet::new();
    for (partition, replicas) in &topic.assignments {
        if !partitions.insert(*partition) {
            return invalid(format!("Found multiple manual partition assignments for partition {partition}"));
        }
        // What passes is this broker alone, so all partitions have one number of replicas.
        if let Err(reason) = check_replicas(replicas, node_id) {
            return invalid(format!("The manual partition assignment includes {reason}"));
        }
    }
    if !partitions.into_iter().eq(0..topic.assignments.len() as i32) {
        return invalid("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(())
}

pub(crate) fn check_replicas(replicas: &[i32], node_id: i32) -> Result<(), String> {
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    match sorted[..] {
        [] => Err("an empty replica list.".to_owned()),
        [first, ..] if first != node_id => Err(unknown_broker(first)),
        [_] => Ok(()),
        [_, second, ..] if second != node_id => Err(unknown_broker(second)),
        [_, _, ..] => Err(format!("the broker {node_id} more than once.")),
    }
}

fn unknown_broker(id: i32) -> String {
    format!("broker {id}, but no such broker is registered.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    fn config() -> Config {
        let machine = Machine { host_name: "box".to_owned(), cores: 1 };
        Config::load(None, [], &[("num.partitions".to_owned(), "3".to_owned())], &machine).unwrap().0
    }

    fn image(names: &[&str]) -> Image {
        let mut image = Image::default();
        for (name, byte) in names.iter().zip(1..) {
            image.insert(Arc::new(Topic {
                name: Text::from(*name),
                id: Uuid([byte; 16]),
                dirs: vec![0],
                overrides: TopicOverrides::default(),
            }));
        }
        image
    }

    fn topic(name: &str) -> NewTopic {
        NewTopic::with_defaults(Text::from(name))
    }

    fn refused(topic: &NewTopic, image: &Image) -> (ErrorCode, String) {
        told(check(topic, image, &config()).map(drop))
    }

    fn told(checked: Result<(), Refused>) -> (ErrorCode, String) {
        let refused = checked.unwrap_err();
        (refused.code, refused.message.unwrap().to_string())
    }

    #[test]
    fn a_name_must_be_free_and_valid() {
        let image = image(&["a.b", "plain", "_"]);
        for (name, code, message) in [
            ("a.b", ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists."),
            ("a_b", ErrorCode::InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b"),
            (".", ErrorCode::InvalidTopicException, "Topic '.' collides with existing topic: _"),
            ("..", ErrorCode::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        ] {
            assert_eq!(refused(&topic(name), &image), (code, message.to_owned()));
        }
        assert!(check(&topic("a-b"), &image, &config()).is_ok());
    }

    #[test]
    fn settings_are_looked_at_before_counts_and_replicas_before_partitions() {
        let image = Image::default();
        let mut wrong = NewTopic {
            replication_factor: 0,
            partitions: 0,
            configs: vec![(Text::from("nope"), Some(Text::EMPTY))],
            ..topic("a")
        };
        let settings = "Unknown topic config name: nope".to_owned();
        assert_eq!(refused(&wrong, &image), (ErrorCode::InvalidConfig, settings));
        wrong.configs[0].1 = None;
        let null = "Null value not supported for topic configs: nope".to_owned();
        assert_eq!(refused(&wrong, &image), (ErrorCode::InvalidConfig, null));
        wrong.configs.clear();
        assert_eq!(refused(&wrong, &image).0, ErrorCode::InvalidReplicationFactor);
        wrong.replication_factor = 2;
        assert_eq!(refused(&wrong, &image).0, ErrorCode::InvalidPartitions);
        wrong.partitions = -1;
        let (code, message) = refused(&wrong, &image);
        assert_eq!(code, ErrorCode::InvalidReplicationFactor);
        assert_eq!(
            message,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
             because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
        );
        wrong.replication_factor = 1;
        assert!(check(&wrong, &image, &config()).is_ok());
        assert_eq!(wrong.partition_count(&config()), 3);
    }

    #[test]
    fn assignments_stand_alone_and_name_this_broker_once_for_each_partition() {
        let assigned = |assignments: &[(i32, &[i32])]| NewTopic {
            assignments: assignments.iter().map(|(partition, ids)| (*partition, ids.to_vec())).collect(),
            ..topic("a")
        };
        let prefix = "The manual partition assignment includes";
        let unknown = |id| format!("{prefix} broker {id}, but no such broker is registered.");
        let twice = format!("{prefix} the broker 1 more than once.");
        let gap = "partitions should be a consecutive 0-based integer sequence".to_owned();
        for (assignments, message) in [
            (&[(0, &[][..])][..], format!("{prefix} an empty replica list.")),
            (&[(0, &[2, 1])], unknown(2)),
            (&[(0, &[3, 2, -1])], unknown(-1)),
            (&[(0, &[1, 1])], twice.clone()),
            (&[(0, &[1, 2, 1])], twice),
            (&[(1, &[1])], gap.clone()),
            (&[(-1, &[1]), (0, &[1])], gap),
            (
                &[(0, &[1]), (0, &[1])],
                "Found multiple manual partition assignments for partition 0".to_owned(),
            ),
        ] {
            let refused = refused(&assigned(assignments), &Image::default());
            assert_eq!(refused, (ErrorCode::InvalidReplicaAssignment, message), "{assignments:?}");
        }

        let mut good = assigned(&[(1, &[1]), (0, &[1])]);
        assert!(check(&good, &Image::default(), &config()).is_ok());
        assert_eq!(good.partition_count(&config()), 2);
        let contradicts = |count| {
            let message =
                format!("A manual partition assignment was specified, but {count} was not set to -1.");
            (ErrorCode::InvalidRequest, message)
        };
        good.partitions = 2;
        assert_eq!(refused(&good, &Image::default()), contradicts("numPartitions"));
        good.replication_factor = 1;
        assert_eq!(refused(&good, &Image::default()), contradicts("replication factor"));
    }

    #[test]
    fn a_request_for_too_many_partitions_is_refused_before_they_are_counted_in_memory() {
        let sized = |partitions| NewTopic { partitions, ..topic("a") };
        let check = |topics: &[NewTopic]| check_size(topics, &config());
        assert_eq!(check(&[sized(9_997), sized(-1)]), Ok(()));
        assert_eq!(check(&[sized(10_000), sized(-5), sized(0)]), Ok(()));
        for topics in [&[sized(9_998), sized(-1)][..], &[sized(i32::MAX), sized(i32::MAX), sized(2)]] {
            let (code, message) = told(check(topics));
            assert_eq!(code, ErrorCode::PolicyViolation);
            assert_eq!(message, "Excessively large number of partitions per request.");
        }
    }

    #[test]
    fn topics_settings_and_partitions_of_a_request_share_one_limit() {
        let made = |partitions, settings: &[(&str, &str)]| {
            Arc::new(Topic {
                name: Text::from("a"),
                id: Uuid::ZERO,
                dirs: vec![0; partitions],
                overrides: TopicOverrides::accepted(
                    settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                ),
            })
        };
        assert_eq!(check_records(&[made(9_996, &[("retention.ms", "1")]), made(1, &[])]), Ok(()));
        let (code, message) = told(check_records(&[made(9_997, &[("retention.ms", "1")]), made(1, &[])]));
        assert_eq!(code, ErrorCode::PolicyViolation);
        assert_eq!(message, "Unable to perform excessively large batch operation.");
    }
}
