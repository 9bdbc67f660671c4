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
