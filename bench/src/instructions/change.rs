//! `Change`: what a step takes in two commits.

use std::fmt::Write;

use super::callgrind::Counts;

/// Changes of less are not told.
const TOLD_PERCENT: f64 = 3.0;

/// One step in both; one of them may not have it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub step: String,
    base: Option<f64>,
    head: Option<f64>,
}

impl Change {
    /// Every step of either.
    pub(super) fn between(base: &Counts, head: &Counts) -> Vec<Change> {
        let of = |counts: &Counts, step: &str| counts.get(step).copied();
        let mut steps: Vec<&String> = base.keys().chain(head.keys()).collect();
        steps.sort();
        steps.dedup();
        let change =
            |step: &String| Change { step: step.clone(), base: of(base, step), head: of(head, step) };
        steps.into_iter().map(change).collect()
    }

    /// Of what both have; more is above zero.
    fn percent(&self) -> Option<f64> {
        Some((self.head? / self.base? - 1.0) * 100.0)
    }

    /// Whether it takes so many percent more.
    pub(super) fn is_above(&self, limit: f64) -> bool {
        self.percent().is_some_and(|percent| percent > limit)
    }

    fn is_told(&self) -> bool {
        self.percent().is_none_or(|percent| percent.abs() > TOLD_PERCENT)
    }
}

/// A line for each change that is told, the dearest first; a last one says of how many.
pub(super) fn table(changes: &[Change], all: bool) -> String {
    let mut told: Vec<&Change> = changes.iter().filter(|change| all || change.is_told()).collect();
    told.sort_by(|one, other| other.percent().unwrap_or(0.0).total_cmp(&one.percent().unwrap_or(0.0)));
    let mut text = String::new();
    let count = |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| format!("{count:.0}"));
    for change in &told {
        let percent = match (change.percent(), change.base) {
            (Some(percent), _) => format!("{percent:+.1}%"),
            (None, None) => "new".to_owned(),
            (None, Some(_)) => "gone".to_owned(),
        };
        writeln!(
            text,
            "{:<48} {:>12} {:>12} {percent:>8}",
            change.step,
            count(change.base),
            count(change.head)
        )
        .expect("a string takes all");
    }
    let by = format!(
        "{} of {} steps changed by more than {TOLD_PERCENT}%", //
        changes.iter().filter(|change| change.is_told()).count(),
        changes.len()
    );
    writeln!(text, "{by}").expect("a string takes all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, f64)]) -> Counts {
        of.iter().map(|(step, count)| ((*step).to_owned(), *count)).collect()
    }

    #[test]
    fn what_became_dearer_is_told_and_found_above_a_limit() {
        let base = counts(&[("append", 1_000.0), ("find", 1_000.0), ("read", 1_000.0), ("old", 5.0)]);
        let head = counts(&[("append", 1_100.0), ("find", 1_020.0), ("read", 900.0), ("new", 7.0)]);
        let changes = Change::between(&base, &head);
        let above: Vec<&str> =
            changes.iter().filter(|change| change.is_above(5.0)).map(|change| change.step.as_str()).collect();
        assert_eq!(above, ["append"], "neither less nor new is more");
        let text = table(&changes, false);
        assert!(text.contains("+10.0%") && text.contains("-10.0%"), "{text}");
        assert!(!text.contains("find"), "two percent are not told: {text}");
        assert!(text.contains("new") && text.contains("gone") && text.contains("4 of 5 steps"), "{text}");
        assert!(text.starts_with("append"), "the dearest first: {text}");
        assert!(table(&changes, true).contains("find"));
    }
}
