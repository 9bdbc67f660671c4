//! `Report`: what a check found, said as it is found, and counted.

use std::io;
use std::path::{Path, PathBuf};

use crate::print::{Fields, Out, Progress, bytes_text, count};

/// Findings of one file that are told one by one.
const FINDINGS_OF_FILE_MAX: u64 = 20;

/// What was looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) partitions: u64,
    pub(super) segments: u64,
    pub(super) batches: u64,
}

/// A check under way.
pub(super) struct Report {
    out: Out,
    progress: Progress,
    pub(super) counts: Counts,
    /// Whether records are read too.
    pub(super) has_records: bool,
    wrong: u64,
    notes: u64,
    /// The file that the newest findings are of, and how many.
    of_file: (PathBuf, u64),
}

impl Report {
    pub(super) fn new(out: Out, total: u64, has_records: bool) -> Report {
        Report {
            out,
            progress: Progress::new("checking", total),
            counts: Counts::default(),
            has_records,
            wrong: 0,
            notes: 0,
            of_file: (PathBuf::new(), 0),
        }
    }

    /// So many more bytes were looked at.
    pub(super) fn progress(&mut self, bytes: u64) {
        self.progress.add(bytes);
    }

    /// Something that must not be.
    pub(super) fn wrong(&mut self, path: &Path, position: Option<u64>, what: &str) -> io::Result<()> {
        self.wrong += 1;
        self.say("wrong", path, position, what)
    }

    /// Something that a start takes care of, or that was left behind.
    pub(super) fn note(&mut self, path: &Path, position: Option<u64>, what: &str) -> io::Result<()> {
        self.notes += 1;
        self.say("note", path, position, what)
    }

    fn say(&mut self, kind: &'static str, path: &Path, position: Option<u64>, what: &str) -> io::Result<()> {
        if self.of_file.0 != path {
            self.tell_rest()?;
            self.of_file = (path.to_owned(), 0);
        }
        self.of_file.1 += 1;
        if self.of_file.1 > FINDINGS_OF_FILE_MAX {
            return Ok(());
        }
        self.progress.clear();
        let shown = path.display().to_string();
        if self.out.is_json() {
            let fields = Fields::default().with("file", shown).with("position", position).with("what", what);
            self.out.fields(kind, &fields)?;
        } else {
            let position = position.map_or(String::new(), |position| format!(" position {position}:"));
            self.out.line(&format!("{kind}: {shown}:{position} {what}"))?;
        }
        // Whoever watches need not wait for the end.
        self.out.flush()
    }

    /// How many more findings of a file there are than were told.
    fn tell_rest(&mut self) -> io::Result<()> {
        let (path, found) = &self.of_file;
        let Some(more) = found.checked_sub(FINDINGS_OF_FILE_MAX).filter(|more| *more > 0) else {
            return Ok(());
        };
        let shown = path.display().to_string();
        if self.out.is_json() {
            return self.out.fields("more", &Fields::default().with("file", shown).with("findings", more));
        }
        self.out.line(&format!("{shown}: {more} more findings"))
    }

    /// Says what came of it all; how much is wrong.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.tell_rest()?;
        self.progress.clear();
        let Counts { partitions, segments, batches } = self.counts;
        let bytes = self.progress.done();
        if self.out.is_json() {
            let fields = Fields::default()
                .with("partitions", partitions)
                .with("segments", segments)
                .with("batches", batches)
                .with("bytes", bytes)
                .with("wrong", self.wrong)
                .with("notes", self.notes);
            self.out.fields("summary", &fields)?;
        } else {
            let seen = format!(
                "{}, {}, {} of {}",
                count(partitions, "partition"),
                count(segments, "segment"),
                bytes_text(bytes),
                if batches == 1 { "1 batch".to_owned() } else { format!("{batches} batches") },
            );
            let verdict = match self.wrong {
                0 => "nothing is wrong".to_owned(),
                wrong => count(wrong, "fault"),
            };
            self.out.line(&format!("{seen}: {verdict}, {}", count(self.notes, "note")))?;
        }
        self.out.flush()?;
        Ok(self.wrong)
    }
}
