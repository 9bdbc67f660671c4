//! `OffsetIndex`: which position batches begin at, an entry for every few kilobytes.

use std::io;

use super::cache::{Cache, Place};
use super::entry_file::{Entry, EntryFile};
use super::file_name::FileKind;
use crate::format::index_entry::OffsetEntry;

/// Entries name a batch by its last offset.
pub(crate) type OffsetIndex = EntryFile<OffsetEntry>;

impl Entry for OffsetEntry {
    const KIND: FileKind = FileKind::OffsetIndex;
}

/// A batch that an entry claims to know. The batch's header tells whether it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) last_offset: i64,
    pub(crate) position: u64,
    /// So many bytes behind its position the batch begins that was asked for, or in front of that, if batches are
    /// all of one size.
    pub(crate) distance: Option<u64>,
}

impl OffsetIndex {
    /// The last batch that ends at `offset` or in front of it, among those with an entry. What cannot be an
    /// entry is claimed to lie at `u64::MAX`, where no batch is.
    pub(crate) fn batch_before(
        &self,
        cache: &mut Cache,
        place: &Place<'_>,
        offset: i64,
    ) -> io::Result<Option<Claim>> {
        let base_offset = place.base_offset;
        let found = self.floor(cache, place, |entry| {
            entry.last_offset(base_offset).is_some_and(|last_offset| last_offset <= offset)
        })?;
        Ok(found.map(|(entry, next)| {
            let claim = claim(&entry, place);
            Claim {
                distance: next.and_then(|next| claim.distance_to(offset, &self::claim(&next, place))),
                ..claim
            }
        }))
    }

    /// The first batch at `position` or behind it, among those with an entry. What cannot be an entry is claimed
    /// to lie where no batch is.
    pub(crate) fn batch_from(
        &self,
        cache: &mut Cache,
        place: &Place<'_>,
        position: u64,
    ) -> io::Result<Option<Claim>> {
        let found = self.ceiling(cache, place, |entry| entry.position().is_some_and(|at| at < position))?;
        Ok(found.map(|entry| claim(&entry, place)))
    }
}

fn claim(entry: &OffsetEntry, place: &Place<'_>) -> Claim {
    Claim {
        last_offset: entry.last_offset(place.base_offset).unwrap_or(-1),
        position: entry.position().unwrap_or(u64::MAX),
        distance: None,
    }
}

impl Claim {
    /// How far it is to the batch of `offset`, between this one and the next one that is known.
    fn distance_to(&self, offset: i64, next: &Claim) -> Option<u64> {
        let bytes = next.position.checked_sub(self.position)?;
        let offsets = next.last_offset.checked_sub(self.last_offset).filter(|offsets| *offsets > 0)?;
        let ahead = u128::try_from(offset.checked_sub(self.last_offset)?).ok()?;
        u64::try_from(u128::from(bytes) * ahead / offsets as u128).ok()
    }
}
