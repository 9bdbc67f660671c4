//! CreateTopics: new topics with their partitions and settings.

use std::collections::HashMap;

use super::{Answer, Call, Reply};
use crate::config::describe::CreatedConfig;
use crate::config::topic_name;
use crate::metadata::{self, CreatedTopic, NewTopic, Order, Outcome, Refused, ask};
use crate::net::conn::Ended;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{ErrorCode, Text};

pub(crate) fn handle(request: CreateTopicsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: CreateTopicsRequest, call: Call) -> Answer {
    let names: Vec<Text> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let Sorted { wanted, refused } = sort(request.topics);
    let wanted_names: Vec<Text> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let outcome = if wanted.is_empty() {
        Ok(Vec::new())
    } else {
        let expires_ms = call.expires_ms(request.timeout_ms);
        let is_dry_run = request.validate_only;
        let order =
            |reply| Order::Create(metadata::CreateTopics { topics: wanted, is_dry_run, expires_ms, reply });
        // Only a stop takes the controller away.
        ask(&call.shard, order).await.unwrap_or(Err(Refused::bare(ErrorCode::RequestTimedOut)))
    };
    call.answer(&respond(&names, &wanted_names, refused, outcome))
}

/// A request's topics.
struct Sorted {
    /// Those for the controller, no two with one name.
    wanted: Vec<NewTopic>,
    /// Those that it never sees, each name once.
    refused: Vec<(Text, Refused)>,
}

fn sort(topics: Vec<CreatableTopic>) -> Sorted {
    let mut counts: HashMap<Text, u32> = HashMap::new();
    topics.iter().for_each(|topic| *counts.entry(topic.name.clone()).or_default() += 1);
    let mut sorted = Sorted { wanted: Vec::new(), refused: Vec::new() };
    for topic in topics {
        let refuse = |message: String| Refused::new(ErrorCode::InvalidRequest, message);
        match counts.remove(&topic.name) {
            // Its first one has been refused for all of them.
            None => {}
            Some(1) if topic.name == topic_name::CLUSTER_METADATA => {
                let message =
                    format!("Creation of internal topic {} is prohibited.", topic_name::CLUSTER_METADATA);
                sorted.refused.push((topic.name, refuse(message)));
            }
            Some(1) => sorted.wanted.push(new_topic(topic)),
            Some(_) => sorted.refused.push((topic.name, refuse("Duplicate topic name.".to_owned()))),
        }
    }
    sorted
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name,
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|assignment| (assignment.partition_index, assignment.broker_ids))
            .collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

/// `names` are all of the request, for a refusal of all of it; `wanted` are those that the controller saw.
fn respond(
    names: &[Text],
    wanted: &[Text],
    refused: Vec<(Text, Refused)>,
    outcome: Outcome<CreatedTopic>,
) -> CreateTopicsResponse {
    let topics = match outcome {
        Ok(results) => {
            let results = wanted.iter().zip(results).map(|(name, result)| match result {
                Ok(created) => created_result(name, created),
                Err(refused) => refused_result(name, refused),
            });
            results.chain(refused.into_iter().map(|(name, refused)| refused_result(&name, refused))).collect()
        }
        Err(refused) => names.iter().map(|name| refused_result(name, refused.clone())).collect(),
    };
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

fn created_result(name: &Text, created: CreatedTopic) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        topic_id: created.id,
        error_message: None,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(created.configs.into_iter().map(config_result).collect()),
        ..CreatableTopicResult::default()
    }
}

fn config_result(config: CreatedConfig) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: Text::from_static(config.name),
        value: Some(Text::from(config.value)),
        read_only: false,
        config_source: config.source.code(),
        is_sensitive: false,
    }
}

fn refused_result(name: &Text, Refused { code, message }: Refused) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: code as i16,
        error_message: message,
        ..CreatableTopicResult::default()
    }
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::Uuid;

    use super::*;
    use crate::config::layers::Source;

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic { name: Text::from(name), ..CreatableTopic::default() }
    }

    fn created() -> CreatedTopic {
        let value = "5".to_owned();
        let configs = vec![CreatedConfig { name: "retention.ms", value, source: Source::Topic }];
        CreatedTopic { id: Uuid([7; 16]), partitions: 3, replication_factor: 1, configs }
    }

    #[test]
    fn what_is_named_twice_and_the_metadata_log_never_reach_the_controller() {
        let names = ["d", "e", "d", "__cluster_metadata", "d"];
        let Sorted { wanted, refused } = sort(names.map(topic).to_vec());
        assert_eq!(wanted.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["e"]);
        let response = respond(&[], &[wanted[0].name.clone()], refused, Ok(vec![Ok(created())]));
        let told: Vec<_> = response
            .topics
            .iter()
            .map(|topic| {
                (topic.name.as_str(), topic.error_code, topic.error_message.as_deref().unwrap_or_default())
            })
            .collect();
        let prohibited = "Creation of internal topic __cluster_metadata is prohibited.";
        assert_eq!(
            told,
            [("e", 0, ""), ("d", 42, "Duplicate topic name."), ("__cluster_metadata", 42, prohibited)]
        );
        let Sorted { refused, .. } = sort(["__cluster_metadata"; 2].map(topic).to_vec());
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].1.message.as_deref(), Some("Duplicate topic name."));
    }

    #[test]
    fn a_refusal_of_the_whole_request_is_told_of_every_topic_as_it_was_named() {
        let names = ["a", "b", "b"].map(Text::from);
        let refused = Refused::bare(ErrorCode::RequestTimedOut);
        let response = respond(&names, &[], Vec::new(), Err(refused));
        let told: Vec<_> =
            response.topics.iter().map(|topic| (topic.name.as_str(), topic.error_code)).collect();
        assert_eq!(told, [("a", 7), ("b", 7), ("b", 7)]);
        assert_eq!(response.topics[0].error_message, None);
    }

    #[test]
    fn a_created_topic_is_answered_with_its_id_counts_and_settings() {
        let response = respond(&[], &[Text::from("a")], vec![], Ok(vec![Ok(created())]));
        let topic = &response.topics[0];
        assert_eq!((topic.topic_id, topic.error_code, &topic.error_message), (Uuid([7; 16]), 0, &None));
        assert_eq!((topic.num_partitions, topic.replication_factor), (3, 1));
        assert_eq!(topic.topic_config_error_code, 0);
        let [config] = topic.configs.as_deref().unwrap() else { panic!("{topic:?}") };
        assert_eq!((config.name.as_str(), config.value.as_deref()), ("retention.ms", Some("5")));
        assert_eq!((config.config_source, config.read_only, config.is_sensitive), (1, false, false));
    }

    #[test]
    fn a_refused_topic_has_neither_counts_nor_settings() {
        let refused = Refused::new(ErrorCode::InvalidPartitions, "why");
        let response = respond(&[], &[Text::from("a")], vec![], Ok(vec![Err(refused)]));
        let topic = &response.topics[0];
        assert_eq!((topic.topic_id, topic.error_code), (Uuid::ZERO, 37));
        assert_eq!(topic.error_message.as_deref(), Some("why"));
        assert_eq!((topic.num_partitions, topic.replication_factor), (-1, -1));
        assert_eq!(topic.configs, Some(Vec::new()));
    }
}
