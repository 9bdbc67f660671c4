//! DeleteTopics: topics that are to go, by name or id.

use std::collections::{HashMap, HashSet};

use logmill_engine::format::Uuid;

use super::{Answer, Call, Reply};
use crate::metadata::{self, Image, Order, Outcome, Refused, ask};
use crate::net::conn::Ended;
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::{ErrorCode, Text};

/// From this version on topics are not just names.
const STATES_FROM: i16 = 6;
/// From this version on clients know the error that deletion is disabled.
const DISABLED_FROM: i16 = 3;

pub(crate) fn handle(request: DeleteTopicsRequest, call: Call) -> Result<Reply, Ended> {
    let topics = named(&request, call.version);
    if !call.shard.broker().config.delete_topics {
        let code = match call.version < DISABLED_FROM {
            true => ErrorCode::InvalidRequest,
            false => ErrorCode::TopicDeletionDisabled,
        };
        return call.now(&refuse_all(&topics, code));
    }
    Ok(Reply::Later(Box::pin(answer(topics, request.timeout_ms, call))))
}

async fn answer(topics: Vec<DeleteTopicState>, timeout_ms: i32, call: Call) -> Answer {
    let Sorted { found, refused } = sort(&topics, &call.shard.image());
    let outcome = if found.is_empty() {
        Ok(Vec::new())
    } else {
        let expires_ms = call.expires_ms(timeout_ms);
        let ids = found.iter().map(|(id, _)| *id).collect();
        let order = |reply| Order::Delete(metadata::DeleteTopics { ids, expires_ms, reply });
        // Only a stop takes the controller away.
        ask(&call.shard, order).await.unwrap_or(Err(Refused::bare(ErrorCode::RequestTimedOut)))
    };
    call.answer(&respond(&topics, found, refused, outcome))
}

fn named(request: &DeleteTopicsRequest, version: i16) -> Vec<DeleteTopicState> {
    if version >= STATES_FROM {
        return request.topics.clone();
    }
    let state = |name: &Text| DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::ZERO };
    request.topic_names.iter().map(state).collect()
}

/// A request's topics.
struct Sorted {
    /// Those that there are, each once, with their names.
    found: Vec<(Uuid, Text)>,
    refused: Vec<DeletableTopicResult>,
}

/// A name and an id may mean one topic: then neither counts, as if the name had come twice.
fn sort(topics: &[DeleteTopicState], image: &Image) -> Sorted {
    let mut refused = Vec::new();
    let mut names = Once::default();
    let mut ids = Once::default();
    for DeleteTopicState { name, topic_id } in topics {
        match (name, *topic_id) {
            (None, Uuid::ZERO) => {
                refused.push(invalid(None, Uuid::ZERO, "Neither topic name nor id were specified."));
            }
            (None, id) => ids.add(id),
            (Some(name), Uuid::ZERO) => names.add(name.clone()),
            (Some(name), id) => refused.push(invalid(
                Some(name.clone()),
                id,
                "You may not specify both topic name and topic id.",
            )),
        }
    }
    refused.extend(names.repeated().map(|name| invalid(Some(name), Uuid::ZERO, "Duplicate topic name.")));
    refused.extend(ids.repeated().map(|id| invalid(None, id, "Duplicate topic id.")));

    let mut found: HashMap<Uuid, Text> = HashMap::new();
    for id in ids.once() {
        match image.by_id(id) {
            Some(topic) => drop(found.insert(id, topic.name.clone())),
            None => refused.push(result(None, id, Err(Refused::unknown_topic_id()))),
        }
    }
    for name in names.once() {
        let Some(topic) = image.by_name(&name) else {
            let message = "This server does not host this topic-partition.";
            let unknown = Refused::new(ErrorCode::UnknownTopicOrPartition, message);
            refused.push(result(Some(name), Uuid::ZERO, Err(unknown)));
            continue;
        };
        if found.remove(&topic.id).is_some() || ids.is_repeated(&topic.id) {
            let message = "The provided topic name maps to an ID that was already supplied.";
            refused.push(invalid(Some(name), topic.id, message));
        } else {
            found.insert(topic.id, name);
        }
    }
    let mut found: Vec<(Uuid, Text)> = found.into_iter().collect();
    // The order of a hash map must not decide which topic goes first.
    found.sort();
    Sorted { found, refused }
}

/// What was named once, and what more often.
struct Once<T> {
    /// Everything, in the order in which it came.
    all: Vec<T>,
    seen: HashSet<T>,
    twice: HashSet<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once { all: Vec::new(), seen: HashSet::new(), twice: HashSet::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Once<T> {
    fn add(&mut self, item: T) {
        if self.seen.insert(item.clone()) {
            self.all.push(item);
        } else {
            self.twice.insert(item);
        }
    }

    fn once(&self) -> impl Iterator<Item = T> + '_ {
        self.all.iter().filter(|item| !self.is_repeated(item)).cloned()
    }

    fn repeated(&self) -> impl Iterator<Item = T> + '_ {
        self.all.iter().filter(|item| self.is_repeated(item)).cloned()
    }

    fn is_repeated(&self, item: &T) -> bool {
        self.twice.contains(item)
    }
}

fn respond(
    topics: &[DeleteTopicState],
    found: Vec<(Uuid, Text)>,
    refused: Vec<DeletableTopicResult>,
    outcome: Outcome<()>,
) -> DeleteTopicsResponse {
    let results = match outcome {
        Ok(results) => results,
        Err(refused) => return refuse_all(topics, refused.code),
    };
    let mut responses = refused;
    responses
        .extend(found.into_iter().zip(results).map(|((id, name), outcome)| result(Some(name), id, outcome)));
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn refuse_all(topics: &[DeleteTopicState], code: ErrorCode) -> DeleteTopicsResponse {
    let refused =
        |topic: &DeleteTopicState| result(topic.name.clone(), topic.topic_id, Err(Refused::bare(code)));
    DeleteTopicsResponse { responses: topics.iter().map(refused).collect(), ..Default::default() }
}

fn invalid(name: Option<Text>, id: Uuid, message: &str) -> DeletableTopicResult {
    result(name, id, Err(Refused::new(ErrorCode::InvalidRequest, message)))
}

fn result(name: Option<Text>, topic_id: Uuid, outcome: Result<(), Refused>) -> DeletableTopicResult {
    let (error_code, error_message) = match outcome {
        Ok(()) => (0, None),
        Err(Refused { code, message }) => (code as i16, message),
    };
    DeletableTopicResult { name, topic_id, error_code, error_message }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::TopicOverrides;
    use crate::metadata::Topic;

    const A: Uuid = Uuid([1; 16]);
    const B: Uuid = Uuid([2; 16]);
    const UNKNOWN: Uuid = Uuid([9; 16]);

    fn image() -> Image {
        let mut image = Image::default();
        for (name, id) in [("a", A), ("b", B)] {
            image.insert(Arc::new(Topic {
                name: Text::from(name),
                id,
                dirs: vec![0],
                overrides: TopicOverrides::default(),
            }));
        }
        image
    }

    fn state(name: Option<&str>, topic_id: Uuid) -> DeleteTopicState {
        DeleteTopicState { name: name.map(Text::from), topic_id }
    }

    /// The names of the topics to delete, and what is told of the others.
    fn sorted(topics: &[(Option<&str>, Uuid)]) -> (Vec<String>, Vec<DeletableTopicResult>) {
        let topics: Vec<_> = topics.iter().map(|(name, id)| state(*name, *id)).collect();
        let Sorted { found, refused } = sort(&topics, &image());
        (found.into_iter().map(|(_, name)| name.to_string()).collect(), refused)
    }

    fn refusals(topics: &[(Option<&str>, Uuid)]) -> Vec<(Option<String>, Uuid, i16, String)> {
        let (found, refused) = sorted(topics);
        assert_eq!(found, [""; 0]);
        let told = refused.into_iter().map(|result| {
            let DeletableTopicResult { name, topic_id, error_code, error_message } = result;
            (name.map(|name| name.to_string()), topic_id, error_code, error_message.unwrap().to_string())
        });
        told.collect()
    }

    #[test]
    fn topics_are_found_by_name_and_by_id() {
        let (found, refused) = sorted(&[(Some("b"), Uuid::ZERO), (None, A)]);
        assert_eq!((found, refused), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    }

    #[test]
    fn what_is_not_there_or_badly_named_is_told_with_the_reason() {
        let one = |name: Option<&str>, id, code, message: &str| {
            vec![(name.map(str::to_owned), id, code, message.to_owned())]
        };
        let neither = "Neither topic name nor id were specified.";
        let both = "You may not specify both topic name and topic id.";
        let no_name = "This server does not host this topic-partition.";
        let no_id = "This server does not host this topic ID.";
        for (topic, expected) in [
            ((None, Uuid::ZERO), one(None, Uuid::ZERO, 42, neither)),
            ((Some("a"), A), one(Some("a"), A, 42, both)),
            ((Some("x"), Uuid::ZERO), one(Some("x"), Uuid::ZERO, 3, no_name)),
            ((Some(""), Uuid::ZERO), one(Some(""), Uuid::ZERO, 3, no_name)),
            ((None, UNKNOWN), one(None, UNKNOWN, 100, no_id)),
        ] {
            assert_eq!(refusals(&[topic]), expected);
        }
    }

    #[test]
    fn a_topic_that_is_named_twice_stays() {
        let named = (Some("a"), Uuid::ZERO);
        let duplicate = |name: Option<&str>, id, message: &str| {
            vec![(name.map(str::to_owned), id, 42, message.to_owned())]
        };
        let by_name = duplicate(Some("a"), Uuid::ZERO, "Duplicate topic name.");
        assert_eq!(refusals(&[named; 3]), by_name);
        assert_eq!(refusals(&[(None, A); 2]), duplicate(None, A, "Duplicate topic id."));
        let both_ways =
            duplicate(Some("a"), A, "The provided topic name maps to an ID that was already supplied.");
        assert_eq!(refusals(&[named, (None, A)]), both_ways);
        let thrice = refusals(&[(None, A), (None, A), named]);
        assert_eq!(thrice[1..], both_ways);
    }

    #[test]
    fn a_refusal_of_the_whole_request_is_told_of_every_topic_as_it_was_named() {
        let topics = [state(Some("a"), Uuid::ZERO), state(None, B), state(None, B)];
        let outcome = Err(Refused::bare(ErrorCode::RequestTimedOut));
        let told: Vec<_> = respond(&topics, vec![], vec![], outcome)
            .responses
            .into_iter()
            .map(|result| (result.name.map(|name| name.to_string()), result.topic_id, result.error_code))
            .collect();
        assert_eq!(told, [(Some("a".to_owned()), Uuid::ZERO, 7), (None, B, 7), (None, B, 7)]);
    }

    #[test]
    fn old_versions_name_topics_by_name_alone() {
        let request = DeleteTopicsRequest {
            topics: vec![state(None, A)],
            topic_names: vec![Text::from("b")],
            timeout_ms: 0,
        };
        assert_eq!(named(&request, 5), [state(Some("b"), Uuid::ZERO)]);
        assert_eq!(named(&request, 6), [state(None, A)]);
    }
}
