//! JoinGroup: answered when the group has its next generation.

use std::collections::HashSet;

use super::coordinator::ask;
use super::{Call, Reply};
use crate::group::{GroupCommand, Join, JoinAnswer};
use crate::net::conn::Ended;
use crate::random::Random;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use crate::wire::{ErrorCode, Text};

/// From this version on clients have a time to rejoin of its own.
const REBALANCE_TIMEOUT_FROM: i16 = 1;
/// From this version on clients come back with the id that they are given.
const KNOWN_MEMBER_ID_FROM: i16 = 4;
/// From this version on clients know of no protocol.
const NULLABLE_PROTOCOL_FROM: i16 = 7;
/// From this version on a leader can be told to keep the assignment.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Hands the request on in order; the answer comes later.
pub(super) async fn handle(request: JoinGroupRequest, client_id: Text, call: Call) -> Result<Reply, Ended> {
    let settings = &call.shard.broker().config.groups;
    let refused = if request.group_id.is_empty() {
        Some(ErrorCode::InvalidGroupId)
    } else if !(settings.session_ms_min..=settings.session_ms_max).contains(&request.session_timeout_ms) {
        Some(ErrorCode::InvalidSessionTimeout)
    } else {
        None
    };
    if let Some(code) = refused {
        return call.now(&respond(JoinAnswer::refusal(request.member_id, code), call.version));
    }
    let has_rebalance_timeout = call.version >= REBALANCE_TIMEOUT_FROM;
    let mut join = Join {
        // In memory of its own: the answer comes late, and the frame is not needed for it.
        member_id: request.member_id.detached(),
        fresh_id: fresh_id(&*call.shard.host().random),
        comes_back_with_id: call.version >= KNOWN_MEMBER_ID_FROM,
        knows_skipping: call.version >= SKIP_ASSIGNMENT_FROM,
        instance: request.group_instance_id,
        client_id,
        client_host: Text::from(format!("/{}", call.peer)),
        session_ms: request.session_timeout_ms,
        rebalance_ms: if has_rebalance_timeout {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|of| (of.name, of.metadata)).collect(),
        reason: request.reason,
    };
    let member_id = join.member_id.clone();
    // A name that comes twice counts once.
    let mut seen = HashSet::new();
    join.protocols.retain(|(name, _)| seen.insert(name.clone()));
    drop(seen);
    let joined = ask(&call, &request.group_id, join, GroupCommand::Join).await;
    let answer = async move {
        let answer = joined.await.unwrap_or_else(|code| JoinAnswer::refusal(member_id, code));
        call.answer(&respond(answer, call.version))
    };
    Ok(Reply::Parked(Box::pin(answer)))
}

/// A random id in the form that Apache Kafka's has.
fn fresh_id(random: &dyn Random) -> String {
    let digits: String = random.uuid().0.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

fn respond(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let member = |(member_id, group_instance_id, metadata)| JoinGroupResponseMember {
        member_id,
        group_instance_id,
        metadata,
    };
    let no_protocol = (version < NULLABLE_PROTOCOL_FROM).then_some(Text::EMPTY);
    JoinGroupResponse {
        error_code: answer.code.code(),
        generation_id: answer.generation,
        protocol_type: answer.protocol_type,
        protocol_name: answer.protocol.or(no_protocol),
        leader: answer.leader,
        skip_assignment: answer.skips_assignment,
        member_id: answer.member_id,
        members: answer.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}
