//! `logmill bench compare`: Apache Kafka, Logmill and the floor, the same load, one after the other.

mod command;
mod java;
mod spread;

pub use command::CompareArgs;
