//! What tools print: for people, or as JSON for programs, from the same values.

mod cell;
mod out;
mod progress;
mod table;
mod time;

pub(crate) use cell::{Cell, Fields};
pub(crate) use out::Out;
#[cfg(test)]
pub(crate) use out::Sink;
pub(crate) use progress::{Progress, bytes_text, count};
pub(crate) use table::Table;
pub(crate) use time::parse_time;
