//! `Run`: goes through the cases, pair by pair, and writes each leg down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::backlog::{self, Backlog};
use super::cases::{BASE, BASE_NAME, Case, Chapter, Work, cases};
use super::command::{Client, CompareArgs};
use super::contender::Contender;
use super::fleet::{Fleet, Setup, Tuning};
use super::leg::{Figures, Leg};
use super::metric::Metric;
use super::report::{JAVA_NOTE, SWEEP_NOTE};
use super::server::{Server, failed};
use super::state::State;
use super::tally::Tally;
use super::{java, legs, starts};
use crate::rig::{Error, Jars};

/// Note of the state file: records a second that Apache Kafka took in the base case.
const MOST_NOTE: &str = "kafka-most";
/// Settings that did not go well twice are not tried again in that case.
const FAILURES_MAX: usize = 2;
/// Of what is written once, a quick run writes so much less.
const QUICK_PART: u64 = 64;

/// What a case has made and needs until its end.
#[derive(Default)]
pub(super) struct Ground {
    pub backlogs: BTreeMap<Contender, Backlog>,
    /// Brokers that are nobody else's.
    pub own: BTreeMap<Contender, Server>,
}

/// A run that is under way.
pub(super) struct Run<'a> {
    args: &'a CompareArgs,
    pub(super) fleet: Fleet,
    pub(super) state: State,
    pub(super) ground: Ground,
    topics: u32,
    begun: Instant,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// The time was up: the same command goes on.
    OutOfTime,
}

impl Run<'_> {
    pub(super) fn new(args: &CompareArgs, setup: Setup, state: State) -> Run<'_> {
        Run {
            args,
            fleet: Fleet::new(setup),
            state,
            ground: Ground::default(),
            topics: 0,
            begun: Instant::now(),
        }
    }

    /// Runs what is not done yet.
    pub(super) fn all(&mut self, cases: &[Case]) -> Result<End, Error> {
        if self.args.tuned && !cases.is_empty() {
            self.sweep()?;
        }
        for case in cases {
            let end = self.case(case)?;
            self.clear(case);
            if end == End::OutOfTime {
                return Ok(end);
            }
        }
        Ok(End::Whole)
    }

    fn case(&mut self, case: &Case) -> Result<End, Error> {
        if case.work == Work::JavaProducer {
            return self.java_producer();
        }
        let contenders = self.args.contenders(case);
        let pairs = self.args.pairs(case);
        for pair in 1..=pairs {
            for &contender in &contenders {
                if self.state.is_done(&case.name, pair, contender) {
                    continue;
                }
                let failures = Tally::new(self.state.legs()).failures(&case.name);
                if failures.iter().filter(|failure| failure.0 == contender).count() >= FAILURES_MAX {
                    continue;
                }
                let needed = Duration::from_secs_f64(case.leg_seconds(self.seconds()));
                if self.begun.elapsed() + needed > Duration::from_secs(self.args.minutes * 60) {
                    return Ok(End::OutOfTime);
                }
                let result = self.leg(case, contender).map_err(|error| error.to_string());
                tell(case, pair, pairs, contender, &result);
                if result.is_err() {
                    // What it left is in an unknown state.
                    self.ground.own.remove(&contender);
                    self.ground.backlogs.remove(&contender);
                }
                self.state.add(Leg { case: case.name.clone(), pair, contender, result })?;
            }
        }
        Ok(End::Whole)
    }

    fn leg(&mut self, case: &Case, contender: Contender) -> Result<Figures, Error> {
        if matches!(case.chapter, Chapter::Start | Chapter::Idle) {
            // Brokers that are kept would take part.
            self.fleet.stop();
        }
        self.args.refuse_client(case)?;
        match case.work {
            Work::Produce(_) | Work::Latency { .. } | Work::Roll | Work::Tail { .. } => {
                legs::run(self, case, contender)
            }
            Work::CatchUp { .. } | Work::CatchUpBeside => backlog::run(self, case, contender),
            Work::StartEmpty => starts::empty(self, contender),
            Work::StartFull { is_killed } => starts::full(self, contender, is_killed),
            Work::Idle { partitions } => starts::idle(self, contender, partitions),
            Work::JavaProducer => Err(failed("it has rounds, and no legs".into())),
        }
    }

    /// What a case made goes; what cannot be removed is told and in nobody's way.
    fn clear(&mut self, case: &Case) {
        if let Err(error) = backlog::clear(self) {
            eprintln!("{}: clearing up: {error}", case.name);
        }
        self.ground = Ground::default();
    }

    fn java_producer(&mut self) -> Result<End, Error> {
        if self.state.note(JAVA_NOTE).is_none() {
            self.fleet.stop();
            let told = java::run(self.args)?;
            self.state.add_note(JAVA_NOTE, told)?;
        }
        Ok(End::Whole)
    }

    /// Runs the base case under each of the settings, once, unless that was done; takes the one with the most
    /// records a second.
    fn sweep(&mut self) -> Result<(), Error> {
        let all = Tuning::all();
        let done = self.state.note(SWEEP_NOTE).cloned();
        let rows = match done {
            Some(rows) => rows,
            None => {
                let mut rows = Vec::new();
                for tuning in &all {
                    let figures = self.sweep_leg(tuning)?;
                    let of = |metric| figures.get(metric).unwrap_or(0.0);
                    let (records, cpu) = (of(Metric::RecordsPerS), of(Metric::CpuPerGb));
                    eprintln!("sweep: {}: {records:.0} records/s, {cpu:.3} CPU s/GB", tuning.title());
                    rows.push(json!([tuning.title(), records, cpu]));
                }
                let rows = json!(rows);
                self.state.add_note(SWEEP_NOTE, rows.clone())?;
                rows
            }
        };
        let records = |at: &usize| rows[*at][1].as_f64().unwrap_or(0.0);
        let best = (0..all.len()).max_by(|one, other| records(one).total_cmp(&records(other)));
        self.fleet.setup.tuning = best.map(|at| all[at].clone());
        Ok(())
    }

    fn sweep_leg(&mut self, tuning: &Tuning) -> Result<Figures, Error> {
        let server = Server::Broker(self.fleet.setup.tuned(tuning)?);
        self.fleet.setup.warm_up(&server)?;
        let topic = self.new_topic();
        legs::unlimited(&server, &topic, &BASE, self.seconds())
    }

    /// Records a second that Apache Kafka took in the base case; measured when it was not.
    pub(super) fn most_of_kafka(&mut self) -> Result<f64, Error> {
        let base = Tally::new(self.state.legs()).spread(BASE_NAME, Metric::RecordsPerS, Contender::Kafka);
        if let Some(base) = base {
            return Ok(base.median);
        }
        if let Some(most) = self.state.note(MOST_NOTE).and_then(serde_json::Value::as_f64) {
            return Ok(most);
        }
        eprintln!("  measuring Apache Kafka's most");
        let (topic, seconds) = (self.new_topic(), self.seconds());
        let figures = legs::unlimited(self.fleet.server(Contender::Kafka)?, &topic, &BASE, seconds)?;
        let most = figures.get(Metric::RecordsPerS).unwrap_or(0.0);
        self.state.add_note(MOST_NOTE, json!(most))?;
        Ok(most)
    }

    /// The broker of a contender that only this case has.
    pub(super) fn own_broker(
        &mut self,
        contender: Contender,
        properties: &[(&str, &str)],
    ) -> Result<&Server, Error> {
        if !self.ground.own.get(&contender).is_some_and(Server::is_alive) {
            self.ground.own.remove(&contender);
            let server = Server::Broker(self.fleet.setup.broker(contender, properties)?);
            self.ground.own.insert(contender, server);
        }
        Ok(self.ground.own.get(&contender).expect("inserted above"))
    }

    /// A name that no topic has had in this run.
    pub(super) fn new_topic(&mut self) -> String {
        self.topics += 1;
        format!("compare{}", self.topics)
    }

    /// How long a leg is measured.
    pub(super) fn seconds(&self) -> f64 {
        self.args.leg_seconds()
    }

    /// Bytes of what is written once, fewer of a quick run.
    pub(super) fn scaled(&self, bytes: u64) -> u64 {
        if self.args.quick { bytes / QUICK_PART } else { bytes }
    }

    pub(super) fn is_by_apache(&self) -> bool {
        self.args.client == Client::Apache
    }

    pub(super) fn jars(&self) -> Result<Jars, Error> {
        self.fleet.setup.jars.clone().map_or_else(|| self.args.jars(), Ok)
    }
}

fn tell(case: &Case, pair: u32, pairs: u32, contender: Contender, result: &Result<Figures, String>) {
    let told = match result {
        Ok(figures) => super::table::shown(case.chapter)
            .iter()
            .filter_map(|metric| {
                let value = figures.get(*metric)?;
                Some(format!("{} {value:.*}", metric.title(), metric.decimals()))
            })
            .collect::<Vec<_>>()
            .join("; "),
        Err(reason) => format!("FAILED: {}", reason.lines().next().unwrap_or_default()),
    };
    eprintln!("{:<16} {pair} of {pairs}  {:<32} {told}", case.name, contender.title());
}

/// Seconds that so many pairs of a case take, what is made for it included.
pub(super) fn case_seconds(case: &Case, pairs: u32, contenders: usize, seconds: f64, part: f64) -> f64 {
    contenders as f64 * (case.preparation_seconds() * part + f64::from(pairs) * case.leg_seconds(seconds))
}

/// The cases that are meant by names; an unknown one is an error that tells all.
pub(super) fn named(names: &[String], grid: Vec<Case>) -> Result<Vec<Case>, Error> {
    let all: Vec<Case> = cases().into_iter().chain(grid).collect();
    if names.is_empty() {
        return Ok(all.into_iter().filter(Case::is_default).collect());
    }
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|case| case.name == **name)) {
        let known: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
        return Err(failed(format!("no case is called {unknown}; there are {}", known.join(", "))));
    }
    Ok(all.into_iter().filter(|case| names.contains(&case.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_run_in_the_order_of_the_list_whatever_the_order_of_names() {
        let names = |of: &[&str]| {
            let of: Vec<String> = of.iter().map(|name| (*name).to_owned()).collect();
            named(&of, Vec::new()).map(|cases| cases.into_iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["java-producer", "keys", "base"]).unwrap(), ["base", "keys", "java-producer"]);
        let refused = names(&["base", "kyes"]).unwrap_err().to_string();
        assert!(refused.contains("kyes") && refused.contains("latency-50"), "{refused}");
        assert!(!names(&[]).unwrap().contains(&"java-producer".to_owned()));
    }
}
