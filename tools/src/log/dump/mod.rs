//! `logmill log dump`: what files hold, one line for each thing in them.

mod batches;
mod entries;
mod internal;
mod journal;
mod message;
mod small;

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::disk::{Disk, OpenMode};
use logmill_engine::log::FileKind;

use super::files::{Content, file_name, partition_name};
use crate::outcome::{Outcome, Verdict};
use crate::print::{Fields, Out};

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct DumpArguments {
    /// Files of a log directory or of a partition, or directories of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Also the records of each batch. Those of `__consumer_offsets` and `__cluster_metadata` are shown in words.
    #[arg(long)]
    records: bool,
    /// Prints a JSON object a line.
    #[arg(long)]
    json: bool,
}

impl DumpArguments {
    /// Shows it.
    pub(crate) fn run(&self) -> Outcome {
        let mut dump = Dump { out: Out::stdout(self.json), has_records: self.records, faults: 0 };
        for path in &self.paths {
            if path.is_dir() {
                dump.directory(path)?;
            } else if !dump.file(path)? {
                return Err(
                    format!("{}: no name of a file that Logmill or Kafka writes", path.display()).into()
                );
            }
        }
        dump.out.flush()?;
        Ok(if dump.faults == 0 { Verdict::Done } else { Verdict::Found })
    }
}

/// A dump under way.
struct Dump {
    out: Out,
    has_records: bool,
    /// How much was found that is not what it should be.
    faults: u64,
}

/// Why a dump ends.
type Dumped<T = ()> = Result<T, Box<dyn Error>>;

impl Dump {
    fn directory(&mut self, dir: &Path) -> Dumped {
        let entries =
            ReadOnlyDisk.list(dir).map_err(|error| format!("listing {}: {error}", dir.display()))?;
        for entry in &entries {
            let path = dir.join(&entry.name);
            if !entry.is_dir {
                self.file(&path)?;
            } else if partition_name(&entry.name).is_some() {
                self.directory(&path)?;
            }
        }
        Ok(())
    }

    /// Shows a file; `false` where its name does not say what it holds.
    fn file(&mut self, path: &Path) -> Dumped<bool> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(file_name);
        let Some(name) = name else { return Ok(false) };
        let failed = |error: Box<dyn Error>| -> Box<dyn Error> {
            match error.downcast::<std::io::Error>() {
                // The reader of the output has gone: nothing is wrong with the file.
                Ok(error) if error.kind() == std::io::ErrorKind::BrokenPipe => error,
                Ok(error) => format!("{}: {error}", path.display()).into(),
                Err(error) => error,
            }
        };
        let shown = match name.content {
            Content::Segment(FileKind::Log, _) | Content::MetadataSnapshot => {
                self.batches(path, name.content)
            }
            Content::Segment(FileKind::OffsetIndex, base) => self.offset_index(path, base),
            Content::Segment(FileKind::TimeIndex, base) => self.time_index(path, base),
            Content::Segment(FileKind::TransactionIndex, base) => self.aborted_index(path, base),
            Content::Segment(FileKind::Snapshot, _) => self.snapshot(path),
            Content::Segment(FileKind::Batches, _) => self.producer_batches(path),
            Content::LeaderEpochs => self.leader_epochs(path),
            Content::Offsets => self.offsets(path),
            Content::Journal(journal) => self.journal(path, journal),
            Content::TopicId => self.topic_id(path),
            Content::MetaProperties => self.meta_properties(path),
            Content::CleanShutdown => self.clean_shutdown(path),
            Content::Text => self.text(path),
        };
        shown.map_err(failed)?;
        Ok(true)
    }

    /// Says which file comes; its lines follow.
    fn begin(&mut self, path: &Path, what: &str, len: u64) -> Dumped {
        let fields = Fields::default()
            .with("file", path.display().to_string())
            .with("content", what)
            .with("bytes", len);
        Ok(self.out.fields("file", &fields)?)
    }

    /// Content of a small file, and says that it comes.
    fn read(&mut self, path: &Path, what: &str) -> Dumped<Vec<u8>> {
        let content = ReadOnlyDisk.read(path)?;
        self.begin(path, what, content.len() as u64)?;
        Ok(content)
    }

    fn line(&mut self, kind: &'static str, fields: &Fields) -> Dumped {
        if self.out.is_json() {
            self.out.fields(kind, fields)?;
        } else {
            self.out.line(&format!("  {kind} {}", fields.text()))?;
        }
        Ok(())
    }

    /// Something that is not what it should be.
    fn fault(&mut self, position: Option<u64>, fault: &str) -> Dumped {
        self.faults += 1;
        self.line("fault", &Fields::default().with("position", position).with("fault", fault))
    }

    fn open(path: &Path) -> Dumped<logmill_engine::disk::OpenFile> {
        Ok(ReadOnlyDisk.open(path, OpenMode::Existing)?)
    }
}
