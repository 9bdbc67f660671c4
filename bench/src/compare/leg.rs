//! `Leg`: what one contender came to in one pair of a case; a line of the state file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::contender::Contender;
use super::metric::Metric;

/// One leg, whether it has figures or a reason why not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leg {
    pub case: String,
    /// From 1.
    pub pair: u32,
    pub contender: Contender,
    pub result: Result<Figures, String>,
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub values: BTreeMap<Metric, f64>,
    /// Percentile and milliseconds, for the plot of latencies.
    pub points: Vec<(f64, f64)>,
}

impl Figures {
    pub(super) fn set(&mut self, metric: Metric, value: f64) {
        // A figure that cannot be had (nothing was sent, say) is none, and JSON has no infinity.
        if value.is_finite() {
            self.values.insert(metric, value);
        }
    }

    pub(super) fn get(&self, metric: Metric) -> Option<f64> {
        self.values.get(&metric).copied()
    }
}

impl Leg {
    pub(super) fn figures(&self) -> Option<&Figures> {
        self.result.as_ref().ok()
    }

    pub(super) fn to_json(&self) -> Value {
        let mut line = json!({ "case": self.case, "pair": self.pair, "contender": self.contender.key() });
        match &self.result {
            Ok(figures) => {
                let values: Map<String, Value> = figures
                    .values
                    .iter()
                    .map(|(metric, value)| (metric.key().to_owned(), json!(value)))
                    .collect();
                line["figures"] = Value::Object(values);
                if !figures.points.is_empty() {
                    line["points"] = json!(figures.points);
                }
            }
            Err(reason) => line["failed"] = json!(reason),
        }
        line
    }

    /// `None` of what is no leg, or names what this program does not know.
    pub(super) fn from_json(line: &Value) -> Option<Leg> {
        let case = line["case"].as_str()?.to_owned();
        let pair = u32::try_from(line["pair"].as_u64()?).ok()?;
        let contender = Contender::from_key(line["contender"].as_str()?)?;
        if let Some(reason) = line["failed"].as_str() {
            return Some(Leg { case, pair, contender, result: Err(reason.to_owned()) });
        }
        let mut figures = Figures::default();
        for (key, value) in line["figures"].as_object()? {
            figures.set(Metric::from_key(key)?, value.as_f64()?);
        }
        for point in line["points"].as_array().into_iter().flatten() {
            figures.points.push((point[0].as_f64()?, point[1].as_f64()?));
        }
        Some(Leg { case, pair, contender, result: Ok(figures) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_reads_back_as_written() {
        let mut figures = Figures::default();
        figures.set(Metric::CpuPerGb, 1.25);
        figures.set(Metric::MbPerS, f64::INFINITY);
        figures.points = vec![(50.0, 0.5), (100.0, 7.0)];
        assert_eq!(figures.values.len(), 1, "no figure is no figure");
        for result in [Ok(figures), Err("the disk is full".to_owned())] {
            let leg = Leg { case: "base".into(), pair: 3, contender: Contender::FloorSync, result };
            let text = leg.to_json().to_string();
            assert_eq!(Leg::from_json(&serde_json::from_str(&text).unwrap()), Some(leg));
        }
    }

    #[test]
    fn half_a_line_is_no_leg() {
        for text in [r#"{"case":"base"}"#, r#"{"case":"base","pair":1,"contender":"nobody","figures":{}}"#] {
            assert_eq!(Leg::from_json(&serde_json::from_str(text).unwrap()), None);
        }
    }
}
