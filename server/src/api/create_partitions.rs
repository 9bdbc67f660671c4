//! CreatePartitions: more partitions for topics that are there.

use std::collections::HashSet;

use super::{Answer, Call, Reply};
use crate::metadata::{GrowTopics, MorePartitions, Order, Outcome, Refused, ask};
use crate::net::conn::Ended;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::wire::{ErrorCode, Text};

pub(crate) fn handle(request: CreatePartitionsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: CreatePartitionsRequest, call: Call) -> Answer {
    let CreatePartitionsRequest { topics, timeout_ms, validate_only: is_dry_run } = request;
    let (topics, repeated) = sort(topics);
    let names: Vec<Text> = topics.iter().map(|topic| topic.name.clone()).collect();
    let outcome = if topics.is_empty() {
        Ok(Vec::new())
    } else {
        let expires_ms = call.expires_ms(timeout_ms);
        let order = |reply| Order::Grow(GrowTopics { topics, is_dry_run, expires_ms, reply });
        // Only a stop takes the controller away.
        ask(&call.shard, order).await.unwrap_or(Err(Refused::bare(ErrorCode::RequestTimedOut)))
    };
    call.answer(&respond(names, repeated, outcome))
}

/// Topics that are named once, and the names of the others.
fn sort(topics: Vec<CreatePartitionsTopic>) -> (Vec<MorePartitions>, Vec<Text>) {
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    for topic in &topics {
        if !seen.insert(&topic.name) && !repeated.contains(&topic.name) {
            repeated.push(topic.name.clone());
        }
    }
    let once = topics.into_iter().filter(|topic| !repeated.contains(&topic.name)).map(|topic| {
        let assignments = topic.assignments.map(|all| all.into_iter().map(|one| one.broker_ids).collect());
        MorePartitions { name: topic.name, count: topic.count, assignments }
    });
    (once.collect(), repeated)
}

fn respond(names: Vec<Text>, repeated: Vec<Text>, outcome: Outcome<()>) -> CreatePartitionsResponse {
    let repeated = repeated
        .into_iter()
        .map(|name| result(name, Err(Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name."))));
    let results = match outcome {
        Ok(results) => results,
        Err(refused) => names.iter().map(|_| Err(refused.clone())).collect(),
    };
    let once = names.into_iter().zip(results).map(|(name, outcome)| result(name, outcome));
    CreatePartitionsResponse {
        results: repeated.chain(once).collect(),
        ..CreatePartitionsResponse::default()
    }
}

fn result(name: Text, outcome: Result<(), Refused>) -> CreatePartitionsTopicResult {
    match outcome {
        Ok(()) => CreatePartitionsTopicResult { name, ..CreatePartitionsTopicResult::default() },
        Err(Refused { code, message }) => {
            CreatePartitionsTopicResult { name, error_code: code as i16, error_message: message }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_named_twice_is_refused_once_and_the_others_are_not() {
        let topic =
            |name| CreatePartitionsTopic { name: Text::from(name), ..CreatePartitionsTopic::default() };
        let (once, repeated) = sort(["a", "b", "a", "a"].map(topic).to_vec());
        assert_eq!(once.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["b"]);
        let response = respond(vec![Text::from("b")], repeated, Ok(vec![Ok(())]));
        let told: Vec<(&str, i16)> =
            response.results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
        assert_eq!(told, [("a", 42), ("b", 0)]);
    }
}
