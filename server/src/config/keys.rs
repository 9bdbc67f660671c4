//! `Key`: what is known of one setting of the broker, and how a name finds it.

use super::key_table::TABLES;
use super::value::Rule;

/// One setting of the broker.
#[derive(Debug)]
pub struct Key {
    /// Its name in `server.properties`.
    pub name: &'static str,
    /// Its type and range.
    pub rule: Rule,
    /// The text that stands for it while it is not set, if any does.
    pub default: Option<&'static str>,
    /// What it does here.
    pub effect: Effect,
}

/// What a setting does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What it means, and it is done.
    Honoured(&'static str),
    /// The topic setting whose default it is.
    TopicDefault(&'static str),
    /// It is accepted and changes nothing, for this reason.
    Ignored(&'static str),
    /// Any other value than the default is refused, because it would promise what is not done.
    Refused(&'static str),
}

impl Key {
    /// Every key, by purpose.
    pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
        TABLES.iter().copied().flatten()
    }

    /// The key of this name, or the family that it belongs to.
    pub fn find(name: &str) -> Option<&'static Key> {
        let is_of_family =
            |key: &&Key| key.name.strip_suffix('*').is_some_and(|family| name.starts_with(family));
        Key::all().find(|key| key.name == name).or_else(|| Key::all().find(is_of_family))
    }

    /// The known key that an unknown one was probably meant to be.
    pub fn nearest(name: &str) -> Option<&'static str> {
        // A third of the letters wrong is no longer a slip of the fingers.
        let distance_max = name.chars().count() / 3;
        Key::all()
            .filter(|key| !key.name.ends_with('*'))
            .map(|key| (edit_distance(name, key.name), key.name))
            .filter(|(distance, _)| *distance <= distance_max)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, nearest)| nearest)
    }
}

/// Letters to insert, drop or replace to turn one text into the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::{Range, ValueType};
    use std::collections::BTreeSet;

    /// Settings whose range is ours: stricter where Apache Kafka would fail later, or never look.
    const OUR_RANGES: [&str; 5] = [
        "default.replication.factor",
        "group.consumer.migration.policy",
        "log.dir",
        "log.dirs",
        "controller.quorum.voters",
    ];

    fn apache_range(rule: &Rule) -> String {
        match rule.range {
            Range::Any | Range::Replicas => String::new(),
            Range::AtLeast(min) => format!("[{min},...]"),
            Range::Between(min, max) => format!("[{min},...,{max}]"),
            Range::OneOf(texts) | Range::ListOf(texts) => format!("[{}]", texts.join(", ")),
            Range::GzipLevel => "[1,...,9] or -1".to_owned(),
            Range::Text | Range::NotEmpty => "non-empty string".to_owned(),
        }
    }

    #[test]
    fn every_key_of_apache_kafka_is_known_with_its_type_default_and_range() {
        for line in include_str!("testdata/apache_broker_keys.txt").lines().skip(1) {
            let [name, value_type, default, range] = line.splitn(4, '|').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let key = Key::find(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            if key.name != name {
                continue;
            }
            assert_eq!(key.rule.value_type.name(), value_type, "{name}");
            // The map of a listener's protocols is an unordered one.
            if name != "listener.security.protocol.map" {
                assert_eq!(key.default.unwrap_or("null"), default.replace("REQUIRED", "null"), "{name}");
            }
            if !OUR_RANGES.contains(&name) {
                let unranged = ["non-null string", "non-empty list"];
                let range = if unranged.contains(&range) { "" } else { range };
                assert_eq!(apache_range(&key.rule), range, "{name}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_defaults_are_valid() {
        let mut names = BTreeSet::new();
        for key in Key::all() {
            assert!(names.insert(key.name), "{} stands twice in the table", key.name);
            if let Some(default) = key.default {
                let read = key.rule.read(key.name, default).unwrap();
                if !matches!(key.rule.value_type, ValueType::List) {
                    assert_eq!(read.to_string(), default, "{}", key.name);
                }
            }
        }
    }

    #[test]
    fn a_slip_of_the_fingers_finds_its_key() {
        for (slip, meant) in [
            ("log.retension.hours", Some("log.retention.hours")),
            ("segment.bytes", Some("log.segment.bytes")),
            ("advertised.listener", Some("advertised.listeners")),
            ("logmill.acks", Some("logmill.ack")),
            ("something.else.entirely", None),
            ("", None),
        ] {
            assert_eq!(Key::nearest(slip), meant, "{slip}");
        }
    }

    #[test]
    fn families_are_found_by_their_beginning() {
        assert_eq!(Key::find("ssl.keystore.password").map(|key| key.name), Some("ssl.*"));
        assert_eq!(
            Key::find("security.inter.broker.protocol").map(|key| key.name),
            Some("security.inter.broker.protocol")
        );
        assert!(Key::find("sslkeystore").is_none());
    }
}
