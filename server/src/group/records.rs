//! `Record`: what the coordinator writes into `__consumer_offsets`, and reads back.
//!
//! ```text
//! key:   int16 type of the record    | fields of that type's key, version 0
//! value: int16 version of the value  | fields of that type's value; none at all where it is deleted
//! ```

use bytes::Bytes;
use logmill_engine::format::Uuid;

use crate::wire::message::message;
use crate::wire::{Message, ReadError, Reader, Reason, Schema, Text, Writer};

message! {
    OffsetCommitKey "0", flexible "none" {
        group: Text = "0", name "group";
        topic: Text = "0", name "topic";
        partition: i32 = "0", name "partition";
    }
}

message! {
    OffsetCommitValue "0-4", flexible "4+" {
        offset: i64 = "0+", name "offset";
        leader_epoch: i32 = "3+", name "leaderEpoch", default -1;
        metadata: Text = "0+", name "metadata";
        commit_timestamp: i64 = "0+", name "commitTimestamp";
        expire_timestamp: i64 = "1", name "expireTimestamp", default -1;
        topic_id: Uuid = "4+", name "topicId", tag 0 "4+";
    }
}

message! {
    GroupMetadataKey "0", flexible "none" {
        group: Text = "0", name "group";
    }
}

message! {
    GroupMetadataValue "0-4", flexible "4+" {
        protocol_type: Text = "0+", name "protocolType";
        generation: i32 = "0+", name "generation";
        protocol: Option<Text> = "0+", name "protocol", nullable "0+";
        leader: Option<Text> = "0+", name "leader", nullable "0+";
        current_state_timestamp: i64 = "2+", name "currentStateTimestamp", default -1;
        members: Vec<MemberMetadata> = "0+", name "members";
    }

    MemberMetadata {
        member_id: Text = "0+", name "memberId";
        group_instance_id: Option<Text> = "3+", name "groupInstanceId", nullable "3+", default None;
        client_id: Text = "0+", name "clientId";
        client_host: Text = "0+", name "clientHost";
        rebalance_timeout: i32 = "1+", name "rebalanceTimeout", default -1;
        session_timeout: i32 = "0+", name "sessionTimeout";
        subscription: Bytes = "0+", name "subscription";
        assignment: Bytes = "0+", name "assignment";
    }
}

impl OffsetCommitValue {
    /// Whether it counts for the topic with this id, and not for an older one of the same name. Values of
    /// brokers that did not write ids count for every topic.
    pub(crate) fn is_of(&self, topic_id: Uuid) -> bool {
        self.topic_id == Uuid::ZERO || self.topic_id == topic_id
    }
}

/// The only version of keys.
const KEY_VERSION: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;
/// The newest version of a group's value that every broker of Apache Kafka 3 and 4 reads, and 4.3.1 writes.
const GROUP_METADATA_VERSION: i16 = 3;

/// The types of records: number, key, value.
pub static RECORD_TYPES: [(i16, &Schema, &Schema); 2] = [
    (OFFSET_COMMIT, OffsetCommitKey::SCHEMA, OffsetCommitValue::SCHEMA),
    (GROUP_METADATA, GroupMetadataKey::SCHEMA, GroupMetadataValue::SCHEMA),
];

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// A group has consumed a partition up to an offset; without a value, that is forgotten.
    OffsetCommit { key: OffsetCommitKey, value: Option<OffsetCommitValue> },
    /// A group has a generation; without a value, there is no such group any more.
    GroupMetadata { key: GroupMetadataKey, value: Option<GroupMetadataValue> },
}

impl Record {
    /// Key and value as they stand in the log.
    pub(crate) fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            Record::OffsetCommit { key, value } => {
                (encode(OFFSET_COMMIT, key, KEY_VERSION), value.as_ref().map(encode_offset))
            }
            Record::GroupMetadata { key, value } => {
                let encode_value = |value| encode(GROUP_METADATA_VERSION, value, GROUP_METADATA_VERSION);
                (encode(GROUP_METADATA, key, KEY_VERSION), value.as_ref().map(encode_value))
            }
        }
    }

    /// Reads a record. `None`: one of a type that is not known, which a broker of another version may have
    /// left behind.
    pub(crate) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Record>, ReadError> {
        let mut key_reader = Reader::new(key);
        let record_type = read_version(&mut key_reader, "record type")?;
        match record_type {
            OFFSET_COMMIT => {
                let key = OffsetCommitKey::read_message(&mut key_reader, KEY_VERSION)?;
                let value = value.map(decode_value::<OffsetCommitValue>).transpose()?;
                Ok(Some(Record::OffsetCommit { key, value }))
            }
            GROUP_METADATA => {
                let key = GroupMetadataKey::read_message(&mut key_reader, KEY_VERSION)?;
                let value = value.map(decode_value::<GroupMetadataValue>).transpose()?;
                Ok(Some(Record::GroupMetadata { key, value }))
            }
            _ => Ok(None),
        }
    }
}

/// Apache Kafka writes the only version with an expiry where a client asked for one, which older ones may.
fn encode_offset(value: &OffsetCommitValue) -> Bytes {
    let version = if value.expire_timestamp == -1 { OffsetCommitValue::SCHEMA.valid.max } else { 1 };
    encode(version, value, version)
}

fn encode<M: Message>(prefix: i16, message: &M, version: i16) -> Bytes {
    let mut buf = prefix.to_be_bytes().to_vec();
    message.write_message(&mut Writer::new(&mut buf), version);
    buf.into()
}

fn decode_value<M: Message>(value: &Bytes) -> Result<M, ReadError> {
    let mut reader = Reader::new(value);
    let version = read_version(&mut reader, M::SCHEMA.name)?;
    M::read_message(&mut reader, version)
}

fn read_version(reader: &mut Reader<'_>, message: &'static str) -> Result<i16, ReadError> {
    let bytes: Result<[u8; 2], Reason> = reader.array();
    bytes.map(i16::from_be_bytes).map_err(|reason| reader.error(message, 0, reason))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn commit(group: &str, topic: &str, partition: i32, value: OffsetCommitValue) -> Record {
        let key = OffsetCommitKey { group: group.into(), topic: topic.into(), partition };
        Record::OffsetCommit { key, value: Some(value) }
    }

    /// What a consumer of Apache Kafka 4.3.1 committed for the partitions `orders-0` and `orders-1`.
    pub(crate) fn apaches_commits() -> [Record; 2] {
        let topic_id: Uuid = "1PS7NhheR6Gx6KDZu_W6lQ".parse().unwrap();
        let value = OffsetCommitValue { commit_timestamp: 1_795_257_924_189, topic_id, ..Default::default() };
        [
            commit(
                "billing",
                "orders",
                0,
                OffsetCommitValue {
                    offset: 42, leader_epoch: 7, metadata: "größe".into(), ..value.clone()
                },
            ),
            commit("billing", "orders", 1, OffsetCommitValue { offset: 4_300_000_000, ..value }),
        ]
    }

    fn read(record: &Record) -> Record {
        let (key, value) = record.encode();
        Record::decode(&key, value.as_ref()).unwrap().unwrap()
    }

    #[test]
    fn a_deleted_offset_has_no_value() {
        let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
        let deleted = Record::OffsetCommit { key, value: None };
        assert_eq!(deleted.encode().1, None);
        assert_eq!(read(&deleted), deleted);
    }

    #[test]
    fn an_offset_with_an_expiry_is_written_in_the_version_that_has_one() {
        let value = OffsetCommitValue { offset: 5, expire_timestamp: 99, ..Default::default() };
        let (_, bytes) = commit("g", "t", 0, value.clone()).encode();
        assert_eq!(&bytes.unwrap()[..], b"\0\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x63");
        assert_eq!(read(&commit("g", "t", 0, value.clone())), commit("g", "t", 0, value));
    }

    #[test]
    fn values_of_older_brokers_are_read() {
        let key = commit("g", "t", 0, OffsetCommitValue::default()).encode().0;
        let old = Bytes::from_static(b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x07");
        let value = OffsetCommitValue {
            offset: 5,
            leader_epoch: 2,
            metadata: "m".into(),
            commit_timestamp: 7,
            ..Default::default()
        };
        assert_eq!(Record::decode(&key, Some(&old)), Ok(Some(commit("g", "t", 0, value))));
    }

    #[test]
    fn records_of_unknown_types_are_told_from_damaged_ones() {
        assert_eq!(Record::decode(&Bytes::from_static(b"\0\x63?"), None), Ok(None));
        for damaged in [&b""[..], b"\0", b"\0\x01\0\x05g"] {
            let error = Record::decode(&Bytes::copy_from_slice(damaged), None);
            assert!(error.is_err(), "{damaged:?}");
        }
        let (key, _) = commit("g", "t", 0, OffsetCommitValue::default()).encode();
        assert!(Record::decode(&key, Some(&Bytes::from_static(b"\0\x05"))).is_err());
    }
}
