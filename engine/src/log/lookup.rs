//! How a segment finds a batch: by what its index claims, when the batch confirms it.

use std::io;

use super::cache::{Cache, Place};
use super::offset_index::{Claim, OffsetIndex};
use super::scan::{BatchAt, Found, HEADERS_WINDOW, Walk};
use super::segment::{Growth, Segment, next_batch, reading};
use crate::disk::OpenFile;
use crate::error::Error;

/// Where the batches of a segment end for whoever reads them one after the other.
#[derive(Debug)]
pub(super) struct Damage {
    /// The batches in front of it.
    offsets: OffsetIndex,
    /// The place, with what is there and what should be.
    fault: String,
}

impl Segment {
    /// The batch that holds `offset`, or the first one behind it, among the first `end` bytes.
    pub(crate) fn find_offset(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        interval: u64,
        offset: i64,
        end: u64,
    ) -> Result<Option<BatchAt>, Error> {
        let mut window = [0; HEADERS_WINDOW];
        let file = self.file(cache, place)?;
        let mut walk = self.walk_to(cache, place, interval, offset, (&file, &mut window))?;
        walk.end_at(end);
        next_batch(&mut walk, place, |batch| batch.last_offset() >= offset)
    }

    /// A walk that begins in front of `offset`, as near as the index knows. An entry is believed when the
    /// batch that it points to confirms it.
    pub(crate) fn walk_to<'w>(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        interval: u64,
        offset: i64,
        (file, window): (&'w OpenFile, &'w mut [u8]),
    ) -> Result<Walk<'w>, Error> {
        let mut walk = Walk::new(file, 0, self.size, window);
        let fault = match self.offsets.batch_before(cache, place, offset) {
            Ok(None) => return Ok(walk),
            Ok(Some(claim)) => {
                match claim.distance {
                    Some(distance) => walk.go_to_reach(claim.position, distance),
                    None => walk.go_to(claim.position),
                }
                match confirm(&mut walk, &claim).map_err(reading(place))? {
                    None => return Ok(walk),
                    Some(fault) => fault,
                }
            }
            Err(error) => error.to_string(),
        };
        let offsets = match (self.rebuild(cache, place, interval, &fault), &self.damage) {
            (Ok(()), _) => &self.offsets,
            // The walk ends at the offset, or at the damage.
            (Err(Error::Corrupt(_)), Some(damage)) => &damage.offsets,
            (Err(error), _) => return Err(error),
        };
        let claim = offsets.batch_before(cache, place, offset).map_err(reading(place))?;
        walk.go_to(claim.map_or(0, |claim| claim.position));
        Ok(walk)
    }

    /// An offset that no batch in front of `position` reaches: that of the first batch from there on which has an
    /// index entry. `None`: there is no such batch, or what lies there is nothing to go by. Then the segment's end
    /// bounds them too: nobody who reads in front of a damaged batch has to know of it.
    pub(crate) fn bound_at(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        position: u64,
    ) -> Result<Option<i64>, Error> {
        let mut window = [0; HEADERS_WINDOW];
        let file = self.file(cache, place)?;
        let mut walk = Walk::new(&file, 0, self.size, &mut window);
        let Ok(Some(claim)) = self.offsets.batch_from(cache, place, position) else { return Ok(None) };
        walk.go_to(claim.position);
        Ok(matches!(confirm(&mut walk, &claim), Ok(None)).then_some(claim.last_offset))
    }

    /// Builds the indexes anew from the batches' headers, in memory. The files follow at a clean stop. Where that
    /// meets damage the indexes stay as they are, and it is not tried again.
    pub(crate) fn rebuild(
        &mut self,
        cache: &mut Cache,
        place: &Place<'_>,
        interval: u64,
        fault: &str,
    ) -> Result<(), Error> {
        if let Some(damage) = &self.damage {
            return Err(Error::Corrupt(damage.fault.clone()));
        }
        let mut built = Segment::unindexed(self.base_offset, self.size);
        let file = self.file(cache, place)?;
        match built.index(&file, place, &mut Growth::default(), interval) {
            Err(Error::Corrupt(found)) => {
                tracing::warn!("indexes of segment {place}: {fault}: cannot be rebuilt: {found}");
                self.damage = Some(Box::new(Damage { offsets: built.offsets, fault: found.clone() }));
                return Err(Error::Corrupt(found));
            }
            indexed => indexed?,
        }
        if let Some(largest) = built.largest {
            built.times.note(self.base_offset, largest);
        }
        tracing::warn!("indexes of segment {place}: {fault}: built anew");
        cache.forget(place);
        (self.offsets, self.times, self.largest) = (built.offsets, built.times, built.largest);
        self.is_rebuilt = true;
        Ok(())
    }
}

/// What is wrong with what an index claims; `None` when the header of the batch that the walk stands at says
/// the same.
fn confirm(walk: &mut Walk<'_>, claim: &Claim) -> io::Result<Option<String>> {
    let fault = match walk.peek()? {
        Found::Batch(batch) if batch.last_offset() == claim.last_offset => return Ok(None),
        Found::Batch(batch) => format!("it ends at offset {}", batch.last_offset()),
        Found::End => "the segment ends before it".to_owned(),
        Found::Nothing(fault) => fault,
    };
    let Claim { last_offset, position, .. } = claim;
    Ok(Some(format!("entry for a batch at position {position} that ends at offset {last_offset}: {fault}")))
}
