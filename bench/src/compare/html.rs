//! The report as one HTML page that needs nothing else.

use std::fmt::Write;

use super::cases::{Case, Chapter};
use super::contender::{Contender, Durability};
use super::metric::Metric;
use super::plot::{self, Bar, Group, escaped};
use super::report::Report;
use super::table::{cell, lines, samples};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1.5em; color: #222; }
h1 { margin-bottom: 0.2em; } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc; } h3 { margin: 1.6em 0 0.4em; }
table { border-collapse: collapse; font-size: 13px; margin: 0.5em 0 1em; }
th, td { padding: 3px 10px; border-bottom: 1px solid #e3e3e3; text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2), table.text td, table.text th { text-align: left; white-space: normal; }
tr.first td { border-top: 2px solid #bbb; }
.met { color: #1e7e34; } .missed { color: #b00020; font-weight: 600; } .none { color: #888; }
.failed { color: #b00020; } .wide { overflow-x: auto; }
svg { width: 100%; max-width: 900px; height: auto; display: block; }
pre { font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 0.8em; }
";

/// A plot of bars: what of which chapters.
const PLOTS: [(&str, Metric, &[Chapter]); 5] = [
    ("Throughput, MB/s", Metric::MbPerS, &[Chapter::Produce, Chapter::Fetch]),
    (
        "CPU seconds of the broker per GB",
        Metric::CpuPerGb,
        &[Chapter::Produce, Chapter::Latency, Chapter::Fetch],
    ),
    ("Resident memory, MiB", Metric::ResidentMib, &[Chapter::Produce, Chapter::Start, Chapter::Idle]),
    ("Bytes written to the device for each byte produced", Metric::WriteAmplification, &[Chapter::Produce]),
    ("Start to serving, ms", Metric::StartMs, &[Chapter::Start]),
];

/// The whole page.
pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>Logmill beside Apache Kafka</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Logmill beside Apache Kafka</h1>\n<p>Medians of pairs with the smallest \
         and the largest value beside them; a ratio is taken within a pair. A figure of fewer than five pairs says so. Each row \
         says what an acknowledgement means in it.</p>\n"
    );
    page += &facts(report);
    page += &wanted(report);
    for (title, metric, chapters) in PLOTS {
        let groups = groups(report, metric, chapters);
        if !groups.is_empty() {
            write!(
                page,
                "<h2>{}</h2>\n<p>Each case on a scale of its own.</p>\n{}",
                escaped(title),
                plot::bars(title, &groups, metric.decimals())
            )
            .expect("a string takes all");
        }
    }
    page += &latencies(report);
    for chapter in Chapter::ALL {
        page += &tables(report, chapter);
    }
    page + "</body>\n</html>\n"
}

fn facts(report: &Report<'_>) -> String {
    let mut text = "<table class=\"text\">\n".to_owned();
    for (name, value) in report.facts() {
        writeln!(text, "<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(value))
            .expect("a string takes all");
    }
    text + "</table>\n"
}

fn wanted(report: &Report<'_>) -> String {
    let verdicts = report.verdicts();
    if verdicts.is_empty() {
        return String::new();
    }
    let mut text = "<h2>Wanted</h2>\n<table class=\"text\">\n<tr><th>ratio</th><th>median (min..max)</th><th>wanted</th>\
                    <th></th></tr>\n"
        .to_owned();
    for verdict in verdicts {
        let class = match verdict.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "none",
        };
        let ratio = verdict.ratio.map_or_else(String::new, |ratio| ratio.text(3));
        writeln!(
            text,
            "<tr><td>{}</td><td>{ratio}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escaped(&verdict.what),
            verdict.limit.text(),
            verdict.text()
        )
        .expect("a string takes all");
    }
    text + "</table>\n"
}

/// A group for each case that has the figure.
fn groups(report: &Report<'_>, metric: Metric, chapters: &[Chapter]) -> Vec<Group> {
    let tally = report.tally();
    let group = |case: &Case| {
        let bar = |contender: Contender| {
            let value = tally.spread(&case.name, metric, contender)?;
            Some(Bar { label: contender.title(), color: contender.color(), value })
        };
        let bars: Vec<Bar> = Contender::ALL.into_iter().filter_map(bar).collect();
        (!bars.is_empty()).then(|| Group { name: format!("{}: {}", case.name, case.title), bars })
    };
    report.cases().iter().filter(|case| chapters.contains(&case.chapter)).filter_map(group).collect()
}

fn latencies(report: &Report<'_>) -> String {
    let tally = report.tally();
    let mut text = String::new();
    for case in report.cases() {
        let line = |contender: Contender| {
            let points = tally.points(&case.name, contender)?;
            Some(plot::Line { label: contender.title(), color: contender.color(), points })
        };
        let lines: Vec<plot::Line<'_>> = Contender::ALL.into_iter().filter_map(line).collect();
        if !lines.is_empty() {
            let title = format!("{}: {}", case.name, case.title);
            write!(text, "<h3>{}</h3>\n{}", escaped(&title), plot::percentiles(&title, &lines))
                .expect("a string takes all");
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("<h2>Latency by percentile, the pair in the middle by its p99</h2>\n{text}")
}

fn tables(report: &Report<'_>, chapter: Chapter) -> String {
    let cases: Vec<&Case> = report.cases().iter().filter(|case| case.chapter == chapter).collect();
    if cases.is_empty() {
        return String::new();
    }
    let mut text = format!("<h2>{}</h2>\n", escaped(chapter.title()));
    for case in cases {
        writeln!(text, "<h3 id=\"{0}\">{0}: {1}</h3>", escaped(&case.name), escaped(&case.title))
            .expect("a string takes all");
        if chapter == Chapter::Java {
            writeln!(text, "<pre>{}</pre>", escaped(report.java().unwrap_or("not run")))
                .expect("a string takes all");
            continue;
        }
        text += &case_table(report, case);
        writeln!(text, "<p>{}</p>", escaped(&samples(report, case))).expect("a string takes all");
        for (contender, pair, why) in report.tally().failures(&case.name) {
            writeln!(
                text,
                "<p class=\"failed\">{}, pair {pair}, failed:</p>\n<pre>{}</pre>",
                contender.title(),
                escaped(why)
            )
            .expect("a string takes all");
        }
    }
    text
}

fn case_table(report: &Report<'_>, case: &Case) -> String {
    let lines = lines(report, case);
    let has_tuned = lines.iter().any(|line| line.tuned.is_some());
    let tuned = |content: &str, tag: &str| {
        if has_tuned { format!("<{tag}>{content}</{tag}>") } else { String::new() }
    };
    let mut text = format!(
        "<div class=\"wide\">\n<table>\n<tr><th>durability</th><th></th><th>Apache Kafka</th>{}<th>Logmill</th><th>floor</th>\
         <th>Logmill : Kafka</th><th>Logmill : floor</th></tr>\n",
        tuned("tuned", "th")
    );
    let mut above: Option<Durability> = None;
    for line in &lines {
        let decimals = line.metric.decimals();
        let class = if above.is_some_and(|above| above != line.durability) { " class=\"first\"" } else { "" };
        above = Some(line.durability);
        writeln!(
            text,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            line.durability.title(),
            escaped(&line.metric.title()),
            cell(line.kafka, decimals),
            tuned(&cell(line.tuned, decimals), "td"),
            cell(line.logmill, decimals),
            cell(line.floor, decimals),
            cell(line.to_kafka, 3),
            cell(line.to_floor, 3)
        )
        .expect("a string takes all");
    }
    text + "</table>\n</div>\n"
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::with_report;
    use super::*;

    /// Every element that is opened is closed, in order, and no text holds a bare `<` or `&`.
    fn check_well_formed(page: &str) {
        let mut open = Vec::new();
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
        while let Some(at) = rest.find('<') {
            let text = &rest[..at];
            for (amp, _) in text.match_indices('&') {
                let entity = &text[amp..];
                let known = ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|known| entity.starts_with(known));
                assert!(known, "a bare & in {text:?}");
            }
            let end = at + rest[at..].find('>').expect("a tag ends");
            let tag = &rest[at + 1..end];
            assert!(!tag.contains('<'), "a bare < before {tag:?}");
            assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag:?}");
            rest = &rest[end + 1..];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name.to_owned()), "closed by {tag:?}");
            } else if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        assert_eq!(open, Vec::<String>::new());
    }

    #[test]
    fn the_page_is_well_formed_and_has_every_case_whatever_was_measured() {
        for legs in [0, 1, 5] {
            with_report(legs, |report| {
                let page = page(report);
                check_well_formed(&page);
                for case in report.cases() {
                    assert!(page.contains(&format!("<h3 id=\"{}\">", case.name)), "{}", case.name);
                }
                assert_eq!(page.contains("no &lt;room&gt; &amp; no &quot;disk&quot;"), legs > 0);
                assert_eq!(page.contains("<polyline"), legs > 0);
                assert_eq!(page.contains("http://www.w3.org/2000/svg"), legs > 0);
                assert!(!page.contains("src=") && !page.contains("href="), "it needs nothing else");
            });
        }
    }
}
