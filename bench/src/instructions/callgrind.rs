//! Counting instructions: a step is run a few times and a few times more; the difference is the step's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::rig::Error;

/// Instructions of one time, by step.
pub(super) type Counts = BTreeMap<String, f64>;

/// The first times make what later ones find there.
const FEW: u32 = 2;
const MORE: u32 = 12;

/// Whether valgrind is there.
pub(super) fn find() -> Result<(), Error> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::Missing {
            program: "valgrind",
            purpose: "count instructions; on Debian: apt-get install --yes valgrind",
        }),
    }
}

/// The names of a program's steps.
pub(super) fn steps(program: &Path) -> Result<Vec<String>, Error> {
    let output = Command::new(program)
        .arg("--names")
        .output()
        .map_err(Error::io(format!("starting {}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    match output.status.success() && !names.is_empty() {
        true => Ok(names),
        false => Err(failed(program, "named no steps", &output.stderr)),
    }
}

/// Instructions of one time of a step.
pub(super) fn count(program: &Path, step: &str) -> Result<f64, Error> {
    let (few, more) = (run(program, step, FEW)?, run(program, step, MORE)?);
    Ok((more as f64 - few as f64) / f64::from(MORE - FEW))
}

fn run(program: &Path, step: &str, times: u32) -> Result<u64, Error> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--once", step, "--times", &times.to_string()])
        .output()
        .map_err(Error::io("starting valgrind"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = collected(&text).filter(|_| output.status.success());
    collected.ok_or_else(|| failed(program, &format!("step {step} was not counted"), &output.stderr))
}

/// `==123== Collected : 456789`.
fn collected(text: &str) -> Option<u64> {
    let count = text.lines().find_map(|line| line.split_once("Collected :"))?.1;
    count.trim().parse().ok()
}

fn failed(program: &Path, what: &str, output: &[u8]) -> Error {
    let output = String::from_utf8_lossy(output).into_owned();
    Error::Failed { what: format!("{}: {what}", program.display()), output }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== Callgrind, a call-graph generating cache profiler\n==7== \n==7== Events    : Ir\n\
                    ==7== Collected : 1234567\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(text), Some(1_234_567));
        assert_eq!(collected("==7== killed\n"), None);
    }
}
