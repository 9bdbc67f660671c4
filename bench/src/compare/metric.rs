//! `Metric`: what a leg is measured by, one table.

/// A figure of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Metric {
    RecordsPerS,
    MbPerS,
    CpuPerGb,
    WarmMbPerS,
    WarmCpuPerGb,
    ClientCpuPerGb,
    P50Ms,
    P99Ms,
    P999Ms,
    MaxMs,
    Samples,
    EndToEndP50Ms,
    EndToEndP99Ms,
    EndToEndP999Ms,
    EndToEndMaxMs,
    ResidentMib,
    WriteAmplification,
    StartMs,
    IdleCpuPercent,
}

/// Name in JSON, title, unit, decimals.
struct Row(Metric, &'static str, &'static str, &'static str, usize);

const TABLE: [Row; 19] = [
    Row(Metric::RecordsPerS, "records_per_s", "records/s", "", 0),
    Row(Metric::MbPerS, "mb_per_s", "MB/s", "", 1),
    Row(Metric::CpuPerGb, "cpu_s_per_gb", "CPU s/GB", "", 3),
    Row(Metric::WarmMbPerS, "warm_mb_per_s", "MB/s, warm", "", 1),
    Row(Metric::WarmCpuPerGb, "warm_cpu_s_per_gb", "CPU s/GB, warm", "", 3),
    Row(Metric::ClientCpuPerGb, "client_cpu_s_per_gb", "client CPU s/GB", "", 2),
    Row(Metric::P50Ms, "p50_ms", "p50", " ms", 2),
    Row(Metric::P99Ms, "p99_ms", "p99", " ms", 2),
    Row(Metric::P999Ms, "p999_ms", "p99.9", " ms", 2),
    Row(Metric::MaxMs, "max_ms", "max", " ms", 1),
    Row(Metric::Samples, "samples", "samples", "", 0),
    Row(Metric::EndToEndP50Ms, "end_to_end_p50_ms", "end to end p50", " ms", 2),
    Row(Metric::EndToEndP99Ms, "end_to_end_p99_ms", "end to end p99", " ms", 2),
    Row(Metric::EndToEndP999Ms, "end_to_end_p999_ms", "end to end p99.9", " ms", 2),
    Row(Metric::EndToEndMaxMs, "end_to_end_max_ms", "end to end max", " ms", 1),
    Row(Metric::ResidentMib, "resident_mib", "resident", " MiB", 0),
    Row(Metric::WriteAmplification, "write_amplification", "device bytes a byte", "", 2),
    Row(Metric::StartMs, "start_ms", "start to serving", " ms", 0),
    Row(Metric::IdleCpuPercent, "idle_cpu_percent", "idle CPU", " % of a core", 2),
];

impl Metric {
    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.0 == self).expect("the table has every metric")
    }

    /// Its name in the state file and in the JSON report.
    pub(super) fn key(self) -> &'static str {
        self.row().1
    }

    pub(super) fn from_key(key: &str) -> Option<Metric> {
        TABLE.iter().find(|row| row.1 == key).map(|row| row.0)
    }

    /// Its name for people, with its unit.
    pub(super) fn title(self) -> String {
        let row = self.row();
        if row.3.is_empty() { row.2.to_owned() } else { format!("{},{}", row.2, row.3) }
    }

    pub(super) fn decimals(self) -> usize {
        self.row().4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_metric_once_under_a_name_of_its_own() {
        for row in &TABLE {
            assert_eq!(Metric::from_key(row.1), Some(row.0));
            assert_eq!(row.0.key(), row.1);
        }
        assert_eq!(Metric::StartMs.title(), "start to serving, ms");
    }
}
