//! The broker as a whole: over real threads and sockets, and under simulation.

mod batch;
pub(crate) mod doc_table;
mod flush;
mod order;
mod producer_ids;
mod requests;
mod rules;
mod seams;
mod sim_client;
mod simulation;
mod start;
mod tcp_client;
mod upkeep;

use crate::config::{Config, Machine};

/// A broker of two shards with these settings beside the defaults of its tests.
fn config(settings: &[(&str, &str)]) -> Config {
    let defaults = [
        ("logmill.shards", "2"),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("logmill.journal.bytes", "4194304"),
    ];
    let overrides: Vec<(String, String)> = defaults
        .iter()
        .chain(settings)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let machine = Machine { host_name: "test".to_owned(), cores: 2 };
    Config::load(None, [], &overrides, &machine).unwrap().0
}
