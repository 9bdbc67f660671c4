//! InitProducerId: an id for an idempotent producer, that nobody else ever gets.

use super::{Answer, Call, Reply};
use crate::metadata::{Order, ask};
use crate::net::conn::Ended;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(crate) fn handle(request: &InitProducerIdRequest, call: Call) -> Result<Reply, Ended> {
    if request.transactional_id.is_some() {
        // A fatal code: clients would try a retriable one for ever.
        return call.now(&refused(ErrorCode::TransactionalIdAuthorizationFailed));
    }
    let ids = call.shard.producer_ids();
    let mut block = ids.take();
    let next = block.next();
    ids.set(block);
    match next {
        Some(id) => call.now(&given(id)),
        None => Ok(Reply::Later(Box::pin(from_new_block(call)))),
    }
}

/// Gets a block from the controller. Two that do so at once get a block each; the ids that one of them
/// leaves are lost, and nothing else.
async fn from_new_block(call: Call) -> Answer {
    match ask(&call.shard, Order::ProducerIds).await {
        Some(Ok(mut block)) => {
            let first = block.next().expect("a block has ids");
            call.shard.producer_ids().set(block);
            call.answer(&given(first))
        }
        Some(Err(_)) | None => call.answer(&refused(ErrorCode::CoordinatorNotAvailable)),
    }
}

fn given(producer_id: i64) -> InitProducerIdResponse {
    InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code as i16,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
