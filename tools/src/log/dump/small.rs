//! The files that are read whole: snapshots of producers, checkpoints, and whose a directory is.

use std::path::Path;

use logmill_engine::format::{
    MetaProperties, ProducerBatches, ProducerEntry, checkpoint, clean_shutdown, partition_metadata,
    producer_batches, producer_snapshot,
};

use super::{Dump, Dumped};
use crate::print::{Cell, Fields};

impl Dump {
    pub(super) fn snapshot(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "producers")?;
        self.each("producer", producer_snapshot::read(&content), producer_fields)
    }

    pub(super) fn producer_batches(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "last batches of producers")?;
        self.each("producer", producer_batches::read(&content), batches_fields)
    }

    pub(super) fn leader_epochs(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "leader epochs")?;
        self.each("leader_epoch", checkpoint::read_epochs(&content), |epoch| {
            Fields::default().with("epoch", epoch.epoch).with("start_offset", epoch.start)
        })
    }

    pub(super) fn offsets(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "offsets")?;
        self.each("offset", checkpoint::read_offsets(&content), |offset| {
            Fields::default()
                .with("topic", offset.topic.as_str())
                .with("partition", offset.partition)
                .with("offset", offset.offset)
        })
    }

    pub(super) fn topic_id(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "topic id")?;
        let id = partition_metadata::read(&content).map(|id| vec![id]);
        self.each("topic", id, |id| Fields::default().with("topic_id", id.to_string()))
    }

    pub(super) fn meta_properties(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "whose directory this is")?;
        self.each("owner", MetaProperties::read(&content).map(|found| vec![found]), |found| {
            Fields::default()
                .with("cluster_id", found.cluster_id.as_str())
                .with("node_id", found.node_id)
                .with("directory_id", found.directory_id.map(|id| id.to_string()))
        })
    }

    pub(super) fn clean_shutdown(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "mark of a clean stop")?;
        self.each("clean_stop", clean_shutdown::read(&content).map(|epoch| vec![epoch]), |epoch| {
            Fields::default().with("broker_epoch", *epoch)
        })
    }

    pub(super) fn text(&mut self, path: &Path) -> Dumped {
        let content = self.read(path, "text")?;
        for line in String::from_utf8_lossy(&content).lines() {
            self.line("line", &Fields::default().with("text", line))?;
        }
        Ok(())
    }

    fn each<T>(
        &mut self,
        kind: &'static str,
        read: Result<Vec<T>, String>,
        fields: impl Fn(&T) -> Fields,
    ) -> Dumped {
        match read {
            Ok(all) => all.iter().try_for_each(|one| self.line(kind, &fields(one))),
            Err(fault) => self.fault(None, &fault),
        }
    }
}

fn producer_fields(entry: &ProducerEntry) -> Fields {
    Fields::default()
        .with("producer_id", entry.producer_id)
        .with("epoch", i64::from(entry.epoch))
        .with("last_sequence", entry.last_sequence)
        .with("last_offset", entry.last_offset)
        .with("offset_delta", entry.offset_delta)
        .with("timestamp", Cell::Time(entry.timestamp))
        .with("coordinator_epoch", entry.coordinator_epoch)
        .with("transaction_start", entry.transaction_start)
}

fn batches_fields(producer: &ProducerBatches) -> Fields {
    let batch = |note: &logmill_engine::format::BatchNote| {
        Fields::default()
            .with("last_sequence", note.last_sequence)
            .with("last_offset", note.last_offset)
            .with("offset_delta", note.offset_delta)
            .with("timestamp", Cell::Time(note.timestamp))
            .into()
    };
    Fields::default()
        .with("producer_id", producer.producer_id)
        .with("epoch", i64::from(producer.epoch))
        .with("last_write", Cell::Time(producer.last_write_ms))
        .with("batches", producer.batches.iter().map(batch).collect::<Vec<Cell>>())
}
