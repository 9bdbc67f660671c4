//! `Deletions`: segments that are on their way out. First renamed, so that readers who have them open can
//! finish, and removed when their time has come.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::cache::{Cache, Place};
use super::file_name::{DELETED, FileKind, KINDS};
use super::log::{Log, LogEnd};
use super::segment::{Growth, NO_TIMESTAMP, Segment};
use crate::disk::{OpenMode, with_suffix};
use crate::error::Error;

/// What must not be rewritten yet.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Offsets that live journal frames cover. Their bytes are synced, and the recovery point has passed
    /// them durably, before the log gives them up.
    pub covered: Option<Range<i64>>,
}

/// Renamed files, in the order in which they were renamed.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    due: VecDeque<(i64, PathBuf)>,
}

impl Deletions {
    /// Renames a segment's files. When the first of them cannot be, nothing has changed; those behind it are
    /// taken away at the next opening when they cannot.
    fn rename(&mut self, cache: &mut Cache, place: &Place<'_>, due_ms: i64) -> Result<(), Error> {
        self.rename_kinds(cache, place, &KINDS, due_ms)
    }

    fn rename_kinds(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        kinds: &[FileKind],
        due_ms: i64,
    ) -> Result<(), Error> {
        for (index, kind) in kinds.iter().copied().enumerate() {
            let from = place.path(kind);
            let to = with_suffix(&from, DELETED);
            match cache.disk().rename(&from, &to) {
                Ok(()) => self.due.push_back((due_ms, to)),
                Err(error) if index > 0 && error.kind() == io::ErrorKind::NotFound => (),
                Err(error) if index > 0 => tracing::warn!("renaming {}: {error}", from.display()),
                Err(error) => return Err(Error::io(format_args!("renaming {}", from.display()))(error)),
            }
        }
        cache.forget(place);
        Ok(())
    }

    fn remove_due(&mut self, cache: &Cache, now_ms: i64) -> Result<(), Error> {
        while let Some((_, path)) = self.due.front().filter(|(due_ms, _)| *due_ms <= now_ms) {
            match cache.disk().remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(format_args!("removing {}", path.display()))(error));
                }
                _ => drop(self.due.pop_front()),
            }
        }
        Ok(())
    }
}

impl Log {
    /// Gives up the segments that lie in front of `offset`, which the log's start has passed durably: a crash
    /// may bring any of them back. Says how many. Their files are removed by [`Log::remove_due`] from
    /// `due_ms` on. What `guard` covers stays.
    pub fn delete_below(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        guard: &Guard,
        now_ms: i64,
        due_ms: i64,
    ) -> Result<usize, Error> {
        assert!(offset <= self.start_offset, "what is deleted is not read any more");
        if offset >= self.next_offset {
            self.roll(cache, now_ms)?;
        }
        let mut deleted = 0;
        while let [first, second, ..] = &self.segments[..]
            && second.base_offset <= offset
            && guard.covered.as_ref().is_none_or(|covered| second.base_offset <= covered.start)
        {
            let place = Place { log: self.key, dir: &self.dir, base_offset: first.base_offset };
            self.deletions.rename(cache, &place, due_ms)?;
            self.segments.remove(0);
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Removes files of deleted segments whose time has come.
    pub fn remove_due(&mut self, cache: &Cache, now_ms: i64) -> Result<(), Error> {
        self.deletions.remove_due(cache, now_ms)
    }

    /// Takes back everything from `offset` on, durably; where `offset` lies within a batch, from that batch on.
    /// It waits: a segment that came back after what was written since, or an end that did, would contradict
    /// it. The recovery point that an opening is told must be in front of that by then, durably: bytes behind
    /// it are written anew.
    pub fn truncate_to(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        guard: &Guard,
        due_ms: i64,
    ) -> Result<(), Error> {
        let is_free =
            guard.covered.as_ref().is_none_or(|covered| covered.is_empty() || covered.end <= offset);
        assert!(is_free, "what frames cover is not truncated");
        if offset >= self.next_offset {
            return Ok(());
        }
        if offset <= self.segments[0].base_offset {
            return self.restart_at(cache, offset, guard, due_ms);
        }
        let keeps = self.segment_of(offset);
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(keeps);
        let found = segment.find_offset(cache, &place, interval, offset, segment.size)?;
        let (size, next_offset) = match found {
            Some(batch) => (batch.position, batch.base_offset()),
            None => (segment.size, segment.base_offset),
        };
        if self.segments.len() > keeps + 1 {
            while self.segments.len() > keeps + 1 {
                let base_offset = self.segments[self.segments.len() - 1].base_offset;
                let place = Place { log: self.key, dir: &self.dir, base_offset };
                self.deletions.rename(cache, &place, due_ms)?;
                self.segments.pop();
            }
            self.sync_dir(cache)?;
        }
        self.shrink_last(cache, size, next_offset)
    }

    /// Moves the recovery point back, so that [`Log::truncate_to`] of `offset` leaves it in the log. Says
    /// where it is.
    pub fn recede_to(&mut self, cache: &mut Cache, offset: i64) -> Result<LogEnd, Error> {
        let end = self.header_at(cache, offset)?.map_or(offset, |header| header.base_offset());
        let segment = self.segments[self.segment_of(end)].base_offset.min(end);
        // A start reads the segment from its beginning.
        let offset = segment.max(self.start_offset).min(end);
        if offset < self.recovery_point.offset {
            let max_timestamp = NO_TIMESTAMP;
            self.recovery_point = LogEnd { offset, segment, position: 0, max_timestamp };
        }
        Ok(self.recovery_point)
    }

    /// Cuts the last segment to `size` bytes and lets it grow again.
    fn shrink_last(&mut self, cache: &mut Cache, size: u64, next_offset: i64) -> Result<(), Error> {
        let last = self.segments.len() - 1;
        let interval = self.limits.index_interval_bytes;
        let (segment, place) = self.segment(last);
        let file = segment.file(cache, &place)?;
        file.set_len(size)
            .and_then(|()| file.sync())
            .map_err(|source| Error::io(format_args!("cutting segment {place}"))(source))?;
        let mut growth = Growth::default();
        let mut cut = Segment::unindexed(segment.base_offset, size);
        cut.index(&file, &place, &mut growth, interval)?;
        cut.hold(file);
        cache.forget(&place);
        *segment = cut;
        self.growth = growth;
        self.next_offset = next_offset;
        self.start_offset = self.start_offset.min(next_offset);
        let end = self.end();
        if self.recovery_point.offset > end.offset {
            self.recovery_point = end;
        }
        Ok(())
    }

    /// Gives up all that it holds, and goes on at `offset`. After an error it is not to be used. A crash leaves all
    /// of it, or a beginning, or nothing.
    pub fn restart_at(
        &mut self,
        cache: &mut Cache,
        offset: i64,
        guard: &Guard,
        due_ms: i64,
    ) -> Result<(), Error> {
        let is_free = guard.covered.as_ref().is_none_or(Range::is_empty);
        assert!(is_free, "what frames cover is not deleted");
        let dir = cache
            .disk()
            .open(&self.dir, OpenMode::Directory)
            .map_err(Error::io(format_args!("opening {}", self.dir.display())))?;
        let (first, later) = self.segments.split_first().expect("a log has a segment");
        for segments in [later, std::slice::from_ref(first)] {
            for segment in segments.iter().rev() {
                let place = Place { log: self.key, dir: &self.dir, base_offset: segment.base_offset };
                // What is known of producers at the offset stays true.
                let goes = |kind: &FileKind| segment.base_offset != offset || !kind.is_of_producers();
                let kinds: Vec<FileKind> = KINDS.into_iter().filter(goes).collect();
                self.deletions.rename_kinds(cache, &place, &kinds, due_ms)?;
            }
            self.sync_dir(cache)?;
        }
        let place = Place { log: self.key, dir: &self.dir, base_offset: offset };
        self.segments = vec![Segment::create(cache, &place)?];
        self.growth = Growth::default();
        self.unsynced.clear();
        self.new_name = Some(dir);
        (self.next_offset, self.start_offset) = (offset, offset);
        self.recovery_point = LogEnd { segment: offset, ..self.end() };
        Ok(())
    }
    fn sync_dir(&self, cache: &Cache) -> Result<(), Error> {
        cache.disk().sync_dir(&self.dir).map_err(Error::io(format_args!("syncing {}", self.dir.display())))
    }
}
