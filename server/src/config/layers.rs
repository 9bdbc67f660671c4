//! `Layers`: the broker's settings by where they were made, and which of them counts.

use std::collections::BTreeMap;

use super::keys::Key;
use super::value::{InvalidConfig, Value};

/// Settings of the broker as texts, layer by layer. What a layer lacks, the next one gives.
///
/// Every text was checked against its key when it came in; keys that nobody knows stay in, because Apache
/// Kafka keeps them too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// Dynamic settings of this broker.
    pub broker: BTreeMap<String, String>,
    /// Dynamic settings of all brokers of the cluster.
    pub cluster: BTreeMap<String, String>,
    /// What the broker was started with: file, environment and overrides together.
    pub started_with: BTreeMap<String, String>,
}

/// Where a value comes from; the numbers are those of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The topic's own setting.
    Topic = 1,
    /// A dynamic setting of the broker.
    Broker = 2,
    /// A dynamic setting of all brokers.
    Cluster = 3,
    /// What the broker was started with.
    StartedWith = 4,
    /// The built-in default.
    Default = 5,
}

impl Source {
    /// The source's number in DescribeConfigs.
    pub fn code(self) -> i8 {
        self as i8
    }
}

impl Layers {
    /// The layers that can be set, the one that counts first.
    pub(super) fn in_order(&self) -> [(&BTreeMap<String, String>, Source); 3] {
        [
            (&self.broker, Source::Broker),
            (&self.cluster, Source::Cluster),
            (&self.started_with, Source::StartedWith),
        ]
    }

    /// The text that was set for a key, in the layer that counts.
    pub fn set(&self, name: &str) -> Option<&str> {
        self.in_order().into_iter().find_map(|(layer, _)| layer.get(name)).map(String::as_str)
    }

    /// What a key of the table is worth: what was set or else its default. `None` where it has neither.
    ///
    /// # Panics
    ///
    /// When the table has no such key.
    pub fn value(&self, name: &str) -> Result<Option<Value>, InvalidConfig> {
        let key = Key::find(name).expect("asked for a key of the table");
        self.set(name).or(key.default).map(|text| key.rule.read(name, text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_layer_counts() {
        let one = |value: &str| BTreeMap::from([("num.partitions".to_owned(), value.to_owned())]);
        let value = |layers: &Layers| layers.value("num.partitions").unwrap().unwrap();
        let mut layers = Layers::default();
        assert_eq!(value(&layers), Value::Number(1));
        layers.started_with = one("4");
        assert_eq!(value(&layers), Value::Number(4));
        layers.cluster = one("3");
        assert_eq!(value(&layers), Value::Number(3));
        layers.broker = one("2");
        assert_eq!(value(&layers), Value::Number(2));
    }
}
