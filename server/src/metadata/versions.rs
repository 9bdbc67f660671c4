//! `MetadataVersion`: the level of the feature `metadata.version`, which decides the versions of records.

use super::records::Record;

/// The feature's name.
pub(crate) const METADATA_VERSION: &str = "metadata.version";

/// A level of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MetadataVersion(pub(crate) i16);

impl MetadataVersion {
    /// 3.3-IV3, below which Apache Kafka 4.3.1 starts with no log.
    const OLDEST: MetadataVersion = MetadataVersion(7);
    /// 4.3-IV0.
    pub(crate) const LATEST: MetadataVersion = MetadataVersion(30);
    /// 3.4-IV0
    const MIGRATION: MetadataVersion = MetadataVersion(8);
    /// 3.6-IV1
    const TRANSACTIONS: MetadataVersion = MetadataVersion(13);
    /// 3.7-IV2
    const DIRECTORIES: MetadataVersion = MetadataVersion(17);
    /// 4.0-IV1
    const ELR: MetadataVersion = MetadataVersion(23);
    /// 4.3-IV0
    const CORDONED: MetadataVersion = MetadataVersion(30);

    /// Refuses levels that Apache Kafka 4.3.1 does not know either.
    pub(crate) fn check(self) -> Result<(), String> {
        if (Self::OLDEST..=Self::LATEST).contains(&self) {
            return Ok(());
        }
        let (MetadataVersion(oldest), MetadataVersion(latest)) = (Self::OLDEST, Self::LATEST);
        Err(format!("{METADATA_VERSION} {}, expected {oldest} to {latest}", self.0))
    }

    /// Whether records may be held together by a transaction.
    pub(crate) fn has_transactions(self) -> bool {
        self >= Self::TRANSACTIONS
    }

    /// Whether a partition says which log directories its replicas are in.
    pub(crate) fn has_directories(self) -> bool {
        self >= Self::DIRECTORIES
    }

    /// The version that a record is written in.
    pub(crate) fn version_of(self, record: &Record) -> i16 {
        let newest_of = |levels: &[MetadataVersion]| {
            // One version comes with each of the levels.
            levels.iter().filter(|level| self >= **level).count() as i16
        };
        match record {
            Record::RegisterBroker(_) => {
                newest_of(&[Self::OLDEST, Self::MIGRATION, Self::DIRECTORIES, Self::CORDONED])
            }
            Record::BrokerRegistrationChange(_) => {
                newest_of(&[Self::OLDEST, Self::DIRECTORIES, Self::CORDONED])
            }
            Record::Partition(_) | Record::PartitionChange(_) => newest_of(&[Self::DIRECTORIES, Self::ELR]),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::records::brokers::{BrokerRegistrationChangeRecord, RegisterBrokerRecord};
    use crate::metadata::records::topics::{PartitionChangeRecord, PartitionRecord, TopicRecord};

    #[test]
    fn versions_follow_the_level_as_in_apache_kafka() {
        let versions = |level| {
            let of = |record: Record| MetadataVersion(level).version_of(&record);
            (
                of(RegisterBrokerRecord::default().into()),
                of(BrokerRegistrationChangeRecord::default().into()),
                of(PartitionRecord::default().into()),
                of(PartitionChangeRecord::default().into()),
                of(TopicRecord::default().into()),
            )
        };
        assert_eq!(versions(7), (1, 1, 0, 0, 0));
        assert_eq!(versions(16), (2, 1, 0, 0, 0));
        assert_eq!(versions(17), (3, 2, 1, 1, 0));
        // 4.0, 4.1, 4.2
        for level in [25, 27, 29] {
            assert_eq!(versions(level), (3, 2, 2, 2, 0));
        }
        assert_eq!(versions(30), (4, 3, 2, 2, 0));
    }

    #[test]
    fn levels_that_4_3_1_does_not_know_are_refused() {
        assert!(MetadataVersion(7).check().is_ok() && MetadataVersion(30).check().is_ok());
        for level in [-1, 0, 6, 31] {
            let error = MetadataVersion(level).check().unwrap_err();
            assert_eq!(error, format!("metadata.version {level}, expected 7 to 30"));
        }
    }
}
