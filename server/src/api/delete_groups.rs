//! DeleteGroups: groups without members go, with what they have committed.

use std::collections::HashSet;

use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{GroupCommand, GroupQueries, partition_of};
use crate::net::conn::Ended;
use crate::shard::Command;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

pub(super) fn handle(request: DeleteGroupsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: DeleteGroupsRequest, call: Call) -> Answer {
    let image = call.shard.image();
    let mut names = request.groups_names;
    // The answer has each group once.
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut shares = Shares::new();
    let mut places = Vec::with_capacity(names.len());
    for name in &names {
        places.push(match image.by_name(CONSUMER_OFFSETS) {
            None => Place::Refused(ErrorCode::NotCoordinator),
            Some(topic) => {
                let coordinator = partition_of(name, topic);
                shares.add(&call.shard, coordinator, (coordinator, name.clone()))
            }
        });
    }
    let delete = |groups, reply| Command::Group(GroupCommand::Delete(GroupQueries { groups, reply }));
    let mut answers = shares.ask(&call.shard, delete).await.answers().await;
    let mut results = Vec::with_capacity(names.len());
    for (group_id, place) in names.into_iter().zip(places) {
        let deleted = match answers.take(place) {
            Ok(Ok(held)) => held.release().await,
            Ok(Err(code)) | Err(code) => Err(code),
        };
        let code = deleted.unwrap_or_else(|code| code);
        results.push(DeletableGroupResult { group_id, error_code: code.code() });
    }
    call.answer(&DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() })
}
