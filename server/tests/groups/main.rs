//! Groups of consumers through a whole simulated broker.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod client;
mod members;
mod offsets;
