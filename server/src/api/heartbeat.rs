//! Heartbeat: whether the member is still one, and its generation the newest.

use super::coordinator::ask;
use super::{Call, Reply};
use crate::group::{GroupCommand, Heartbeat};
use crate::net::conn::Ended;
use crate::wire::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

/// Hands the request on in order; the answer comes later.
pub(super) async fn handle(request: HeartbeatRequest, call: Call) -> Result<Reply, Ended> {
    if request.group_id.is_empty() {
        return call.now(&respond(ErrorCode::InvalidGroupId));
    }
    let heartbeat = Heartbeat {
        member_id: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
    };
    let heard = ask(&call, &request.group_id, heartbeat, GroupCommand::Heartbeat).await;
    let answer = async move {
        let code = heard.await.unwrap_or_else(|code| code);
        call.answer(&respond(code))
    };
    Ok(Reply::Later(Box::pin(answer)))
}

fn respond(code: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() }
}
