//! The broker's own settings as DescribeConfigs shows them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Layers;
use crate::config::keys::{Effect, Key};
use crate::config::layers::Source;
use crate::config::topic::TopicKey;
use crate::config::value::ValueType;
use crate::wire::Text;
use crate::wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

/// Every setting of this broker, by name: those of the table, and what was set beside them.
pub(crate) fn of_broker(layers: &Layers) -> Vec<DescribeConfigsResourceResult> {
    let known = Key::all().map(|key| key.name).filter(|name| !name.ends_with('*'));
    let set = in_order(layers).into_iter().flat_map(|(layer, _)| layer.keys().map(String::as_str));
    let names: BTreeSet<&str> = known.chain(set).collect();
    names.into_iter().map(|name| describe(name, layers)).collect()
}

/// What was set for all brokers of the cluster.
pub(crate) fn of_cluster(layers: &Layers) -> Vec<DescribeConfigsResourceResult> {
    let cluster = Layers { cluster: layers.cluster.clone(), ..Layers::default() };
    let is_of_cluster = |source: i8| source == Source::Cluster.code();
    let mut described = of_broker(&cluster);
    described.retain(|config| is_of_cluster(config.config_source));
    described.iter_mut().for_each(|config| config.synonyms.retain(|synonym| is_of_cluster(synonym.source)));
    described
}

/// The layers, the one that counts first.
fn in_order(layers: &Layers) -> [(&BTreeMap<String, String>, Source); 3] {
    [
        (&layers.broker, Source::Broker),
        (&layers.cluster, Source::Cluster),
        (&layers.started_with, Source::StartedWith),
    ]
}

fn describe(name: &str, layers: &Layers) -> DescribeConfigsResourceResult {
    let key = Key::find(name);
    // What nobody knows could be a secret.
    let is_sensitive = key.is_none_or(|key| key.rule.value_type == ValueType::Password);
    let shown = |text: String| (!is_sensitive).then(|| Text::from(text));
    let synonyms: Vec<_> = synonyms(name, layers)
        .into_iter()
        .map(|(name, text, source)| DescribeConfigsSynonym {
            name: Text::from(name),
            value: shown(text.to_owned()),
            source: source.code(),
        })
        .collect();
    DescribeConfigsResourceResult {
        name: Text::from(name),
        value: key.and_then(|key| value(name, key, layers)).and_then(shown),
        // There is no request yet that changes a setting of the broker.
        read_only: true,
        config_source: synonyms.first().map_or(Source::Default.code(), |first| first.source),
        is_sensitive,
        synonyms,
        config_type: key.map_or(0, |key| key.rule.value_type.code()),
        documentation: key.map(|key| Text::from(documentation(key))),
    }
}

fn value(name: &str, key: &Key, layers: &Layers) -> Option<String> {
    let text = layers.set(name).or(key.default)?;
    Some(key.rule.read(name, text).map_or_else(|_| text.to_owned(), |value| value.to_string()))
}

/// Every place that gives a setting its value, the one that counts first. Times can be set in several units,
/// each with a name of its own; those that count more than the one that is asked for are left out.
fn synonyms<'a>(name: &'a str, layers: &'a Layers) -> Vec<(&'a str, &'a str, Source)> {
    let in_units = TopicKey::all().iter().map(|key| key.synonyms);
    let mut in_units = in_units.filter(|synonyms| synonyms.iter().any(|synonym| synonym.key == name));
    let names: Vec<&str> = match in_units.next() {
        Some(synonyms) => synonyms.iter().map(|synonym| synonym.key).collect(),
        None => vec![name],
    };
    let mut found = Vec::new();
    for (layer, source) in in_order(layers) {
        let set = names.iter().filter_map(|name| Some((*name, layer.get(*name)?.as_str(), source)));
        found.extend(set);
    }
    let default = |name: &&'a str| Some((*name, Key::find(name)?.default?, Source::Default));
    found.extend(names.iter().filter_map(default));
    found.into_iter().skip_while(|(synonym, _, _)| *synonym != name).collect()
}

fn documentation(key: &Key) -> String {
    match key.effect {
        Effect::Honoured(meaning) => meaning.to_owned(),
        Effect::TopicDefault(topic) => format!("The default of the topic setting {topic}."),
        Effect::Ignored(reason) => format!("No effect: {reason}."),
        Effect::Refused(reason) => format!("Refused unless it is the default: {reason}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(started_with: &[(&str, &str)], cluster: &[(&str, &str)]) -> Layers {
        let own = |settings: &[(&str, &str)]| {
            settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        Layers { started_with: own(started_with), cluster: own(cluster), ..Layers::default() }
    }

    /// `name=value@source`, `*` where the value is withheld, and the synonyms behind it.
    fn line(described: &[DescribeConfigsResourceResult], name: &str) -> String {
        let config = described.iter().find(|config| config.name == name).unwrap();
        let shown = |value: &Option<Text>| match value {
            Some(value) => value.to_string(),
            None if config.is_sensitive => "*".to_owned(),
            None => "null".to_owned(),
        };
        let synonyms = config
            .synonyms
            .iter()
            .map(|synonym| format!(" {}={}@{}", synonym.name, shown(&synonym.value), synonym.source));
        let head = format!("{}={}@{}", config.name, shown(&config.value), config.config_source);
        synonyms.fold(head, |line, synonym| line + &synonym)
    }

    #[test]
    fn every_setting_is_shown_with_the_places_that_give_it() {
        let described = of_broker(&layers(&[("num.partitions", " 4 ")], &[]));
        assert_eq!(
            line(&described, "num.partitions"),
            "num.partitions=4@4 num.partitions= 4 @4 num.partitions=1@5"
        );
        assert_eq!(line(&described, "log.dirs"), "log.dirs=null@5");
        assert_eq!(
            line(&described, "log.retention.hours"),
            "log.retention.hours=168@5 log.retention.hours=168@5"
        );
        assert_eq!(line(&described, "log.retention.ms"), "log.retention.ms=null@5");
        assert!(described.is_sorted_by(|a, b| a.name < b.name));
        assert!(described.iter().all(|config| config.read_only && !config.name.ends_with('*')));
        let partitions = described.iter().find(|config| config.name == "num.partitions").unwrap();
        assert_eq!(partitions.config_type, 3);
        assert!(partitions.documentation.is_some());
    }

    #[test]
    fn units_that_count_less_follow_the_one_that_is_asked_for() {
        let described = of_broker(&layers(&[("log.retention.ms", "5"), ("log.retention.hours", "7")], &[]));
        assert_eq!(
            line(&described, "log.retention.ms"),
            "log.retention.ms=5@4 log.retention.ms=5@4 log.retention.hours=7@4 log.retention.hours=168@5"
        );
        assert_eq!(
            line(&described, "log.retention.hours"),
            "log.retention.hours=7@4 log.retention.hours=7@4 log.retention.hours=168@5"
        );
    }

    #[test]
    fn secrets_and_what_nobody_knows_keep_their_values_to_themselves() {
        let described = of_broker(&layers(&[("ssl.key.password", "s3cret"), ("my.plugin.key", "x")], &[]));
        assert_eq!(line(&described, "ssl.key.password"), "ssl.key.password=*@4 ssl.key.password=*@4");
        assert_eq!(line(&described, "my.plugin.key"), "my.plugin.key=*@4 my.plugin.key=*@4");
    }

    #[test]
    fn the_cluster_has_only_what_was_set_for_it() {
        let settings = layers(&[("num.partitions", "4")], &[("num.io.threads", "9")]);
        let described = of_cluster(&settings);
        assert_eq!(described.len(), 1);
        assert_eq!(line(&described, "num.io.threads"), "num.io.threads=9@3 num.io.threads=9@3");
        assert_eq!(of_cluster(&Layers::default()), []);
    }
}
