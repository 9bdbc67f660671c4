//! `MorePartitions`: what a client wants a topic to grow to, and the rules for that: those of Apache Kafka's
//! controller, in its order and its words.

use std::sync::Arc;

use super::controller::Refused;
use super::image::{Image, Topic};
use super::new_topic::check_replicas;
use crate::wire::{ErrorCode, Text};

/// Partitions that one request may make.
const PARTITIONS_MAX: usize = 10_000;

/// A topic as a client wants it to be.
#[derive(Debug, Clone)]
pub(crate) struct MorePartitions {
    pub(crate) name: Text,
    /// Those that are there included.
    pub(crate) count: i32,
    /// Brokers by new partition, where the client chooses them itself.
    pub(crate) assignments: Option<Vec<Vec<i32>>>,
}

/// The topic, if it may grow like that, and how many partitions it gets.
pub(crate) fn check(
    more: &MorePartitions,
    image: &Image,
    node_id: i32,
) -> Result<(Arc<Topic>, usize), Refused> {
    let MorePartitions { name, count, assignments } = more;
    let topic = image.by_name(name).ok_or_else(|| Refused::bare(ErrorCode::UnknownTopicOrPartition))?;
    let there = topic.dirs.len() as i32;
    if *count == there {
        let message = format!("Topic already has {there} partition(s).");
        return Err(Refused::new(ErrorCode::InvalidPartitions, message));
    }
    if *count < there {
        let message =
            format!("The topic {name} currently has {there} partition(s); {count} would not be an increase.");
        return Err(Refused::new(ErrorCode::InvalidPartitions, message));
    }
    let additional = (count - there) as usize;
    for replicas in assignments.iter().flatten() {
        let given = assignments.as_ref().map_or(0, Vec::len);
        let reason = if given != additional {
            format!(
                "Attempted to add {additional} additional partition(s), but only {given} assignment(s) were specified."
            )
        } else if let Err(reason) = check_replicas(replicas, node_id) {
            format!("The manual partition assignment includes {reason}")
        } else {
            continue;
        };
        return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
    }
    if assignments.as_ref().is_some_and(Vec::is_empty) {
        let message = format!(
            "Attempted to add {additional} additional partition(s), but only 0 assignment(s) were specified."
        );
        return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    Ok((topic.clone(), additional))
}

/// Whether all that passed are few enough to be made together.
pub(crate) fn check_size(additional: usize) -> Result<(), Refused> {
    if additional > PARTITIONS_MAX {
        let message = "Unable to perform excessively large batch operation.";
        return Err(Refused::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::Uuid;

    use super::*;
    use crate::config::TopicOverrides;

    fn refused(name: &str, count: i32, assignments: Option<Vec<Vec<i32>>>) -> (ErrorCode, String) {
        let mut image = Image::default();
        image.insert(Arc::new(Topic {
            name: Text::from("t"),
            id: Uuid([1; 16]),
            dirs: vec![0; 3],
            overrides: TopicOverrides::default(),
        }));
        let more = MorePartitions { name: Text::from(name), count, assignments };
        match check(&more, &image, 7) {
            Ok((topic, additional)) => (ErrorCode::None, format!("{} + {additional}", topic.dirs.len())),
            Err(Refused { code, message }) => (code, message.unwrap_or_default().to_string()),
        }
    }

    #[test]
    fn a_topic_grows_by_as_many_as_it_lacks_and_says_why_not() {
        let partitions = ErrorCode::InvalidPartitions;
        let assignment = ErrorCode::InvalidReplicaAssignment;
        for (name, count, assignments, code, message) in [
            ("t", 5, None, ErrorCode::None, "3 + 2"),
            ("t", 5, Some(vec![vec![7], vec![7]]), ErrorCode::None, "3 + 2"),
            ("nope", 5, None, ErrorCode::UnknownTopicOrPartition, ""),
            ("t", 3, None, partitions, "Topic already has 3 partition(s)."),
            (
                "t",
                -1,
                None,
                partitions,
                "The topic t currently has 3 partition(s); -1 would not be an increase.",
            ),
            (
                "t",
                5,
                Some(vec![vec![7]]),
                assignment,
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
            ),
            (
                "t",
                4,
                Some(vec![]),
                assignment,
                "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.",
            ),
            (
                "t",
                4,
                Some(vec![vec![8]]),
                assignment,
                "The manual partition assignment includes broker 8, but no such broker is registered.",
            ),
        ] {
            assert_eq!(refused(name, count, assignments), (code, message.to_owned()), "{name} {count}");
        }
        assert!(check_size(10_000).is_ok() && check_size(10_001).is_err());
    }
}
