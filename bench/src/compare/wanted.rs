//! What is wanted of a run: ratios with their limits, one table.

use super::contender::Contender::{self, Durable, Floor, FloorSync, Kafka, KafkaFlush, PageCache};
use super::metric::Metric;
use super::spread::Spread;
use super::tally::{PAIRS_MIN, Tally};

/// What a ratio may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// A ratio, first contender to second, and its limit.
struct Row(&'static str, Metric, Contender, Contender, Limit);

const FIFTH: Limit = Limit::AtMost(1.0 / 5.0);
const HALF: Limit = Limit::AtMost(1.0 / 2.0);
const THIRD: Limit = Limit::AtMost(1.0 / 3.0);

const TABLE: [Row; 32] = [
    Row("base", Metric::CpuPerGb, PageCache, Kafka, FIFTH),
    Row("base", Metric::CpuPerGb, Durable, KafkaFlush, Limit::AtMost(1.0 / 8.0)),
    Row("base", Metric::CpuPerGb, PageCache, Floor, Limit::AtMost(1.4)),
    Row("base", Metric::CpuPerGb, Durable, FloorSync, Limit::AtMost(1.4)),
    Row("base", Metric::ResidentMib, PageCache, Kafka, Limit::AtMost(1.0 / 6.0)),
    Row("base", Metric::ResidentMib, Durable, Kafka, Limit::AtMost(1.0 / 6.0)),
    Row("batches-1m", Metric::CpuPerGb, PageCache, Kafka, FIFTH),
    Row("batches-1m", Metric::CpuPerGb, PageCache, Floor, Limit::AtMost(1.3)),
    Row("partitions-1000", Metric::RecordsPerS, Durable, KafkaFlush, Limit::AtLeast(10.0)),
    Row("partitions-1000", Metric::RecordsPerS, Durable, Kafka, Limit::AtLeast(1.0)),
    Row("latency-50", Metric::P99Ms, PageCache, Kafka, THIRD),
    Row("latency-50", Metric::P99Ms, Durable, Kafka, HALF),
    Row("latency-50", Metric::P999Ms, PageCache, Kafka, THIRD),
    Row("latency-50", Metric::P999Ms, Durable, Kafka, HALF),
    Row("latency-50", Metric::MaxMs, PageCache, Kafka, THIRD),
    Row("latency-50", Metric::MaxMs, Durable, Kafka, THIRD),
    Row("tail", Metric::CpuPerGb, PageCache, Kafka, HALF),
    Row("tail", Metric::CpuPerGb, Durable, Kafka, HALF),
    Row("catch-up", Metric::CpuPerGb, PageCache, Kafka, HALF),
    Row("catch-up", Metric::WarmCpuPerGb, PageCache, Kafka, HALF),
    Row("catch-up", Metric::CpuPerGb, PageCache, Floor, Limit::AtMost(1.3)),
    Row("catch-up", Metric::WarmCpuPerGb, PageCache, Floor, Limit::AtMost(1.3)),
    Row("start-empty", Metric::StartMs, Durable, Kafka, Limit::AtMost(1.0 / 20.0)),
    Row("start-killed", Metric::StartMs, Durable, Kafka, Limit::AtMost(1.0 / 20.0)),
    Row("start-clean", Metric::StartMs, Durable, Kafka, Limit::AtMost(1.0 / 10.0)),
    Row("idle-0", Metric::ResidentMib, Durable, Kafka, Limit::AtMost(1.0 / 8.0)),
    Row("idle-1000", Metric::ResidentMib, Durable, Kafka, Limit::AtMost(1.0 / 8.0)),
    Row("idle-5000", Metric::ResidentMib, Durable, Kafka, Limit::AtMost(1.0 / 8.0)),
    Row("idle-0", Metric::IdleCpuPercent, Durable, Kafka, FIFTH),
    Row("idle-1000", Metric::IdleCpuPercent, Durable, Kafka, FIFTH),
    Row("idle-5000", Metric::IdleCpuPercent, Durable, Kafka, FIFTH),
    Row("partitions-1000", Metric::ResidentMib, Durable, Kafka, Limit::AtMost(1.0 / 6.0)),
];

/// A limit held against what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub what: String,
    pub limit: Limit,
    /// None where a leg is missing.
    pub ratio: Option<Spread>,
}

impl Verdict {
    pub(super) fn is_met(&self) -> Option<bool> {
        let median = self.ratio?.median;
        Some(match self.limit {
            Limit::AtMost(most) => median <= most,
            Limit::AtLeast(least) => median >= least,
        })
    }

    /// `met`, `MISSED`, or why it is neither.
    pub(super) fn text(&self) -> String {
        let Some(met) = self.is_met() else { return "not measured".to_owned() };
        let word = if met { "met" } else { "MISSED" };
        match self.ratio {
            Some(ratio) if ratio.count == 1 => format!("{word} (1 pair)"),
            Some(ratio) if ratio.count < PAIRS_MIN => format!("{word} ({} pairs)", ratio.count),
            _ => word.to_owned(),
        }
    }
}

impl Limit {
    pub(super) fn text(self) -> String {
        match self {
            Limit::AtMost(most) => format!("at most {most:.3}"),
            Limit::AtLeast(least) => format!("at least {least:.1}"),
        }
    }
}

/// All limits of cases that are in `cases`.
pub(super) fn verdicts(tally: &Tally<'_>, is_run: impl Fn(&str) -> bool) -> Vec<Verdict> {
    let verdict = |Row(case, metric, above, below, limit): &Row| Verdict {
        what: format!("{case}: {}, {} / {}", metric.title(), above.title(), below.title()),
        limit: *limit,
        ratio: tally.ratio(case, *metric, *above, *below),
    };
    TABLE.iter().filter(|row| is_run(row.0)).map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cases::cases;
    use super::super::leg::{Figures, Leg};
    use super::*;

    #[test]
    fn every_limit_is_of_contenders_that_its_case_runs() {
        for Row(name, _, above, below, _) in &TABLE {
            let case = cases().into_iter().find(|case| case.name == *name).expect(name);
            let runs = case.contenders(false);
            assert!(runs.contains(above) && runs.contains(below), "{name}: {above:?} / {below:?}");
        }
    }

    #[test]
    fn a_limit_is_met_by_the_median_of_ratios_within_pairs() {
        let leg = |pair, contender, cpu| {
            let mut figures = Figures::default();
            figures.set(Metric::CpuPerGb, cpu);
            Leg { case: "base".into(), pair, contender, result: Ok(figures) }
        };
        let mut legs = Vec::new();
        for (pair, logmill) in [(1, 0.1), (2, 0.2), (3, 5.0)] {
            legs.push(leg(pair, Kafka, 1.0));
            legs.push(leg(pair, PageCache, logmill));
        }
        let tally = Tally::new(&legs);
        let verdicts = verdicts(&tally, |name| name == "base");
        assert_eq!(verdicts[0].is_met(), Some(true), "{:?}", verdicts[0]);
        assert_eq!(verdicts[0].text(), "met (3 pairs)");
        assert_eq!(verdicts[1].text(), "not measured");
        let missed = Verdict { limit: Limit::AtLeast(0.3), ..verdicts[0].clone() };
        assert_eq!(missed.text(), "MISSED (3 pairs)");
    }
}
