//! How bytes that only a journal has come back into the segments.

use std::path::Path;

use super::cache::{Cache, Place};
use super::device::DeviceReader;
use super::file_name::{FileKind, NAMING};
use super::log::Log;
use super::scan::{Found, RECORDS_WINDOW, Walk};
use super::segment::{corrupt, reading};
use crate::disk::{OpenFile, OpenMode, with_suffix};
use crate::error::Error;
use crate::format::batch::CRC_FROM;
use crate::planted::{Bug, planted};

/// Whole batches, and where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPiece<'a> {
    /// Base offset of the segment.
    pub segment: i64,
    /// Position in its file.
    pub position: u64,
    /// The batches.
    pub bytes: &'a [u8],
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Bytes that segments lacked.
    pub bytes_written: u64,
    /// Bytes of segments that were compared.
    pub bytes_read: u64,
}

impl Log {
    /// Before a log is opened: writes what its segments lack of the pieces, which come in the order in which
    /// they were appended. They are durable when the log has been opened. Other batches that are whole in the
    /// place of a piece are a contradiction, and refused; so is a gap in front of one, for what lay there was on
    /// the device before the piece was acknowledged.
    pub fn replay(cache: &mut Cache, dir: &Path, pieces: &[LogPiece<'_>]) -> Result<Replayed, Error> {
        let key = cache.new_log();
        let mut replayed = Replayed::default();
        let mut current: Option<(i64, OpenFile, DeviceReader)> = None;
        let mut end = 0;
        for LogPiece { segment, position, bytes } in pieces.iter().copied() {
            let place = Place { log: key, dir, base_offset: segment };
            if current.as_ref().is_none_or(|(base_offset, ..)| *base_offset != segment) {
                let (file, device) = open_to_replay(cache, &place)?;
                end = file.len().map_err(reading(&place))?;
                replayed.bytes_read += current.map_or(0, |(.., device)| device.bytes_read());
                current = Some((segment, file, device));
            }
            let (_, file, device) = current.as_mut().expect("it was just opened");
            if position > end && !planted(Bug::TailCutBelowDurableEnd) {
                let fault = format!(
                    "the segment ends there, and the journal goes on at {position}: so much was on the device"
                );
                return Err(corrupt(&place, end, &fault));
            }
            end = end.max(position + bytes.len() as u64);
            if device.has(position, bytes).map_err(reading(&place))? {
                continue;
            }
            refuse_other_batches(file, &place, position, bytes)?;
            file.write_all_at([bytes, &[]], position)
                .map_err(|source| Error::io(format_args!("replaying into segment {place}"))(source))?;
            replayed.bytes_written += bytes.len() as u64;
        }
        replayed.bytes_read += current.map_or(0, |(.., device)| device.bytes_read());
        Ok(replayed)
    }
}

/// The segment, to be written to and to be compared as the device has it: after a failed sync the page cache
/// may say something else.
fn open_to_replay(cache: &Cache, place: &Place<'_>) -> Result<(OpenFile, DeviceReader), Error> {
    let path = place.path(FileKind::Log);
    let file = match cache.disk().open(&path, OpenMode::Existing) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match cache.disk().rename(&with_suffix(&path, NAMING), &path) {
                Ok(()) => cache.disk().open(&path, OpenMode::Existing),
                // Its name was not durable yet.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    cache.disk().open(&path, OpenMode::CreateNew)
                }
                Err(error) => Err(error),
            }
            .map_err(reading(place))?
        }
        Err(error) => return Err(reading(place)(error)),
    };
    Ok((file, DeviceReader::open(cache.disk(), &path).map_err(reading(place))?))
}

/// Compares batch by batch what is whole in the file, as the device has it, with what should be there.
fn refuse_other_batches(
    file: &OpenFile,
    place: &Place<'_>,
    position: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    file.sync().and_then(|()| file.drop_cached()).map_err(reading(place))?;
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
        // A power cut may keep a batch without the sector that it begins in. Where that has only its first
        // bytes, which no checksum covers, it is whole to look at and has another base offset.
        let is_same = expected.is_some_and(|expected| expected[CRC_FROM..] == there[CRC_FROM..]);
        if !is_same {
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
