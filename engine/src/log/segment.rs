//! `Segment`: one file of batches with its two indexes, and what is known of it without reading it.

use std::io;

use super::cache::{Cache, Place};
use super::file_name::FileKind;
use super::log::{LogLimits, TimedOffset};
use super::lookup::Damage;
use super::offset_index::OffsetIndex;
use super::scan::{BatchAt, Found, HEADERS_WINDOW, Walk};
use super::time_index::TimeIndex;
use crate::disk::{OpenFile, OpenMode};
use crate::error::Error;
use crate::format::index_entry::OffsetEntry;

/// A largest timestamp of no record.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// Batches with rising offsets. A sealed segment costs no descriptor: its files are opened when somebody
/// reads them.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    /// Bytes of whole batches. What lies behind them in the file is the rest of an append that failed, and
    /// the next append writes over it.
    pub(crate) size: u64,
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    /// Its largest timestamp and the last offset of the first batch that has it; `None` when nobody has
    /// asked yet.
    pub(super) largest: Option<TimedOffset>,
    /// Held while it is written to.
    file: Option<OpenFile>,
    /// Its indexes were built anew, and their files do not say so yet.
    pub(super) is_rebuilt: bool,
    /// Where they could not be built anew. Whoever reads on a damaged segment comes again and again.
    pub(super) damage: Option<Box<Damage>>,
}

/// What is known only of a segment that grows.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// Bytes of batches since the last index entry.
    pub(super) bytes_since_entry: u64,
    /// Bytes were appended that no submitted sync covers.
    pub(crate) is_dirty: bool,
    /// An append failed, and may have left bytes behind the last batch.
    has_rest: bool,
    /// Largest timestamp of the first batch; `None` without one, or when it was not read yet.
    first_timestamp: Option<i64>,
    /// When this process began to append to it.
    since_ms: Option<i64>,
}

impl Segment {
    /// Makes an empty one. Its name is durable only after the directory's sync.
    pub(crate) fn create(cache: &mut Cache, place: &Place<'_>) -> Result<Segment, Error> {
        let path = place.path(FileKind::Log);
        cache.forget(place);
        // What an earlier attempt left there belongs to nobody.
        let file = cache
            .disk()
            .open(&path, OpenMode::Replace)
            .map_err(Error::io(format_args!("creating {}", path.display())))?;
        let mut segment = Segment::unindexed(place.base_offset, 0);
        segment.file = Some(file);
        Ok(segment)
    }

    /// A segment whose indexes are to be built.
    pub(crate) fn unindexed(base_offset: i64, size: u64) -> Segment {
        Segment {
            base_offset,
            size,
            offsets: OffsetIndex::empty(),
            times: TimeIndex::empty(),
            largest: Some(TimedOffset { offset: base_offset, timestamp: NO_TIMESTAMP }),
            file: None,
            is_rebuilt: false,
            damage: None,
        }
    }

    /// A segment whose index files hold so many entries.
    pub(crate) fn indexed(base_offset: i64, size: u64, offsets: u32, times: u32) -> Segment {
        Segment {
            base_offset,
            size,
            offsets: OffsetIndex::in_file(offsets),
            times: TimeIndex::in_file(times),
            largest: None,
            file: None,
            is_rebuilt: false,
            damage: None,
        }
    }

    /// A segment that goes on growing behind these indexes, whose entries are all in their files.
    pub(crate) fn going_on(
        base_offset: i64,
        size: u64,
        (offsets, times): (OffsetIndex, TimeIndex),
        largest: TimedOffset,
    ) -> Segment {
        Segment { offsets, times, largest: Some(largest), ..Segment::unindexed(base_offset, size) }
    }

    /// Its file of batches.
    pub(crate) fn file(&self, cache: &mut Cache, place: &Place<'_>) -> Result<OpenFile, Error> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => cache.file(place, FileKind::Log).map_err(reading(place)),
        }
    }

    /// Keeps its file open from here on, to be written to.
    pub(crate) fn hold(&mut self, file: OpenFile) {
        self.file = Some(file);
    }

    /// Whether an append of `size` bytes up to `last_offset` belongs to a new segment.
    pub(crate) fn must_roll(
        &self,
        growth: &Growth,
        limits: &LogLimits,
        jitter_ms: i64,
        batch: &RollQuestion,
    ) -> bool {
        let is_far = batch.last_offset - self.base_offset > i64::from(i32::MAX);
        // An index entry has no room for a later position.
        let size_max = limits.segment_bytes.min(i32::MAX as u64);
        let waited_ms = match growth.first_timestamp {
            Some(first) if first >= 0 => batch.max_timestamp.saturating_sub(first),
            _ => growth.since_ms.map_or(0, |since| batch.now_ms.saturating_sub(since)),
        };
        let offsets_max = limits.index_bytes_max / size_of::<OffsetEntry>() as u32;
        // One is kept for the entry that a roll adds.
        let times_max = (limits.index_bytes_max / 12).saturating_sub(1);
        self.size > 0
            && (self.size + batch.size > size_max
                || waited_ms > limits.segment_ms.saturating_sub(jitter_ms)
                || self.offsets.len() >= offsets_max
                || self.times.entries.len() >= times_max
                || is_far)
    }

    /// Writes a batch behind the last one.
    pub(crate) fn append(
        &mut self,
        batch: &BatchAt,
        parts: [&[u8]; 2],
        growth: &mut Growth,
        interval: u64,
    ) -> io::Result<()> {
        let file = self.file.as_ref().expect("a segment that grows is open");
        if let Err(error) = file.write_all_at(parts, batch.position) {
            growth.has_rest = true;
            return Err(error);
        }
        growth.is_dirty = true;
        self.note(batch, growth, interval);
        Ok(())
    }

    /// Counts a batch that lies behind the last one, and gives it an index entry when one is due.
    pub(crate) fn note(&mut self, batch: &BatchAt, growth: &mut Growth, interval: u64) {
        let largest = self.largest.as_mut().expect("known of a segment that grows");
        if batch.max_timestamp() > largest.timestamp {
            *largest = TimedOffset { offset: batch.last_offset(), timestamp: batch.max_timestamp() };
        }
        if growth.bytes_since_entry > interval
            && let Some(entry) = OffsetEntry::new(self.base_offset, batch.last_offset(), batch.position)
        {
            self.offsets.push(entry);
            self.times.note(self.base_offset, *largest);
            growth.bytes_since_entry = 0;
        }
        growth.first_timestamp.get_or_insert(batch.max_timestamp());
        growth.bytes_since_entry += batch.size;
        self.size = batch.end();
    }

    /// Writes the index entries that have gathered, when they are many.
    pub(crate) fn write_gathered(&mut self, cache: &Cache, place: &Place<'_>) -> Result<(), Error> {
        if self.offsets.is_tail_full() || self.times.entries.is_tail_full() {
            self.write_tails(cache, place)?;
        }
        Ok(())
    }

    /// Writes the index entries that have gathered, however few they are.
    pub(crate) fn write_tails(&mut self, cache: &Cache, place: &Place<'_>) -> Result<(), Error> {
        if self.offsets.has_tail() {
            self.offsets.write_tail(cache, place).map_err(writing_index(place))?;
        }
        if self.times.entries.has_tail() {
            self.times.entries.write_tail(cache, place).map_err(writing_index(place))?;
        }
        Ok(())
    }

    /// Makes the files say all that is known: the last index entries, and no bytes behind the last batch.
    pub(crate) fn complete(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        growth: &mut Growth,
    ) -> Result<(), Error> {
        if let Some(largest) = self.largest {
            self.times.note(self.base_offset, largest);
        }
        self.write_indexes(cache, place)?;
        if growth.has_rest {
            let file = self.file.as_ref().expect("a segment that grows is open");
            file.set_len(self.size).map_err(Error::io(format_args!("cutting segment {place}")))?;
            growth.has_rest = false;
            growth.is_dirty = true;
        }
        Ok(())
    }

    /// Writes the entries that the index files lack, and makes the files where there are none.
    pub(crate) fn write_indexes(&mut self, cache: &Cache, place: &Place<'_>) -> Result<(), Error> {
        if self.offsets.has_tail() || self.offsets.len() == 0 {
            self.offsets.write_tail(cache, place).map_err(writing_index(place))?;
        }
        if self.times.entries.has_tail() || self.times.entries.len() == 0 {
            self.times.entries.write_tail(cache, place).map_err(writing_index(place))?;
        }
        self.is_rebuilt = false;
        Ok(())
    }

    /// Its file of batches, when it was appended to since the last time.
    pub(crate) fn take_appended(&self, growth: &mut Growth) -> Option<OpenFile> {
        let file = || self.file.clone().expect("a segment that grows is open");
        std::mem::take(&mut growth.is_dirty).then(file)
    }

    /// Its index files, when they were written to since the last time.
    pub(crate) fn take_indexes(&mut self) -> impl Iterator<Item = OpenFile> {
        [self.offsets.take_written(), self.times.entries.take_written()].into_iter().flatten()
    }

    /// Gives its file up: nothing is appended to it any more.
    pub(crate) fn seal(&mut self) {
        self.file = None;
    }

    /// Whether the index files of a sealed segment say something else than its indexes.
    pub(crate) fn lacks_entries(&self) -> bool {
        self.is_rebuilt
    }

    /// The largest timestamp of a segment that grows, which is always known.
    pub(crate) fn known_largest(&self) -> TimedOffset {
        self.largest.expect("known of a segment that grows")
    }

    /// Counts the batches of its file, whose length is its size.
    pub(crate) fn index(
        &mut self,
        file: &OpenFile,
        place: &Place<'_>,
        growth: &mut Growth,
        interval: u64,
    ) -> Result<(), Error> {
        let mut window = [0; HEADERS_WINDOW];
        let mut walk = Walk::new(file, 0, self.size, &mut window);
        while let Some(batch) = next_batch(&mut walk, place, |_| true)? {
            self.note(&batch, growth, interval);
        }
        Ok(())
    }
}

impl Growth {
    /// Of a segment that is new at `now_ms`.
    pub(crate) fn since(now_ms: i64) -> Growth {
        Growth { since_ms: Some(now_ms), ..Growth::default() }
    }

    /// Of a segment with so many bytes behind its last index entry.
    pub(crate) fn going_on(bytes_since_entry: u64) -> Growth {
        Growth { bytes_since_entry, ..Growth::default() }
    }

    /// Looks up what is needed of a segment before it is appended to.
    pub(crate) fn begin(
        &mut self,
        segment: &Segment,
        cache: &mut Cache,
        place: &Place<'_>,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.since_ms.get_or_insert(now_ms);
        if self.first_timestamp.is_none() && segment.size > 0 {
            let file = segment.file(cache, place)?;
            let mut window = [0; HEADERS_WINDOW];
            let mut walk = Walk::new(&file, 0, segment.size, &mut window);
            self.first_timestamp = next_batch(&mut walk, place, |_| true)?.map(|batch| batch.max_timestamp());
        }
        Ok(())
    }
}

/// What a batch asks of the segment that it should go to.
#[derive(Debug)]
pub(crate) struct RollQuestion {
    pub(crate) size: u64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) now_ms: i64,
}

/// The first batch of a walk that is wanted. What is no batch is damage.
pub(crate) fn next_batch(
    walk: &mut Walk<'_>,
    place: &Place<'_>,
    is_wanted: impl Fn(&BatchAt) -> bool,
) -> Result<Option<BatchAt>, Error> {
    loop {
        match walk.next().map_err(reading(place))? {
            Found::End => return Ok(None),
            Found::Batch(batch) if is_wanted(&batch) => return Ok(Some(batch)),
            Found::Batch(_) => (),
            Found::Nothing(fault) => return Err(corrupt(place, walk.position(), &fault)),
        }
    }
}

/// Damage at a position, with what is there and what should be.
pub(crate) fn corrupt(place: &Place<'_>, position: u64, fault: &str) -> Error {
    Error::Corrupt(format!("segment {place}: batch at position {position}: {fault}"))
}

pub(crate) fn reading<'p>(place: &'p Place<'_>) -> impl FnOnce(io::Error) -> Error + 'p {
    move |source| Error::io(format_args!("reading segment {place}"))(source)
}

fn writing_index<'p>(place: &'p Place<'_>) -> impl FnOnce(io::Error) -> Error + 'p {
    move |source| Error::io(format_args!("writing the indexes of segment {place}"))(source)
}
