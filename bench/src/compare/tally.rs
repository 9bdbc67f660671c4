//! `Tally`: medians over pairs, and ratios within a pair.

use super::contender::Contender;
use super::leg::Leg;
use super::metric::Metric;
use super::spread::Spread;

/// A figure of fewer pairs than this says so.
pub(super) const PAIRS_MIN: usize = 5;

/// Legs, looked at together.
pub(super) struct Tally<'a> {
    legs: &'a [Leg],
}

impl<'a> Tally<'a> {
    pub(super) fn new(legs: &'a [Leg]) -> Tally<'a> {
        Tally { legs }
    }

    /// The last word on each pair.
    fn pairs(&self, case: &str, contender: Contender) -> Vec<&'a Leg> {
        let mut pairs: Vec<&Leg> = Vec::new();
        for leg in self.legs.iter().filter(|leg| leg.case == case && leg.contender == contender) {
            match pairs.iter_mut().find(|known| known.pair == leg.pair) {
                Some(known) => *known = leg,
                None => pairs.push(leg),
            }
        }
        pairs
    }

    pub(super) fn spread(&self, case: &str, metric: Metric, contender: Contender) -> Option<Spread> {
        let legs = self.pairs(case, contender);
        Spread::of(legs.iter().filter_map(|leg| leg.figures()?.get(metric)).collect())
    }

    /// Of legs of the same pair, so that what slows the machine for a minute slows both.
    pub(super) fn ratio(
        &self,
        case: &str,
        metric: Metric,
        above: Contender,
        below: Contender,
    ) -> Option<Spread> {
        let lower = self.pairs(case, below);
        let ratio = |leg: &&Leg| {
            let other = lower.iter().find(|other| other.pair == leg.pair)?;
            let (upper, lower) = (leg.figures()?.get(metric)?, other.figures()?.get(metric)?);
            let ratio = upper / lower;
            // Nothing by nothing, as of idle CPU that no tick was counted of, is no ratio.
            ratio.is_finite().then_some(ratio)
        };
        Spread::of(self.pairs(case, above).iter().filter_map(ratio).collect())
    }

    /// Metrics that a case has figures of, in the order of the table.
    pub(super) fn metrics(&self, case: &str) -> Vec<Metric> {
        let legs = self.legs.iter().filter(|leg| leg.case == case).filter_map(Leg::figures);
        let mut metrics: Vec<Metric> = legs.flat_map(|figures| figures.values.keys().copied()).collect();
        metrics.sort();
        metrics.dedup();
        metrics
    }

    /// Who failed in which pair, and why, unless it went well later.
    pub(super) fn failures(&self, case: &str) -> Vec<(Contender, u32, &'a str)> {
        let legs = Contender::ALL.into_iter().flat_map(|contender| self.pairs(case, contender));
        legs.filter_map(|leg| Some((leg.contender, leg.pair, leg.result.as_ref().err()?.as_str()))).collect()
    }

    /// Latencies that were taken in all pairs together; none where there is no such figure.
    pub(super) fn samples(&self, case: &str, contender: Contender) -> Option<f64> {
        let legs = self.pairs(case, contender);
        let samples: Vec<f64> = legs.iter().filter_map(|leg| leg.figures()?.get(Metric::Samples)).collect();
        (!samples.is_empty()).then(|| samples.iter().sum())
    }

    /// The latency of the pair in the middle by its p99, for a plot.
    pub(super) fn points(&self, case: &str, contender: Contender) -> Option<&'a [(f64, f64)]> {
        let mut legs = self.pairs(case, contender);
        legs.retain(|leg| leg.figures().is_some_and(|figures| !figures.points.is_empty()));
        let p99 = |leg: &&Leg| leg.figures().and_then(|figures| figures.get(Metric::P99Ms)).unwrap_or(0.0);
        legs.sort_by(|one, other| p99(one).total_cmp(&p99(other)));
        Some(&legs.get(legs.len() / 2)?.figures()?.points)
    }
}

#[cfg(test)]
mod tests {
    use super::super::leg::Figures;
    use super::*;

    fn leg(pair: u32, contender: Contender, result: Result<f64, &str>) -> Leg {
        let figures = |value| {
            let mut figures = Figures::default();
            figures.set(Metric::CpuPerGb, value);
            figures
        };
        let result = result.map(figures).map_err(str::to_owned);
        Leg { case: "base".into(), pair, contender, result }
    }

    #[test]
    fn ratios_are_taken_within_a_pair_and_of_what_did_not_fail() {
        use Contender::{Kafka, PageCache};
        let mut legs = Vec::new();
        // The medians of either side alone would give 2 / 4.
        for (pair, logmill, kafka) in [(1, 1.0, 10.0), (2, 2.0, 4.0), (3, 3.0, 2.0)] {
            legs.push(leg(pair, Kafka, Ok(kafka)));
            legs.push(leg(pair, PageCache, Ok(logmill)));
        }
        legs.push(leg(4, Kafka, Err("no room")));
        legs.push(leg(4, PageCache, Ok(100.0)));
        let tally = Tally::new(&legs);
        let ratio = tally.ratio("base", Metric::CpuPerGb, PageCache, Kafka).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max, ratio.count), (0.5, 0.1, 1.5, 3));
        assert_eq!(tally.failures("base"), [(Kafka, 4, "no room")]);
        legs.push(leg(4, Kafka, Ok(50.0)));
        let tally = Tally::new(&legs);
        assert!(tally.failures("base").is_empty(), "the second attempt went well");
        assert_eq!(tally.ratio("base", Metric::CpuPerGb, PageCache, Kafka).unwrap().count, 4);
        assert_eq!(tally.metrics("base"), [Metric::CpuPerGb]);
    }

    #[test]
    fn nothing_by_nothing_is_no_ratio() {
        use Contender::{Durable, Kafka};
        let legs = [leg(1, Durable, Ok(0.0)), leg(1, Kafka, Ok(0.0))];
        assert_eq!(Tally::new(&legs).ratio("base", Metric::CpuPerGb, Durable, Kafka), None);
    }
}
