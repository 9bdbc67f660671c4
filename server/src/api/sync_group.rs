//! SyncGroup: answered when the assignment is written.

use super::coordinator::ask;
use super::{Call, Reply};
use crate::group::{GroupCommand, Sync, SyncAnswer};
use crate::net::conn::Ended;
use crate::wire::ErrorCode;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// From this version on clients have to say what they believe the group to be.
const PROTOCOL_FROM: i16 = 5;

/// Hands the request on in order; the answer comes later.
pub(super) async fn handle(request: SyncGroupRequest, call: Call) -> Result<Reply, Ended> {
    let is_unnamed = request.protocol_type.is_none() || request.protocol_name.is_none();
    let refused = if request.group_id.is_empty() {
        Some(ErrorCode::InvalidGroupId)
    } else if call.version >= PROTOCOL_FROM && is_unnamed {
        Some(ErrorCode::InconsistentGroupProtocol)
    } else {
        None
    };
    if let Some(code) = refused {
        return call.now(&respond(SyncAnswer::refusal(code)));
    }
    let sync = Sync {
        member_id: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|of| (of.member_id, of.assignment)).collect(),
    };
    let synced = ask(&call, &request.group_id, sync, GroupCommand::Sync).await;
    let answer = async move {
        let answer = synced.await.unwrap_or_else(SyncAnswer::refusal);
        call.answer(&respond(answer))
    };
    Ok(Reply::Parked(Box::pin(answer)))
}

fn respond(answer: SyncAnswer) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: answer.code.code(),
        protocol_type: answer.protocol_type,
        protocol_name: answer.protocol,
        assignment: answer.assignment,
        ..SyncGroupResponse::default()
    }
}
