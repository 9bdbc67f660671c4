//! Properties of the Java clients, and what each is here.

use super::Workload;
use super::workload::{Acks, Codec};

/// The Java producer's default of `linger.ms`.
pub(super) const LINGER_MS: f64 = 5.0;

/// What became of a property.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Done,
    /// It changes nothing, for this reason.
    None(&'static str),
}

/// Puts a property where it belongs. An error says why that cannot be.
pub(super) fn apply(
    key: &str,
    value: &str,
    workload: &mut Workload,
    bootstrap: &mut Vec<String>,
) -> Result<Effect, String> {
    match key {
        "bootstrap.servers" => {
            *bootstrap = value.split(',').map(|address| address.trim().to_owned()).collect();
        }
        "acks" => {
            workload.acks = match value {
                "0" => Acks::Zero,
                "1" => Acks::One,
                "all" | "-1" => Acks::All,
                _ => return Err("0, 1 or all".into()),
            }
        }
        "linger.ms" => workload.linger_ms = number(value)?,
        "batch.size" => workload.batch_bytes = number(value)?,
        "compression.type" => {
            workload.codec = match value {
                "none" => Codec::None,
                "gzip" => Codec::Gzip,
                "snappy" => Codec::Snappy,
                "lz4" => Codec::Lz4,
                "zstd" => Codec::Zstd,
                _ => return Err("none, gzip, snappy, lz4 or zstd".into()),
            }
        }
        "enable.idempotence" => workload.idempotence = Some(number(value)?),
        "max.in.flight.requests.per.connection" => workload.max_in_flight = number(value)?,
        "max.request.size" => workload.request_bytes_max = number(value)?,
        "delivery.timeout.ms" => workload.delivery_timeout_s = number::<f64>(value)? / 1000.0,
        "fetch.min.bytes" => workload.fetch.min_bytes = number(value)?,
        "fetch.max.bytes" => workload.fetch.max_bytes = number(value)?,
        "fetch.max.wait.ms" => workload.fetch.wait_ms = number(value)?,
        "max.partition.fetch.bytes" => workload.fetch.partition_bytes = number(value)?,
        "check.crcs" => workload.fetch.check_crc = number(value)?,
        "security.protocol" if value == "PLAINTEXT" => {}
        "security.protocol" => return Err("only PLAINTEXT is there".into()),
        "auto.offset.reset" => return Ok(Effect::None("topics are read from their beginning")),
        "group.id" | "enable.auto.commit" | "auto.commit.interval.ms" => {
            return Ok(Effect::None("consumers are assigned their partitions, and commit nothing"));
        }
        "buffer.memory" => {
            return Ok(Effect::None("what waits to be sent takes no memory, but for messages with keys"));
        }
        "client.id" => return Ok(Effect::None("it is logmill-bench")),
        "request.timeout.ms"
        | "default.api.timeout.ms"
        | "socket.connection.setup.timeout.ms"
        | "metadata.max.age.ms" => {
            return Ok(Effect::None("a batch has delivery.timeout.ms"));
        }
        "send.buffer.bytes" | "receive.buffer.bytes" => return Ok(Effect::None("the kernel sizes them")),
        "max.poll.records" | "key.serializer" | "value.serializer" | "key.deserializer"
        | "value.deserializer" => {
            return Ok(Effect::None("records are bytes"));
        }
        _ => return Err("no property that is known here".into()),
    }
    Ok(Effect::Done)
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error: T::Err| error.to_string())
}
