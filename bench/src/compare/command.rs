//! `logmill bench compare`: its arguments, its rounds, its output.

use std::fs;
use std::path::PathBuf;

use super::java::{self, JavaArgs};
use crate::rig::Error;

/// What is compared, and how often.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub(super) java: JavaArgs,
    /// Where the data lies: on the disk that is to be measured, with 10 GB free.
    #[arg(long, default_value = "target/compare")]
    pub(super) dir: PathBuf,
    /// The program of the Logmill that is compared [default: this one].
    #[arg(long)]
    logmill: Option<PathBuf>,
    /// A directory with Apache Kafka's jars [default: fetched with Maven].
    #[arg(long)]
    pub(super) kafka_dir: Option<PathBuf>,
    /// Heap of Apache Kafka's broker.
    #[arg(long, default_value = "1g")]
    pub(super) heap: String,
    /// Where the figures are written [default: compare.json in the data's directory].
    #[arg(long)]
    json: Option<PathBuf>,
}

impl CompareArgs {
    /// Compares, and prints and writes the figures.
    pub fn run(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.dir).map_err(Error::io(format!("making {}", self.dir.display())))?;
        let mut json = java::run(self)?;
        json["kafka_version"] = crate::rig::KAFKA_VERSION.into();
        print!("{}", json["table"].as_str().unwrap_or_default());
        let path = self.json.clone().unwrap_or_else(|| self.dir.join("compare.json"));
        fs::write(&path, format!("{json:#}\n")).map_err(Error::io(format!("writing {}", path.display())))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }

    /// The Logmill that is compared.
    pub(super) fn logmill(&self) -> Result<PathBuf, Error> {
        match &self.logmill {
            Some(path) => Ok(path.clone()),
            None => std::env::current_exe().map_err(Error::io("finding this program")),
        }
    }
}
