//! The broker: the Kafka protocol in front of the storage engine.

mod api;
pub mod broker;
mod clean_stop;
pub mod clock;
pub mod config;
pub mod group;
mod journals;
pub mod metadata;
mod metrics;
pub mod net;
mod pace;
pub mod random;
pub mod recover;
pub mod shard;
pub mod sim;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod wire;
