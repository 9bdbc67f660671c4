//! `ApacheTopics`: the topics that stand in a metadata log of Apache Kafka's, which is read and never written.
//!
//! ```text
//! __cluster_metadata-0/%020d-%010d.checkpoint   all that was true in front of an offset, which is the first number
//! __cluster_metadata-0/%020d.log                what came since, and before
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use logmill_engine::Error;
use logmill_engine::disk::Disk;
use logmill_engine::format::{BatchView, Uuid};
use logmill_engine::log::{FileKind, base_of};

use super::records::Record;
use super::records::settings::ConfigRecord;
use super::records::topics::{RemoveTopicRecord, TopicRecord};
use crate::config::Config;
use crate::shard::io_error;
use crate::wire::Text;
/// The directory of the log.
const METADATA_LOG: &str = "__cluster_metadata-0";
const CHECKPOINT: &str = ".checkpoint";
/// `ConfigRecord` of a topic.
const TOPIC_RESOURCE: i8 = 2;
/// What the records of one batch may come to.
const RECORDS_BYTES_MAX: usize = 64 << 20;

/// Topics and their settings.
#[derive(Debug, Default)]
pub(crate) struct ApacheTopics {
    names: BTreeMap<Uuid, Text>,
    settings: BTreeMap<Text, BTreeMap<String, String>>,
}

impl ApacheTopics {
    /// What the metadata log in a broker's directories says; `None` where there is none.
    pub(crate) fn read(disk: &dyn Disk, config: &Config) -> Result<Option<ApacheTopics>, Error> {
        for dir in config.log_dirs.iter().chain([&config.metadata_log_dir]) {
            if holds_metadata_log(disk, dir)? {
                return ApacheTopics::read_log(disk, &dir.join(METADATA_LOG)).map(Some);
            }
        }
        Ok(None)
    }

    /// A log with one topic that was given one setting.
    #[cfg(test)]
    pub(super) fn of(id: Uuid, name: &str, (setting, value): (&str, &str)) -> ApacheTopics {
        let settings = BTreeMap::from([(setting.to_owned(), value.to_owned())]);
        ApacheTopics { names: [(id, name.into())].into(), settings: [(name.into(), settings)].into() }
    }

    /// Whether the topic stands in the log.
    pub(crate) fn has(&self, id: Uuid) -> bool {
        self.names.contains_key(&id)
    }

    /// The settings that a topic was given there.
    pub(crate) fn settings(&self, id: Uuid) -> Vec<(String, String)> {
        let settings = self.names.get(&id).and_then(|name| self.settings.get(name));
        settings.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn read_log(disk: &dyn Disk, dir: &Path) -> Result<ApacheTopics, Error> {
        let listing = || io_error(format!("listing {}", dir.display()));
        let names: Vec<String> =
            disk.list(dir).map_err(listing())?.into_iter().map(|entry| entry.name).collect();
        let mut topics = ApacheTopics::default();
        let checkpoint = names.iter().filter_map(|name| Some((checkpoint_offset(name)?, name))).max();
        if let Some((_, name)) = checkpoint {
            topics.take_file(disk, dir.join(name), 0)?;
        }
        let from = checkpoint.map_or(0, |(offset, _)| offset);
        let mut logs: Vec<(i64, &String)> =
            names.iter().filter_map(|name| Some((base_of(name, FileKind::Log)?, name))).collect();
        logs.sort_unstable();
        for (_, name) in logs {
            topics.take_file(disk, dir.join(name), from)?;
        }
        Ok(topics)
    }

    /// Takes up what a file says from an offset on. It ends at the first batch that is not whole.
    fn take_file(&mut self, disk: &dyn Disk, path: PathBuf, from: i64) -> Result<(), Error> {
        let content = disk.read(&path).map_err(io_error(format_args!("reading {}", path.display())))?;
        let mut rest = &content[..];
        while let Some((batch, behind)) = BatchView::split_first(rest) {
            if batch.check().is_err() {
                break;
            }
            if !batch.header.is_control() && batch.header.base_offset() >= from {
                self.take_batch(&batch).map_err(|fault| {
                    let offset = batch.header.base_offset();
                    Error::Corrupt(format!("{}: batch at offset {offset}: {fault}", path.display()))
                })?;
            }
            rest = behind;
        }
        Ok(())
    }

    fn take_batch(&mut self, batch: &BatchView<'_>) -> Result<(), String> {
        let records = batch.uncompressed(RECORDS_BYTES_MAX).map_err(|error| error.to_string())?;
        for record in batch.records_in(&records) {
            if let Some(value) = record.map_err(|bad| bad.to_string())?.value {
                self.take_up(&Bytes::copy_from_slice(value))?;
            }
        }
        Ok(())
    }

    fn take_up(&mut self, value: &Bytes) -> Result<(), String> {
        match Record::decode(value).map_err(|error| error.to_string())? {
            Record::Topic(TopicRecord { name, topic_id }) => drop(self.names.insert(topic_id, name)),
            Record::RemoveTopic(RemoveTopicRecord { topic_id }) => {
                if let Some(name) = self.names.remove(&topic_id) {
                    self.settings.remove(&name);
                }
            }
            Record::Config(config) => self.configure(config),
            _ => (),
        }
        Ok(())
    }

    fn configure(&mut self, ConfigRecord { resource_type, resource_name, name, value }: ConfigRecord) {
        if resource_type != TOPIC_RESOURCE {
            return;
        }
        let settings = self.settings.entry(resource_name).or_default();
        match value {
            Some(value) => drop(settings.insert(name.to_string(), value.to_string())),
            None => drop(settings.remove(&*name)),
        }
    }
}

/// Whether Apache Kafka has kept its metadata in a directory.
fn holds_metadata_log(disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.iter().any(|entry| entry.name == METADATA_LOG && entry.is_dir)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(format_args!("listing {}", dir.display()))(error)),
    }
}

fn checkpoint_offset(name: &str) -> Option<i64> {
    name.strip_suffix(CHECKPOINT)?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use logmill_engine::disk::replace_file;
    use logmill_engine::disk::sim::SimDisk;
    use logmill_engine::format::{BatchBuilder, NewRecord};

    use super::*;

    const DIR: &str = "/data/__cluster_metadata-0";

    /// A compact string.
    fn text(text: &str) -> Vec<u8> {
        [&[text.len() as u8 + 1], text.as_bytes()].concat()
    }

    fn topic(name: &str, id: u8) -> Vec<u8> {
        [&[1, 2, 0][..], &text(name), &[id; 16], &[0]].concat()
    }

    fn removed(id: u8) -> Vec<u8> {
        [&[1, 9, 0][..], &[id; 16], &[0]].concat()
    }

    fn config(resource: i8, topic: &str, name: &str, value: Option<&str>) -> Vec<u8> {
        let value = value.map_or(vec![0], text);
        [&[1, 4, 0, resource as u8][..], &text(topic), &text(name), &value, &[0]].concat()
    }

    fn write(disk: &SimDisk, name: &str, batches: &[(i64, Vec<Vec<u8>>)]) {
        let mut content = Vec::new();
        for (base_offset, values) in batches {
            let mut builder = BatchBuilder::new();
            for value in values {
                builder.push(&NewRecord { key: None, value: Some(value), timestamp: 0, headers: &[] });
            }
            let mut batch = builder.finish().to_vec();
            batch[..8].copy_from_slice(&base_offset.to_be_bytes());
            content.extend(batch);
        }
        disk.create_dir_all(DIR.as_ref()).unwrap();
        replace_file(disk, &Path::new(DIR).join(name), &content).unwrap();
    }

    fn settings(topics: &ApacheTopics, id: u8) -> Vec<(String, String)> {
        topics.settings(Uuid([id; 16]))
    }

    #[test]
    fn topics_and_their_settings_are_what_the_last_checkpoint_and_the_log_behind_it_say() {
        let disk = SimDisk::default();
        let log = "00000000000000000000.log";
        let other_kinds = vec![1, 20, 0, 0];
        write(&disk, log, &[(0, vec![topic("old", 1), topic("gone", 2), config(2, "gone", "a", Some("1"))])]);
        let read = || ApacheTopics::read_log(&disk, DIR.as_ref()).unwrap();
        assert!(read().has(Uuid([1; 16])) && settings(&read(), 2) == [("a".to_owned(), "1".to_owned())]);
        write(&disk, "00000000000000000003-0000000001.checkpoint", &[(0, vec![topic("kept", 3)])]);
        assert!(!read().has(Uuid([1; 16])) && read().has(Uuid([3; 16])));
        let batches = [
            (0, vec![topic("old", 1)]),
            (3, vec![topic("new", 4), other_kinds, config(2, "new", "retention.ms", Some("-1"))]),
            (6, vec![config(2, "new", "b", Some("2")), config(4, "new", "c", Some("3")), removed(3)]),
            (9, vec![config(2, "new", "b", None)]),
        ];
        write(&disk, log, &batches);
        let topics = read();
        let has: Vec<u8> = (1..=4).filter(|id| topics.has(Uuid([*id; 16]))).collect();
        assert_eq!(has, [4]);
        assert_eq!(settings(&topics, 4), [("retention.ms".to_owned(), "-1".to_owned())]);
    }

    #[test]
    fn a_record_of_another_version_is_refused_and_named() {
        let disk = SimDisk::default();
        let mut other = topic("new", 4);
        other[2] = 1;
        write(&disk, "00000000000000000000.log", &[(5, vec![other])]);
        let error = ApacheTopics::read_log(&disk, DIR.as_ref()).unwrap_err().to_string();
        for part in ["00000000000000000000.log", "offset 5", "TopicRecord"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
