//! `logmill config check`: everything that is to be said of a server.properties.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use logmill_server::config::{Checked, Config, Key, Origin};

use crate::outcome::{Outcome, Verdict};
use crate::print::{Cell, Out, Table, count};
use crate::server;

/// What to verify.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Kafka's server.properties.
    file: PathBuf,
    /// Also the settings of the environment, `KAFKA_...`, as `logmill server` would take them.
    #[arg(long)]
    environment: bool,
    /// A setting that wins over the file and the environment.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = server::key_value)]
    overrides: Vec<(String, String)>,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

impl CheckArguments {
    /// Verifies it.
    pub(crate) fn run(&self) -> Outcome {
        let content = fs::read(&self.file).map_err(|error| format!("{}: {error}", self.file.display()))?;
        let environment = std::env::vars().filter(|_| self.environment);
        let checked = Config::check(Some(&content), environment, &self.overrides, &server::machine()?);
        let mut out = Out::stdout(self.json);
        let found = Found::of(checked);
        found.table().print(&mut out)?;
        if !self.json {
            out.line(&found.summary(&self.file.display().to_string()))?;
        }
        out.flush()?;
        Ok(if found.wrong + found.unknown == 0 { Verdict::Done } else { Verdict::Found })
    }
}

/// What is to be said of settings, the worst first.
struct Found {
    rows: Vec<[Cell; 4]>,
    wrong: u64,
    unknown: u64,
    noted: u64,
}

impl Found {
    fn of(checked: Checked) -> Found {
        let mut found = Found { rows: Vec::new(), wrong: 0, unknown: 0, noted: 0 };
        for error in checked.errors {
            found.wrong += 1;
            found.rows.push(["wrong".into(), Cell::None, place(error.origin), error.reason.into()]);
        }
        let (unknown, known): (Vec<_>, Vec<_>) =
            checked.warnings.into_iter().partition(|warning| Key::find(&warning.key).is_none());
        for warning in unknown {
            found.unknown += 1;
            let row = ["unknown".into(), warning.key.into(), place(warning.origin), warning.reason.into()];
            found.rows.push(row);
        }
        for warning in known {
            found.noted += 1;
            let row = ["note".into(), warning.key.into(), place(warning.origin), warning.reason.into()];
            found.rows.push(row);
        }
        found
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["finding", "key", "where", "what"]);
        self.rows.iter().for_each(|row| table.push(row.to_vec()));
        table
    }

    fn summary(&self, file: &str) -> String {
        let verdict = match self.wrong {
            0 => "a broker starts with it",
            _ => "no broker starts with it",
        };
        format!(
            "{file}: {verdict}; {}, {}, {}",
            count(self.wrong, "wrong setting"),
            count(self.unknown, "unknown key"),
            count(self.noted, "note")
        )
    }
}

fn place(origin: Option<Origin>) -> Cell {
    match origin {
        Some(Origin::File { line }) => format!("line {line}").into(),
        Some(Origin::Environment(variable)) => variable.into(),
        Some(Origin::Override) => "--override".into(),
        None => Cell::None,
    }
}

#[cfg(test)]
mod tests {
    use logmill_server::config::Machine;

    use super::*;

    #[test]
    fn wrong_values_unknown_keys_and_those_without_effect_are_told_apart() {
        let content =
            b"node.id=1\nbroker.rack=a\nlog.retention.hour=5\nnum.partitions=none\nlog.dirs=/data\n";
        let machine = Machine { host_name: "host".to_owned(), cores: 2 };
        let found = Found::of(Config::check(Some(content), [], &[], &machine));
        assert_eq!((found.wrong, found.unknown, found.noted), (1, 1, 1));
        let text = |row: usize| found.rows[row].each_ref().map(Cell::column_text);
        let [kind, _, place, what] = text(0);
        assert_eq!((kind.as_str(), place.as_str()), ("wrong", "line 4"));
        assert!(["num.partitions", "none", "at least 1"].iter().all(|word| what.contains(word)), "{what}");
        let unknown =
            ["unknown", "log.retention.hour", "line 3", "unknown; did you mean log.retention.hours?"];
        assert_eq!(text(1), unknown);
        let [kind, key, place, what] = text(2);
        assert_eq!([kind, key, place], ["note", "broker.rack", "line 2"]);
        assert!(what.starts_with("ignored: "), "{what}");
        let summary = "f: no broker starts with it; 1 wrong setting, 1 unknown key, 1 note";
        assert_eq!(found.summary("f"), summary);
    }
}
