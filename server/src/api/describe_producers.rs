//! DescribeProducers: the idempotent producers that partitions know.

use std::collections::{BTreeMap, BTreeSet};

use logmill_engine::format::ProducerEntry;

use super::errors::code_of;
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::config::topic_name;
use crate::net::conn::Ended;
use crate::shard::{Command, FindProducers};
use crate::wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest,
    TopicResponse,
};
use crate::wire::{ErrorCode, Text};

/// Stands for the start of a transaction where none is open.
const NO_TRANSACTION: i64 = -1;

pub(crate) fn handle(request: DescribeProducersRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: DescribeProducersRequest, call: Call) -> Answer {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut placed = Vec::new();
    for (name, indexes) in named(request) {
        let topic = topic_name::validate(&name)
            .map_err(|invalid| (ErrorCode::InvalidTopicException, invalid.to_string()))
            .and_then(|()| image.by_name(&name).ok_or_else(unknown_topic));
        let place = |index| {
            let place = match &topic {
                Ok(topic) => match topic.partition(index) {
                    Some(id) => shares.add(&call.shard, id, id),
                    None => Place::Refused(ErrorCode::UnknownTopicOrPartition),
                },
                Err((code, _)) => Place::Refused(*code),
            };
            (index, place)
        };
        let places: Vec<_> = indexes.into_iter().map(place).collect();
        placed.push((name, topic.err().map(|(_, message)| Text::from(message)), places));
    }
    let find = |partitions, reply| Command::FindProducers(FindProducers { partitions, reply });
    let mut answers = shares.ask(&call.shard, find).await.answers().await;
    let topics = placed.into_iter().map(|(name, message, places)| {
        let partitions = places.into_iter().map(|(index, place)| {
            match answers.take(place).and_then(|answer| answer.map_err(|error| code_of(&error))) {
                Ok(producers) => PartitionResponse {
                    partition_index: index,
                    active_producers: producers.into_iter().map(state).collect(),
                    ..PartitionResponse::default()
                },
                Err(code) => PartitionResponse {
                    partition_index: index,
                    error_code: code as i16,
                    error_message: message.clone(),
                    ..PartitionResponse::default()
                },
            }
        });
        TopicResponse { name, partitions: partitions.collect() }
    });
    let topics = topics.collect();
    call.answer(&DescribeProducersResponse { topics, ..DescribeProducersResponse::default() })
}

fn unknown_topic() -> (ErrorCode, String) {
    (ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition.".to_owned())
}

/// Each partition once, however often it is named: a few bytes could ask for very many producers.
fn named(request: DescribeProducersRequest) -> BTreeMap<Text, BTreeSet<i32>> {
    let mut named: BTreeMap<Text, BTreeSet<i32>> = BTreeMap::new();
    for TopicRequest { name, partition_indexes } in request.topics {
        named.entry(name).or_default().extend(partition_indexes);
    }
    named
}

fn state(producer: ProducerEntry) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.unwrap_or(NO_TRANSACTION),
    }
}
