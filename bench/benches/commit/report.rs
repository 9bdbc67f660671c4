//! `Report`: the figures as a table and as JSON, and whether they are what is wanted.

use serde_json::{Value, json};

use super::load::Figures;
use super::meter::median;

/// What a ratio has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    Least(f64),
    Most(f64),
}

/// Rows and verdicts, printed as they come.
#[derive(Debug)]
pub(crate) struct Report {
    /// Whether the figures are good enough to be judged.
    is_judging: bool,
    rows: Vec<Value>,
    verdicts: Vec<Value>,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(is_judging: bool) -> Report {
        Report { is_judging, rows: Vec::new(), verdicts: Vec::new(), missed: Vec::new() }
    }

    /// Adds a case: the medians of each way's legs.
    pub(crate) fn add(&mut self, case: &str, ways: &[(&str, &[Figures])]) {
        println!("\n{case}");
        println!(
            "| {:<32} | appends/s |   MB/s | us an append | CPU us | wave p50 us |    p99 |  p99.9 | turns | syncs behind | MB behind | wave syncs | device B/B |",
            "way"
        );
        println!("|{:-<34}|{}", "", "--:|".repeat(12));
        for (way, legs) in ways.iter().filter(|(_, legs)| !legs.is_empty()) {
            let of = |figure: &dyn Fn(&Figures) -> f64| median(legs.iter().map(figure));
            let wave = |share: f64| of(&|leg| leg.waves.clone().quantile(share));
            let row = json!({
                "case": case,
                "way": way,
                "legs": legs.len(),
                "appends_per_second": of(&Figures::appends_per_second),
                "megabytes_per_second": of(&|leg| leg.bytes / leg.seconds / 1e6),
                "micros_per_append": of(&Figures::micros_per_append),
                "cpu_micros_per_append": of(&Figures::cpu_micros_per_append),
                "wave_p50_micros": wave(0.5),
                "wave_p99_micros": wave(0.99),
                "wave_p999_micros": wave(0.999),
                "turns": of(&Figures::turns),
                "syncs_behind": of(&|leg| leg.counts.behind_syncs as f64),
                "megabytes_behind": of(&|leg| leg.counts.behind_bytes as f64 / 1e6),
                "wave_syncs": of(&|leg| leg.counts.wave_syncs as f64),
                "device_bytes_per_byte": of(&|leg| leg.device_bytes.map_or(f64::NAN, |bytes| bytes / leg.bytes)),
            });
            let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
            println!(
                "| {:<32} | {:>9.0} | {:>6.0} | {:>12.2} | {:>6.2} | {:>11.0} | {:>6.0} | {:>6.0} | {:>5.1} | {:>12.0} | {:>9.0} | {:>10.0} | {:>10.2} |",
                way,
                number("appends_per_second"),
                number("megabytes_per_second"),
                number("micros_per_append"),
                number("cpu_micros_per_append"),
                number("wave_p50_micros"),
                number("wave_p99_micros"),
                number("wave_p999_micros"),
                number("turns"),
                number("syncs_behind"),
                number("megabytes_behind"),
                number("wave_syncs"),
                number("device_bytes_per_byte"),
            );
            self.rows.push(row);
        }
    }

    /// Puts a figure of one way beside the other's, leg by leg; the median of the ratios counts.
    pub(crate) fn judge(
        &mut self,
        what: &str,
        figure: impl Fn(&Figures) -> f64,
        legs: &[Figures],
        baseline: &[Figures],
        wanted: Bound,
    ) {
        if legs.is_empty() || baseline.is_empty() {
            return;
        }
        let ratios: Vec<f64> =
            legs.iter().zip(baseline).map(|(leg, base)| figure(leg) / figure(base)).collect();
        let (min, max) = (
            ratios.iter().copied().fold(f64::NAN, f64::min),
            ratios.iter().copied().fold(f64::NAN, f64::max),
        );
        self.decide(what, median(ratios.into_iter()), Some((min, max)), wanted);
    }

    /// Asks for a figure by itself.
    pub(crate) fn require(&mut self, what: &str, figure: f64, wanted: Bound) {
        self.decide(what, figure, None, wanted);
    }

    fn decide(&mut self, what: &str, figure: f64, range: Option<(f64, f64)>, wanted: Bound) {
        if !self.is_judging {
            return;
        }
        let (holds, wanted) = match wanted {
            Bound::Least(least) => (figure >= least, format!("at least {least}")),
            Bound::Most(most) => (figure <= most, format!("at most {most}")),
        };
        let span = range.map_or(String::new(), |(min, max)| format!(" ({min:.2}..{max:.2})"));
        let verdict = if holds { "" } else { ", MISSED" };
        println!("{what}: {figure:.2}{span}, wanted {wanted}{verdict}");
        self.verdicts.push(json!({
            "what": what,
            "figure": figure,
            "smallest": range.map(|(min, _)| min),
            "largest": range.map(|(_, max)| max),
            "wanted": wanted,
            "holds": holds,
        }));
        if !holds {
            self.missed.push(format!("{what}: {figure:.2}, wanted {wanted}"));
        }
    }

    /// What is not as wanted.
    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "rows": self.rows, "verdicts": self.verdicts })
    }
}
