//! `Image`: what a disk with a volatile write cache holds, and what a loss of power leaves of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::fs::{MemfdFlags, memfd_create};

use super::order::Loss;

/// A disk's bytes, cache included.
#[derive(Debug)]
pub(super) struct Image {
    /// What a read finds.
    bytes: File,
    sector_bytes: usize,
    /// What each write since the last flush replaced, oldest first: its way back to what is durable.
    unflushed: Vec<Replaced>,
}

#[derive(Debug)]
struct Replaced {
    position: u64,
    before: Vec<u8>,
}

/// What a loss of power did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    /// Writes that were not flushed.
    pub(super) writes: usize,
    /// Sectors that they wrote.
    pub(super) sectors: usize,
    /// Those of them that do not hold what was written last.
    pub(super) sectors_lost: usize,
}

impl Image {
    /// All zeros, in memory. A sector is what the disk writes whole or not at all.
    pub(super) fn new(len: u64, sector_bytes: usize) -> io::Result<Image> {
        let bytes = File::from(memfd_create("logmill-disk", MemfdFlags::CLOEXEC)?);
        bytes.set_len(len)?;
        Ok(Image { bytes, sector_bytes, unflushed: Vec::new() })
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.metadata()?.len())
    }

    pub(super) fn read(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.bytes.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    /// Writes whole sectors into the cache.
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = position.is_multiple_of(self.sector_bytes as u64);
        if !whole || !bytes.len().is_multiple_of(self.sector_bytes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let before = self.read(position, bytes.len())?;
        self.bytes.write_all_at(bytes, position)?;
        self.unflushed.push(Replaced { position, before });
        Ok(())
    }

    /// Whether everything is durable.
    pub(super) fn is_flushed(&self) -> bool {
        self.unflushed.is_empty()
    }

    /// Makes all of the cache durable.
    pub(super) fn flush(&mut self) {
        self.unflushed.clear();
    }

    /// Takes the power away: what is left is durable.
    pub(super) fn lose(&mut self, loss: Loss) -> io::Result<Lost> {
        let written = self.written_sectors()?;
        match loss {
            Loss::All => self.undo_down_to(0)?,
            Loss::Nothing => {}
            Loss::Some(seed) => {
                let mut random = StdRng::seed_from_u64(seed);
                if random.random() {
                    self.keep_a_prefix(&mut random)?;
                } else {
                    self.keep_any_sectors(&mut random)?;
                }
            }
        }
        let writes = written.writes;
        self.unflushed.clear();
        let mut sectors_lost = 0;
        for (position, last) in &written.last {
            sectors_lost += usize::from(self.read(*position, self.sector_bytes)? != *last);
        }
        Ok(Lost { writes, sectors: written.last.len(), sectors_lost })
    }

    /// As a disk that writes its cache in order: all writes up to one, which may be torn between sectors.
    fn keep_a_prefix(&mut self, random: &mut StdRng) -> io::Result<()> {
        let kept = random.random_range(0..=self.unflushed.len());
        if kept == self.unflushed.len() {
            return Ok(());
        }
        self.undo_down_to(kept + 1)?;
        let Replaced { position, before } = &self.unflushed[kept];
        let sectors = before.len() / self.sector_bytes;
        let torn_at = random.random_range(0..=sectors) * self.sector_bytes;
        self.bytes.write_all_at(&before[torn_at..], position + torn_at as u64)
    }

    /// As a disk that writes its cache in any order: each sector holds any of what it held since the flush.
    fn keep_any_sectors(&mut self, random: &mut StdRng) -> io::Result<()> {
        let mut versions: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
        for Replaced { position, before } in &self.unflushed {
            for (at, sector) in before.chunks(self.sector_bytes).enumerate() {
                versions.entry(position + (at * self.sector_bytes) as u64).or_default().push(sector);
            }
        }
        let last_is_kept = [0.1, 0.5, 0.9][random.random_range(0..3)];
        for (position, versions) in versions {
            if !random.random_bool(last_is_kept) {
                let version = versions[random.random_range(0..versions.len())];
                self.bytes.write_all_at(version, position)?;
            }
        }
        Ok(())
    }

    /// Takes all unflushed writes back but the first few, which stay in the list.
    fn undo_down_to(&mut self, count: usize) -> io::Result<()> {
        while self.unflushed.len() > count
            && let Some(Replaced { position, before }) = self.unflushed.pop()
        {
            self.bytes.write_all_at(&before, position)?;
        }
        Ok(())
    }

    fn written_sectors(&self) -> io::Result<Written> {
        let mut last = BTreeMap::new();
        for Replaced { position, before } in &self.unflushed {
            for at in (0..before.len()).step_by(self.sector_bytes) {
                let position = position + at as u64;
                last.insert(position, self.read(position, self.sector_bytes)?);
            }
        }
        Ok(Written { writes: self.unflushed.len(), last })
    }
}

/// What the cache holds: for each sector in it, what was written last.
struct Written {
    writes: usize,
    last: BTreeMap<u64, Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTOR: usize = 512;

    fn image() -> Image {
        Image::new(64 * SECTOR as u64, SECTOR).unwrap()
    }

    fn write(image: &mut Image, sector: u64, count: usize, byte: u8) {
        image.write(sector * SECTOR as u64, &vec![byte; count * SECTOR]).unwrap();
    }

    /// The byte that each of the first sectors is full of.
    fn sectors(image: &Image, count: usize) -> Vec<u8> {
        let of = |sector: usize| {
            let bytes = image.read((sector * SECTOR) as u64, SECTOR).unwrap();
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "sector {sector} is torn");
            bytes[0]
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn what_was_flushed_stays_and_all_else_goes() {
        let mut image = image();
        write(&mut image, 0, 4, 1);
        image.flush();
        write(&mut image, 2, 4, 2);
        write(&mut image, 3, 1, 3);
        assert_eq!(sectors(&image, 6), [1, 1, 2, 3, 2, 2], "reads see the cache");
        let lost = image.lose(Loss::All).unwrap();
        assert_eq!(lost, Lost { writes: 2, sectors: 4, sectors_lost: 4 });
        assert_eq!(sectors(&image, 6), [1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_loss_of_nothing_leaves_the_cache() {
        let mut image = image();
        write(&mut image, 0, 2, 1);
        assert_eq!(image.lose(Loss::Nothing).unwrap(), Lost { writes: 1, sectors: 2, sectors_lost: 0 });
        assert_eq!(sectors(&image, 2), [1, 1]);
    }

    #[test]
    fn a_part_that_is_left_is_legal_and_over_many_seeds_every_part_occurs() {
        let mut prefixes = 0;
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let mut image = image();
            write(&mut image, 0, 1, 9);
            image.flush();
            write(&mut image, 0, 2, 1);
            write(&mut image, 1, 2, 2);
            let lost = image.lose(Loss::Some(seed)).unwrap();
            let left = sectors(&image, 4);
            assert!([9, 1].contains(&left[0]) && [0, 1, 2].contains(&left[1]) && [0, 2].contains(&left[2]));
            assert_eq!(left[3], 0);
            assert_eq!(lost.writes, 2);
            let complete = [(0, 1), (1, 2), (2, 2)];
            assert_eq!(lost.sectors_lost, complete.iter().filter(|(at, last)| left[*at] != *last).count());
            prefixes += usize::from(left == [9, 0, 0, 0]);
            seen.insert(left);
        }
        assert_eq!(seen.len(), 2 * 3 * 2, "{seen:?}");
        assert!(prefixes > 20, "nothing at all is left often enough");
    }

    #[test]
    fn the_same_seed_leaves_the_same() {
        let left = |seed| {
            let mut image = image();
            for sector in 0..20 {
                write(&mut image, sector, 3, sector as u8 + 1);
            }
            image.lose(Loss::Some(seed)).unwrap();
            sectors(&image, 24)
        };
        assert_eq!(left(7), left(7));
        assert!((0..10).any(|seed| left(seed) != left(7)));
    }

    #[test]
    fn a_part_of_a_sector_is_refused() {
        assert!(image().write(1, &[0; SECTOR]).is_err());
        assert!(image().write(0, &[0; SECTOR + 1]).is_err());
    }
}
