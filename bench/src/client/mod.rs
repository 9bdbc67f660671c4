//! A client of a cluster for people's tools: finds versions and leaders, asks one thing at a time, and says what
//! was refused in words. What is measured with is elsewhere.

mod cluster;
mod error;
mod offsets;

pub use cluster::{Client, Cluster};
pub use error::ClientError;
pub use offsets::{EARLIEST, LATEST};
