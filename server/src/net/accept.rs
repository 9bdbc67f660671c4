//! Accepting: one loop for each listener of a shard.

use std::future::poll_fn;
use std::rc::Rc;

use super::{Listener, conn};
use crate::shard::LocalShard;

/// How long a listener that cannot accept, for want of descriptors, waits before it tries again.
const PAUSE_MS: u64 = 100;

/// Accepts until the shard stops; `listener_index` says which of the configured listeners this is.
pub(crate) async fn run(mut listener: Box<dyn Listener>, listener_index: usize, shard: Rc<LocalShard>) {
    let mut is_failing = false;
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(stream) => {
                is_failing = false;
                let served = conn::serve(stream, listener_index, shard.clone());
                shard.host().runtime.spawn(Box::pin(served));
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
