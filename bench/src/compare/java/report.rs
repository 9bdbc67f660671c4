//! Medians, spreads and ratios of the same round, as a table and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::leg::Contender::{
    self, ApacheFresh, ApacheWarm, Floor, FloorGroupCommit, LogmillDurable, LogmillPageCache,
};
use super::leg::Leg;
use crate::compare::spread::Spread;

/// The figures of all rounds.
#[derive(Debug)]
pub(super) struct Report {
    rounds: Vec<Vec<Leg>>,
}

/// What is read off a leg.
type Figure = fn(&Leg) -> f64;

const RECORDS_PER_S: Figure = |leg| leg.records_per_s;
const MB_PER_S: Figure = |leg| leg.mb_per_s;
const CPU_S_PER_GB: Figure = |leg| leg.cpu_s_per_gb;
const CLIENT_CPU_S_PER_GB: Figure = |leg| leg.client_cpu_s_per_gb;

/// Ratios worth a line: what is compared, and of whom.
const RATIOS: [(&str, Figure, Contender, Contender); 9] = [
    ("records/s, Logmill / Apache Kafka as it comes", RECORDS_PER_S, LogmillPageCache, ApacheFresh),
    ("records/s, Logmill / Apache Kafka warmed", RECORDS_PER_S, LogmillPageCache, ApacheWarm),
    ("CPU per GB, Logmill / Apache Kafka as it comes", CPU_S_PER_GB, LogmillPageCache, ApacheFresh),
    ("CPU per GB, Logmill / Apache Kafka warmed", CPU_S_PER_GB, LogmillPageCache, ApacheWarm),
    ("CPU per GB, Logmill / floor", CPU_S_PER_GB, LogmillPageCache, Floor),
    ("records/s, durable Logmill / Apache Kafka warmed", RECORDS_PER_S, LogmillDurable, ApacheWarm),
    ("CPU per GB, durable Logmill / Apache Kafka as it comes", CPU_S_PER_GB, LogmillDurable, ApacheFresh),
    ("CPU per GB, durable Logmill / Apache Kafka warmed", CPU_S_PER_GB, LogmillDurable, ApacheWarm),
    ("CPU per GB, durable Logmill / floor, fdatasync", CPU_S_PER_GB, LogmillDurable, FloorGroupCommit),
];

impl Report {
    pub(super) fn new(rounds: Vec<Vec<Leg>>) -> Report {
        Report { rounds }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{:<38} {:>26} {:>24} {:>22} {:>22}\n",
            "median (min..max)", "records/s", "MB/s", "CPU s/GB", "client CPU s/GB"
        );
        for contender in Contender::ALL {
            let cell = |figure, decimals| {
                self.spread(contender, figure).map_or_else(String::new, |spread| spread.text(decimals))
            };
            let (records, mb, cpu) = (cell(RECORDS_PER_S, 0), cell(MB_PER_S, 1), cell(CPU_S_PER_GB, 3));
            let client = cell(CLIENT_CPU_S_PER_GB, 2);
            writeln!(text, "{:<38} {records:>26} {mb:>24} {cpu:>22} {client:>22}", contender.title())
                .expect("a string takes all");
        }
        text.push('\n');
        for (title, figure, above, below) in RATIOS {
            if let Some(spread) = self.ratio(figure, above, below) {
                writeln!(text, "{title:<56} {}", spread.text(3)).expect("a string takes all");
            }
        }
        text
    }

    /// For programs: the medians, and every leg.
    pub(super) fn json(&self) -> Value {
        let medians: serde_json::Map<String, Value> = Contender::ALL
            .into_iter()
            .map(|contender| {
                let figure = |figure| self.spread(contender, figure).map(Spread::json);
                let figures = json!({
                    "records_per_s": figure(RECORDS_PER_S),
                    "mb_per_s": figure(MB_PER_S),
                    "cpu_s_per_gb": figure(CPU_S_PER_GB),
                    "client_cpu_s_per_gb": figure(CLIENT_CPU_S_PER_GB),
                });
                (contender.key().to_owned(), figures)
            })
            .collect();
        let ratios: serde_json::Map<String, Value> = RATIOS
            .into_iter()
            .filter_map(|(title, figure, above, below)| {
                Some((title.to_owned(), self.ratio(figure, above, below)?.json()))
            })
            .collect();
        let rounds: Vec<Vec<Value>> = self
            .rounds
            .iter()
            .map(|legs| {
                let leg = |leg: &Leg| {
                    json!({
                        "contender": leg.contender.key(),
                        "records_per_s": leg.records_per_s,
                        "mb_per_s": leg.mb_per_s,
                        "cpu_s_per_gb": leg.cpu_s_per_gb,
                        "client_cpu_s_per_gb": leg.client_cpu_s_per_gb,
                        "batches_per_request": leg.shape.batches(),
                        "batch_bytes": leg.shape.batch_bytes,
                    })
                };
                legs.iter().map(leg).collect()
            })
            .collect();
        json!({ "contenders": medians, "ratios": ratios, "rounds": rounds })
    }

    fn spread(&self, contender: Contender, figure: Figure) -> Option<Spread> {
        let legs = self.rounds.iter().flatten().filter(|leg| leg.contender == contender);
        Spread::of(legs.map(figure).collect())
    }

    /// Of legs of the same round, so that what slows the machine for a minute slows both.
    fn ratio(&self, figure: Figure, above: Contender, below: Contender) -> Option<Spread> {
        let of = |legs: &[Leg], contender| legs.iter().find(|leg| leg.contender == contender).map(figure);
        Spread::of(self.rounds.iter().filter_map(|legs| Some(of(legs, above)? / of(legs, below)?)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::producer::Shape;
    use super::*;

    fn leg(contender: Contender, cpu_s_per_gb: f64) -> Leg {
        let shape = Shape { request_bytes: 40_000.0, batch_bytes: 16_000.0, records: 40.0 };
        Leg { contender, records_per_s: 1000.0, mb_per_s: 1.0, cpu_s_per_gb, client_cpu_s_per_gb: 7.0, shape }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let round = |logmill, kafka| {
            vec![leg(Contender::ApacheWarm, kafka), leg(Contender::LogmillPageCache, logmill)]
        };
        // The medians of either side alone would give 2 / 4.
        let report = Report::new(vec![round(1.0, 10.0), round(2.0, 4.0), round(3.0, 2.0)]);
        let ratio = report.ratio(CPU_S_PER_GB, Contender::LogmillPageCache, Contender::ApacheWarm).unwrap();
        assert_eq!(ratio, Spread { median: 0.5, min: 0.1, max: 1.5, count: 3 });
        let report = Report::new(vec![round(1.0, 10.0), round(2.0, 4.0)]);
        let ratio = report.ratio(CPU_S_PER_GB, Contender::LogmillPageCache, Contender::ApacheWarm).unwrap();
        assert_eq!(ratio.median, 0.3, "an even number of rounds: the mean of the two in the middle");
    }

    #[test]
    fn table_and_json_name_every_contender_and_every_ratio() {
        let legs = Contender::ALL.map(|contender| leg(contender, 0.5)).to_vec();
        let report = Report::new(vec![legs]);
        let (table, json) = (report.table(), report.json());
        for contender in Contender::ALL {
            assert!(table.contains(contender.title()), "{table}");
            assert_eq!(json["contenders"][contender.key()]["cpu_s_per_gb"]["median"], 0.5);
            assert_eq!(json["contenders"][contender.key()]["client_cpu_s_per_gb"]["median"], 7.0);
        }
        for (title, ..) in RATIOS {
            assert!(table.contains(title), "{table}");
            assert_eq!(json["ratios"][title]["max"], 1.0);
        }
    }
}
