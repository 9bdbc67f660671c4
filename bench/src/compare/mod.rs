//! `logmill bench compare`: Apache Kafka, Logmill and the floor, the same load, one after the other on the same disk,
//! pair by pair.
//!
//! ```text
//! command -> run (cases, pairs, time) -> legs      produce, latency, tail     light, or apache: whose client sends
//!            cases      what there is    backlog   catch-up                   meter: what the server used
//!            contender  who, when it     starts    starts, idle brokers       fleet: servers that are kept
//!                       acknowledges     java      kafka-producer-perf-test   server: one of them
//!         -> state (a line for each leg; a rerun goes on behind it)
//!         -> report -> tally (medians, ratios within a pair), wanted (limits)
//!                   -> table (Markdown, JSON), html, plot
//! ```

mod apache;
mod backlog;
mod cases;
mod command;
mod contender;
mod fleet;
mod html;
mod java;
mod leg;
mod legs;
mod light;
mod machine;
mod meter;
mod metric;
mod plot;
mod report;
mod run;
mod server;
mod spread;
mod starts;
mod state;
mod table;
mod tally;
mod wanted;

pub use command::CompareArgs;
