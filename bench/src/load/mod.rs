//! A load generator for any broker that speaks Kafka's protocol: an open loop, a client that costs little, and figures
//! that leave nothing out.
//!
//! ```text
//! workload   what is sent and read           omb        the same from OpenMessaging Benchmark's files
//! run        topics, threads, phases         watch      follows it second by second   outcome  the figures
//! crew       threads and their jobs          figures    what threads count and are told
//! producer   batches out, answers in         consumer   fetches, counts, lets go
//!   schedule   when a message is due           batch      the wire format of batches
//!   pending    due messages become batches     template   batches made ahead, stamped when sent
//!   request    produce requests, answers       keys       keys and their partitions
//!   lane       a connection in its own task
//! cluster    brokers and leaders             topics     made, looked at, deleted
//! wire       frames, one question at a time  clock      microseconds, and an alarm as exact
//! latency    histograms                      properties the Java clients' settings, and what each is here
//! command    arguments, exit codes           print      for people
//! ```
//!
//! Every message has a moment at which it is due. Its latency counts from there, whether or not the client could send
//! it then, so a broker that stalls pays for all that it held up.

mod batch;
mod clock;
mod cluster;
mod command;
mod consumer;
mod crew;
mod error;
mod figures;
mod keys;
mod lane;
mod latency;
mod omb;
mod outcome;
mod pending;
mod print;
mod producer;
mod properties;
mod request;
mod run;
mod schedule;
mod template;
mod topics;
mod watch;
mod wire;
mod workload;

pub use command::RunArgs;
pub use error::LoadError;
pub use latency::{Latency, PERCENTILES};
pub use outcome::{ClientUse, Flow, Interval, Outcome, Phase, Progress, Quantiles, Totals};
pub use run::{Target, run, run_until};
pub use workload::{Acks, Codec, FetchOptions, KEYS, Keys, Rate, Workload};
