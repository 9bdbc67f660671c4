//! `JournalName`: which file of a log directory holds which part of which shard's journal.

use std::fmt;
use std::io;
use std::path::Path;

use crate::disk::Disk;

/// Files of one journal. One is written and one always free; of the others one half is free, and the other half is
/// being freed.
pub const SLOTS: usize = 8;

const PREFIX: &str = "logmill.journal.";

/// Names a journal's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalName {
    /// The shard that writes it.
    pub shard: usize,
    /// Which of its files, below [`SLOTS`].
    pub slot: usize,
}

impl fmt::Display for JournalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}", self.shard, self.slot)
    }
}

impl JournalName {
    /// What a file's name says; `None` for other files.
    pub fn parse(name: &str) -> Option<JournalName> {
        let (shard, slot) = name.strip_prefix(PREFIX)?.split_once('.')?;
        let parsed = JournalName { shard: shard.parse().ok()?, slot: slot.parse().ok()? };
        // Neither signs nor zeros in front.
        (parsed.to_string() == name).then_some(parsed)
    }
}

/// The journal files of a log directory, by shard and slot.
pub fn journal_files(disk: &dyn Disk, log_dir: &Path) -> io::Result<Vec<JournalName>> {
    let entries = disk.list(log_dir)?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    let mut names: Vec<JournalName> = files.filter_map(|entry| JournalName::parse(&entry.name)).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_shard_and_slot_and_other_names_say_nothing() {
        let name = JournalName { shard: 12, slot: 3 };
        assert_eq!(name.to_string(), "logmill.journal.12.3");
        assert_eq!(JournalName::parse("logmill.journal.12.3"), Some(name));
        for other in
            ["logmill.journal.12", "logmill.journal.+1.3", "logmill.journal.01.3", "logmill.journal.1.3.tmp"]
        {
            assert_eq!(JournalName::parse(other), None, "{other}");
        }
    }
}
