//! `Control`: the records that the quorum itself writes, in control batches.
//!
//! ```text
//! key    int16 version (0) | int16 type: 2 leader change, 3 snapshot header, 4 snapshot footer, 5 kraft.version, 6 voters
//! value  the record; its first field says its version
//! ```
//!
//! All of them are written in version 0, and that is how Apache Kafka 4.3.1 reads them.

use bytes::Bytes;

use super::leader_change::LeaderChangeMessage;
use super::snapshots::{SnapshotFooterRecord, SnapshotHeaderRecord};
use super::voters::{KRaftVersionRecord, VotersRecord};
use crate::wire::{Message, Reader, Schema, Writer};

/// The version of keys and values.
const VERSION: i16 = 0;

/// One line a type: number and table.
macro_rules! controls {
    ($($number:literal $type:ident = $record:path;)*) => {
        /// One record of a control batch.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Control { $(
            #[doc = concat!("Type ", $number, ".")]
            $type($record),
        )* }

        /// The types of control records: number and table.
        pub static CONTROL_TYPES: [(i16, &Schema); [$($number),*].len()] = [$(($number, <$record>::SCHEMA)),*];

        impl Control {
            /// What a record of a control batch of the metadata log says, or what is wrong with it. `None`: it is
            /// the end of a producer's transaction, which the metadata log does not have, or of a later type.
            pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Control>, String> {
                let number = match key {
                    Some([_, _, high, low, ..]) => i16::from_be_bytes([*high, *low]),
                    _ => return Err("a control record without a key of 4 bytes".to_owned()),
                };
                let value = Bytes::copy_from_slice(value.unwrap_or_default());
                let mut reader = Reader::new(&value);
                match number {
                    $($number => <$record>::read_message(&mut reader, VERSION)
                        .map(|record| Some(Control::$type(record)))
                        .map_err(|error| error.to_string()),)*
                    _ => Ok(None),
                }
            }

            /// Key and value.
            pub fn encode(&self) -> ([u8; 4], Vec<u8>) {
                let (number, mut value): (i16, Vec<u8>) = match self {
                    $(Control::$type(_) => ($number, Vec::new()),)*
                };
                let mut writer = Writer::new(&mut value);
                match self { $(Control::$type(record) => record.write_message(&mut writer, VERSION),)* }
                let (mut key, number) = ([0; 4], number.to_be_bytes());
                key[..2].copy_from_slice(&VERSION.to_be_bytes());
                key[2..].copy_from_slice(&number);
                (key, value)
            }
        }
    };
}

controls! {
    2 LeaderChange = LeaderChangeMessage;
    3 SnapshotHeader = SnapshotHeaderRecord;
    4 SnapshotFooter = SnapshotFooterRecord;
    5 KRaftVersion = KRaftVersionRecord;
    6 Voters = VotersRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_record_is_read_as_it_is_written() {
        let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: 0x0102 };
        let (key, value) = Control::SnapshotHeader(header.clone()).encode();
        assert_eq!((&key[..], &value[..]), (&[0, 0, 0, 3][..], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0][..]));
        let read = Control::decode(Some(&key), Some(&value));
        assert_eq!(read, Ok(Some(Control::SnapshotHeader(header))));
    }

    #[test]
    fn other_types_are_nobodys_and_damage_is_named() {
        assert_eq!(Control::decode(Some(&[0, 0, 0, 1]), Some(&[0; 6])), Ok(None));
        assert_eq!(Control::decode(Some(&[0, 0, 0, 9]), None), Ok(None));
        for (key, value, word) in [
            (None, None, "without a key"),
            (Some(&[0, 0, 0][..]), None, "without a key"),
            (Some(&[0, 0, 0, 2][..]), Some(&[0, 0, 0][..]), "LeaderChangeMessage"),
        ] {
            let error = Control::decode(key, value).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
