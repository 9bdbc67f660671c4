//! DescribeTopicPartitions: topics by name, page by page.

use std::collections::BTreeSet;

use super::{Call, Reply, operations};
use crate::config::topic_name;
use crate::metadata::{Image, LEADER_EPOCH, Topic};
use crate::net::conn::Ended;
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, Text};

pub(crate) fn handle(request: &DescribeTopicPartitionsRequest, call: &Call) -> Result<Reply, Ended> {
    let config = &call.shard.broker().config;
    let limit = page_len(request.response_partition_limit, config.request_partitions_max);
    call.now(&respond(request, &call.shard.image(), config.node_id, limit))
}

/// How many partitions go on a page: at least one, so that every page gets on.
fn page_len(asked: i32, max: u32) -> usize {
    u32::try_from(asked).unwrap_or(0).clamp(1, max.max(1)) as usize
}

fn respond(
    request: &DescribeTopicPartitionsRequest,
    image: &Image,
    node_id: i32,
    page_len: usize,
) -> DescribeTopicPartitionsResponse {
    let (first_name, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    if !is_cursor_valid(request) {
        return refused(request);
    }
    let mut page = Page { node_id, room: page_len, topics: Vec::new(), next: None };
    let first_of = |name: &str| if name == first_name { first_partition } else { 0 };
    if request.topics.is_empty() {
        for topic in image.topics_from(first_name) {
            if !page.add(&topic.name, Some(topic), first_of(&topic.name)) {
                break;
            }
        }
    } else {
        let names: BTreeSet<&Text> = request
            .topics
            .iter()
            .map(|topic| &topic.name)
            .filter(|name| name.as_str() >= first_name)
            .collect();
        for name in names {
            if !page.add(name, image.by_name(name).map(|topic| &**topic), first_of(name)) {
                break;
            }
        }
    }
    DescribeTopicPartitionsResponse { throttle_time_ms: 0, topics: page.topics, next_cursor: page.next }
}

/// A cursor stands at a partition of a topic that is asked for, even if there is no such topic any more.
fn is_cursor_valid(request: &DescribeTopicPartitionsRequest) -> bool {
    request.cursor.as_ref().is_none_or(|cursor| {
        let is_asked_for = |name: &Text| request.topics.iter().any(|topic| topic.name == *name);
        cursor.partition_index >= 0 && (request.topics.is_empty() || is_asked_for(&cursor.topic_name))
    })
}

/// One page of an answer.
struct Page {
    node_id: i32,
    /// Partitions that still fit.
    room: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// What did not fit.
    next: Option<Cursor>,
}

impl Page {
    /// Adds what fits of a topic's partitions from `first` on. False: the page is full.
    fn add(&mut self, name: &Text, topic: Option<&Topic>, first: i32) -> bool {
        if self.room == 0 {
            self.next = Some(Cursor { topic_name: name.clone(), partition_index: 0 });
            return false;
        }
        let Some(topic) = topic else {
            self.topics.push(unknown(name));
            return true;
        };
        let ids = topic.partition_ids().skip(first as usize).take(self.room);
        let partitions: Vec<_> = ids.map(|id| self.partition(id.index)).collect();
        let end = first.saturating_add(partitions.len() as i32);
        self.room -= partitions.len();
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: 0,
            name: Some(name.clone()),
            topic_id: topic.id,
            is_internal: topic_name::is_internal(name),
            partitions,
            topic_authorized_operations: operations::ON_TOPIC,
        });
        if topic.partition(end).is_some() {
            self.next = Some(Cursor { topic_name: name.clone(), partition_index: end });
        }
        self.next.is_none()
    }

    /// Replicas that could lead without being in sync are none: the only one is in sync, because it leads.
    fn partition(&self, partition_index: i32) -> DescribeTopicPartitionsResponsePartition {
        DescribeTopicPartitionsResponsePartition {
            error_code: 0,
            partition_index,
            leader_id: self.node_id,
            leader_epoch: LEADER_EPOCH,
            replica_nodes: vec![self.node_id],
            isr_nodes: vec![self.node_id],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: Vec::new(),
        }
    }
}

fn unknown(name: &Text) -> DescribeTopicPartitionsResponseTopic {
    let code = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code as i16,
        name: Some(name.clone()),
        is_internal: topic_name::is_internal(name),
        topic_authorized_operations: operations::ON_TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn refused(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest as i16,
        name: Some(topic.name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..DescribeTopicPartitionsResponse::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logmill_engine::format::Uuid;

    use super::*;
    use crate::config::TopicOverrides;
    use crate::wire::messages::describe_topic_partitions::TopicRequest;

    fn image(topics: &[(&str, usize)]) -> Image {
        let mut image = Image::default();
        for ((name, partitions), byte) in topics.iter().zip(1..) {
            image.insert(Arc::new(Topic {
                name: Text::from(*name),
                id: Uuid([byte; 16]),
                dirs: vec![0; *partitions],
                overrides: TopicOverrides::default(),
            }));
        }
        image
    }

    fn request(names: &[&str], cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
        let topics = names.iter().map(|name| TopicRequest { name: Text::from(*name) });
        let cursor =
            cursor.map(|(name, partition_index)| Cursor { topic_name: Text::from(name), partition_index });
        DescribeTopicPartitionsRequest { topics: topics.collect(), cursor, ..Default::default() }
    }

    /// The topics of a page as `name:partitions` or `name!error`, and the cursor behind `>`.
    fn page(names: &[&str], cursor: Option<(&str, i32)>, len: usize) -> String {
        let image = image(&[("__consumer_offsets", 3), ("a", 1), ("m", 3), ("z", 2)]);
        let response = respond(&request(names, cursor), &image, 1, len);
        let shown = response.topics.iter().map(|topic| {
            let name = topic.name.as_deref().unwrap();
            let partitions: Vec<_> =
                topic.partitions.iter().map(|partition| partition.partition_index.to_string()).collect();
            match topic.error_code {
                0 => format!("{name}:{}", partitions.join(",")),
                code => format!("{name}!{code}"),
            }
        });
        let mut shown: Vec<String> = shown.collect();
        shown.extend(
            response.next_cursor.map(|next| format!(">{}:{}", next.topic_name, next.partition_index)),
        );
        shown.join(" ")
    }

    #[test]
    fn topics_come_sorted_and_once_and_unknown_ones_take_no_room() {
        assert_eq!(page(&["z", "nope", "a", "b c", "a"], None, 3), "a:0 b c!17 nope!3 z:0,1");
        assert_eq!(page(&[], None, 9), "__consumer_offsets:0,1,2 a:0 m:0,1,2 z:0,1");
    }

    #[test]
    fn pages_lead_from_one_to_the_next() {
        for len in 1..10 {
            let mut cursor = Some(("".to_owned(), 0));
            let mut seen = Vec::new();
            let image = image(&[("a", 1), ("m", 3), ("z", 2)]);
            while let Some((name, partition)) = cursor {
                let response = respond(&request(&[], Some((&name, partition))), &image, 1, len);
                for topic in response.topics {
                    assert!(topic.partitions.len() <= len);
                    let name = topic.name.unwrap();
                    seen.extend(topic.partitions.iter().map(|p| format!("{name}{}", p.partition_index)));
                }
                cursor = response.next_cursor.map(|next| (next.topic_name.to_string(), next.partition_index));
            }
            assert_eq!(seen, ["a0", "m0", "m1", "m2", "z0", "z1"], "pages of {len}");
        }
    }

    #[test]
    fn a_full_page_names_what_comes_next_even_if_it_is_not_there() {
        assert_eq!(page(&["m", "nope"], None, 3), "m:0,1,2 >nope:0");
        assert_eq!(page(&["m", "z"], None, 2), "m:0,1 >m:2");
        assert_eq!(page(&["m", "z"], Some(("m", 2)), 2), "m:2 z:0 >z:1");
        assert_eq!(page(&["m"], Some(("m", 3)), 2), "m:");
        assert_eq!(page(&["m"], Some(("m", i32::MAX)), 2), "m:");
        assert_eq!(page(&[], Some(("b", 1)), 4), "m:0,1,2 z:0 >z:1");
    }

    #[test]
    fn a_cursor_that_stands_nowhere_is_refused() {
        assert_eq!(page(&["m", "a"], Some(("z", 0)), 2), "m!42 a!42");
        assert_eq!(page(&["m"], Some(("m", -1)), 2), "m!42");
        assert_eq!(page(&[], Some(("m", -1)), 2), "");
    }

    #[test]
    fn a_page_has_at_least_one_partition_and_at_most_what_the_broker_grants() {
        let lens = [(i32::MIN, 2_000), (0, 2_000), (1, 2_000), (2_001, 2_000), (7, 3), (7, 0)]
            .map(|(asked, max)| page_len(asked, max));
        assert_eq!(lens, [1, 1, 1, 2_000, 3, 1]);
    }

    #[test]
    fn a_partition_is_led_by_this_broker_and_has_nobody_else() {
        let response =
            respond(&request(&["__consumer_offsets"], None), &image(&[("__consumer_offsets", 1)]), 7, 1);
        let topic = &response.topics[0];
        assert_eq!((topic.is_internal, topic.topic_authorized_operations), (true, 3576));
        assert_eq!(topic.topic_id, Uuid([1; 16]));
        let partition = &topic.partitions[0];
        assert_eq!((partition.leader_id, partition.leader_epoch), (7, 0));
        assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![7], &vec![7]));
        assert_eq!(
            (&partition.eligible_leader_replicas, &partition.last_known_elr),
            (&Some(vec![]), &Some(vec![]))
        );
        assert_eq!(partition.offline_replicas, []);
    }
}
