//! One row of figures: Apache Kafka, Logmill and the floor, the same bytes, one after the other, round by
//! round.
//!
//! ```text
//! command -> contest -> producer (a leg of Apache's producer against a broker)
//!                    -> floor    (a leg of the same bytes against the floor)
//!         -> report  (medians, spreads, ratios of the same round; table and JSON)
//! ```

mod command;
mod contest;
mod leg;
mod producer;
mod report;

pub use command::CompareArgs;
