//! What the broker counts, and how it is told: numbers of each shard, one table of names and help, and a
//! listener that answers with the text of Prometheus.

mod counters;
pub(crate) mod listener;
mod table;

pub(crate) use counters::{Counters, Counts, State};
