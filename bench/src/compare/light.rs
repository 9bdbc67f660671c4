//! Loads for the light client.

use std::net::SocketAddr;

use super::cases::Shape;
use crate::load::{self, Keys, Outcome, Target, Workload};
use crate::rig::Error;

/// A batch that is not acknowledged for so long is lost, and the leg with it.
const DELIVERY_MAX_S: f64 = 60.0;

/// Producers on a topic that exists, for so many seconds behind a warm-up.
pub(super) fn produce(shape: &Shape, topic: &str, seconds: f64, warm_up_seconds: f64) -> Workload {
    Workload {
        name: topic.to_owned(),
        partitions: shape.partitions,
        message_bytes: shape.record_bytes as usize,
        keys: if shape.has_keys { Keys::Random } else { Keys::None },
        batch_bytes: shape.batch_bytes as usize,
        producers: shape.producers,
        subscriptions: 0,
        warm_up_s: warm_up_seconds,
        duration_s: seconds,
        topic: Some(topic.to_owned()),
        existing: true,
        keep: true,
        delivery_timeout_s: DELIVERY_MAX_S,
        ..Workload::default()
    }
}

/// So many records, as fast as they are taken.
pub(super) fn fill(shape: &Shape, topic: &str, records: u64) -> Workload {
    Workload { messages: Some(records), ..produce(shape, topic, 0.0, 0.0) }
}

/// Reads a topic from its beginning to its end.
pub(super) fn read(shape: &Shape, topic: &str, fan_out: u32, records: u64) -> Workload {
    Workload {
        producers: 0,
        subscriptions: fan_out,
        consumers: 1,
        messages: Some(records),
        ..produce(shape, topic, 0.0, 0.0)
    }
}

/// Runs one to its end.
pub(super) fn run(broker: SocketAddr, workload: &Workload) -> Result<Outcome, Error> {
    let target = Target { bootstrap: vec![broker.to_string()], ..Target::default() };
    load::run(workload, &target, |_| ()).map_err(|error| super::server::failed(error.to_string()))
}
