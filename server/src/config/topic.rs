//! The settings of topics: `TopicOverrides` as somebody made them, `TopicConfig` as the broker uses them.

use std::collections::BTreeMap;

use super::java_order::java_order;
use super::layers::Layers;
use super::topic_table::TOPIC_KEYS;
use super::value::{InvalidConfig, Rule, Value};

/// The longest text of a setting, in UTF-16 units.
const VALUE_LEN_MAX: usize = i16::MAX as usize;

/// One setting of topics.
#[derive(Debug)]
pub struct TopicKey {
    /// Its name.
    pub name: &'static str,
    /// Its type and range.
    pub rule: Rule,
    /// Its default, where no setting of the broker gives one.
    pub default: Option<&'static str>,
    /// The broker's settings that give its default; the first that is set counts.
    pub synonyms: &'static [Synonym],
    /// What it does here.
    pub effect: TopicEffect,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Shown only where it is set.
    pub is_internal: bool,
}

/// A setting of the broker that gives the default of a topic setting.
#[derive(Debug)]
pub struct Synonym {
    /// The broker's key.
    pub key: &'static str,
    /// What its number is multiplied with.
    pub unit: i64,
}

/// What a topic setting does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicEffect {
    /// What it means is done.
    Honoured,
    /// It is accepted and changes nothing, for this reason.
    Ignored(&'static str),
    /// Any other value than the default is refused, for this reason.
    Refused(&'static str),
}

impl TopicKey {
    /// Every topic setting.
    pub fn all() -> &'static [TopicKey] {
        TOPIC_KEYS
    }

    /// The setting of this name.
    pub fn find(name: &str) -> Option<&'static TopicKey> {
        TOPIC_KEYS.iter().find(|key| key.name == name)
    }

    /// What it is worth for a topic that does not set it.
    pub(super) fn broker_value(&self, broker: &Layers) -> Result<Option<Value>, InvalidConfig> {
        for synonym in self.synonyms {
            if let Some(value) = broker.value(synonym.key)? {
                return Ok(Some(self.value_of_synonym(synonym, value)));
            }
        }
        self.default.map(|text| self.rule.read(self.name, text)).transpose()
    }

    /// The broker's value in the unit of the topic setting.
    pub(super) fn value_of_synonym(&self, synonym: &Synonym, value: Value) -> Value {
        match value {
            // Every negative retention is none.
            Value::Number(number) if number < 0 && self.name == "retention.ms" => Value::Number(-1),
            Value::Number(number) => Value::Number(number.saturating_mul(synonym.unit)),
            other => other,
        }
    }
}

/// The settings that somebody made for one topic, as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicOverrides(BTreeMap<String, String>);

impl TopicOverrides {
    /// Checks the settings of a new topic, or all settings that a changed topic would have.
    pub fn parse<'a>(
        settings: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        broker: &Layers,
    ) -> Result<TopicOverrides, InvalidConfig> {
        let mut nulls = Vec::new();
        let mut named = Vec::new();
        let mut texts = BTreeMap::new();
        for (name, text) in settings {
            let Some(text) = text else {
                nulls.push(name);
                continue;
            };
            if texts.insert(name.to_owned(), text.to_owned()).is_none() {
                named.push(name);
            }
        }
        if !nulls.is_empty() {
            return Err(InvalidConfig(format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            )));
        }
        if texts.values().any(|text| text.encode_utf16().count() > VALUE_LEN_MAX) {
            return Err(InvalidConfig(format!(
                "The configuration value cannot be added because it exceeds the maximum value size of \
                 {VALUE_LEN_MAX} bytes."
            )));
        }
        if let Some(unknown) = java_order(named).into_iter().find(|name| TopicKey::find(name).is_none()) {
            return Err(InvalidConfig(format!("Unknown topic config name: {unknown}")));
        }
        let overrides = TopicOverrides(texts);
        overrides.check(broker)?;
        Ok(overrides)
    }

    /// Settings that were accepted before: what the metadata log says of a topic, unknown names included.
    pub fn accepted(settings: BTreeMap<String, String>) -> TopicOverrides {
        TopicOverrides(settings)
    }

    /// The text of one setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All settings by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// What one setting is worth for this topic.
    pub(super) fn value(&self, key: &TopicKey, broker: &Layers) -> Result<Option<Value>, InvalidConfig> {
        match self.get(key.name) {
            Some(text) => key.rule.read(key.name, text).map(Some),
            None => key.broker_value(broker),
        }
    }

    fn check(&self, broker: &Layers) -> Result<(), InvalidConfig> {
        let config = TopicConfig::new(self, broker)?;
        let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
        if min > max {
            return Err(InvalidConfig(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            )));
        }
        let tiered = TopicKey::find("remote.storage.enable").expect("a topic setting");
        if self.value(tiered, broker)? == Some(Value::Boolean(true)) {
            return Err(InvalidConfig(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
                 storage."
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// How batches are compressed in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they were sent.
    Producer,
    /// Not at all.
    Uncompressed,
    /// gzip of this level; -1 for zlib's own choice.
    Gzip(i32),
    /// snappy.
    Snappy,
    /// lz4 of this level.
    Lz4(i32),
    /// zstd of this level.
    Zstd(i32),
}

/// Which time the records of a topic carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// When their producer made them.
    CreateTime,
    /// When they were appended.
    LogAppendTime,
}

/// What a topic's settings and the broker's defaults come to.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// `segment.bytes`, or `internal.segment.bytes` where it is set.
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `retention.bytes`; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` for no limit.
    pub retention_ms: Option<i64>,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// Whether `cleanup.policy` has `compact`.
    pub compact: bool,
    /// Whether `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `compression.type` with its level.
    pub compression: Compression,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
}

impl TopicConfig {
    /// The topic's own settings over the broker's. Fails where a text does not hold what its key says, which
    /// settings that were checked never do.
    pub fn new(overrides: &TopicOverrides, broker: &Layers) -> Result<TopicConfig, InvalidConfig> {
        let values = Values::read(overrides, broker)?;
        let level = |name| values.number(name) as i32;
        let policies = values.list("cleanup.policy");
        Ok(TopicConfig {
            segment_bytes: values.bytes(match values.is_set("internal.segment.bytes") {
                true => "internal.segment.bytes",
                false => "segment.bytes",
            }),
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            segment_index_bytes: values.bytes("segment.index.bytes"),
            flush_messages: values.number("flush.messages"),
            flush_ms: values.number("flush.ms"),
            retention_bytes: u64::try_from(values.number("retention.bytes")).ok(),
            retention_ms: Some(values.number("retention.ms")).filter(|ms| *ms >= 0),
            max_message_bytes: values.bytes("max.message.bytes"),
            index_interval_bytes: values.bytes("index.interval.bytes"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            file_delete_delay_ms: values.number("file.delete.delay.ms"),
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
            compact: policies.iter().any(|policy| policy == "compact"),
            delete: policies.iter().any(|policy| policy == "delete"),
            min_insync_replicas: values.number("min.insync.replicas") as i32,
            compression: match values.text("compression.type") {
                "uncompressed" => Compression::Uncompressed,
                "gzip" => Compression::Gzip(level("compression.gzip.level")),
                "snappy" => Compression::Snappy,
                "lz4" => Compression::Lz4(level("compression.lz4.level")),
                "zstd" => Compression::Zstd(level("compression.zstd.level")),
                _ => Compression::Producer,
            },
            timestamp_type: match values.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
        })
    }
}

/// The value of every topic setting that has one, each of the type that the table gives it.
struct Values(BTreeMap<&'static str, Value>);

impl Values {
    fn read(overrides: &TopicOverrides, broker: &Layers) -> Result<Values, InvalidConfig> {
        let mut values = BTreeMap::new();
        for key in TOPIC_KEYS {
            if let Some(value) = overrides.value(key, broker)? {
                values.insert(key.name, value);
            }
        }
        Ok(Values(values))
    }

    fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &str) -> &Value {
        self.0.get(name).expect("every topic setting that is not internal has a default")
    }

    fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Number(number) => *number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    /// A size. Only `internal.segment.bytes` can be negative: then every batch has a segment of its own.
    fn bytes(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(0)
    }

    fn double(&self, name: &str) -> f64 {
        match self.get(name) {
            Value::Double(number) => *number,
            other => unreachable!("{name} is a double, not {other:?}"),
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(text) => text,
            other => unreachable!("{name} is a text, not {other:?}"),
        }
    }

    fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Value::List(items) => items,
            other => unreachable!("{name} is a list, not {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{Effect, Key};

    fn broker(settings: &[(&str, &str)]) -> Layers {
        let started_with = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Layers { started_with, ..Layers::default() }
    }

    fn config(topic: &[(&str, &str)], broker: &Layers) -> TopicConfig {
        let overrides = TopicOverrides::parse(topic.iter().map(|(key, value)| (*key, Some(*value))), broker);
        TopicConfig::new(&overrides.unwrap(), broker).unwrap()
    }

    #[test]
    fn settings_are_taken_or_refused_in_the_words_of_apache_kafka() {
        let mut cases = 0;
        for case in include_str!("testdata/create_topics_answers.txt").lines().skip(2) {
            let (settings, answer) = case.split_once(" -> ").unwrap();
            let settings: Vec<(String, Option<String>)> = settings
                .split('&')
                .map(|setting| match setting.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.replace("\\s", " "))),
                    None => (setting.to_owned(), None),
                })
                .collect();
            let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let parsed = TopicOverrides::parse(settings, &Layers::default());
            let expected = match answer.split_once(' ').unwrap() {
                ("0", _) => None,
                (_, message) => Some(message.to_owned()),
            };
            assert_eq!(parsed.err().map(|refused| refused.0), expected, "{case}");
            cases += 1;
        }
        assert_eq!(cases, 125, "cases of the fixture");
    }

    #[test]
    fn the_table_is_that_of_apache_kafka() {
        let ours = TOPIC_KEYS.iter().map(|key| {
            let default = key.broker_value(&Layers::default()).unwrap();
            let default = default.map_or("null".to_owned(), |value| value.to_string());
            format!("{}|{}|{default}", key.name, key.rule.value_type.name())
        });
        let apache = include_str!("testdata/apache_topic_keys.txt").lines().skip(1);
        let apache = apache.map(|line| line.splitn(4, '|').take(3).collect::<Vec<_>>().join("|"));
        assert_eq!(ours.collect::<Vec<_>>(), apache.collect::<Vec<_>>());
    }

    #[test]
    fn broker_settings_know_the_topic_settings_that_they_default() {
        // Says of itself what else it does.
        const DOES_MORE: &str = "log.flush.scheduler.interval.ms";
        for key in TOPIC_KEYS {
            for synonym in key.synonyms {
                let broker_key = Key::find(synonym.key).unwrap();
                if synonym.key != DOES_MORE {
                    assert_eq!(broker_key.effect, Effect::TopicDefault(key.name), "{}", synonym.key);
                }
            }
        }
        let defaults = Key::all().filter(|key| matches!(key.effect, Effect::TopicDefault(_))).count();
        assert_eq!(defaults + 1, TOPIC_KEYS.iter().map(|key| key.synonyms.len()).sum::<usize>());
    }

    #[test]
    fn a_topic_without_settings_has_the_defaults() {
        let config = config(&[], &Layers::default());
        assert_eq!(config.segment_bytes, 1 << 30);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.retention_ms, Some(604_800_000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!((config.compact, config.delete), (false, true));
        assert_eq!(config.compression, Compression::Producer);
        assert_eq!(config.timestamp_type, TimestampType::CreateTime);
        assert_eq!(config.timestamp_after_max_ms, 3_600_000);
        assert_eq!(config.flush_ms, i64::MAX);
    }

    #[test]
    fn the_first_synonym_that_is_set_counts_in_its_unit() {
        let hours = broker(&[("log.retention.hours", "2")]);
        assert_eq!(config(&[], &hours).retention_ms, Some(7_200_000));
        let minutes = broker(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]);
        assert_eq!(config(&[], &minutes).retention_ms, Some(180_000));
        let ms = broker(&[("log.retention.minutes", "3"), ("log.retention.ms", "-1")]);
        assert_eq!(config(&[], &ms).retention_ms, None);
        let endless = broker(&[("log.retention.hours", "-1")]);
        assert_eq!(config(&[], &endless).retention_ms, None);
        assert_eq!(config(&[("retention.ms", "5")], &endless).retention_ms, Some(5));
        assert_eq!(config(&[], &broker(&[("log.flush.scheduler.interval.ms", "9")])).flush_ms, 9);
    }

    #[test]
    fn the_topic_counts_over_the_broker() {
        let broker = broker(&[("compression.type", "gzip"), ("log.cleanup.policy", "compact")]);
        let from_broker = config(&[], &broker);
        assert_eq!(from_broker.compression, Compression::Gzip(-1));
        assert_eq!((from_broker.compact, from_broker.delete), (true, false));
        let own = config(
            &[("compression.type", "zstd"), ("compression.zstd.level", "7"), ("cleanup.policy", "")],
            &broker,
        );
        assert_eq!(own.compression, Compression::Zstd(7));
        assert_eq!((own.compact, own.delete), (false, false));
    }

    #[test]
    fn a_setting_that_conflicts_with_the_broker_is_refused() {
        let broker = broker(&[("log.cleaner.max.compaction.lag.ms", "10")]);
        let refused = TopicOverrides::parse([("min.compaction.lag.ms", Some("11"))], &broker).unwrap_err();
        assert_eq!(
            refused.0,
            "conflict topic config setting min.compaction.lag.ms (11) > max.compaction.lag.ms (10)"
        );
    }

    #[test]
    fn the_internal_segment_size_counts_and_may_be_tiny() {
        let tiny =
            config(&[("internal.segment.bytes", "100"), ("segment.bytes", "2000000")], &Layers::default());
        assert_eq!(tiny.segment_bytes, 100);
        assert_eq!(config(&[("internal.segment.bytes", "-5")], &Layers::default()).segment_bytes, 0);
    }

    #[test]
    fn a_text_that_is_too_long_for_the_metadata_log_is_refused() {
        let long = "0:1,".repeat(8192);
        let refused = TopicOverrides::parse(
            [("leader.replication.throttled.replicas", Some(long.as_str()))],
            &Layers::default(),
        );
        assert!(refused.unwrap_err().0.contains("exceeds the maximum value size of 32767 bytes"));
    }

    #[test]
    fn a_damaged_record_of_the_metadata_log_is_an_error() {
        let damaged = BTreeMap::from([("segment.bytes".to_owned(), "x".to_owned())]);
        assert!(TopicConfig::new(&TopicOverrides::accepted(damaged), &Layers::default()).is_err());
    }
}
