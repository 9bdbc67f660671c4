//! The topics of a floor, and where the batches of their partitions lie.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::super::frame::{FILES_MAX, refused};
use super::super::store::Store;

/// Topic ids are a prefix and the topic's number, so that finding one is reading it.
const ID_PREFIX: [u8; 12] = *b"logmillfloor";

/// All topics; none is ever removed, as a floor lives for one leg.
#[derive(Default)]
pub(super) struct Topics {
    topics: Vec<Topic>,
    /// By the store's file index.
    partitions: Vec<Partition>,
    /// Partitions that grew since the last wave began, and those that the wave in flight covers.
    grown: Vec<u32>,
    in_wave: Vec<u32>,
}

/// One topic.
pub(super) struct Topic {
    pub name: Vec<u8>,
    /// File index of partition 0; the others follow.
    pub first: u32,
    pub partitions: u32,
}

/// How far a partition reaches: in records and in bytes of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    pub offset: i64,
    pub position: u64,
}

/// Where the batches of the active segment begin, and how far they may be read.
#[derive(Default)]
struct Partition {
    batches: Vec<End>,
    end: End,
    /// `end` when the wave in flight began.
    enrolled: End,
    readable: End,
    is_grown: bool,
}

/// A run of whole batches of a file.
pub(super) struct Run {
    pub file: Arc<File>,
    pub position: u64,
    pub len: usize,
}

impl Topics {
    /// Makes a topic, or finds the one of that name.
    pub(super) fn create(&mut self, name: &[u8], partitions: u32) -> io::Result<u32> {
        if let Some(known) = self.by_name(name) {
            return Ok(known);
        }
        let first = self.partitions.len() as u32;
        if partitions == 0 || first + partitions > FILES_MAX {
            return Err(refused(format!("{partitions} partitions beside {first}, at most {FILES_MAX}")));
        }
        self.partitions.resize_with((first + partitions) as usize, Partition::default);
        self.topics.push(Topic { name: name.to_vec(), first, partitions });
        Ok(self.topics.len() as u32 - 1)
    }

    pub(super) fn all(&self) -> &[Topic] {
        &self.topics
    }

    /// Few topics: the first is as a rule the one.
    pub(super) fn by_name(&self, name: &[u8]) -> Option<u32> {
        self.topics.iter().position(|topic| topic.name == name).map(|at| at as u32)
    }

    pub(super) fn by_id(&self, id: &[u8]) -> Option<u32> {
        let number = id.strip_prefix(&ID_PREFIX)?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        (number < self.topics.len() as u32).then_some(number)
    }

    pub(super) fn id(topic: u32) -> [u8; 16] {
        let mut id = [0; 16];
        id[..12].copy_from_slice(&ID_PREFIX);
        id[12..].copy_from_slice(&topic.to_be_bytes());
        id
    }

    /// An id as 32 hexadecimal digits.
    pub(super) fn id_text(topic: u32) -> String {
        format!("{:032x}", u128::from_be_bytes(Topics::id(topic)))
    }

    /// The store's index of a partition.
    pub(super) fn file(&self, topic: u32, partition: i32) -> Option<u32> {
        let topic = self.topics.get(topic as usize)?;
        let partition = u32::try_from(partition).ok().filter(|at| *at < topic.partitions)?;
        Some(topic.first + partition)
    }

    pub(super) fn end(&self, file: u32) -> End {
        self.partitions[file as usize].end
    }

    pub(super) fn readable(&self, file: u32) -> End {
        self.partitions[file as usize].readable
    }

    /// A batch of so many records went to the store, at this position of its segment.
    pub(super) fn appended(&mut self, file: u32, records: i64, position: u64, len: u64) {
        let partition = &mut self.partitions[file as usize];
        if position == 0 {
            // Only the active segment is read.
            partition.batches.clear();
        }
        partition.batches.push(End { offset: partition.end.offset, position });
        partition.end = End { offset: partition.end.offset + records, position: position + len };
        if !partition.is_grown {
            partition.is_grown = true;
            self.grown.push(file);
        }
    }

    /// Everything may be read.
    pub(super) fn release_all(&mut self) -> bool {
        let any = !self.grown.is_empty();
        for file in self.grown.drain(..) {
            let partition = &mut self.partitions[file as usize];
            partition.readable = partition.end;
            partition.is_grown = false;
        }
        any
    }

    /// A wave begins that covers everything so far.
    pub(super) fn enroll(&mut self) {
        std::mem::swap(&mut self.grown, &mut self.in_wave);
        for file in &self.in_wave {
            let partition = &mut self.partitions[*file as usize];
            partition.enrolled = partition.end;
            partition.is_grown = false;
        }
    }

    /// What the wave covers may be read.
    pub(super) fn release(&mut self) {
        for file in self.in_wave.drain(..) {
            let partition = &mut self.partitions[file as usize];
            partition.readable = partition.enrolled;
        }
    }

    /// Whole batches from the one that holds `offset`, at least one if there is any, else within `bytes_max`.
    pub(super) fn run(
        &self,
        file: u32,
        offset: i64,
        bytes_max: u64,
        store: &Store,
    ) -> io::Result<Option<Run>> {
        let partition = &self.partitions[file as usize];
        if offset >= partition.readable.offset {
            return Ok(None);
        }
        let starts = &partition.batches;
        let first = starts.partition_point(|batch| batch.offset <= offset).checked_sub(1);
        let Some(first) = first else {
            return Err(refused(format!("offset {offset} of file {file}: its segment is closed")));
        };
        let from = starts[first].position;
        // Positions of a wave that began before a roll lie in the closed segment.
        let readable =
            if partition.readable.position > from { partition.readable.position } else { return Ok(None) };
        let limit = readable.min(from + bytes_max);
        let to = if limit == readable {
            readable
        } else {
            let behind = starts.partition_point(|batch| batch.position <= limit);
            let last = starts[behind - 1].position;
            if last > from { last } else { starts.get(behind).map_or(readable, |next| next.position) }
        };
        let Some((segment, _)) = store.active(file) else { return Ok(None) };
        Ok(Some(Run { file: segment, position: from, len: (to - from) as usize }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::store::StoreSettings;
    use super::*;

    #[test]
    fn a_run_is_whole_batches_that_are_readable() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(StoreSettings {
            dir: dir.path().into(),
            thread: 0,
            segment_bytes: 1 << 20,
            sealed_bytes_max: 1 << 20,
            durable: true,
        });
        let mut topics = Topics::default();
        assert_eq!(topics.create(b"other", 3).unwrap(), 0);
        assert_eq!(topics.create(b"topic", 2).unwrap(), 1);
        let file = topics.file(1, 1).unwrap();
        assert_eq!((file, topics.file(1, 2), topics.by_id(&Topics::id(1))), (4, None, Some(1)));
        let mut append = |topics: &mut Topics| {
            let position = store.append(file, &[1; 100]).unwrap();
            topics.appended(file, 10, position, 100);
        };
        (0..3).for_each(|_| append(&mut topics));
        topics.enroll();
        append(&mut topics);
        let run = |topics: &Topics, offset, max| {
            topics.run(file, offset, max, &store).unwrap().map(|run| (run.position, run.len))
        };
        assert_eq!(run(&topics, 0, 1_000), None, "the wave is under way");
        topics.release();
        assert_eq!(run(&topics, 0, 1_000), Some((0, 300)), "the fourth is in no wave yet");
        assert_eq!(run(&topics, 15, 1_000), Some((100, 200)), "from the batch that holds it");
        assert_eq!(run(&topics, 0, 250), Some((0, 200)), "no part of a batch");
        assert_eq!(run(&topics, 0, 200), Some((0, 200)));
        assert_eq!(run(&topics, 10, 1), Some((100, 100)), "one at least");
        assert_eq!(run(&topics, 30, 1_000), None);
        assert!(topics.release_all());
        assert_eq!(run(&topics, 30, 1_000), Some((300, 100)));
    }
}
