//! `Server`: one that is loaded: a broker of ours, a floor, or a broker that ran before.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_protocol::messages::{BrokerId, DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::floor::Floor;
use crate::rig::directory::RunDirectory;
use crate::rig::{Broker, Connection, Error, Usage};

const CREATE_TOPICS: i16 = 7;
/// The last version that takes names.
const DELETE_TOPICS: i16 = 5;
const LIST_OFFSETS: i16 = 7;
/// The timestamp that asks for the end.
const LATEST: i64 = -1;
/// Apache Kafka takes a minute for 5,000 partitions on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a deleted topic's files may stay before the next leg begins all the same.
const DELETE_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Somebody who takes requests.
pub(super) enum Server {
    /// Started by us.
    Broker(Box<Broker>),
    /// Started by us, with its files. The process before its directory.
    Floor(Floor, RunDirectory),
    /// It ran before, and is nobody's to account for.
    Given(SocketAddr),
}

impl Server {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Server::Broker(broker) => broker.address(),
            Server::Floor(floor, _) => floor.address(),
            Server::Given(address) => *address,
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Server::Broker(broker) => broker.pid(),
            Server::Floor(floor, _) => Some(floor.pid()),
            Server::Given(_) => None,
        }
    }

    /// Where its files lie, if they lie here.
    pub(super) fn data(&self) -> Option<PathBuf> {
        match self {
            Server::Broker(broker) => Some(broker.log_dir()),
            Server::Floor(_, dir) => Some(dir.path().to_owned()),
            Server::Given(_) => None,
        }
    }

    /// Whether it can be loaded again.
    pub(super) fn is_alive(&self) -> bool {
        match self {
            Server::Given(_) => true,
            // Reading a process that has ended and was not reaped works; it has no memory any more.
            _ => self.pid().is_some_and(|pid| Usage::of(pid).is_ok_and(|usage| usage.resident_bytes > 0)),
        }
    }

    /// Makes a topic.
    pub(super) fn create_topic(
        &self,
        topic: &str,
        partitions: u32,
        settings: &[(String, String)],
    ) -> Result<(), Error> {
        let setting = |(key, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(key.clone()))
                .with_value(Some(StrBytes::from_string(value.clone())))
        };
        let creatable = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_num_partitions(partitions as i32)
            .with_replication_factor(1)
            .with_configs(settings.iter().map(setting).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![creatable])
            .with_timeout_ms(PATIENCE.as_millis() as i32);
        let made = Connection::open(self.address(), PATIENCE)
            .and_then(|mut connection| connection.ask(CREATE_TOPICS, &request))
            .map_err(Error::io(format!("making topic {topic}")))?;
        match made.topics.first() {
            Some(made) if made.error_code == 0 => self.await_leaders(topic, partitions),
            made => Err(failed(format!("making topic {topic}: {made:?}"))),
        }
    }

    /// Apache Kafka makes a topic known before all its partitions can be written to: a producer that comes between is
    /// refused some batches and not others.
    fn await_leaders(&self, topic: &str, partitions: u32) -> Result<(), Error> {
        let partition = |index: u32| {
            ListOffsetsPartition::default().with_partition_index(index as i32).with_timestamp(LATEST)
        };
        let of_topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions((0..partitions).map(partition).collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![of_topic]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = Connection::open(self.address(), PATIENCE)
                .and_then(|mut connection| connection.ask(LIST_OFFSETS, &request))
                .map_err(Error::io(format!("asking for offsets of {topic}")))?;
            let mut answers = asked.topics.iter().flat_map(|topic| &topic.partitions);
            match answers.find(|answer| answer.error_code != 0) {
                None => return Ok(()),
                Some(refused) if Instant::now() > deadline => {
                    return Err(failed(format!("{topic} has no leaders in {PATIENCE:?}: {refused:?}")));
                }
                Some(_) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Deletes a topic, and returns when its files are gone: no leg pays for the one before it.
    pub(super) fn delete_topic(&self, topic: &str) -> Result<(), Error> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![TopicName(StrBytes::from_string(topic.to_owned()))])
            .with_timeout_ms(PATIENCE.as_millis() as i32);
        Connection::open(self.address(), PATIENCE)
            .and_then(|mut connection| connection.ask(DELETE_TOPICS, &request))
            .map_err(Error::io(format!("deleting topic {topic}")))?;
        let Server::Broker(broker) = self else { return Ok(()) };
        let deadline = Instant::now() + DELETE_MAX;
        while has_files_of(&broker.log_dir(), topic) {
            if Instant::now() > deadline {
                return Err(failed(format!("files of {topic} stay in {}", broker.log_dir().display())));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Has the page cache forget its files, as far as they are of partitions.
    pub(super) fn forget(&self) -> Result<(), Error> {
        let Some(data) = self.data() else { return Ok(()) };
        rustix::fs::sync();
        forget_logs(&data).map_err(Error::io(format!("dropping {} from the page cache", data.display())))
    }

    /// Reads its logs, so that they are in the page cache.
    pub(super) fn warm(&self) -> Result<(), Error> {
        let Some(data) = self.data() else { return Ok(()) };
        let read = |path: &Path| io::copy(&mut fs::File::open(path)?, &mut io::sink()).map(drop);
        for_logs(&data, &read).map_err(Error::io(format!("reading {}", data.display())))
    }
}

pub(super) fn failed(what: String) -> Error {
    Error::Failed { what, output: String::new() }
}

fn has_files_of(log_dir: &Path, topic: &str) -> bool {
    let prefix = format!("{topic}-");
    let entries = fs::read_dir(log_dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
}

/// Has the page cache forget all logs below a directory; they are written back.
pub(super) fn forget_logs(data: &Path) -> io::Result<()> {
    for_logs(data, &|path| {
        let file = fs::File::open(path)?;
        file.sync_all()?;
        Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
    })
}

/// Every `.log` in the directories of a directory.
fn for_logs(data: &Path, act: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    for directory in fs::read_dir(data)? {
        let directory = directory?;
        if !directory.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(directory.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|suffix| suffix == "log") {
                act(&path)?;
            }
        }
    }
    Ok(())
}
