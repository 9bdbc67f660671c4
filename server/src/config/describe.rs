//! What DescribeConfigs and CreateTopics answer of a topic's settings.

use super::java_order::java_order;
use super::keys::Key;
use super::layers::{Layers, Source};
use super::topic::{TopicKey, TopicOverrides};
use super::value::{InvalidConfig, ValueType};

/// One setting as DescribeConfigs shows it. Topic settings can always be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConfig {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Its type; `None` for a name that nobody knows.
    pub value_type: Option<ValueType>,
    /// Whether its value is withheld.
    pub is_sensitive: bool,
    /// Every place that gives it a value, the one that counts first.
    pub synonyms: Vec<DescribedSynonym>,
    /// What it means.
    pub documentation: Option<&'static str>,
}

/// One place that gives a setting its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// The setting's name in that place.
    pub name: String,
    /// The text there.
    pub value: Option<String>,
    /// The place.
    pub source: Source,
}

/// One setting as CreateTopics returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedConfig {
    /// Its name.
    pub name: &'static str,
    /// Its value, as it was written.
    pub value: String,
    /// Where the value comes from.
    pub source: Source,
}

/// A topic's settings, in Apache Kafka's order.
pub fn describe(overrides: &TopicOverrides, broker: &Layers) -> Result<Vec<DescribedConfig>, InvalidConfig> {
    // Internal and unknown settings are shown where they are set, as they were written, before the others.
    let is_shown_always = |name: &str| TopicKey::find(name).is_some_and(|key| !key.is_internal);
    let set = overrides.iter().map(|(name, _)| name).filter(|name| !is_shown_always(name));
    let mut described: Vec<_> = java_order(set).into_iter().map(|name| as_written(name, overrides)).collect();

    for name in java_order(TopicKey::all().iter().map(|key| key.name)) {
        let key = TopicKey::find(name).expect("a name of the table");
        if key.is_internal {
            continue;
        }
        let value = overrides.value(key, broker)?.map(|value| value.to_string());
        let mut synonyms = broker_synonyms(key, broker);
        if overrides.get(name).is_some() {
            let own = DescribedSynonym { name: name.to_owned(), value: value.clone(), source: Source::Topic };
            synonyms.insert(0, own);
        }
        described.push(DescribedConfig {
            name: name.to_owned(),
            value,
            source: synonyms.first().map_or(Source::Default, |first| first.source),
            value_type: Some(key.rule.value_type),
            is_sensitive: false,
            synonyms,
            documentation: Some(key.meaning),
        });
    }
    Ok(described)
}

/// A topic's settings for the answer to its creation, by name.
pub fn created(overrides: &TopicOverrides, broker: &Layers) -> Vec<CreatedConfig> {
    let mut created: Vec<_> = TopicKey::all()
        .iter()
        .filter_map(|key| {
            let (value, source) = match overrides.get(key.name) {
                Some(text) => (text.to_owned(), Source::Topic),
                None => default_as_written(key, broker)?,
            };
            Some(CreatedConfig { name: key.name, value, source })
        })
        .collect();
    created.sort_by_key(|config| config.name);
    created
}

fn as_written(name: &str, overrides: &TopicOverrides) -> DescribedConfig {
    let key = TopicKey::find(name);
    // What nobody knows could be a secret.
    let value = key.and_then(|_| overrides.get(name)).map(str::to_owned);
    DescribedConfig {
        name: name.to_owned(),
        value: value.clone(),
        source: Source::Topic,
        value_type: key.map(|key| key.rule.value_type),
        is_sensitive: key.is_none(),
        synonyms: vec![DescribedSynonym { name: name.to_owned(), value, source: Source::Topic }],
        documentation: key.map(|key| key.meaning),
    }
}

/// What the broker's settings say, layer by layer. Apache Kafka leaves out everything before the first
/// setting that has the first synonym's name, so that `log.retention.hours` alone is not shown at all.
fn broker_synonyms(key: &TopicKey, broker: &Layers) -> Vec<DescribedSynonym> {
    let Some(first) = key.synonyms.first() else { return Vec::new() };
    let set = broker.in_order().into_iter().flat_map(|(layer, source)| {
        key.synonyms
            .iter()
            .filter_map(move |synonym| Some((synonym.key, layer.get(synonym.key)?.as_str(), source)))
    });
    let defaults = key.synonyms.iter().filter_map(|synonym| {
        let default = Key::find(synonym.key)?.default?;
        Some((synonym.key, default, Source::Default))
    });
    set.chain(defaults)
        .skip_while(|(name, _, _)| *name != first.key)
        .map(|(name, value, source)| DescribedSynonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        })
        .collect()
}

/// The broker's setting that counts, in the topic setting's unit, or else the built-in default.
fn default_as_written(key: &TopicKey, broker: &Layers) -> Option<(String, Source)> {
    for (layer, source) in broker.in_order() {
        for synonym in key.synonyms {
            let Some(text) = layer.get(synonym.key) else { continue };
            let text = match synonym.unit {
                1 => text.clone(),
                unit => {
                    text.trim().parse::<i64>().map_or(0, |number| number.saturating_mul(unit)).to_string()
                }
            };
            return Some((text, source));
        }
    }
    let default = key.broker_value(&Layers::default()).expect("the table's defaults are valid")?;
    Some((default.to_string(), Source::Default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// One case of the fixture: what was set where, and what Apache Kafka answered.
    #[derive(Default)]
    struct Case {
        title: &'static str,
        layers: Layers,
        topic: BTreeMap<String, String>,
        described: Vec<&'static str>,
        created: Vec<&'static str>,
    }

    fn cases() -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        let mut in_created = false;
        for line in include_str!("testdata/described_topics.txt").lines().skip(4) {
            if let Some(title) = line.strip_prefix("== ") {
                cases.push(Case { title, ..Case::default() });
                continue;
            }
            let case = cases.last_mut().unwrap();
            let setting = |text: &str| {
                let (name, value) = text.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            };
            match line.split_once(": ") {
                Some(("file", text)) => case.layers.started_with.extend([setting(text)]),
                Some(("cluster", text)) => case.layers.cluster.extend([setting(text)]),
                Some(("broker", text)) => case.layers.broker.extend([setting(text)]),
                Some(("topic", text)) => case.topic.extend([setting(text)]),
                _ if line == "described" || line == "created" => in_created = line == "created",
                _ if in_created => case.created.push(line),
                _ => case.described.push(line),
            }
        }
        cases
    }

    fn as_line(config: &DescribedConfig) -> String {
        let synonyms: String = config
            .synonyms
            .iter()
            .map(|synonym| {
                let value = synonym.value.as_deref().unwrap_or("null");
                format!("{}={value}@{};", synonym.name, synonym.source.code())
            })
            .collect();
        format!(
            "{}|{}|{}|{}|{}|false|{synonyms}",
            config.name,
            config.value.as_deref().unwrap_or("null"),
            config.source.code(),
            config.value_type.map_or(0, ValueType::code),
            config.is_sensitive,
        )
    }

    #[test]
    fn topics_are_described_as_apache_kafka_describes_them() {
        let cases = cases();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let overrides = TopicOverrides::accepted(case.topic);
            let described = describe(&overrides, &case.layers).unwrap();
            let lines: Vec<_> = described.iter().map(as_line).collect();
            assert_eq!(lines, case.described, "{}", case.title);
            assert!(described.iter().all(|config| config.documentation.is_some()));
        }
    }

    #[test]
    fn created_topics_are_answered_as_apache_kafka_answers() {
        let mut answers = 0;
        for case in cases().into_iter().filter(|case| !case.created.is_empty()) {
            let overrides = TopicOverrides::accepted(case.topic);
            let lines: Vec<_> = created(&overrides, &case.layers)
                .iter()
                .map(|config| {
                    format!("{}|{}|{}|false|false", config.name, config.value, config.source.code())
                })
                .collect();
            assert_eq!(lines, case.created, "{}", case.title);
            answers += 1;
        }
        assert_eq!(answers, 6);
    }

    #[test]
    fn a_name_that_nobody_knows_keeps_its_value_to_itself() {
        let set = BTreeMap::from([("message.format.version".to_owned(), "3.0".to_owned())]);
        let described = describe(&TopicOverrides::accepted(set), &Layers::default()).unwrap();
        assert_eq!(
            as_line(&described[0]),
            "message.format.version|null|1|0|true|false|message.format.version=null@1;"
        );
    }
}
