//! `ControlRecord`: the one record of a control batch.
//!
//! ```text
//! key    int16 version (0) | int16 type: 0 abort, 1 commit; others belong to the metadata log
//! value  int16 version (0) | int32 epoch of the coordinator        of abort and commit
//! ```

use super::record::Record;

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecord {
    /// The producer's transaction is aborted: nobody gets its records.
    Abort {
        /// Epoch of the coordinator that says so.
        coordinator_epoch: i32,
    },
    /// The producer's transaction is committed.
    Commit {
        /// Epoch of the coordinator that says so.
        coordinator_epoch: i32,
    },
    /// Of another type.
    Other(i16),
}

impl ControlRecord {
    /// What the record of a control batch says, or what is wrong with it.
    ///
    /// A later version begins as this one does, as Apache Kafka reads it.
    pub fn read(record: &Record<'_>) -> Result<ControlRecord, String> {
        let key = record.key.ok_or("a control record without a key")?;
        let (version, kind) = int16(key)
            .and_then(|(version, rest)| Some((version, int16(rest)?.0)))
            .ok_or_else(|| format!("a control record's key of {} bytes, expected 4", key.len()))?;
        if version < VERSION {
            return Err(format!("a control record's key of version {version}, expected {VERSION}"));
        }
        if kind != ABORT && kind != COMMIT {
            return Ok(ControlRecord::Other(kind));
        }
        let value = record.value.ok_or("an end of a transaction without a value")?;
        let (version, coordinator_epoch) = int16(value)
            .and_then(|(version, rest)| Some((version, i32::from_be_bytes(*rest.first_chunk()?))))
            .ok_or_else(|| format!("an end of a transaction of {} bytes, expected 6", value.len()))?;
        if version < VERSION {
            return Err(format!("an end of a transaction of version {version}, expected {VERSION}"));
        }
        Ok(match kind {
            ABORT => ControlRecord::Abort { coordinator_epoch },
            _ => ControlRecord::Commit { coordinator_epoch },
        })
    }
}

/// The key and value that end a transaction.
pub(super) fn write_end(is_commit: bool, coordinator_epoch: i32) -> ([u8; 4], [u8; 6]) {
    let (mut key, mut value) = ([0; 4], [0; 6]);
    key[..2].copy_from_slice(&VERSION.to_be_bytes());
    key[2..].copy_from_slice(&if is_commit { COMMIT } else { ABORT }.to_be_bytes());
    value[..2].copy_from_slice(&VERSION.to_be_bytes());
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    (key, value)
}

fn int16(bytes: &[u8]) -> Option<(i16, &[u8])> {
    bytes.split_first_chunk().map(|(first, rest)| (i16::from_be_bytes(*first), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::{self, Content, RecordTime, Records};

    fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ControlRecord, String> {
        let mut bytes = Vec::new();
        let time = RecordTime { offset_delta: 0, timestamp_delta: 0 };
        record::write(&mut bytes, time, Content { key, value, headers: &[] });
        ControlRecord::read(&Records::new(&bytes, 1).next().unwrap().unwrap())
    }

    #[test]
    fn ends_of_transactions_are_read_as_they_are_written() {
        let (key, value) = write_end(true, 0x0102_0304);
        assert_eq!((key, value), ([0, 0, 0, 1], [0, 0, 1, 2, 3, 4]));
        let expected = ControlRecord::Commit { coordinator_epoch: 0x0102_0304 };
        assert_eq!(read(Some(&key), Some(&value)), Ok(expected));
        let (key, value) = write_end(false, 7);
        assert_eq!(read(Some(&key), Some(&value)), Ok(ControlRecord::Abort { coordinator_epoch: 7 }));
        assert_eq!(read(Some(&[0, 0, 0, 2]), None), Ok(ControlRecord::Other(2)));
    }

    #[test]
    fn later_versions_begin_as_this_one() {
        let read = read(Some(&[0, 1, 0, 1, 9]), Some(&[0, 3, 0, 0, 0, 5, 9, 9]));
        assert_eq!(read, Ok(ControlRecord::Commit { coordinator_epoch: 5 }));
    }

    #[test]
    fn damage_is_named() {
        let value: &[u8] = &[0, 0, 0, 0, 0, 1];
        for (key, value, word) in [
            (None, Some(value), "without a key"),
            (Some(&[0, 0, 0][..]), Some(value), "of 3 bytes"),
            (Some(&[255, 255, 0, 0]), Some(value), "version -1"),
            (Some(&[0, 0, 0, 0]), None, "without a value"),
            (Some(&[0, 0, 0, 0]), Some(&value[..5]), "of 5 bytes"),
            (Some(&[0, 0, 0, 0]), Some(&[255, 0, 0, 0, 0, 1]), "version -256"),
        ] {
            let error = read(key, value).unwrap_err();
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    }
}
