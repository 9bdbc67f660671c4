//! The report as Markdown, which is also what the terminal gets, and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::cases::{Case, Chapter};
use super::contender::{Contender, Durability};
use super::metric::Metric;
use super::report::Report;
use super::spread::Spread;
use super::tally::PAIRS_MIN;

/// What a table of each chapter shows, as far as there are figures.
pub(super) fn shown(chapter: Chapter) -> &'static [Metric] {
    use Metric::*;
    match chapter {
        Chapter::Produce => &[RecordsPerS, MbPerS, CpuPerGb, ResidentMib, WriteAmplification],
        Chapter::Latency => &[P50Ms, P99Ms, P999Ms, MaxMs, CpuPerGb, RecordsPerS],
        Chapter::Fetch => &[
            MbPerS,
            CpuPerGb,
            WarmMbPerS,
            WarmCpuPerGb,
            EndToEndP50Ms,
            EndToEndP99Ms,
            EndToEndP999Ms,
            EndToEndMaxMs,
            P99Ms,
        ],
        Chapter::Start => &[StartMs, ResidentMib],
        Chapter::Idle => &[IdleCpuPercent, ResidentMib],
        Chapter::Java => &[],
    }
}

/// One line of a table: a metric of a case at one durability.
pub(super) struct Line {
    pub case: String,
    pub durability: Durability,
    pub metric: Metric,
    pub kafka: Option<Spread>,
    pub tuned: Option<Spread>,
    pub logmill: Option<Spread>,
    pub floor: Option<Spread>,
    pub to_kafka: Option<Spread>,
    pub to_floor: Option<Spread>,
}

/// The lines of a case; one that says that nothing was measured where nothing was.
pub(super) fn lines(report: &Report<'_>, case: &Case) -> Vec<Line> {
    let tally = report.tally();
    let measured = tally.metrics(&case.name);
    let mut lines = Vec::new();
    for durability in case.durabilities {
        let (kafka, logmill) = (durability.kafka(), durability.logmill());
        let floor = durability.floor().filter(|_| case.has_floor);
        for metric in shown(case.chapter) {
            let of = |contender| tally.spread(&case.name, *metric, contender);
            let ratio = |below| tally.ratio(&case.name, *metric, logmill, below);
            if !measured.contains(metric) && (!measured.is_empty() || *metric != shown(case.chapter)[0]) {
                continue;
            }
            lines.push(Line {
                case: case.name.clone(),
                durability: *durability,
                metric: *metric,
                kafka: of(kafka),
                tuned: (kafka == Contender::Kafka).then(|| of(Contender::KafkaTuned)).flatten(),
                logmill: of(logmill),
                floor: floor.and_then(of),
                to_kafka: ratio(kafka),
                to_floor: floor.and_then(ratio),
            });
        }
    }
    lines
}

/// A figure with its spread, and with the number of its pairs where those are few.
pub(super) fn cell(spread: Option<Spread>, decimals: usize) -> String {
    match spread {
        None => String::new(),
        Some(spread) if spread.count == 1 => format!("{:.decimals$}, 1 pair", spread.median),
        Some(spread) if spread.count < PAIRS_MIN => {
            format!("{}, {} pairs", spread.text(decimals), spread.count)
        }
        Some(spread) => spread.text(decimals),
    }
}

/// How many latencies the figures of a case rest on; empty of a case that has none.
pub(super) fn samples(report: &Report<'_>, case: &Case) -> String {
    let tally = report.tally();
    let of = |contender: Contender| {
        Some(format!("{} {:.0}", contender.title(), tally.samples(&case.name, contender)?))
    };
    let all: Vec<String> = Contender::ALL.into_iter().filter_map(of).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("Latencies of all pairs together: {}.", all.join(", "))
    }
}

/// All of it in Markdown.
pub(super) fn markdown(report: &Report<'_>) -> String {
    let mut text = String::new();
    let has_tuned =
        report.cases().iter().flat_map(|case| lines(report, case)).any(|line| line.tuned.is_some());
    for (name, value) in report.facts() {
        writeln!(text, "- {name}: {value}").expect("a string takes all");
    }
    for chapter in Chapter::ALL {
        let cases: Vec<&Case> = report.cases().iter().filter(|case| case.chapter == chapter).collect();
        if cases.is_empty() {
            continue;
        }
        write!(text, "\n## {}\n", chapter.title()).expect("a string takes all");
        for case in cases {
            write!(text, "\n**{}**: {}\n\n", case.name, case.title).expect("a string takes all");
            if chapter == Chapter::Java {
                let table = report.java().unwrap_or("not run");
                writeln!(text, "```\n{table}\n```").expect("a string takes all");
                continue;
            }
            text += &case_table(report, case, has_tuned);
            let samples = samples(report, case);
            if !samples.is_empty() {
                writeln!(text, "\n{samples}").expect("a string takes all");
            }
            for (contender, pair, why) in report.tally().failures(&case.name) {
                let why = why.lines().next().unwrap_or_default();
                writeln!(text, "\n{}, pair {pair}, failed: {why}", contender.title())
                    .expect("a string takes all");
            }
        }
    }
    if !report.sweep().is_empty() {
        text += "\n## Threads and heap of Apache Kafka, base case\n\n| settings | records/s | CPU s/GB |\n|---|--:|--:|\n";
        for (settings, records, cpu) in report.sweep() {
            writeln!(text, "| {settings} | {records:.0} | {cpu:.3} |").expect("a string takes all");
        }
    }
    text += "\n## Wanted\n\n| ratio | median (min..max) | wanted | |\n|---|--:|--:|---|\n";
    for verdict in report.verdicts() {
        let ratio = verdict.ratio.map_or_else(String::new, |ratio| ratio.text(3));
        writeln!(text, "| {} | {ratio} | {} | {} |", verdict.what, verdict.limit.text(), verdict.text())
            .expect("a string takes all");
    }
    text
}

fn case_table(report: &Report<'_>, case: &Case, has_tuned: bool) -> String {
    let tuned = |cell: String| if has_tuned { format!(" {cell} |") } else { String::new() };
    let mut text = format!(
        "| durability | | Apache Kafka |{} Logmill | floor | Logmill : Kafka | Logmill : floor |\n|---|---|--:|{}--:|--:|--:|--:|\n",
        tuned("tuned".into()),
        if has_tuned { "--:|" } else { "" }
    );
    for line in lines(report, case) {
        let decimals = line.metric.decimals();
        writeln!(
            text,
            "| {} | {} | {} |{} {} | {} | {} | {} |",
            line.durability.title(),
            line.metric.title(),
            cell(line.kafka, decimals),
            tuned(cell(line.tuned, decimals)),
            cell(line.logmill, decimals),
            cell(line.floor, decimals),
            cell(line.to_kafka, 3),
            cell(line.to_floor, 3)
        )
        .expect("a string takes all");
    }
    text
}

/// All of it for programs: facts, rows, limits, and every leg.
pub(super) fn json(report: &Report<'_>) -> Value {
    let facts: Map<String, Value> =
        report.facts().iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let spread = |spread: Option<Spread>| spread.map(Spread::json);
    let row = |line: Line| {
        json!({
            "case": line.case,
            "durability": line.durability.title(),
            "metric": line.metric.key(),
            "kafka": spread(line.kafka),
            "kafka_tuned": spread(line.tuned),
            "logmill": spread(line.logmill),
            "floor": spread(line.floor),
            "logmill_to_kafka": spread(line.to_kafka),
            "logmill_to_floor": spread(line.to_floor),
        })
    };
    let rows: Vec<Value> = report.cases().iter().flat_map(|case| lines(report, case)).map(row).collect();
    let wanted: Vec<Value> = report
        .verdicts()
        .iter()
        .map(|verdict| {
            json!({
                "ratio": verdict.what,
                "limit": verdict.limit.text(),
                "measured": spread(verdict.ratio),
                "is_met": verdict.is_met(),
            })
        })
        .collect();
    let legs: Vec<Value> = report.legs().iter().map(|leg| leg.to_json()).collect();
    json!({ "facts": facts, "rows": rows, "wanted": wanted, "legs": legs, "java_producer": report.java_json() })
}
