//! ListGroups: the groups of all coordinators.

use tokio::sync::oneshot;

use super::{Answer, Call, Reply};
use crate::group::{GroupCommand, ListedGroup};
use crate::net::conn::Ended;
use crate::shard::Command;
use crate::wire::messages::list_groups::{self, ListGroupsRequest, ListGroupsResponse};
use crate::wire::{ErrorCode, Text};

/// The kind of all groups that there are.
const CLASSIC: &str = "classic";

pub(super) fn handle(request: ListGroupsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: ListGroupsRequest, call: Call) -> Answer {
    match all_groups(&call).await {
        Ok(groups) => {
            let wanted = groups.into_iter().filter(|group| is_wanted(group, &request));
            let groups = wanted.map(|group| list_groups::ListedGroup {
                group_id: group.name,
                protocol_type: group.protocol_type,
                group_state: Text::from_static(group.state.name()),
                group_type: Text::from_static(CLASSIC),
            });
            call.answer(&ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() })
        }
        Err(code) => {
            call.answer(&ListGroupsResponse { error_code: code.code(), ..ListGroupsResponse::default() })
        }
    }
}

async fn all_groups(call: &Call) -> Result<Vec<ListedGroup>, ErrorCode> {
    let mut asked = Vec::new();
    for shard in 0..call.shard.broker().shards() {
        let (reply, lists) = oneshot::channel();
        call.shard.send(shard, Command::Group(GroupCommand::List(reply))).await;
        asked.push(lists);
    }
    let mut groups = Vec::new();
    for lists in asked {
        // A shard that is gone takes the process with it.
        for held in lists.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)? {
            match held.release().await {
                Ok(list) => groups.extend(list),
                // Its groups are somebody else's now.
                Err(ErrorCode::NotCoordinator) => (),
                Err(code) => return Err(code),
            }
        }
    }
    Ok(groups)
}

/// Filters are in any case, and none lets everything through.
fn is_wanted(group: &ListedGroup, request: &ListGroupsRequest) -> bool {
    let passes = |filter: &[Text], what: &str| {
        filter.is_empty() || filter.iter().any(|name| name.trim().eq_ignore_ascii_case(what))
    };
    passes(&request.states_filter, group.state.name()) && passes(&request.types_filter, CLASSIC)
}
