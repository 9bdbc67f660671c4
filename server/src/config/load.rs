//! Loading a `Config`: the sources over each other, each setting against its key, then all against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use logmill_engine::format::properties;

use super::environment;
use super::keys::{Effect, Key};
use super::listener::{self, Listener, ListenerSettings, Listeners};
use super::topic::{TopicEffect, TopicKey, TopicOverrides};
use super::value::{Value, ValueType};
use super::{Ack, Config, GroupSettings, Io, Layers};

/// A `log.flush.scheduler.interval.ms` that nobody has set: Apache Kafka then never looks for a log that is due,
/// also where `flush.ms` is set.
const NO_FLUSH_CHECKS: u64 = i64::MAX as u64;
/// How often that is done here.
const FLUSH_CHECK_INTERVAL_MS: u64 = 1_000;

/// What the broker runs on, as far as defaults depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The name by which others reach it.
    pub host_name: String,
    /// The cores that the process may use.
    pub cores: u32,
}

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file, on this line.
    File {
        /// Counted from 1.
        line: u32,
    },
    /// In this environment variable.
    Environment(String),
    /// On the command line.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { line } => write!(f, "line {line} of the file"),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
            Origin::Override => f.write_str("--override"),
        }
    }
}

/// A setting that does not do what its author may expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The setting.
    pub key: String,
    /// What is the matter with it.
    pub reason: String,
    /// Where it was made, unless it is a default.
    pub origin: Option<Origin>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)?;
        write_origin(f, self.origin.as_ref())
    }
}

/// A setting that the broker cannot be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, with key and value.
    pub reason: String,
    /// Where the setting was made, unless it is a default.
    pub origin: Option<Origin>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        write_origin(f, self.origin.as_ref())
    }
}

fn write_origin(f: &mut fmt::Formatter<'_>, origin: Option<&Origin>) -> fmt::Result {
    origin.map_or(Ok(()), |origin| write!(f, " ({origin})"))
}

/// Everything that is wrong, in the order of the keys; at least one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let line_end = if i == 0 { "" } else { "\n" };
            write!(f, "{line_end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What is to be said of settings, whether a broker can be started with them or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What does not do what its author may expect.
    pub warnings: Vec<Warning>,
    /// What a broker cannot be started with.
    pub errors: Vec<ConfigError>,
}

impl Config {
    /// Reads the settings of the file (its bytes, if there is a file), of the environment above it, and of the
    /// command line above both.
    pub fn load(
        file: Option<&[u8]>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[(String, String)],
        machine: &Machine,
    ) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        let (config, Checked { warnings, errors }) = read(file, environment, overrides, machine);
        if errors.is_empty() { Ok((config, warnings)) } else { Err(ConfigErrors(errors)) }
    }

    /// Everything that is to be said of the same settings.
    pub fn check(
        file: Option<&[u8]>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[(String, String)],
        machine: &Machine,
    ) -> Checked {
        read(file, environment, overrides, machine).1
    }
}

fn read(
    file: Option<&[u8]>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[(String, String)],
    machine: &Machine,
) -> (Config, Checked) {
    let mut loader = Loader { has_file: file.is_some(), ..Loader::default() };
    loader.read_file(file.unwrap_or_default());
    loader.read_environment(environment);
    for (key, value) in overrides {
        loader.set(key.clone(), value.clone(), Origin::Override);
    }
    loader.check_each();
    let node_id = loader.node_id();
    loader.check_quorum(node_id);
    loader.check_topic_defaults();
    let config = loader.build(node_id, machine);
    (config, Checked { warnings: loader.warnings, errors: loader.errors })
}

#[derive(Default)]
struct Loader {
    has_file: bool,
    layers: Layers,
    origins: BTreeMap<String, Origin>,
    /// Settings whose text could not be read; their errors stand in `errors` already.
    unreadable: BTreeSet<String>,
    warnings: Vec<Warning>,
    errors: Vec<ConfigError>,
}

impl Loader {
    fn read_file(&mut self, bytes: &[u8]) {
        let (properties, bad_lines) = properties::parse(bytes);
        for bad in bad_lines {
            self.errors
                .push(ConfigError { reason: bad.reason, origin: Some(Origin::File { line: bad.line }) });
        }
        for property in properties {
            if let Some(Origin::File { line }) = self.origins.get(&property.key) {
                let reason = format!("set again; line {line} no longer counts");
                let origin = Some(Origin::File { line: property.line });
                self.warnings.push(Warning { key: property.key.clone(), reason, origin });
            }
            self.set(property.key, property.value, Origin::File { line: property.line });
        }
    }

    fn read_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        // Sorted: the order of an environment means nothing, and CLUSTER_ID gives way to KAFKA_CLUSTER_ID.
        for (name, value) in environment.into_iter().collect::<BTreeMap<_, _>>() {
            if let Some(key) = environment::key(&name) {
                self.set(key, value, Origin::Environment(name));
            }
        }
    }

    fn set(&mut self, key: String, value: String, origin: Origin) {
        self.origins.insert(key.clone(), origin);
        self.layers.started_with.insert(key, value);
    }

    /// Each setting by itself: is it known, can it be read, may it be set.
    fn check_each(&mut self) {
        let settings = std::mem::take(&mut self.layers.started_with);
        for (name, text) in &settings {
            let Some(key) = Key::find(name) else {
                let reason = match Key::nearest(name) {
                    Some(nearest) => format!("unknown; did you mean {nearest}?"),
                    None => "unknown".to_owned(),
                };
                self.warn(name, reason);
                continue;
            };
            let value = match key.rule.read(name, text) {
                Ok(value) => value,
                Err(refused) => {
                    let range = key.rule.range.to_string();
                    let range = if range.is_empty() { String::new() } else { format!("; allowed: {range}") };
                    self.refuse_in_full(name, format!("{refused}{range}"));
                    self.unreadable.insert(name.clone());
                    continue;
                }
            };
            let is_default = key
                .default
                .is_some_and(|text| key.rule.read(name, text).is_ok_and(|default| default == value));
            match key.effect {
                Effect::Ignored(reason) if !is_default => self.warn(name, format!("ignored: {reason}")),
                Effect::TopicDefault(topic) if !is_default => {
                    if let Some(TopicEffect::Ignored(reason)) =
                        TopicKey::find(topic).map(|topic| topic.effect)
                    {
                        self.warn(name, format!("ignored: {reason}"));
                    }
                }
                Effect::Refused(reason) if !is_default && value != Value::Text(String::new()) => {
                    let shown = if key.rule.value_type == ValueType::Password { "[hidden]" } else { text };
                    self.refuse(name, shown, reason);
                }
                _ => {}
            }
        }
        self.layers.started_with = settings;
    }

    /// A broker that is to be one of several must not start as the only one.
    fn check_quorum(&mut self, node_id: i32) {
        if let Some(roles) = self.set_list("process.roles")
            && roles.len() == 1
        {
            self.refuse(
                "process.roles",
                &roles[0],
                "broker and controller run in one process: set broker,controller",
            );
        }
        if let Some(voters) = self.set_list("controller.quorum.voters")
            && !voters.is_empty()
        {
            let is_this_node =
                |voter: &String| voter.split_once('@').is_some_and(|(id, _)| id.parse() == Ok(node_id));
            if voters.len() > 1 || !is_this_node(&voters[0]) {
                let reason = format!("the only voter can be this node, {node_id}@host:port");
                self.refuse("controller.quorum.voters", &voters.join(","), &reason);
            }
        }
        if let Some(servers) = self.set_list("controller.quorum.bootstrap.servers")
            && servers.len() > 1
        {
            let reason = "the controller is in this process, and the only one";
            self.refuse("controller.quorum.bootstrap.servers", &servers.join(","), reason);
        }
    }

    /// What the settings come to for a topic that has none of its own.
    fn check_topic_defaults(&mut self) {
        for key in TopicKey::all() {
            for synonym in key.synonyms {
                let Some(value) = self.set_value(synonym.key) else { continue };
                let value = key.value_of_synonym(synonym, value);
                if let Err(refused) = key.rule.check(synonym.key, &value) {
                    self.refuse_in_full(synonym.key, refused.0);
                } else if key.name == "retention.ms" && value == Value::Number(0) {
                    // Topics may have 0; a broker that deletes everything at once is a mistake.
                    self.refuse(synonym.key, "0", "allowed: at least 1, or -1 for no limit");
                }
            }
        }
        if self.unreadable.is_empty()
            && let Err(conflict) = TopicOverrides::parse([], &self.layers)
        {
            self.errors.push(ConfigError { reason: conflict.0, origin: None });
        }
    }

    fn build(&mut self, node_id: i32, machine: &Machine) -> Config {
        let listeners = self.listeners(machine);
        let log_dirs = self.log_dirs();
        Config {
            node_id,
            cluster_id: self.text("cluster.id"),
            listeners: listeners.open,
            advertised_listeners: listeners.advertised,
            inter_broker_listener: listeners.inter_broker,
            metadata_log_dir: self
                .text("metadata.log.dir")
                .map_or_else(|| log_dirs[0].clone(), PathBuf::from),
            log_dirs,
            num_partitions: self.int("num.partitions"),
            default_replication_factor: self.int("default.replication.factor"),
            auto_create_topics: self.is_on("auto.create.topics.enable"),
            delete_topics: self.is_on("delete.topic.enable"),
            offsets_topic_partitions: self.int("offsets.topic.num.partitions"),
            offsets_topic_segment_bytes: self.int("offsets.topic.segment.bytes"),
            producer_expiration_ms: self.int("producer.id.expiration.ms").into(),
            retention_check_interval_ms: self.interval("log.retention.check.interval.ms"),
            flush_check_interval_ms: match self.interval("log.flush.scheduler.interval.ms") {
                NO_FLUSH_CHECKS => FLUSH_CHECK_INTERVAL_MS,
                interval_ms => interval_ms,
            },
            checkpoint_interval_ms: self.interval("log.flush.offset.checkpoint.interval.ms"),
            offset_metadata_len_max: self.int("offset.metadata.max.bytes"),
            groups: self.groups(),
            socket_request_max_bytes: self.count("socket.request.max.bytes"),
            in_flight_bytes_max: usize::try_from(self.long("queued.max.request.bytes"))
                .ok()
                .filter(|bytes| *bytes > 0),
            connections_max: self.count("max.connections"),
            connections_per_ip_max: self.count("max.connections.per.ip"),
            connections_per_ip_overrides: self.connections_per_ip_overrides(),
            connection_creation_rate_max: self.count("max.connection.creation.rate"),
            connections_max_idle_ms: self.long("connections.max.idle.ms"),
            fetch_sessions_max: self.count("max.incremental.fetch.session.cache.slots"),
            fetch_max_bytes: self.count("fetch.max.bytes"),
            request_partitions_max: self.count("max.request.partition.size.limit"),
            metrics_listener: self.metrics_listener(),
            ack: match self.text("logmill.ack").as_deref() {
                Some("page-cache") => Ack::PageCache,
                _ => Ack::Durable,
            },
            journal_bytes: self.long("logmill.journal.bytes") as u64,
            shards: match self.value("logmill.shards") {
                Some(_) => self.count("logmill.shards"),
                None => machine.cores.max(1),
            },
            pin_shards: self.is_on("logmill.shards.pin"),
            io: match self.text("logmill.io").as_deref() {
                Some("uring") => Io::Uring,
                Some("syscalls") => Io::Syscalls,
                _ => Io::Auto,
            },
            mailbox_messages_max: self.count("logmill.mailbox.messages"),
            layers: std::mem::take(&mut self.layers),
        }
    }

    fn node_id(&mut self) -> i32 {
        let number = |value| match value {
            Some(Value::Number(number)) => Some(number as i32),
            _ => None,
        };
        let (node, broker) = (number(self.set_value("node.id")), number(self.set_value("broker.id")));
        if let Some(broker) = broker.filter(|broker| *broker < 0) {
            self.refuse("broker.id", &broker.to_string(), "allowed: at least 0");
        }
        match (node, broker) {
            (Some(node), Some(broker)) if node != broker => {
                self.refuse(
                    "broker.id",
                    &broker.to_string(),
                    &format!("node.id is {node}, and both are one"),
                );
                node
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                let is_named = |key| self.layers.started_with.contains_key(key);
                if self.has_file && !is_named("node.id") && !is_named("broker.id") {
                    let reason =
                        "Missing required configuration node.id: data belongs to the node of this id";
                    self.refuse_in_full("node.id", reason.to_owned());
                }
                1
            }
        }
    }

    /// `host:count, ...`
    fn connections_per_ip_overrides(&mut self) -> Vec<(String, u32)> {
        const KEY: &str = "max.connections.per.ip.overrides";
        let text = self.text(KEY).unwrap_or_default();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let parse = |entry: &str| {
            let (host, count) = entry.rsplit_once(':')?;
            Some((host.trim().to_owned(), count.trim().parse::<i32>().ok()?.try_into().ok()?))
        };
        let Some(overrides) = entries.map(parse).collect::<Option<Vec<_>>>() else {
            self.refuse(KEY, &text, "allowed: host:count pairs with commas between them");
            return Vec::new();
        };
        if overrides.is_empty() && self.int("max.connections.per.ip") == 0 {
            self.refuse("max.connections.per.ip", "0", &format!("nobody could connect; set {KEY}"));
        }
        overrides
    }

    fn metrics_listener(&mut self) -> Option<Listener> {
        const KEY: &str = "logmill.metrics.listener";
        let text = self.text(KEY)?;
        let listener = listener::parse(&format!("METRICS://{text}"));
        listener.map_err(|reason| self.refuse(KEY, &text, &format!("allowed: host:port; {reason}"))).ok()
    }

    fn log_dirs(&mut self) -> Vec<PathBuf> {
        let list = match (self.set_list("log.dirs"), self.set_list("log.dir")) {
            (Some(dirs), _) | (None, Some(dirs)) => dirs,
            (None, None) if self.has_file => self.list("log.dir"),
            (None, None) => vec!["./data".to_owned()],
        };
        list.into_iter().map(PathBuf::from).collect()
    }

    fn listeners(&mut self, machine: &Machine) -> Listeners {
        let texts = match self.set_list("listeners") {
            Some(texts) => texts,
            None if self.has_file => self.list("listeners"),
            None => vec!["PLAINTEXT://localhost:9092".to_owned()],
        };
        if self.is_set("inter.broker.listener.name") && self.is_set("security.inter.broker.protocol") {
            let name = self.text("inter.broker.listener.name").unwrap_or_default();
            let reason = "set this or security.inter.broker.protocol, not both";
            self.refuse("inter.broker.listener.name", &name, reason);
        }
        let settings = ListenerSettings {
            listeners: texts,
            advertised: self.set_list("advertised.listeners"),
            protocols: self
                .is_set("listener.security.protocol.map")
                .then(|| self.text("listener.security.protocol.map").unwrap_or_default()),
            controllers: self.set_list("controller.listener.names").unwrap_or_default(),
            inter_broker: self.text("inter.broker.listener.name"),
            host_name: machine.host_name.clone(),
        };
        let (mut refused, mut ignored) = (Vec::new(), Vec::new());
        let listeners = settings.resolve(&mut refused, &mut ignored);
        for (key, reason) in refused {
            self.errors.push(ConfigError {
                reason: format!("{key}: {reason}"),
                origin: self.origins.get(key).cloned(),
            });
        }
        for (key, reason) in ignored {
            self.warn(key, reason);
        }
        listeners
    }

    fn is_set(&self, name: &str) -> bool {
        self.layers.started_with.contains_key(name)
    }

    /// What was set, unless it cannot be read.
    fn set_value(&self, name: &str) -> Option<Value> {
        if self.is_set(name) && !self.unreadable.contains(name) { self.value(name) } else { None }
    }

    fn set_list(&self, name: &str) -> Option<Vec<String>> {
        match self.set_value(name) {
            Some(Value::List(items)) => Some(items),
            _ => None,
        }
    }

    /// What counts. Where the text cannot be read the default stands in, so that all other errors are found too.
    fn value(&self, name: &str) -> Option<Value> {
        let layers = if self.unreadable.contains(name) { &Layers::default() } else { &self.layers };
        layers.value(name).expect("what cannot be read was set aside")
    }

    /// Milliseconds, one at least.
    fn groups(&self) -> GroupSettings {
        GroupSettings {
            session_ms_min: self.int("group.min.session.timeout.ms"),
            session_ms_max: self.int("group.max.session.timeout.ms"),
            initial_delay_ms: self.int("group.initial.rebalance.delay.ms").max(0),
            size_max: self.count("group.max.size") as usize,
            offsets_retention_ms: self.long("offsets.retention.minutes") * 60_000,
            offsets_check_interval_ms: self.interval("offsets.retention.check.interval.ms"),
        }
    }

    fn interval(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Number(number)) => u64::try_from(number).unwrap_or_default().max(1),
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    fn long(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        self.long(name) as i32
    }

    /// A number whose range has nothing below zero.
    fn count(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).expect("the key's range has nothing below zero")
    }

    fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        }
    }

    fn warn(&mut self, key: &str, reason: String) {
        self.warnings.push(Warning { key: key.to_owned(), reason, origin: self.origins.get(key).cloned() });
    }

    fn refuse(&mut self, key: &str, value: &str, reason: &str) {
        self.refuse_in_full(key, format!("Invalid value {value} for configuration {key}: {reason}"));
    }

    fn refuse_in_full(&mut self, key: &str, reason: String) {
        self.errors.push(ConfigError { reason, origin: self.origins.get(key).cloned() });
    }
}
