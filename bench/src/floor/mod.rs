//! The floor: the least that a broker can do on this machine, to hold brokers against.
//!
//! Frames come in over TCP, each batch's CRC-32C is checked, its bytes are appended by `pwrite` to a file that
//! grows and rolls as a log's segment does, and the frame is acknowledged; or a run of a file goes out by
//! `sendfile`. There is no protocol, no routing and no allocation per frame.
//!
//! ```text
//! accept -> conn (recv, check) -> store (pwrite) -> ack
//!                                    '-> syncer (fdatasync of what is dirty) -> ack     group commit
//! ```
//!
//! With `--protocol kafka` it takes the requests of Kafka's clients instead (`kafka/`), as few of them as a client
//! needs that produces and fetches.

mod ballast;
mod command;
mod conn;
mod frame;
mod kafka;
mod load;
mod process;
mod serve;
mod shard;
mod store;
mod syncer;

pub use command::FloorCommand;
pub use load::{Load, LoadReport, Work};
pub use process::Floor;
pub use serve::{Ack, Protocol, Settings, serve};
