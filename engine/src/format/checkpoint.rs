//! Apache Kafka's checkpoint files: a version, a count, and so many lines.
//!
//! ```text
//! 0                         0
//! 2                         2
//! orders 0 1500             0 0
//! orders 1 972              3 1200
//! ```
//!
//! The left one has offsets of partitions (`recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`,
//! `replication-offset-checkpoint`, `cleaner-offset-checkpoint`); the right one has leader epochs of one
//! partition and where each begins (`leader-epoch-checkpoint`). Text carries no checksum.

use std::fmt::Write as _;
use std::str::FromStr;

const VERSION: &str = "0";

/// An offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// What the file is about.
    pub offset: i64,
}

/// Where a leader epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start: i64,
}

/// A file of offsets.
pub fn write_offsets<'a>(offsets: impl ExactSizeIterator<Item = (&'a str, i32, i64)>) -> String {
    write(offsets, |text, (topic, partition, offset)| writeln!(text, "{topic} {partition} {offset}"))
}

/// The offsets that a file holds, or which line is wrong.
pub fn read_offsets(content: &[u8]) -> Result<Vec<PartitionOffset>, String> {
    read(content, "topic, partition and offset", |[topic, partition, offset]| {
        Some(PartitionOffset {
            topic: topic.to_owned(),
            partition: number(partition)?,
            offset: number(offset)?,
        })
    })
}

/// A file of leader epochs.
pub fn write_epochs(epochs: &[EpochStart]) -> String {
    write(epochs.iter(), |text, EpochStart { epoch, start }| writeln!(text, "{epoch} {start}"))
}

/// The leader epochs that a file holds, or which line is wrong.
pub fn read_epochs(content: &[u8]) -> Result<Vec<EpochStart>, String> {
    read(content, "epoch and offset", |[epoch, start]| {
        Some(EpochStart { epoch: number(epoch)?, start: number(start)? })
    })
}

fn write<T>(
    entries: impl ExactSizeIterator<Item = T>,
    mut line: impl FnMut(&mut String, T) -> std::fmt::Result,
) -> String {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        line(&mut text, entry).expect("a string takes all that is written to it");
    }
    text
}

/// A file that ends before its count holds nothing, as Apache Kafka reads it.
fn read<const WORDS: usize, T>(
    content: &[u8],
    expected: &str,
    entry: impl Fn([&str; WORDS]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.lines();
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    if version != VERSION {
        return Err(format!("line 1: version {version:?}, expected {VERSION:?}"));
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let declared: usize =
        count.parse().map_err(|_| format!("line 2: {count:?}, expected the number of lines behind it"))?;
    let read = (3..)
        .zip(lines)
        .map(|(number, line)| {
            words(line)
                .and_then(&entry)
                .ok_or_else(|| format!("line {number}: {line:?}, expected {expected}"))
        })
        .collect::<Result<Vec<T>, String>>()?;
    if read.len() != declared {
        return Err(format!("line 2: {declared} lines declared, {} found", read.len()));
    }
    Ok(read)
}

fn words<const WORDS: usize>(line: &str) -> Option<[&str; WORDS]> {
    let mut words = line.split_ascii_whitespace();
    let mut found = [""; WORDS];
    for word in &mut found {
        *word = words.next()?;
    }
    words.next().is_none().then_some(found)
}

/// A number that can be a partition, an epoch or an offset.
fn number<N: FromStr + PartialOrd + Default>(word: &str) -> Option<N> {
    word.parse().ok().filter(|number| *number >= N::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: &str = "0\n2\norders 0 1500\norders 1 972\n";
    const EPOCHS: &str = "0\n2\n0 0\n3 1200\n";

    #[test]
    fn offsets_are_lines_of_three_words() {
        let lines = [("orders", 0, 1_500), ("orders", 1, 972)];
        assert_eq!(write_offsets(lines.into_iter()), OFFSETS);
        let read = read_offsets(OFFSETS.as_bytes()).unwrap();
        let read: Vec<_> = read.iter().map(|o| (o.topic.as_str(), o.partition, o.offset)).collect();
        assert_eq!(read, lines);
    }

    #[test]
    fn epochs_are_lines_of_two_words() {
        let epochs = [EpochStart { epoch: 0, start: 0 }, EpochStart { epoch: 3, start: 1_200 }];
        assert_eq!(write_epochs(&epochs), EPOCHS);
        assert_eq!(read_epochs(EPOCHS.as_bytes()).as_deref(), Ok(&epochs[..]));
    }

    #[test]
    fn a_file_of_nothing_is_read_as_nothing() {
        assert_eq!(write_epochs(&[]), "0\n0\n");
        for content in ["", "0", "0\n", "0\n0\n", "0\n0"] {
            assert_eq!(read_epochs(content.as_bytes()), Ok(Vec::new()), "{content:?}");
        }
    }

    #[test]
    fn damage_names_line_and_value() {
        for (content, message) in [
            ("1\n0\n", "line 1: version \"1\", expected \"0\""),
            ("\n0\n", "line 1: version \"\", expected \"0\""),
            ("0\n-1\n", "line 2: \"-1\", expected the number of lines behind it"),
            ("0\n1\n", "line 2: 1 lines declared, 0 found"),
            ("0\n1\n0 0\n1 5\n", "line 2: 1 lines declared, 2 found"),
            ("0\n2\n0 0\nx 5\n", "line 4: \"x 5\", expected epoch and offset"),
            ("0\n1\n0 0 0\n", "line 3: \"0 0 0\", expected epoch and offset"),
            ("0\n1\n0\n", "line 3: \"0\", expected epoch and offset"),
            ("0\n1\n0 -1\n", "line 3: \"0 -1\", expected epoch and offset"),
            ("0\n1\n4294967296 0\n", "line 3: \"4294967296 0\", expected epoch and offset"),
            ("0\n1\n0 0\n\n", "line 4: \"\", expected epoch and offset"),
        ] {
            assert_eq!(read_epochs(content.as_bytes()), Err(message.to_owned()), "{content:?}");
        }
        assert_eq!(read_epochs(&[b'0', 0xff]), Err("it is not text".to_owned()));
        assert_eq!(
            read_offsets(b"0\n1\norders 0\n"),
            Err("line 3: \"orders 0\", expected topic, partition and offset".to_owned())
        );
    }

    #[test]
    fn a_file_cut_behind_its_count_is_noticed_unless_only_digits_are_gone() {
        for len in 4..EPOCHS.len() {
            match read_epochs(&EPOCHS.as_bytes()[..len]) {
                // Text cannot tell 1200 from 120.
                Ok(read) => assert_eq!(read.len(), 2, "cut at {len}"),
                Err(message) => assert!(message.starts_with("line "), "cut at {len}: {message}"),
            }
        }
    }
}
