//! Questions for the coordinator of a group, and their answers.

use std::future::Future;

use tokio::sync::oneshot;

use super::Call;
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{Ask, GroupCommand, partition_of};
use crate::shard::Command;
use crate::wire::{ErrorCode, Text};

/// Asks a group's coordinator, waiting for room where its mailbox has none: questions of one connection reach it
/// in order. The answer comes later, when all that it rests on is durable.
pub(super) async fn ask<Q, A, F: FnOnce(Ask<Q, A>) -> GroupCommand>(
    call: &Call,
    group: &Text,
    question: Q,
    command: F,
) -> impl Future<Output = Result<A, ErrorCode>> + use<Q, A, F> {
    let (reply, answer) = oneshot::channel();
    // Where there is no topic the reply is dropped here: nobody is the coordinator.
    if let Some(topic) = call.shard.image().by_name(CONSUMER_OFFSETS) {
        let coordinator = partition_of(group, topic);
        let ask = Ask { coordinator, group: group.clone(), question, reply };
        call.shard.send(call.shard.owner_of(coordinator), Command::Group(command(ask))).await;
    }
    async move {
        match answer.await {
            Ok(Ok(held)) => held.release().await,
            Ok(Err(code)) => Err(code),
            // It is not the coordinator any more, or its shard is gone and takes the process with it.
            Err(_) => Err(ErrorCode::NotCoordinator),
        }
    }
}
