//! A broker at its limits.
//!
//! ```text
//! connections   very many clients at once, and none at all
//! cold          readers of data that has left the page cache
//! warm          what a fetch of data in the page cache costs in system calls
//! strangers     clients that send anything
//! sample        requests of random content
//! reader        reads a partition, fetch by fetch
//! neighbour     the client that is to be served all the same
//! ```

mod cold;
mod connections;
mod neighbour;
mod reader;
#[expect(dead_code, reason = "the tests of the codec, which it belongs to, use all of it")]
#[path = "../../../server/tests/codec/sample.rs"]
mod sample;
mod strangers;
mod warm;

pub use cold::ColdArgs;
pub use connections::ConnectionsArgs;
pub use strangers::StrangersArgs;
pub use warm::WarmArgs;
