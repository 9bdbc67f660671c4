//! `Spread`: what some values come to.

use serde_json::{Value, json};

/// A median with the smallest and the largest value beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// How many values there were.
    pub count: usize,
}

impl Spread {
    /// Of an even number the median is the mean of the two in the middle; `None` of no values.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let count = values.len();
        let median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        Some(Spread { median, min, max, count })
    }

    /// `12.5 (11.9..13.0)`.
    pub(super) fn text(self, decimals: usize) -> String {
        format!("{:.decimals$} ({:.decimals$}..{:.decimals$})", self.median, self.min, self.max)
    }

    pub(super) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max, "pairs": self.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let of = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[4.0]), Some(Spread { median: 4.0, min: 4.0, max: 4.0, count: 1 }));
        assert_eq!(of(&[9.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, min: 1.0, max: 9.0, count: 4 }));
        assert_eq!(of(&[9.0, 1.0, 3.0]).unwrap().text(1), "3.0 (1.0..9.0)");
    }
}
