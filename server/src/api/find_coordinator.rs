//! FindCoordinator: this broker, for every group.

use super::node::Node;
use super::{Answer, Call, Reply};
use crate::group;
use crate::net::conn::Ended;
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Text};

/// Key types.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From this version on a request has many keys.
const BATCHED_FROM: i16 = 4;

/// Why there is no coordinator.
type Refused = (ErrorCode, &'static str);

pub(crate) fn handle(request: FindCoordinatorRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: FindCoordinatorRequest, call: Call) -> Answer {
    let found = find(request.key_type, &call).await;
    let coordinator = |key| coordinator(key, &found, &call);
    if call.version >= BATCHED_FROM {
        let coordinators = request.coordinator_keys.into_iter().map(coordinator).collect();
        return call.answer(&FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() });
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = coordinator(request.key);
    call.answer(&FindCoordinatorResponse {
        error_code,
        error_message,
        node_id,
        host,
        port,
        ..FindCoordinatorResponse::default()
    })
}

/// Whether keys of this type have a coordinator. Before the answer to the first group its topic is made, so
/// that nobody has to ask again.
async fn find(key_type: i8, call: &Call) -> Result<(), Refused> {
    match key_type {
        GROUP => match group::find_or_create(&call.shard).await {
            Some(_) => Ok(()),
            None => Err((ErrorCode::CoordinatorNotAvailable, "The coordinator is not available.")),
        },
        // A fatal code: clients would try a retriable one for ever.
        TRANSACTION => {
            Err((ErrorCode::TransactionalIdAuthorizationFailed, "This broker does not serve transactions."))
        }
        _ => Err((ErrorCode::InvalidRequest, "This broker has coordinators of groups only.")),
    }
}

fn coordinator(key: Text, found: &Result<(), Refused>, call: &Call) -> Coordinator {
    match found {
        Ok(()) => {
            let Node { id, host, port, .. } = Node::of(call.shard.broker(), call.listener);
            Coordinator { key, node_id: id, host, port, error_code: 0, error_message: None }
        }
        Err((code, message)) => Coordinator {
            key,
            node_id: -1,
            host: Text::EMPTY,
            port: -1,
            error_code: code.code(),
            error_message: Some(Text::from_static(message)),
        },
    }
}
