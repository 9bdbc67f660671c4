//! Accepting: one loop for each listener of a shard.

use std::future::poll_fn;
use std::rc::Rc;

use super::{Listener, Stream, conn};
use crate::shard::LocalShard;

/// How long a listener that cannot accept, for want of descriptors, waits before it tries again.
const PAUSE_MS: u64 = 100;

/// Accepts until the shard stops; `listener_index` says which of the configured listeners this is.
pub(crate) async fn run(mut listener: Box<dyn Listener>, listener_index: usize, shard: Rc<LocalShard>) {
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shard.stopping() => return,
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
        };
        match accepted {
            Ok(stream) => {
                is_failing = false;
                tokio::select! {
                    biased;
                    () = shard.stopping() => return,
                    () = admit(stream, listener_index, &shard) => (),
                }
            }
            Err(error) => {
                // One line for a whole run of failures: they come as fast as clients knock.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("cannot accept connections, trying again every {PAUSE_MS} ms: {error}");
                }
                shard.host().runtime.sleep(PAUSE_MS).await;
            }
        }
    }
}

/// Serves a connection as soon as it may be there; nobody else is accepted before that.
async fn admit(stream: Rc<dyn Stream>, listener: usize, shard: &Rc<LocalShard>) {
    let host = shard.host();
    let Some(mut admitted) = shard.broker().admission.enter(stream.address().ip()) else {
        tracing::debug!("closed {}: too many connections of this address", stream.address());
        return;
    };
    admitted.take_slot(listener).await;
    let delay_ms = admitted.delay_ms(host.clock.now_ms());
    if delay_ms > 0 {
        host.runtime.sleep(delay_ms).await;
    }
    let served = conn::serve(stream, listener, admitted, shard.clone());
    host.runtime.spawn(Box::pin(served));
}
