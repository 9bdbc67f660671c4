//! `Latency`: a histogram of durations, three digits exact, that goes into JSON and comes back.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Durations are counted in microseconds up to an hour; a longer one counts as that.
const US_MAX: u64 = 3_600_000_000;
/// Digits that are exact.
const DIGITS: u8 = 3;

/// The percentiles that tables and JSON name.
pub const PERCENTILES: [f64; 8] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999];

/// How long things took.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// As it stands in JSON. Only the buckets are read back: all else follows from them.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    count: u64,
    #[serde(default)]
    mean_ms: f64,
    #[serde(default)]
    min_ms: f64,
    #[serde(default)]
    max_ms: f64,
    /// Percentile and value.
    #[serde(default)]
    percentiles_ms: Vec<(f64, f64)>,
    /// The largest value of each bucket that is not empty, in microseconds, and how many are in it.
    buckets_us: Vec<(u64, u64)>,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { histogram: Histogram::new_with_bounds(1, US_MAX, DIGITS).expect("constants that fit") }
    }
}

impl Latency {
    /// Counts `times` durations of so many microseconds.
    pub fn record(&mut self, us: u64, times: u64) {
        self.histogram.saturating_record_n(us.max(1), times);
    }

    /// Counts all of another one too.
    pub fn add(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Milliseconds that so many percent did not exceed; 0 of none.
    pub fn percentile_ms(&self, percentile: f64) -> f64 {
        if self.count() == 0 { 0.0 } else { ms(self.histogram.value_at_quantile(percentile / 100.0)) }
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { ms(self.histogram.max()) }
    }

    /// The shortest, in milliseconds.
    pub fn min_ms(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { ms(self.histogram.min()) }
    }

    /// The mean, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        self.histogram.mean() / 1000.0
    }

    /// How many took longer than so many milliseconds, but for what shares a bucket with them.
    pub fn count_above_ms(&self, ms: f64) -> u64 {
        let us = ((ms * 1000.0) as u64 + 1).min(US_MAX);
        self.histogram.count_between(us, US_MAX)
    }

    /// Percentiles and milliseconds for a plot with a logarithmic axis of 1 / (1 - quantile): five points each
    /// time that what is left halves, up to the longest.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let value = |step: hdrhistogram::iterators::IterationValue<u64>| {
            (step.quantile_iterated_to() * 100.0, ms(step.value_iterated_to()))
        };
        self.histogram.iter_quantiles(5).map(value).collect()
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

impl From<Latency> for Written {
    fn from(latency: Latency) -> Written {
        Written {
            count: latency.count(),
            mean_ms: latency.mean_ms(),
            min_ms: latency.min_ms(),
            max_ms: latency.max_ms(),
            percentiles_ms: PERCENTILES
                .iter()
                .map(|percentile| (*percentile, latency.percentile_ms(*percentile)))
                .collect(),
            buckets_us: latency
                .histogram
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }
}

impl From<Written> for Latency {
    fn from(written: Written) -> Latency {
        let mut latency = Latency::default();
        for (us, count) in written.buckets_us {
            latency.record(us, count);
        }
        latency
    }
}

impl std::fmt::Debug for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {:.3} ms at most, p50 {:.3} ms",
            self.count(),
            self.max_ms(),
            self.percentile_ms(50.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::default();
        for us in 1..=1000 {
            latency.record(us * 100, 1);
        }
        for (percentile, expected_ms) in [(50.0, 50.0), (99.0, 99.0), (100.0, 100.0)] {
            let found = latency.percentile_ms(percentile);
            assert!((found / expected_ms - 1.0).abs() < 0.001, "p{percentile}: {found} ms");
        }
        assert_eq!((latency.count(), latency.count_above_ms(90.05)), (1000, 100));
    }

    #[test]
    fn json_brings_back_every_bucket() {
        let mut latency = Latency::default();
        for (us, times) in [(1, 3), (999, 1), (1_000_003, 70), (US_MAX, 2), (u64::MAX, 1)] {
            latency.record(us, times);
        }
        let text = serde_json::to_string(&latency).unwrap();
        let back: Latency = serde_json::from_str(&text).unwrap();
        assert_eq!(back, latency);
        assert_eq!((back.count(), back.max_ms()), (77, latency.max_ms()));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["percentiles_ms"].as_array().unwrap().len(), PERCENTILES.len());
    }

    #[test]
    fn points_go_on_until_the_longest() {
        let mut latency = Latency::default();
        latency.record(1_000, 99_999);
        latency.record(50_000, 1);
        let points = latency.points();
        let (percentile, ms) = *points.last().unwrap();
        assert_eq!((percentile, ms), (100.0, latency.max_ms()));
        assert!(points.iter().filter(|(percentile, _)| *percentile > 99.9).count() > 10, "{points:?}");
    }

    #[test]
    fn nothing_recorded_is_zero_everywhere() {
        let latency = Latency::default();
        assert_eq!(
            (latency.count(), latency.max_ms(), latency.min_ms(), latency.percentile_ms(99.0)),
            (0, 0.0, 0.0, 0.0)
        );
        let back: Latency = serde_json::from_str(&serde_json::to_string(&latency).unwrap()).unwrap();
        assert_eq!(back, latency);
    }
}
