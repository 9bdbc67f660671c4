//! The table of metrics: name, kind and help of each, and where its number comes from.
//!
//! docs/OPERATIONS.md has the same table.

use std::fmt::Write as _;

use super::counters::Counts;
use crate::wire::{APIS, Api};

/// One metric.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    source: Source,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

enum Source {
    One(fn(&Counts) -> u64),
    /// A number for each API, with the label `api`.
    EachApi(fn(&Counts, Api) -> u64),
}

static METRICS: [Metric; 10] = [
    Metric {
        name: "logmill_requests_total",
        kind: Kind::Counter,
        help: "Requests that have come, by API.",
        source: Source::EachApi(Counts::requests),
    },
    Metric {
        name: "logmill_request_errors_total",
        kind: Kind::Counter,
        help: "Requests that were answered with an error, if only for one of their parts, or by the end of the connection.",
        source: Source::EachApi(Counts::errors),
    },
    Metric {
        name: "logmill_received_bytes_total",
        kind: Kind::Counter,
        help: "Bytes that clients have sent.",
        source: Source::One(|counts| counts.received_bytes),
    },
    Metric {
        name: "logmill_sent_bytes_total",
        kind: Kind::Counter,
        help: "Bytes that were sent to clients.",
        source: Source::One(|counts| counts.sent_bytes),
    },
    Metric {
        name: "logmill_connections",
        kind: Kind::Gauge,
        help: "Connections that are open.",
        source: Source::One(|counts| counts.connections_open),
    },
    Metric {
        name: "logmill_connections_total",
        kind: Kind::Counter,
        help: "Connections that were served.",
        source: Source::One(|counts| counts.connections),
    },
    Metric {
        name: "logmill_waves_total",
        kind: Kind::Counter,
        help: "Group commits that have ended well.",
        source: Source::One(|counts| counts.waves),
    },
    Metric {
        name: "logmill_syncs_total",
        kind: Kind::Counter,
        help: "Syncs of files that group commits have asked for.",
        source: Source::One(|counts| counts.syncs),
    },
    Metric {
        name: "logmill_partitions",
        kind: Kind::Gauge,
        help: "Partitions that are open.",
        source: Source::One(|counts| counts.partitions),
    },
    Metric {
        name: "logmill_log_bytes",
        kind: Kind::Gauge,
        help: "Bytes of records in all partitions.",
        source: Source::One(|counts| counts.log_bytes),
    },
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// All metrics in the text format of Prometheus.
pub(super) fn exposition(counts: &Counts) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, source } in &METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        match source {
            Source::One(number) => {
                let _ = writeln!(text, "{name} {}", number(counts));
            }
            Source::EachApi(number) => {
                for row in APIS {
                    let _ = writeln!(text, "{name}{{api=\"{}\"}} {}", row.name, number(counts, row.api));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::counters::{Counters, State};
    use super::*;
    use crate::tests::doc_table;

    #[test]
    fn operations_md_lists_the_metrics_of_the_table() {
        let mut table = "| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n".to_owned();
        for Metric { name, kind, help, source } in &METRICS {
            let labels = if matches!(source, Source::EachApi(_)) { "`api`" } else { "" };
            table += &format!("| `{name}` | {} | {labels} | {help} |\n", kind.name());
        }
        doc_table::check("OPERATIONS.md", "<!-- metrics -->", "<!-- end of metrics -->", &table);
    }

    #[test]
    fn the_numbers_of_all_shards_are_told_together() {
        let shard = || {
            let counters = Counters::new();
            counters.count_request(Api::Fetch);
            counters.count_error(Api::Fetch);
            counters.count_sent(21);
            counters.counts(State { syncs: 3, partitions: 2, connections_open: 1, log_bytes: 10 })
        };
        let mut counts = shard();
        counts.add(&shard());
        let text = exposition(&counts);
        for line in [
            "# HELP logmill_sent_bytes_total Bytes that were sent to clients.",
            "# TYPE logmill_sent_bytes_total counter",
            "logmill_sent_bytes_total 42",
            "logmill_requests_total{api=\"Fetch\"} 2",
            "logmill_requests_total{api=\"Produce\"} 0",
            "logmill_request_errors_total{api=\"Fetch\"} 2",
            "logmill_connections 2",
            "logmill_syncs_total 6",
            "logmill_log_bytes 20",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
