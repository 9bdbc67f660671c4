//! Figures for people: a line a second, and a table in the end.

use std::fmt::Write;

use super::latency::PERCENTILES;
use super::outcome::{Flow, Interval, Phase};
use super::{Latency, Outcome, Progress, Workload};

/// Above the lines of progress.
pub(super) const HEAD: &str = "  time          sent              read          publish ms p50    p99  p99.9    max   end to end ms \
                               p50    p99    max   backlog";

/// One line for one second.
pub(super) fn line(progress: &Progress) -> String {
    let Interval { at_s, published, consumed, publish_ms, end_to_end_ms, late, backlog, .. } =
        &progress.interval;
    let note = match progress.phase {
        Phase::Filling => "  filling",
        Phase::WarmUp => "  warm-up",
        Phase::Measured => "",
        Phase::Draining => "  draining",
    };
    // Up to a tenth of a second's messages are on their way in any case.
    let late = if *late as f64 > published.messages_per_s / 10.0 {
        format!("  {} late", short(*late as f64))
    } else {
        String::new()
    };
    let flow = |flow: &Flow| format!("{:>7}/s {:>6.1} MB/s", short(flow.messages_per_s), flow.mb_per_s);
    format!(
        "{at_s:>6.1}  {} {}  {:>15} {:>6} {:>6} {:>6}  {:>17} {:>6} {:>6}  {:>8}{late}{note}",
        flow(published),
        flow(consumed),
        ms(publish_ms.p50),
        ms(publish_ms.p99),
        ms(publish_ms.p999),
        ms(publish_ms.max),
        ms(end_to_end_ms.p50),
        ms(end_to_end_ms.p99),
        ms(end_to_end_ms.max),
        short(*backlog as f64)
    )
}

/// What is about to be run, in a line.
pub(super) fn introduction(workload: &Workload) -> String {
    let rate = match workload.messages_per_s() {
        None => "as fast as it goes".to_owned(),
        Some(rate) => {
            format!("{} messages/s ({:.1} MB/s)", short(rate), rate * workload.message_bytes as f64 / 1e6)
        }
    };
    let backlog = match workload.backlog_bytes {
        0 => String::new(),
        bytes => format!(", behind a backlog of {:.1} GB", bytes as f64 * f64::from(workload.topics) / 1e9),
    };
    let producers = match workload.producers {
        0 => "nobody sends".to_owned(),
        count => format!(
            "{}: values of {} B from {} a topic, {rate}, batches of {} B, linger {} ms, codec {:?}, acks {:?}{}",
            workload.name,
            workload.message_bytes,
            number(count, "producer"),
            workload.batch_bytes,
            workload.linger_ms,
            workload.codec,
            workload.acks,
            if workload.is_idempotent() { ", idempotent" } else { "" },
        ),
    };
    format!(
        "{producers}; {} of {}, {} of {}{backlog}",
        number(workload.topics, "topic"),
        number(workload.partitions, "partition"),
        number(workload.subscriptions, "subscription"),
        number(workload.consumers, "consumer")
    )
}

fn number(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The table in the end.
pub(super) fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("a string takes all");
    for (name, flow, what) in
        [("sent", &outcome.published, "acknowledged"), ("read", &outcome.consumed, "read")]
    {
        if flow.messages > 0 {
            say(format!(
                "{name:<12} {:>10} messages/s  {:>8.1} MB/s   {} {what} in {:.1} s, {:.1} batches a request, {:.0} bytes a batch",
                short(flow.messages_per_s),
                flow.mb_per_s,
                flow.messages,
                flow.seconds,
                flow.batches as f64 / flow.requests.max(1) as f64,
                flow.batch_bytes as f64 / flow.batches.max(1) as f64,
            ));
        }
    }
    let latencies = [("publish", &outcome.publish_latency), ("end to end", &outcome.end_to_end_latency)];
    if latencies.iter().any(|(_, latency)| latency.count() > 0) {
        let names = PERCENTILES
            .iter()
            .map(|percentile| format!("{:>9}", format!("p{percentile}")))
            .collect::<String>();
        say(format!("{:<12}{:>9}{names}{:>9}", "latency, ms", "mean", "max"));
        for (name, latency) in latencies.iter().filter(|(_, latency)| latency.count() > 0) {
            say(format!("{name:<12}{}", row(latency)));
        }
    }
    if let Some(seconds) = outcome.backlog_drained_s {
        say(format!("backlog      read in {seconds:.1} s"));
    }
    say(format!(
        "client       {:.2} CPU s on {}, {:.3} CPU s/GB sent and read",
        outcome.client.cpu_s,
        number(outcome.client.threads as u32, "thread"),
        outcome.client.cpu_s_per_gb
    ));
    if let Some(process) = &outcome.process {
        let gigabytes = (outcome.published.bytes + outcome.consumed.bytes) as f64 / 1e9;
        say(format!(
            "broker       {:.2} CPU s (user {:.2}, system {:.2}), {:.3} CPU s/GB sent and read, {:.0} MB resident at most",
            process.cpu_s(),
            process.user_s,
            process.system_s,
            process.cpu_s() / gigabytes.max(1e-9),
            process.resident_max_bytes as f64 / 1e6
        ));
        let known = |count: Option<u64>| count.map_or("not known".into(), |count| short(count as f64));
        say(format!(
            "             {} voluntary and {} involuntary switches, {} reading and {} writing calls, system calls {}",
            known(process.voluntary_switches),
            known(process.involuntary_switches),
            known(process.read_calls),
            known(process.write_calls),
            known(process.system_calls)
        ));
        say(format!(
            "             {}: {} bytes written, {} read",
            process.device.source,
            known(process.device.written_bytes),
            known(process.device.read_bytes)
        ));
    }
    for remark in &outcome.remarks {
        say(format!("note         {remark}"));
    }
    if outcome.interrupted {
        say("interrupted: these are the figures so far".into());
    }
    text
}

fn row(latency: &Latency) -> String {
    let percentiles = PERCENTILES.iter().map(|percentile| latency.percentile_ms(*percentile));
    let all = [latency.mean_ms()].into_iter().chain(percentiles).chain([latency.max_ms()]);
    all.map(|value| format!("{:>9}", ms(value))).collect()
}

/// Three digits, or none of what was not recorded.
fn ms(value: f64) -> String {
    match value {
        0.0 => "-".into(),
        value if value < 9.9995 => format!("{value:.3}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A count with a unit.
fn short(count: f64) -> String {
    match count {
        count if count < 9_999.5 => format!("{count:.0}"),
        count if count < 9_999_500.0 => format!("{:.1}k", count / 1e3),
        count if count < 9_999_500_000.0 => format!("{:.1}M", count / 1e6),
        count => format!("{:.1}G", count / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([0.0, 0.1234, 9.9994, 45.67, 123.4].map(ms), ["-", "0.123", "9.999", "45.7", "123"]);
        assert_eq!([0.0, 9_999.0, 10_000.0, 12_345_678.0].map(short), ["0", "9999", "10.0k", "12.3M"]);
    }
}
