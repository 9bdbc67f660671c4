//! OpenMessaging Benchmark's files: a workload, and a driver of its Kafka kind. What has no effect here is named in a
//! warning, what is not known in an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::properties::{self, Effect};
use super::workload::{Keys, Rate};
use super::{LoadError, Workload};

const KAFKA_DRIVER: &str = "KafkaBenchmarkDriver";
/// What a workload has that does not say it.
const WARM_UP_MINUTES: f64 = 1.0;
/// The unit of `consumerBacklogSizeGB`.
const GIB: f64 = (1 << 30) as f64;

/// What files of it come to.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) workload: Workload,
    /// Brokers that the driver names.
    pub(super) bootstrap: Vec<String>,
    /// What was read and has no effect.
    pub(super) warnings: Vec<String>,
}

/// A workload file, key for key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkloadFile {
    name: Option<String>,
    topics: u32,
    partitions_per_topic: u32,
    message_size: usize,
    payload_file: Option<PathBuf>,
    #[serde(default)]
    use_randomized_payloads: bool,
    #[serde(default)]
    random_bytes_ratio: f64,
    randomized_payload_pool_size: Option<u64>,
    #[serde(default)]
    key_distributor: KeyDistributor,
    subscriptions_per_topic: u32,
    consumer_per_subscription: u32,
    producers_per_topic: u32,
    /// Messages a second of all producers; 0 is unlimited.
    producer_rate: f64,
    #[serde(rename = "consumerBacklogSizeGB", default)]
    consumer_backlog_size_gb: f64,
    backlog_drain_ratio: Option<f64>,
    warmup_duration_minutes: Option<f64>,
    test_duration_minutes: f64,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum KeyDistributor {
    #[default]
    NoKey,
    KeyRoundRobin,
    RandomNano,
}

/// A driver file, key for key. The configurations are properties, a line each.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DriverFile {
    name: Option<String>,
    driver_class: Option<String>,
    replication_factor: Option<i16>,
    reset: Option<bool>,
    #[serde(default)]
    topic_config: String,
    #[serde(default)]
    common_config: String,
    #[serde(default)]
    producer_config: String,
    #[serde(default)]
    consumer_config: String,
}

impl Files {
    /// Reads either or both.
    pub(super) fn read(workload: Option<&Path>, driver: Option<&Path>) -> Result<Files, LoadError> {
        let mut files = Files::default();
        // First what the Java client does when nobody tells it otherwise.
        if driver.is_some() {
            files.workload.linger_ms = properties::LINGER_MS;
        }
        if let Some(path) = workload {
            let text = read(path)?;
            files.take_workload(path, &text)?;
        }
        if let Some(path) = driver {
            let text = read(path)?;
            files.take_driver(path, &text)?;
        }
        Ok(files)
    }

    fn take_workload(&mut self, path: &Path, text: &str) -> Result<(), LoadError> {
        let file: WorkloadFile = parse(path, text)?;
        let workload = &mut self.workload;
        if let Some(name) = file.name {
            workload.name = name;
        }
        workload.topics = file.topics;
        workload.partitions = file.partitions_per_topic;
        workload.message_bytes = file.message_size;
        workload.subscriptions = file.subscriptions_per_topic;
        workload.consumers = file.consumer_per_subscription;
        workload.producers = file.producers_per_topic;
        workload.rate =
            if file.producer_rate == 0.0 { Rate::Unlimited } else { Rate::MessagesPerS(file.producer_rate) };
        workload.keys = match file.key_distributor {
            KeyDistributor::NoKey => Keys::None,
            KeyDistributor::KeyRoundRobin => Keys::RoundRobin,
            KeyDistributor::RandomNano => Keys::Random,
        };
        workload.random_share = if file.use_randomized_payloads { file.random_bytes_ratio } else { 0.0 };
        workload.payload_file = match file.payload_file {
            Some(payload) if !file.use_randomized_payloads => Some(beside(path, payload)),
            _ => None,
        };
        // There it is of all topics and subscriptions together.
        let shares = f64::from(file.topics.max(1)) * f64::from(file.subscriptions_per_topic.max(1));
        workload.backlog_bytes = (file.consumer_backlog_size_gb * GIB / shares) as u64;
        workload.warm_up_s = file.warmup_duration_minutes.unwrap_or(WARM_UP_MINUTES) * 60.0;
        workload.duration_s = file.test_duration_minutes * 60.0;
        let mut warn = |key: &str, why: &str| self.warnings.push(format!("{}: {key}: {why}", path.display()));
        if file.randomized_payload_pool_size.is_some() {
            warn("randomizedPayloadPoolSize", "no effect: the pool is as large as the caches take");
        }
        if file.backlog_drain_ratio.is_some() {
            warn("backlogDrainRatio", "no effect: a backlog counts as read when all of it is");
        }
        Ok(())
    }

    fn take_driver(&mut self, path: &Path, text: &str) -> Result<(), LoadError> {
        let file: DriverFile = parse(path, text)?;
        let wrong = |what: String| LoadError::Workload(format!("{}: {what}", path.display()));
        if let Some(class) = &file.driver_class
            && !class.ends_with(KAFKA_DRIVER)
        {
            return Err(wrong(format!("driverClass: {class} is not the one for Kafka, {KAFKA_DRIVER}")));
        }
        if let Some(replicas) = file.replication_factor {
            self.workload.replication_factor = replicas;
        }
        if file.reset == Some(true) {
            self.warnings.push(format!("{}: reset: no effect: topics of earlier runs stay", path.display()));
        }
        // A driver's name says which client it is; nothing here depends on it.
        drop(file.name);
        self.workload.topic_configs.extend(lines(&file.topic_config).map_err(wrong)?);
        let configs = [
            ("commonConfig", &file.common_config),
            ("producerConfig", &file.producer_config),
            ("consumerConfig", &file.consumer_config),
        ];
        for (section, text) in configs {
            for (key, value) in lines(text).map_err(wrong)? {
                let effect = properties::apply(&key, &value, &mut self.workload, &mut self.bootstrap);
                match effect.map_err(|why| wrong(format!("{section}: {key}={value}: {why}")))? {
                    Effect::Done => {}
                    Effect::None(why) => {
                        self.warnings.push(format!("{}: {section}: {key}: no effect: {why}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    fs::read_to_string(path).map_err(LoadError::io(format!("reading {}", path.display())))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, LoadError> {
    serde_saphyr::from_str(text).map_err(|error| LoadError::Workload(format!("{}: {error}", path.display())))
}

/// A file that another one names: where it says, or from the directories above that one.
fn beside(path: &Path, named: PathBuf) -> PathBuf {
    let above = path.ancestors().skip(1).map(|directory| directory.join(&named));
    std::iter::once(named.clone()).chain(above).find(|path| path.is_file()).unwrap_or(named)
}

/// The keys and values of properties, one a line.
fn lines(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("{line}: no `=`"))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Acks, Codec};

    const WORKLOAD: &str = "
name: 100 topics
topics: 100
partitionsPerTopic: 10
messageSize: 1024
useRandomizedPayloads: true
randomBytesRatio: 0.3
randomizedPayloadPoolSize: 1000
keyDistributor: KEY_ROUND_ROBIN
subscriptionsPerTopic: 2
consumerPerSubscription: 3
producersPerTopic: 1
producerRate: 50000
consumerBacklogSizeGB: 200
warmupDurationMinutes: 5
testDurationMinutes: 15
";
    const DRIVER: &str = "
name: Kafka
driverClass: io.openmessaging.benchmark.driver.kafka.KafkaBenchmarkDriver
replicationFactor: 3
topicConfig: |
  min.insync.replicas=2
  flush.messages=1
commonConfig: |
  bootstrap.servers=one:9092,two:9093
  # a remark
producerConfig: |
  acks=all
  linger.ms=10
  batch.size=131072
  compression.type=lz4
consumerConfig: |
  auto.offset.reset=earliest
  max.partition.fetch.bytes=10485760
";

    fn files(workload: &str, driver: &str) -> Result<Files, LoadError> {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("workload.yaml"), directory.path().join("driver.yaml"));
        fs::write(&first, workload).unwrap();
        fs::write(&second, driver).unwrap();
        Files::read(Some(&first), Some(&second))
    }

    #[test]
    fn every_key_of_both_files_arrives() {
        let Files { workload, bootstrap, warnings } = files(WORKLOAD, DRIVER).unwrap();
        let topic_configs = [("min.insync.replicas", "2"), ("flush.messages", "1")];
        let expected = Workload {
            name: "100 topics".into(),
            topics: 100,
            partitions: 10,
            message_bytes: 1024,
            random_share: 0.3,
            keys: Keys::RoundRobin,
            subscriptions: 2,
            consumers: 3,
            producers: 1,
            rate: Rate::MessagesPerS(50_000.0),
            // Of each topic, for each of its two readers.
            backlog_bytes: 1 << 30,
            warm_up_s: 300.0,
            duration_s: 900.0,
            replication_factor: 3,
            acks: Acks::All,
            linger_ms: 10.0,
            batch_bytes: 131_072,
            codec: Codec::Lz4,
            topic_configs: topic_configs.map(|(key, value)| (key.into(), value.into())).into(),
            fetch: super::super::FetchOptions { partition_bytes: 10_485_760, ..Default::default() },
            ..Workload::default()
        };
        assert_eq!(workload, expected);
        assert_eq!(bootstrap, ["one:9092", "two:9093"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("randomizedPayloadPoolSize")), "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("auto.offset.reset")), "{warnings:?}");
    }

    #[test]
    fn what_is_not_told_is_as_the_java_client_has_it_and_rate_0_is_unlimited() {
        let workload = WORKLOAD
            .replace("producerRate: 50000", "producerRate: 0")
            .replace("warmupDurationMinutes: 5\n", "");
        let Files { workload, .. } = files(&workload, "commonConfig: bootstrap.servers=one:9092").unwrap();
        assert_eq!((workload.rate, workload.warm_up_s), (Rate::Unlimited, 60.0));
        assert_eq!((workload.linger_ms, workload.batch_bytes, workload.acks), (5.0, 16_384, Acks::All));
    }

    #[test]
    fn wrong_keys_and_values_are_named() {
        for (workload, driver, named) in [
            (WORKLOAD.replace("messageSize", "messageSizes"), DRIVER.to_owned(), "messageSizes"),
            (WORKLOAD.replace("KEY_ROUND_ROBIN", "KEY_SQUARE"), DRIVER.to_owned(), "KEY_SQUARE"),
            (WORKLOAD.replace("topics: 100", "topics: many"), DRIVER.to_owned(), "topics"),
            (WORKLOAD.to_owned(), DRIVER.replace("linger.ms", "lingering.ms"), "lingering.ms"),
            (WORKLOAD.to_owned(), DRIVER.replace("acks=all", "acks=some"), "acks=some"),
            (
                WORKLOAD.to_owned(),
                DRIVER.replace("kafka.KafkaBenchmarkDriver", "pulsar.PulsarBenchmarkDriver"),
                "driverClass",
            ),
            (WORKLOAD.to_owned(), DRIVER.replace("replicationFactor", "replicas"), "replicas"),
            (WORKLOAD.to_owned(), DRIVER.replace("linger.ms=10", "linger.ms"), "linger.ms: no `=`"),
        ] {
            let error = files(&workload, &driver).unwrap_err();
            assert!(matches!(error, LoadError::Workload(_)), "{error:?}");
            assert!(error.to_string().contains(named), "{named} is not in: {error}");
        }
    }

    #[test]
    fn a_payload_file_is_found_above_the_workload() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("workloads")).unwrap();
        fs::create_dir_all(directory.path().join("payload")).unwrap();
        let payload = directory.path().join("payload/1k.data");
        fs::write(&payload, [1; 1024]).unwrap();
        let path = directory.path().join("workloads/one.yaml");
        let text = WORKLOAD.replace("useRandomizedPayloads: true", "payloadFile: payload/1k.data");
        fs::write(&path, text).unwrap();
        let Files { workload, .. } = Files::read(Some(&path), None).unwrap();
        assert_eq!(workload.payload_file, Some(payload));
    }
}
