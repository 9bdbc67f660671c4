//! `logmill bench instructions`: counts, compares, and says what became dearer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::callgrind::{self, Counts};
use super::change::{Change, table};
use super::source::Source;
use crate::rig::Error;

/// Counts the instructions of each step of two commits, by valgrind's callgrind, and prints what changed by more than
/// three percent. The steps are those of `cargo bench --bench steps`; only what runs in the process is counted.
#[derive(Debug, clap::Args)]
pub struct InstructionsArgs {
    /// The commit to compare with: whatever git takes, such as origin/main.
    base: String,
    /// The commit that is compared [default: the tree as it lies there, changes included].
    head: Option<String>,
    /// Ends non-zero when a step takes so many percent more than it did.
    #[arg(long, value_name = "PERCENT")]
    fail_above: Option<f64>,
    /// Steps whose name has this in it [default: all].
    #[arg(long, default_value = "")]
    only: String,
    /// Prints every step, changed or not.
    #[arg(long)]
    all: bool,
    /// Where both are built.
    #[arg(long, default_value = "target/instructions")]
    dir: PathBuf,
}

impl InstructionsArgs {
    /// Counts both and prints the changes.
    pub fn run(&self) -> Result<(), Error> {
        callgrind::find()?;
        let base = self.count(&Source::commit(&self.base, &self.dir)?)?;
        let head = match &self.head {
            Some(head) => Source::commit(head, &self.dir)?,
            None => Source::here()?,
        };
        let head = self.count(&head)?;
        let changes = Change::between(&base, &head);
        print!("{}", table(&changes, self.all));
        let Some(limit) = self.fail_above else { return Ok(()) };
        let dearer: Vec<String> = changes
            .iter()
            .filter(|change| change.is_above(limit))
            .map(|change| change.step.clone())
            .collect();
        match dearer.is_empty() {
            true => Ok(()),
            false => Err(Error::Failed {
                what: format!("steps that take more than {limit}% more instructions"),
                output: dearer.join("\n"),
            }),
        }
    }

    fn count(&self, source: &Source) -> Result<Counts, Error> {
        let program = source.build(&self.dir)?;
        let mut counts = BTreeMap::new();
        for step in callgrind::steps(&program)? {
            if step.contains(&self.only) {
                let count = callgrind::count(&program, &step)?;
                eprintln!("{}: {step}: {count:.0}", source.name());
                counts.insert(step, count);
            }
        }
        Ok(counts)
    }
}
