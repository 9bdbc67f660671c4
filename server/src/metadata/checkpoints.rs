//! `Checkpoints`: how far the logs of one log directory had come, in Apache Kafka's three files.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use logmill_engine::Error;
use logmill_engine::disk::{Disk, replace_file};
use logmill_engine::format::checkpoint::{PartitionOffset, read_offsets, write_offsets};
use logmill_engine::partition::Known;
use logmill_engine::shard::PartitionMarks;

use crate::shard::io_error;

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

/// Offsets by topic and partition.
type Offsets = HashMap<(String, i32), i64>;

/// What a start reads of them. High watermarks are Apache Kafka's to read: ours follow from what is durable.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    recovery_points: Offsets,
    log_starts: Offsets,
}

impl Checkpoints {
    /// Reads a log directory's files. One that is not there knows of nothing.
    pub(crate) fn read(disk: &dyn Disk, log_dir: &Path) -> Result<Checkpoints, Error> {
        let offsets = |name| -> Result<Offsets, Error> {
            let lines = read(disk, log_dir, name)?;
            Ok(lines.into_iter().map(|line| ((line.topic, line.partition), line.offset)).collect())
        };
        Ok(Checkpoints { recovery_points: offsets(RECOVERY_POINTS)?, log_starts: offsets(LOG_STARTS)? })
    }

    /// Adds what is written of a partition.
    pub(crate) fn tell(&self, topic: &str, partition: i32, known: &mut Known) {
        let key = (topic.to_owned(), partition);
        let offset = |offsets: &Offsets| offsets.get(&key).copied().unwrap_or_default().max(0);
        known.recovery_point = offset(&self.recovery_points);
        known.start_offset = offset(&self.log_starts);
    }
}

/// Writes down, durably, how far the partitions of a log directory have come, and nothing of any other.
pub(crate) fn write(disk: &dyn Disk, log_dir: &Path, marks: &[PartitionMarks]) -> Result<(), Error> {
    let lines = |offset: fn(&PartitionMarks) -> i64| {
        let line = move |marks: &PartitionMarks| PartitionOffset {
            topic: marks.topic.clone(),
            partition: marks.id.index,
            offset: offset(marks),
        };
        marks.iter().map(line).collect::<Vec<_>>()
    };
    // The start last: it must not pass the recovery point.
    replace(disk, log_dir, RECOVERY_POINTS, &lines(|marks| marks.marks.recovery_point))?;
    let mut starts = lines(|marks| marks.marks.start);
    starts.retain(|line| line.offset > 0);
    replace(disk, log_dir, LOG_STARTS, &starts)?;
    replace(disk, log_dir, HIGH_WATERMARKS, &lines(|marks| marks.marks.high_watermark))
}

/// Takes a topic's lines out, durably: the next topic of that name must not be taken for it.
pub(crate) fn forget(disk: &dyn Disk, log_dir: &Path, topic: &str) -> Result<(), Error> {
    for name in [LOG_STARTS, RECOVERY_POINTS, HIGH_WATERMARKS] {
        let mut lines = read(disk, log_dir, name)?;
        let before = lines.len();
        lines.retain(|line| line.topic != topic);
        if lines.len() < before {
            replace(disk, log_dir, name, &lines)?;
        }
    }
    Ok(())
}

fn read(disk: &dyn Disk, log_dir: &Path, name: &str) -> Result<Vec<PartitionOffset>, Error> {
    let path = log_dir.join(name);
    match disk.read(&path) {
        Ok(content) => {
            read_offsets(&content).map_err(|fault| Error::Corrupt(format!("{}: {fault}", path.display())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error(format_args!("reading {}", path.display()))(error)),
    }
}

fn replace(disk: &dyn Disk, log_dir: &Path, name: &str, lines: &[PartitionOffset]) -> Result<(), Error> {
    let path = log_dir.join(name);
    let text = write_offsets(lines.iter().map(|line| (&*line.topic, line.partition, line.offset)));
    replace_file(disk, &path, text.as_bytes()).map_err(io_error(format_args!("writing {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_engine::disk::sim::SimDisk;
    use logmill_engine::format::Uuid;
    use logmill_engine::partition::{Marks, PartitionId};

    const DIR: &str = "/data";
    const NEW: Known = Known { was_clean: false, recovery_point: 0, start_offset: 0, has_gaps: false };

    fn marks(topic: &str, index: i32, start: i64) -> PartitionMarks {
        PartitionMarks {
            id: PartitionId { topic: Uuid([1; 16]), index },
            topic: topic.to_owned(),
            dir: 0,
            marks: Marks { recovery_point: start + 10, start, high_watermark: start + 20 },
        }
    }

    fn known(disk: &SimDisk, topic: &str, index: i32) -> (i64, i64) {
        let mut known = NEW;
        Checkpoints::read(disk, Path::new(DIR)).unwrap().tell(topic, index, &mut known);
        (known.recovery_point, known.start_offset)
    }

    fn written() -> SimDisk {
        let disk = SimDisk::default();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        write(&disk, Path::new(DIR), &[marks("a", 0, 0), marks("a", 1, 5), marks("b", 0, 7)]).unwrap();
        disk
    }

    #[test]
    fn what_is_written_is_read_and_the_files_are_apache_kafkas() {
        let disk = written();
        assert_eq!((known(&disk, "a", 0), known(&disk, "a", 1)), ((10, 0), (15, 5)));
        assert_eq!((known(&disk, "b", 0), known(&disk, "c", 0)), ((17, 7), (0, 0)));
        let text = |name: &str| String::from_utf8(disk.read(&Path::new(DIR).join(name)).unwrap()).unwrap();
        assert_eq!(text(LOG_STARTS), "0\n2\na 1 5\nb 0 7\n");
        assert_eq!(text(RECOVERY_POINTS), "0\n3\na 0 10\na 1 15\nb 0 17\n");
        assert_eq!(text(HIGH_WATERMARKS), "0\n3\na 0 20\na 1 25\nb 0 27\n");
    }

    #[test]
    fn a_topic_that_is_forgotten_is_known_nowhere_and_the_others_are() {
        let disk = written();
        forget(&disk, Path::new(DIR), "a").unwrap();
        assert_eq!(
            (known(&disk, "a", 0), known(&disk, "a", 1), known(&disk, "b", 0)),
            ((0, 0), (0, 0), (17, 7))
        );
    }

    #[test]
    fn a_damaged_file_is_refused_by_name() {
        let disk = written();
        replace_file(&disk, &Path::new(DIR).join(LOG_STARTS), b"0\n5\na 1 5\n").unwrap();
        let error = Checkpoints::read(&disk, Path::new(DIR)).err().unwrap().to_string();
        assert!(error.contains("/data/log-start-offset-checkpoint"), "{error}");
    }
}
