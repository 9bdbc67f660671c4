//! `Report`: everything that the forms of the report say.

use serde_json::Value;

use super::cases::Case;
use super::leg::Leg;
use super::state::State;
use super::tally::Tally;
use super::wanted::{self, Verdict};

/// Note of the state file: what the case `java-producer` came to.
pub(super) const JAVA_NOTE: &str = "java-producer";
/// Note of the state file: legs of the sweep of Apache Kafka's settings.
pub(super) const SWEEP_NOTE: &str = "sweep";

/// The legs that are there, and what was to be run.
pub(super) struct Report<'a> {
    cases: &'a [Case],
    facts: Vec<(String, String)>,
    state: &'a State,
}

impl<'a> Report<'a> {
    /// `facts` name machine, programs and settings, each with its value.
    pub(super) fn new(cases: &'a [Case], facts: Vec<(String, String)>, state: &'a State) -> Report<'a> {
        Report { cases, facts, state }
    }

    pub(super) fn cases(&self) -> &[Case] {
        self.cases
    }

    pub(super) fn facts(&self) -> &[(String, String)] {
        &self.facts
    }

    pub(super) fn legs(&self) -> &[Leg] {
        self.state.legs()
    }

    pub(super) fn tally(&self) -> Tally<'_> {
        Tally::new(self.state.legs())
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        wanted::verdicts(&self.tally(), |name| self.cases.iter().any(|case| case.name == name))
    }

    /// The table of the case `java-producer`.
    pub(super) fn java(&self) -> Option<&str> {
        self.java_json()?["table"].as_str()
    }

    pub(super) fn java_json(&self) -> Option<&Value> {
        self.state.note(JAVA_NOTE)
    }

    /// Settings of Apache Kafka, records/s and CPU s/GB.
    pub(super) fn sweep(&self) -> Vec<(String, f64, f64)> {
        let row = |row: &Value| Some((row[0].as_str()?.to_owned(), row[1].as_f64()?, row[2].as_f64()?));
        let rows = self.state.note(SWEEP_NOTE).and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(row).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::cases::cases;
    use super::super::contender::Contender;
    use super::super::leg::Figures;
    use super::super::metric::Metric;
    use super::super::table;
    use super::*;

    /// A report of all cases, `legs` of each contender's of them.
    pub(in super::super) fn with_report(legs: u32, check: impl FnOnce(&Report<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(&dir.path().join("state"), &json!({})).unwrap();
        let cases = cases();
        for case in &cases {
            for pair in 1..=legs {
                for contender in case.contenders(true) {
                    let mut figures = Figures::default();
                    for metric in table::shown(case.chapter) {
                        figures.set(*metric, f64::from(pair) * 1.5);
                    }
                    if figures.get(Metric::P99Ms).is_some() {
                        figures.set(Metric::Samples, 250_000.0);
                        figures.points =
                            vec![(0.0, 0.2), (50.0, 0.5), (99.0, 3.0), (99.99, 40.0), (100.0, 90.0)];
                    }
                    let leg = Leg { case: case.name.clone(), pair, contender, result: Ok(figures) };
                    state.add(leg).unwrap();
                }
            }
        }
        if legs > 0 {
            let why = "no <room> & no \"disk\"".to_owned();
            let failed = Leg { case: "keys".into(), pair: 9, contender: Contender::Kafka, result: Err(why) };
            state.add(failed).unwrap();
            state.add_note(SWEEP_NOTE, json!([["num.io.threads=2, 1g", 100.0, 2.5]])).unwrap();
            state.add_note(JAVA_NOTE, json!({ "table": "a < b" })).unwrap();
        }
        let facts = vec![("kernel".to_owned(), "Linux <6>".to_owned())];
        check(&Report::new(&cases, facts, &state));
    }

    #[test]
    fn every_case_and_every_durability_of_it_has_a_row_even_when_nothing_was_measured() {
        for legs in [0, 1, 5] {
            with_report(legs, |report| {
                let (text, json) = (table::markdown(report), table::json(report));
                for case in report.cases() {
                    assert!(text.contains(&format!("**{}**: {}", case.name, case.title)), "{}", case.name);
                    for durability in case.durabilities {
                        let rows = json["rows"].as_array().unwrap();
                        let is_it = |row: &&Value| {
                            row["case"] == case.name.as_str() && row["durability"] == durability.title()
                        };
                        assert!(rows.iter().any(|row| is_it(&row)), "{}, {durability:?}", case.name);
                    }
                }
                assert!(json["wanted"].as_array().unwrap().len() > 30);
                assert_eq!(json["legs"].as_array().unwrap().is_empty(), legs == 0);
            });
        }
    }

    #[test]
    fn a_figure_of_fewer_than_five_pairs_says_so() {
        let few = |legs| {
            let mut text = String::new();
            with_report(legs, |report| text = table::markdown(report));
            text
        };
        assert!(few(1).contains(", 1 pair |") && few(4).contains(", 4 pairs |"));
        assert!(!few(5).contains(" pairs |") && few(5).contains("failed: no <room>"));
        assert!(few(5).contains("Latencies of all pairs together: Apache Kafka 1250000,"));
    }
}
