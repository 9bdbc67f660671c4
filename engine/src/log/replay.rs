//! What a journal needs of a segment: which bytes it alone may have, and how they come back.

use std::ops::Range;

use super::cache::{Cache, Place};
use super::file_name::FileKind;
use super::log::Log;
use super::scan::{Found, RECORDS_WINDOW, Walk};
use super::segment::{corrupt, reading};
use crate::disk::{OpenFile, OpenMode};
use crate::error::Error;

/// Bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRange {
    /// Base offset of the segment.
    pub segment: i64,
    /// Which of its bytes.
    pub bytes: Range<u64>,
}

/// What became of bytes that were replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// The segment had them.
    WasThere,
    /// The segment lacked some, and has them now. They are not durable yet.
    Written,
}

impl Log {
    /// The bytes behind the recovery point, segment by segment.
    pub fn unsynced_ranges(&self) -> impl Iterator<Item = SegmentRange> {
        let point = self.recovery_point;
        let from = self.segment_of(point.segment);
        self.segments[from..].iter().filter_map(move |segment| {
            let from = if segment.base_offset == point.segment { point.position } else { 0 };
            (from < segment.size)
                .then_some(SegmentRange { segment: segment.base_offset, bytes: from..segment.size })
        })
    }

    /// The file of a segment's batches, to be synced behind the appends.
    pub fn segment_file(&mut self, cache: &mut Cache, base_offset: i64) -> Result<OpenFile, Error> {
        let index = self.segment_of(base_offset);
        let (segment, place) = self.segment(index);
        assert_eq!(segment.base_offset, base_offset, "the caller names a segment that is there");
        segment.file(cache, &place)
    }

    /// Before a log is opened: `bytes`, whole batches, belong at `position` of a segment. What the segment
    /// lacks of them is written; other batches that are whole in their place are a contradiction, and
    /// refused.
    pub fn replay(
        cache: &mut Cache,
        dir: &std::path::Path,
        base_offset: i64,
        position: u64,
        bytes: &[u8],
    ) -> Result<Replayed, Error> {
        let place = Place { log: cache.new_log(), dir, base_offset };
        let path = place.path(FileKind::Log);
        let file = match cache.disk().open(&path, OpenMode::Existing) {
            // Its name was not durable yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                cache.disk().open(&path, OpenMode::CreateNew)
            }
            opened => opened,
        }
        .map_err(reading(&place))?;
        let mut there = vec![0; bytes.len()];
        let read = file.read_at(&mut there, position).map_err(reading(&place))?;
        if there[..read] == *bytes {
            return Ok(Replayed::WasThere);
        }
        refuse_other_batches(&file, &place, position, bytes)?;
        file.write_all_at([bytes, &[]], position)
            .map_err(|source| Error::io(format_args!("replaying into segment {place}"))(source))?;
        Ok(Replayed::Written)
    }
}

/// Compares batch by batch what is whole in the file with what should be there.
fn refuse_other_batches(
    file: &OpenFile,
    place: &Place<'_>,
    position: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    let len = file.len().map_err(reading(place))?;
    let mut window = vec![0; RECORDS_WINDOW];
    let mut walk = Walk::new(file, position, len, &mut window);
    while walk.position() < position + bytes.len() as u64 {
        let Found::Batch(batch) = walk.next().map_err(reading(place))? else { break };
        if walk.crc_fault(&batch).map_err(reading(place))?.is_some() {
            break;
        }
        let there = batch.read(file).map_err(reading(place))?;
        let from = (batch.position - position) as usize;
        let expected = bytes.get(from..from + there.len());
        if expected != Some(&there[..]) {
            let fault = format!(
                "a whole batch of offsets {} to {}, expected the journal's bytes {from} to {} of {}",
                batch.base_offset(),
                batch.last_offset(),
                from + there.len(),
                bytes.len()
            );
            return Err(corrupt(place, batch.position, &fault));
        }
    }
    Ok(())
}
