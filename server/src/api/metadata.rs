//! Metadata: this broker, and topics with their partitions; topics that are not there may be made on the way.

use std::collections::HashSet;
use std::rc::Rc;

use logmill_engine::format::Uuid;

use super::node::Node;
use super::{Call, Reply, operations};
use crate::config::topic_name;
use crate::metadata::{CreateTopics, Image, LEADER_EPOCH, NewTopic, Order, Refused, Topic, ask};
use crate::net::conn::Ended;
use crate::shard::LocalShard;
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use crate::wire::{ErrorCode, Text};

/// From this version on topics may be named by id; before it every topic must have a name.
const TOPIC_ID_FROM: i16 = 12;
/// The version in which no topics stand for all of them. Later ones have a null for that.
const EMPTY_IS_ALL: i16 = 0;
/// Topics that one shard has the controller make at a time. Clients ask again for what is beyond them.
const CREATING_MAX: usize = 1_000;

/// Answers at once. Topics that have to be made first are not there yet, and the client asks again.
pub(crate) fn handle(request: MetadataRequest, call: Call) -> Result<Reply, Ended> {
    if let Some(refused) = check(&request, call.version) {
        return call.now(&refused);
    }
    if call.shard.broker().config.auto_create_topics {
        begin_creation(creatable(&request, &call.shard.image(), call.version), &call.shard);
    }
    call.now(&respond_now(&request, &call))
}

/// Has topics made, but for those that are being made.
fn begin_creation(mut names: Vec<Text>, shard: &Rc<LocalShard>) {
    {
        let mut creating = shard.creating().borrow_mut();
        names.retain(|name| creating.len() < CREATING_MAX && creating.insert(name.detached()));
    }
    if names.is_empty() {
        return;
    }
    let names: Vec<Text> = names.iter().map(Text::detached).collect();
    let maker = shard.clone();
    shard.host().runtime.spawn(Box::pin(async move {
        create(&names, &maker).await;
        let mut creating = maker.creating().borrow_mut();
        names.iter().for_each(|name| _ = creating.remove(name));
    }));
}

async fn create(names: &[Text], shard: &LocalShard) {
    let order = |reply| {
        Order::Create(CreateTopics {
            topics: names.iter().cloned().map(NewTopic::with_defaults).collect(),
            is_dry_run: false,
            expires_ms: i64::MAX,
            reply,
        })
    };
    let results = match ask(shard, order).await {
        Some(Ok(results)) => results,
        Some(Err(refused)) => names.iter().map(|_| Err(refused.clone())).collect(),
        None => return,
    };
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(_) => {}
            // Somebody else was faster.
            Err(Refused { code: ErrorCode::TopicAlreadyExists, .. }) => {}
            Err(Refused { code, message }) => {
                let message = message.unwrap_or_default();
                tracing::warn!("topic {name}, which a client asked for, was not made: {code}: {message}");
            }
        }
    }
}

fn respond_now(request: &MetadataRequest, call: &Call) -> MetadataResponse {
    let broker = call.shard.broker();
    let node = Node::of(broker, call.listener);
    respond(request, call.version, &call.shard.image(), node, broker.cluster_id.clone())
}

/// The answer to a request that names topics in a way that its version does not have.
fn check(request: &MetadataRequest, version: i16) -> Option<MetadataResponse> {
    let topics = request.topics.as_deref()?;
    let is_wrong = topics.iter().any(|topic| {
        let has_id = topic.topic_id != Uuid::ZERO;
        if version < TOPIC_ID_FROM { has_id || topic.name.is_none() } else { !has_id && topic.name.is_none() }
    });
    let error_code = ErrorCode::InvalidRequest as i16;
    let refused = topics.iter().map(|topic| MetadataResponseTopic {
        error_code,
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    });
    is_wrong.then(|| MetadataResponse {
        cluster_id: None,
        topics: refused.collect(),
        error_code,
        ..MetadataResponse::default()
    })
}

/// What a request asks about.
enum Asked<'a> {
    All,
    /// Ids, each once. Names beside them are not looked at.
    Ids(Vec<Uuid>),
    /// Names, each once.
    Names(Vec<&'a Text>),
}

fn asked(request: &MetadataRequest, version: i16) -> Asked<'_> {
    let topics = match request.topics.as_deref() {
        None => return Asked::All,
        Some([]) if version == EMPTY_IS_ALL => return Asked::All,
        Some(topics) => topics,
    };
    let mut seen_ids = HashSet::new();
    let ids = topics.iter().map(|topic| topic.topic_id).filter(|id| *id != Uuid::ZERO);
    let ids: Vec<Uuid> = ids.filter(|id| seen_ids.insert(*id)).collect();
    if !ids.is_empty() {
        return Asked::Ids(ids);
    }
    let mut seen_names = HashSet::new();
    let names = topics.iter().filter_map(|topic| topic.name.as_ref());
    Asked::Names(names.filter(|name| seen_names.insert(name.as_str())).collect())
}

/// The topics that the client wants made because they are not there. The broker's own ones are made by their
/// coordinators, which know what they need.
fn creatable(request: &MetadataRequest, image: &Image, version: i16) -> Vec<Text> {
    let Asked::Names(names) = asked(request, version) else { return Vec::new() };
    let is_creatable = |name: &&Text| {
        image.by_name(name).is_none()
            && topic_name::validate(name).is_ok()
            && !topic_name::is_internal(name)
            && name.as_str() != topic_name::CLUSTER_METADATA
    };
    if !request.allow_auto_topic_creation {
        return Vec::new();
    }
    names.into_iter().filter(is_creatable).cloned().collect()
}

fn respond(
    request: &MetadataRequest,
    version: i16,
    image: &Image,
    node: Node,
    cluster_id: Text,
) -> MetadataResponse {
    let operations = match request.include_topic_authorized_operations {
        true => operations::ON_TOPIC,
        false => operations::NOT_ASKED,
    };
    let known = |topic: &Topic| topic_response(topic, node.id, operations);
    let topics = match asked(request, version) {
        Asked::All => image.topics().map(|topic| known(topic)).collect(),
        Asked::Ids(ids) => ids
            .into_iter()
            .map(|id| image.by_id(id).map_or_else(|| unknown_id(id), |topic| known(topic)))
            .collect(),
        Asked::Names(names) => names
            .into_iter()
            .map(|name| {
                image.by_name(name).map_or_else(|| unknown_name(name, operations), |topic| known(topic))
            })
            .collect(),
    };
    let Node { id, host, port, rack } = node;
    MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id: id, host, port, rack }],
        cluster_id: Some(cluster_id),
        controller_id: id,
        topics,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => operations::ON_CLUSTER,
            false => operations::NOT_ASKED,
        },
        ..MetadataResponse::default()
    }
}

fn topic_response(topic: &Topic, node_id: i32, operations: i32) -> MetadataResponseTopic {
    let partition = |partition_index| MetadataResponsePartition {
        error_code: 0,
        partition_index,
        leader_id: node_id,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        offline_replicas: Vec::new(),
    };
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions: topic.partition_ids().map(|id| partition(id.index)).collect(),
        topic_authorized_operations: operations,
    }
}

fn unknown_id(topic_id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: ErrorCode::UnknownTopicId as i16,
        name: None,
        topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn unknown_name(name: &Text, operations: i32) -> MetadataResponseTopic {
    let code = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    MetadataResponseTopic {
        error_code: code as i16,
        name: Some(name.clone()),
        is_internal: topic_name::is_internal(name),
        topic_authorized_operations: operations,
        ..MetadataResponseTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::TopicOverrides;
    use crate::wire::messages::metadata::MetadataRequestTopic;

    fn image() -> Image {
        let mut image = Image::default();
        for (name, byte) in [("a", 1), ("b", 2), ("__consumer_offsets", 3)] {
            image.insert(Arc::new(Topic {
                name: Text::from(name),
                id: Uuid([byte; 16]),
                dirs: vec![0; 2],
                overrides: TopicOverrides::default(),
            }));
        }
        image
    }

    fn named(name: &str) -> MetadataRequestTopic {
        MetadataRequestTopic { topic_id: Uuid::ZERO, name: Some(Text::from(name)) }
    }

    fn with_id(byte: u8) -> MetadataRequestTopic {
        MetadataRequestTopic { topic_id: Uuid([byte; 16]), name: None }
    }

    fn request(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
        MetadataRequest { topics, ..MetadataRequest::default() }
    }

    fn answer(request: &MetadataRequest, version: i16) -> MetadataResponse {
        let node = Node { id: 5, host: Text::from("h"), port: 9, rack: Some(Text::from("r")) };
        respond(request, version, &image(), node, Text::from("cluster"))
    }

    /// The topics of the answer by name or id, with the error behind those that have one.
    fn topics(request: &MetadataRequest, version: i16) -> String {
        let shown = answer(request, version).topics.into_iter().map(|topic| {
            let name = topic.name.map_or_else(|| topic.topic_id.to_string(), |name| name.to_string());
            if topic.error_code == 0 { name } else { format!("{name}!{}", topic.error_code) }
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn all_topics_are_asked_for_by_null_and_in_the_oldest_version_by_none() {
        let all = "__consumer_offsets a b";
        assert_eq!(topics(&request(None), 1), all);
        assert_eq!(topics(&request(Some(vec![])), 0), all);
        assert_eq!(topics(&request(Some(vec![])), 1), "");
    }

    #[test]
    fn names_are_answered_once_each_and_the_unknown_with_the_reason() {
        let asked = request(Some(["b", "nope", "a b", "", "b"].map(named).to_vec()));
        assert_eq!(topics(&asked, 4), "b nope!3 a b!17 !17");
    }

    #[test]
    fn where_an_id_is_asked_for_names_are_not_looked_at() {
        let asked = request(Some(vec![with_id(2), named("a"), with_id(9), with_id(2)]));
        assert_eq!(topics(&asked, 12), format!("b {}!100", Uuid([9; 16])));
        let unknown = answer(&asked, 12).topics.pop().unwrap();
        assert_eq!((unknown.name, unknown.topic_authorized_operations), (None, i32::MIN));
    }

    #[test]
    fn a_topic_is_named_as_its_version_can() {
        let nameless = request(Some(vec![named("a"), with_id(0)]));
        let by_id = request(Some(vec![with_id(1)]));
        for version in [1, 10, 11] {
            for wrong in [&nameless, &by_id] {
                let refused = check(wrong, version).unwrap();
                assert_eq!((refused.error_code, refused.brokers.len()), (42, 0));
                assert!(refused.topics.iter().all(|topic| topic.error_code == 42 && topic.name.is_some()));
            }
        }
        for version in [12, 13] {
            assert!(check(&nameless, version).is_some());
            assert_eq!(check(&by_id, version), None);
        }
        assert_eq!(check(&request(None), 13), None);
    }

    #[test]
    fn this_broker_leads_and_holds_every_partition() {
        let response = answer(&request(Some(vec![named("a"), named("__consumer_offsets")])), 13);
        let broker = &response.brokers[0];
        assert_eq!((broker.node_id, broker.host.as_str(), broker.port), (5, "h", 9));
        assert_eq!((broker.rack.as_deref(), response.controller_id), (Some("r"), 5));
        assert_eq!(response.cluster_id.as_deref(), Some("cluster"));
        let [a, offsets] = &response.topics[..] else { panic!("{response:?}") };
        assert_eq!((a.topic_id, a.is_internal, offsets.is_internal), (Uuid([1; 16]), false, true));
        let indexes: Vec<i32> = a.partitions.iter().map(|partition| partition.partition_index).collect();
        assert_eq!(indexes, [0, 1]);
        for partition in &a.partitions {
            assert_eq!((partition.error_code, partition.leader_id, partition.leader_epoch), (0, 5, 0));
            assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![5], &vec![5]));
            assert_eq!(partition.offline_replicas, []);
        }
    }

    #[test]
    fn operations_are_told_to_those_who_ask() {
        let mut asked = request(Some(vec![named("a"), named("nope")]));
        let operations = |asked: &MetadataRequest| {
            let response = answer(asked, 8);
            let topics: Vec<i32> =
                response.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
            (response.cluster_authorized_operations, topics)
        };
        assert_eq!(operations(&asked), (i32::MIN, vec![i32::MIN; 2]));
        asked.include_topic_authorized_operations = true;
        asked.include_cluster_authorized_operations = true;
        assert_eq!(operations(&asked), (8096, vec![3576; 2]));
    }

    #[test]
    fn only_missing_topics_that_clients_may_have_are_made() {
        let names = ["a", "new", "a b", "__transaction_state", "__cluster_metadata", "new", "."];
        let mut asked = request(Some(names.map(named).to_vec()));
        assert_eq!(creatable(&asked, &image(), 9), ["new"]);
        asked.allow_auto_topic_creation = false;
        assert_eq!(creatable(&asked, &image(), 9), [""; 0]);
        assert_eq!(creatable(&request(None), &image(), 9), [""; 0]);
        assert_eq!(creatable(&request(Some(vec![with_id(9), named("new")])), &image(), 12), [""; 0]);
    }
}
