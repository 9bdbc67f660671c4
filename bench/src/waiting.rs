//! `WaitingList`: the tests of Apache Kafka that do not pass, each with what it waits for, held against a run.
//!
//! The list excuses nothing else: a test waits for an API that is not served, or for another metadata or feature
//! version than the newest.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kafka_protocol::messages::ApiKey;
use logmill_server::wire::APIS;

use crate::rig::Error;

/// The list, as it stands in the repository.
const LIST: &str = include_str!("../apache-tests/waiting.txt");
/// Features by the names that tests ask for them with.
const FEATURES: &[&str] =
    &["metadata.version", "transaction.version", "group.version", "share.version", "streams.version"];

/// Above every API's key.
const KEYS_MAX: i16 = 1_000;

/// Holds results of Apache Kafka's own tests against the list of those that wait.
#[derive(Debug, clap::Args)]
pub struct WaitingArgs {
    /// Files of results, one test a line: PASS, FAIL or SKIP, the test, anything. Together a whole run.
    #[arg(required = true)]
    results: Vec<PathBuf>,
}

impl WaitingArgs {
    /// Fails when the list and the results contradict each other.
    pub fn run(&self) -> Result<(), Error> {
        let list = WaitingList::parse(LIST).map_err(|faults| failed("the list is wrong", &faults))?;
        let mut results = Results::default();
        for path in &self.results {
            let text = fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
            results.add(&text).map_err(|fault| failed(&path.display().to_string(), &[fault]))?;
        }
        let faults = list.faults(&results);
        if !faults.is_empty() {
            return Err(failed("the list and the run contradict each other", &faults));
        }
        println!("{} tests passed, {} wait as listed", results.passed(), list.0.len());
        Ok(())
    }
}

fn failed(what: &str, faults: &[String]) -> Error {
    Error::Failed { what: what.to_owned(), output: faults.join("\n") }
}

/// By test, what it waits for.
#[derive(Debug, PartialEq)]
struct WaitingList<'a>(BTreeMap<&'a str, &'a str>);

impl WaitingList<'_> {
    fn parse(text: &str) -> Result<WaitingList<'_>, Vec<String>> {
        let mut waiting = BTreeMap::new();
        let mut faults = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once('\t') {
                None => faults.push(format!("no reason, tab and test: {line}")),
                Some((reason, test)) => {
                    if let Some(fault) = fault_of(reason, test) {
                        faults.push(format!("{test}: {fault}"));
                    }
                    if waiting.insert(test, reason).is_some() {
                        faults.push(format!("{test}: listed twice"));
                    }
                }
            }
        }
        if faults.is_empty() { Ok(WaitingList(waiting)) } else { Err(faults) }
    }

    fn faults(&self, results: &Results) -> Vec<String> {
        let mut faults = Vec::new();
        for (test, outcome) in &results.0 {
            if *outcome != Outcome::Pass && !self.0.contains_key(test.as_str()) {
                faults.push(format!("{test}: {outcome:?}, and not on the list"));
            }
        }
        for (test, reason) in &self.0 {
            match results.0.get(*test) {
                None => faults.push(format!("{test}: on the list, and not in the results")),
                Some(Outcome::Pass) => faults.push(format!("{test}: passes, and need not wait for {reason}")),
                Some(Outcome::NotRun | Outcome::Fail | Outcome::Skip) => (),
            }
        }
        faults
    }
}

/// What is wrong with a reason, if it is not one that the list may hold.
fn fault_of(reason: &str, test: &str) -> Option<String> {
    if let Some((feature, version)) = reason.split_once(' ') {
        let asked_for = match feature {
            "metadata.version" => format!("mv={version}-"),
            _ => format!("{feature}={version}"),
        };
        return match FEATURES.contains(&feature) {
            true if test.contains(&asked_for) => None,
            true => Some(format!("the test does not ask for {reason}")),
            false => Some(format!("no such feature: {feature}")),
        };
    }
    let exists =
        (0..KEYS_MAX).filter_map(|key| ApiKey::try_from(key).ok()).any(|api| format!("{api:?}") == reason);
    match APIS.iter().any(|row| row.name == reason) {
        true => Some(format!("{reason} is served")),
        false if exists => None,
        false => Some(format!("no such API: {reason}")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Its class did not run to it. Another run of the class may have.
    NotRun,
    Pass,
    Skip,
    Fail,
}

/// What became of each test; of one that ran several times, the worst.
#[derive(Debug, Default)]
struct Results(BTreeMap<String, Outcome>);

impl Results {
    fn add(&mut self, text: &str) -> Result<(), String> {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let outcome = match words.next() {
                None => continue,
                Some("PASS") => Outcome::Pass,
                Some("SKIP") => Outcome::Skip,
                Some("FAIL") if line.ends_with(" | no result") => Outcome::NotRun,
                Some("FAIL") => Outcome::Fail,
                Some(_) => return Err(format!("neither PASS nor FAIL nor SKIP: {line}")),
            };
            let test = words.next().ok_or_else(|| format!("no test: {line}"))?;
            // A class as a whole: its tests have lines of their own.
            if test.starts_with('[') {
                continue;
            }
            let worst = self.0.entry(test.to_owned()).or_insert(outcome);
            *worst = outcome.max(*worst);
        }
        Ok(())
    }

    fn passed(&self) -> usize {
        self.0.values().filter(|outcome| **outcome == Outcome::Pass).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_only_what_it_may() {
        assert_eq!(WaitingList::parse(LIST).err(), None);
    }

    #[test]
    fn a_reason_is_an_api_that_is_not_served_or_a_version_that_the_test_asks_for() {
        for (reason, test, fault) in [
            ("RemoveRaftVoter", "a#b", None),
            ("Produce", "a#b", Some("Produce is served")),
            ("Slowness", "a#b", Some("no such API: Slowness")),
            ("metadata.version 3.8", "a#b[mv=3.8-IV0,1]", None),
            ("metadata.version 3.8", "a#b[1]", Some("the test does not ask for metadata.version 3.8")),
            ("transaction.version 0", "a#b[transaction.version=0,1]", None),
            ("luck 1", "a#b[luck=1]", Some("no such feature: luck")),
        ] {
            assert_eq!(fault_of(reason, test).as_deref(), fault, "{reason}, {test}");
        }
        let twice = WaitingList::parse("RemoveRaftVoter\ta#b\n# x\nRemoveRaftVoter\ta#b\nalone\n");
        assert_eq!(twice.unwrap_err(), ["a#b: listed twice", "no reason, tab and test: alone"]);
    }

    #[test]
    fn a_run_and_the_list_agree_or_every_contradiction_is_told() {
        let list = WaitingList::parse("RemoveRaftVoter\ta#waits\nRemoveRaftVoter\ta#skips\n").unwrap();
        let faults = |text: &str| {
            let mut results = Results::default();
            results.add(text).unwrap();
            list.faults(&results)
        };
        let good = "PASS a#passes 1.0s\nFAIL a#waits 2.0s | why not\nSKIP a#skips 0.1s | so\n";
        assert_eq!(faults(good), [""; 0]);
        assert_eq!(
            faults(&format!("{good}FAIL a#passes 9.0s | at times")),
            ["a#passes: Fail, and not on the list"]
        );
        assert_eq!(faults(&format!("{good}SKIP a#other")), ["a#other: Skip, and not on the list"]);
        let passing = faults("PASS a#waits 1.0s");
        assert_eq!(
            passing,
            [
                "a#skips: on the list, and not in the results",
                "a#waits: passes, and need not wait for RemoveRaftVoter"
            ]
        );
        assert!(Results::default().add("perhaps a#b").is_err());
        let not_run = format!("{good}FAIL [engine]/[class:a] 0.0s | threads\nFAIL a#late 0.0s | no result\n");
        assert_eq!(faults(&not_run), ["a#late: NotRun, and not on the list"]);
        assert_eq!(faults(&format!("{not_run}PASS a#late 1.0s")), [""; 0]);
    }
}
