//! LeaveGroup: members go, or are sent away.

use super::coordinator::ask;
use super::{Call, Reply};
use crate::group::{GroupCommand, Leaving};
use crate::net::conn::Ended;
use crate::wire::ErrorCode;
use crate::wire::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};

/// From this version on a request names many members.
const BATCHED_FROM: i16 = 3;

/// Hands the request on in order; the answer comes later.
pub(super) async fn handle(request: LeaveGroupRequest, call: Call) -> Result<Reply, Ended> {
    if request.group_id.is_empty() {
        return call.now(&refusal(ErrorCode::InvalidGroupId));
    }
    let members = if call.version >= BATCHED_FROM {
        request.members
    } else {
        vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }]
    };
    let leaving = |member: &MemberIdentity| Leaving {
        member_id: member.member_id.clone(),
        instance: member.group_instance_id.clone(),
        reason: member.reason.clone(),
    };
    let leaving = members.iter().map(leaving).collect();
    let left = ask(&call, &request.group_id, leaving, GroupCommand::Leave).await;
    let answer = async move {
        match left.await {
            Ok(codes) => call.answer(&respond(members, &codes, call.version)),
            Err(code) => call.answer(&refusal(code)),
        }
    };
    Ok(Reply::Later(Box::pin(answer)))
}

fn refusal(code: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: code.code(), ..LeaveGroupResponse::default() }
}

/// With a code for each member; older versions have room for that of the one that they can name.
fn respond(members: Vec<MemberIdentity>, codes: &[ErrorCode], version: i16) -> LeaveGroupResponse {
    if version < BATCHED_FROM {
        return refusal(codes[0]);
    }
    let member = |(member, code): (MemberIdentity, &ErrorCode)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: code.code(),
    };
    let members = members.into_iter().zip(codes).map(member).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}
