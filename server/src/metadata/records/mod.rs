//! `Record`: what stands in the metadata log, and its frame.
//!
//! ```text
//! value of a record   uvarint 1 | uvarint type | uvarint version | the record        its key is null
//! ```
//!
//! The types are those of Apache Kafka 4.3.1. It refuses any other, and so does this: a broker that left out what
//! it does not know would show another cluster than there is.

pub mod brokers;
pub mod control;
pub mod leader_change;
pub mod quorum_state;
pub mod security;
pub mod settings;
pub mod snapshots;
pub mod topics;
pub mod transactions;
pub mod voters;

use std::fmt;

use bytes::Bytes;

use crate::wire::{Message, ReadError, Reader, Reason, Schema, Writer};

const FRAME_VERSION: u32 = 1;

/// Why the value of a record is not one that this broker knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// A number of the frame cannot be read.
    Frame(Reason),
    /// The frame is of another version.
    FrameVersion(u32),
    /// The record is of a type that does not exist in 4.3.1.
    Type(u32),
    /// Its fields cannot be read, or its version does not exist in 4.3.1.
    Fields(ReadError),
    /// Bytes stand behind its fields.
    Behind(&'static str, usize),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Frame(reason) => write!(f, "the frame of a metadata record: {reason}"),
            RecordError::FrameVersion(version) => {
                write!(f, "a metadata record in a frame of version {version}, expected {FRAME_VERSION}")
            }
            RecordError::Type(number) => {
                write!(f, "a metadata record of type {number}, which does not exist")
            }
            RecordError::Fields(error) => write!(f, "{error}"),
            RecordError::Behind(name, count) => write!(f, "{name}: {count} bytes behind its fields"),
        }
    }
}

impl std::error::Error for RecordError {}

/// One line a type: number and table.
macro_rules! records {
    ($($number:literal $type:ident = $record:path;)*) => {
        /// One record of the metadata log.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Record { $(
            #[doc = concat!("Type ", $number, ".")]
            $type($record),
        )* }

        /// The types of records: number and table.
        pub static RECORD_TYPES: [(u32, &Schema); [$($number),*].len()] = [$(($number, <$record>::SCHEMA)),*];

        impl Record {
            /// The record with this number, in this version.
            fn read(reader: &mut Reader<'_>, number: u32, version: i16) -> Result<Record, RecordError> {
                match number {
                    $($number => <$record>::read_message(reader, version)
                        .map(Record::$type).map_err(RecordError::Fields),)*
                    _ => Err(RecordError::Type(number)),
                }
            }

            /// Number and table of its type.
            pub fn kind(&self) -> (u32, &'static Schema) {
                match self { $(Record::$type(_) => ($number, <$record>::SCHEMA),)* }
            }

            fn write(&self, writer: &mut Writer<'_>, version: i16) {
                match self { $(Record::$type(record) => record.write_message(writer, version),)* }
            }
        }

        $(impl From<$record> for Record {
            fn from(record: $record) -> Record {
                Record::$type(record)
            }
        })*
    };
}

records! {
    0 RegisterBroker = brokers::RegisterBrokerRecord;
    1 UnregisterBroker = brokers::UnregisterBrokerRecord;
    2 Topic = topics::TopicRecord;
    3 Partition = topics::PartitionRecord;
    4 Config = settings::ConfigRecord;
    5 PartitionChange = topics::PartitionChangeRecord;
    7 FenceBroker = brokers::FenceBrokerRecord;
    8 UnfenceBroker = brokers::UnfenceBrokerRecord;
    9 RemoveTopic = topics::RemoveTopicRecord;
    10 DelegationToken = security::DelegationTokenRecord;
    11 UserScramCredential = security::UserScramCredentialRecord;
    12 FeatureLevel = settings::FeatureLevelRecord;
    14 ClientQuota = settings::ClientQuotaRecord;
    15 ProducerIds = settings::ProducerIdsRecord;
    17 BrokerRegistrationChange = brokers::BrokerRegistrationChangeRecord;
    18 AccessControlEntry = security::AccessControlEntryRecord;
    19 RemoveAccessControlEntry = security::RemoveAccessControlEntryRecord;
    20 NoOp = transactions::NoOpRecord;
    21 ZkMigrationState = settings::ZkMigrationStateRecord;
    22 RemoveUserScramCredential = security::RemoveUserScramCredentialRecord;
    23 BeginTransaction = transactions::BeginTransactionRecord;
    24 EndTransaction = transactions::EndTransactionRecord;
    25 AbortTransaction = transactions::AbortTransactionRecord;
    26 RemoveDelegationToken = security::RemoveDelegationTokenRecord;
    27 RegisterController = brokers::RegisterControllerRecord;
    28 ClearElr = topics::ClearElrRecord;
}

impl Record {
    /// Reads the value of a record of the log. Its texts and bytes are slices of `value`.
    pub fn decode(value: &Bytes) -> Result<Record, RecordError> {
        let mut reader = Reader::new(value);
        let mut number = || reader.uvarint().map_err(RecordError::Frame);
        let (frame, kind, version) = (number()?, number()?, number()?);
        if frame != FRAME_VERSION {
            return Err(RecordError::FrameVersion(frame));
        }
        // A version that is no `i16` is none that exists.
        let version = i16::try_from(version).unwrap_or(i16::MAX);
        let record = Record::read(&mut reader, kind, version)?;
        match reader.remaining() {
            0 => Ok(record),
            count => Err(RecordError::Behind(record.kind().1.name, count)),
        }
    }

    /// The value of a record of the log, in a version that exists. Fields that the version does not have are left
    /// out.
    pub fn encode(&self, version: i16) -> Vec<u8> {
        let mut value = Vec::new();
        let mut writer = Writer::new(&mut value);
        writer.uvarint(FRAME_VERSION);
        writer.uvarint(self.kind().0);
        writer.uvarint(u32::try_from(version).expect("a version that exists is no negative number"));
        self.write(&mut writer, version);
        value
    }
}

#[cfg(test)]
mod tests {
    use logmill_engine::format::Uuid;

    use super::*;

    fn decoded(value: &[u8]) -> Result<Record, RecordError> {
        Record::decode(&Bytes::copy_from_slice(value))
    }

    #[test]
    fn a_value_is_the_frame_and_the_record() {
        let record = Record::from(topics::TopicRecord { name: "ab".into(), topic_id: Uuid([7; 16]) });
        let value = record.encode(0);
        assert_eq!(value, [&[1, 2, 0, 3, b'a', b'b'][..], &[7; 16], &[0]].concat());
        assert_eq!(decoded(&value), Ok(record));
    }

    #[test]
    fn fields_of_later_versions_are_left_out_and_read_as_their_defaults() {
        let partition = topics::PartitionRecord {
            directories: vec![Uuid([7; 16])],
            eligible_leader_replicas: Some(vec![3]),
            ..Default::default()
        };
        let read = |version| decoded(&Record::from(partition.clone()).encode(version));
        let without_elr = topics::PartitionRecord { eligible_leader_replicas: None, ..partition.clone() };
        assert_eq!(read(0), Ok(topics::PartitionRecord::default().into()));
        assert_eq!(read(1), Ok(without_elr.into()));
        assert_eq!(read(2), Ok(partition.clone().into()));
    }

    #[test]
    fn what_4_3_1_does_not_know_is_refused_and_named() {
        let topic = [&[3, b'a', b'b'][..], &[7; 16], &[0]].concat();
        let error = |head: &[u8], rest: &[u8]| decoded(&[head, rest].concat()).unwrap_err();
        assert_eq!(error(&[2, 2, 0], &topic), RecordError::FrameVersion(2));
        for number in [6, 13, 16, 29, 300] {
            let head = if number < 128 { vec![1, number as u8, 0] } else { vec![1, 0xac, 2, 0] };
            assert_eq!(error(&head, &topic), RecordError::Type(number));
        }
        assert_eq!(error(&[1, 2, 0], &[&topic[..], &[0, 0]].concat()), RecordError::Behind("TopicRecord", 2));
        assert_eq!(
            error(&[1], &[]),
            RecordError::Frame(Reason::Truncated { needed: 1, left: 0 }),
            "a frame that is cut"
        );
        for version in [&[1u8][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            let error = decoded(&[&[1, 2][..], version, &topic].concat()).unwrap_err().to_string();
            assert!(error.contains("TopicRecord"), "{error}");
        }
    }
}
