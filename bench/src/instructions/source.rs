//! `Source`: a commit in a tree of its own, or the tree that is there, and the program of its steps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::rig::Error;

/// The bench whose program is run.
const BENCH: &str = "steps";

/// What is built.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    tree: PathBuf,
}

impl Source {
    /// The tree that this process was started in.
    pub(super) fn here() -> Result<Source, Error> {
        let tree = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
        Ok(Source { name: "here".into(), tree: tree.into() })
    }

    /// A commit, laid out below `dir` unless it was before.
    pub(super) fn commit(revision: &str, dir: &Path) -> Result<Source, Error> {
        let commit = git(Path::new("."), &["rev-parse", "--verify", &format!("{revision}^{{commit}}")])?;
        fs::create_dir_all(dir).map_err(Error::io(format!("making {}", dir.display())))?;
        let dir = fs::canonicalize(dir).map_err(Error::io(format!("opening {}", dir.display())))?;
        let tree = dir.join(&commit[..12.min(commit.len())]);
        if !tree.exists() {
            // A tree that was removed by hand is still in git's list.
            git(Path::new("."), &["worktree", "prune"])?;
            let path = tree.display().to_string();
            git(Path::new("."), &["worktree", "add", "--quiet", "--detach", &path, &commit])?;
        }
        Ok(Source { name: revision.to_owned(), tree })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Builds the program of the steps; all sources share what they depend on.
    pub(super) fn build(&self, dir: &Path) -> Result<PathBuf, Error> {
        let dir = fs::canonicalize(dir).map_err(Error::io(format!("opening {}", dir.display())))?;
        eprintln!("{}: building its steps", self.name);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["bench", "--workspace", "--bench", BENCH, "--no-run", "--message-format=json"])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", dir.join("target"))
            .stderr(Stdio::inherit())
            .output()
            .map_err(Error::io("starting cargo"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let program = program(&text).filter(|_| output.status.success());
        program.ok_or_else(|| Error::Failed {
            what: format!("{}: bench {BENCH} does not build; it may be older than that", self.name),
            output: String::new(),
        })
    }
}

/// The program among cargo's messages.
fn program(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = messages.filter(|message| message["target"]["name"] == BENCH);
    ours.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

fn git(dir: &Path, arguments: &[&str]) -> Result<String, Error> {
    let output =
        Command::new("git").args(arguments).current_dir(dir).output().map_err(Error::io("starting git"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(Error::Failed {
        what: format!("git {}", arguments.join(" ")),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"bytes\"},\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"steps\"},\"executable\":\"/t/steps-1\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(program(messages), Some("/t/steps-1".into()));
        assert_eq!(program("{\"reason\":\"build-finished\"}\n"), None);
    }
}
