//! `State`: the legs that are done, a line each in a file, so that a run that was interrupted goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::contender::Contender;
use super::leg::Leg;
use crate::rig::Error;

/// All legs of one set of settings.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    file: File,
    legs: Vec<Leg>,
    /// Lines of other kinds, by name.
    notes: Vec<(String, Value)>,
}

impl State {
    /// Opens the file, or begins it. Legs of other settings are refused, for they cannot be compared with those to
    /// come.
    pub(super) fn open(path: &Path, settings: &Value) -> Result<State, Error> {
        let reading = || Error::io(format!("reading {}", path.display()));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(reading()(error)),
        };
        // A run that was killed while it wrote leaves half a line, which is then in nobody's way.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(Error::io(format!("opening {}", path.display())))?;
        file.set_len(whole as u64).map_err(Error::io(format!("cutting {}", path.display())))?;
        let (mut legs, mut notes) = (Vec::new(), Vec::new());
        let mut lines = text[..whole].lines();
        match lines.next() {
            None => {
                append(&mut file, path, &json!({ "settings": settings }))?;
            }
            Some(first) => {
                let first: Value = serde_json::from_str(first).unwrap_or_default();
                if &first["settings"] != settings {
                    let output = format!("there: {}\nnow:   {settings}", first["settings"]);
                    let what = format!("{} has legs of other settings; --fresh begins anew", path.display());
                    return Err(Error::Failed { what, output });
                }
            }
        }
        for (number, line) in (2..).zip(lines) {
            let line: Option<Value> = serde_json::from_str(line).ok();
            if let Some(note) = line.as_ref().and_then(|line| line["note"].as_str()) {
                notes.push((note.to_owned(), line.unwrap_or_default()["value"].clone()));
                continue;
            }
            let leg = line.as_ref().and_then(Leg::from_json).ok_or_else(|| Error::Failed {
                what: format!("{}: line {number} is no leg; --fresh begins anew", path.display()),
                output: String::new(),
            })?;
            legs.push(leg);
        }
        Ok(State { path: path.to_owned(), file, legs, notes })
    }

    /// All that is done, the newest last.
    pub(super) fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// Whether a leg has figures. One that failed is run again.
    pub(super) fn is_done(&self, case: &str, pair: u32, contender: Contender) -> bool {
        self.find(case, pair, contender).is_some_and(|leg| leg.result.is_ok())
    }

    /// The last word on a leg.
    pub(super) fn find(&self, case: &str, pair: u32, contender: Contender) -> Option<&Leg> {
        let is_it = |leg: &&Leg| leg.case == case && leg.pair == pair && leg.contender == contender;
        self.legs.iter().rev().find(is_it)
    }

    /// Adds a leg, and has it on the disk.
    pub(super) fn add(&mut self, leg: Leg) -> Result<(), Error> {
        append(&mut self.file, &self.path, &leg.to_json())?;
        self.legs.push(leg);
        Ok(())
    }

    /// What else is worth keeping.
    pub(super) fn note(&self, name: &str) -> Option<&Value> {
        self.notes.iter().rev().find(|note| note.0 == name).map(|note| &note.1)
    }

    pub(super) fn add_note(&mut self, name: &str, value: Value) -> Result<(), Error> {
        append(&mut self.file, &self.path, &json!({ "note": name, "value": value }))?;
        self.notes.push((name.to_owned(), value));
        Ok(())
    }
}

fn append(file: &mut File, path: &Path, line: &Value) -> Result<(), Error> {
    let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data());
    written.map_err(Error::io(format!("writing {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::super::leg::Figures;
    use super::super::metric::Metric;
    use super::*;

    fn leg(pair: u32, result: Result<f64, &str>) -> Leg {
        let result = result.map_err(str::to_owned).map(|value| {
            let mut figures = Figures::default();
            figures.set(Metric::MbPerS, value);
            figures
        });
        Leg { case: "base".into(), pair, contender: Contender::Kafka, result }
    }

    #[test]
    fn a_run_that_was_killed_goes_on_behind_its_last_whole_leg() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.jsonl");
        let settings = json!({ "seconds": 20 });
        let mut state = State::open(&path, &settings).unwrap();
        state.add(leg(1, Ok(1.0))).unwrap();
        state.add(leg(2, Err("no room"))).unwrap();
        state.add_note("sweep", json!([1, 2])).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"case\":\"base\",\"pa")).unwrap();
        let mut state = State::open(&path, &settings).unwrap();
        assert!(state.is_done("base", 1, Contender::Kafka));
        assert!(!state.is_done("base", 1, Contender::Floor) && !state.is_done("keys", 1, Contender::Kafka));
        assert!(!state.is_done("base", 2, Contender::Kafka), "what failed is tried again");
        state.add(leg(2, Ok(3.0))).unwrap();
        let state = State::open(&path, &settings).unwrap();
        assert!(state.is_done("base", 2, Contender::Kafka));
        assert_eq!(state.legs().len(), 3);
        assert_eq!(state.note("sweep"), Some(&json!([1, 2])));
    }

    #[test]
    fn legs_of_other_settings_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.jsonl");
        drop(State::open(&path, &json!({ "seconds": 20 })).unwrap());
        let refused = State::open(&path, &json!({ "seconds": 1 })).unwrap_err().to_string();
        assert!(refused.contains("--fresh"), "{refused}");
    }
}
