//! Logmill beside Apache Kafka and beside the floor: the rig that starts brokers, the least a broker can
//! do, and comparisons of the three in one run.

mod child;
pub mod client;
pub mod command;
pub mod compare;
pub mod crash;
pub mod device;
pub mod floor;
pub mod instructions;
mod ledger;
pub mod limits;
pub mod load;
pub mod rig;
pub mod waiting;
