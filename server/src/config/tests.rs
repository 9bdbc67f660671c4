//! Whole configurations: the set-ups that people have, and damaged ones.

use std::path::PathBuf;

use super::load::Origin;
use super::topic::{Compression, TopicConfig};
use super::{Ack, Config, ConfigErrors, Io, Listener, Machine, TopicOverrides, Warning};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn load(
    file: Option<&str>,
    environment: Pairs<'_>,
    overrides: Pairs<'_>,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let own = |pairs: Pairs<'_>| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let machine = Machine { host_name: "box".to_owned(), cores: 6 };
    Config::load(file.map(str::as_bytes), own(environment), &own(overrides), &machine)
}

fn load_file(text: &str) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    load(Some(text), &[], &[])
}

fn errors(file: &str) -> Vec<String> {
    load_file(file).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn keys(warnings: &[Warning]) -> Vec<&str> {
    warnings.iter().map(|warning| warning.key.as_str()).collect()
}

fn plaintext(host: &str, port: u16) -> Listener {
    Listener { name: "PLAINTEXT".to_owned(), host: host.to_owned(), port }
}

const SINGLE_BROKER_FILE: &str = "\
node.id=1
process.roles=broker,controller
controller.quorum.voters=1@kafka_kraft_single:9093
listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093
advertised.listeners=PLAINTEXT://localhost:9092
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=/var/lib/kafka/data
auto.create.topics.enable=true
cluster.id=kraft-cluster-single-12345
";

const SINGLE_BROKER_ENVIRONMENT: Pairs<'_> = &[
    ("PATH", "/bin"),
    ("KAFKA_HEAP_OPTS", "-Xmx1g"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_NODE_ID", "1"),
    ("KAFKA_BROKER_ID", "1"),
    ("KAFKA_CLUSTER_ID", "kraft-cluster-single-12345"),
    ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092"),
    ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092"),
    ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka_kraft_single:9093"),
    ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
    ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true"),
    ("KAFKA_LOG_DIRS", "/var/lib/kafka/data"),
];

#[test]
fn without_a_file_it_is_a_single_broker_on_localhost() {
    let (config, warnings) = load(None, &[], &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((config.node_id, config.cluster_id), (1, None));
    assert_eq!(config.listeners, [plaintext("localhost", 9092)]);
    assert_eq!(config.advertised_listeners, config.listeners);
    assert_eq!(config.inter_broker_listener, "PLAINTEXT");
    assert_eq!(config.log_dirs, [PathBuf::from("./data")]);
    assert_eq!(config.metadata_log_dir, PathBuf::from("./data"));
    assert_eq!((config.num_partitions, config.default_replication_factor), (1, 1));
    assert!(config.auto_create_topics && config.delete_topics && !config.pin_shards);
    assert_eq!((config.ack, config.io, config.shards), (Ack::Durable, Io::Auto, 6));
    assert_eq!((config.socket_request_max_bytes, config.fetch_max_bytes), (104_857_600, 57_671_680));
    assert_eq!((config.request_partitions_max, config.mailbox_messages_max), (2000, 1024));
}

#[test]
fn the_single_broker_starts_from_a_file_and_from_the_environment_alike() {
    let (from_file, warnings) = load_file(SINGLE_BROKER_FILE).unwrap();
    assert_eq!(keys(&warnings), ["controller.listener.names"]);
    assert!(warnings[0].reason.contains("CONTROLLER://0.0.0.0:9093 is not opened"), "{}", warnings[0]);
    let (from_environment, warnings) = load(None, SINGLE_BROKER_ENVIRONMENT, &[]).unwrap();
    assert_eq!(keys(&warnings), ["controller.listener.names"]);
    for config in [&from_file, &from_environment] {
        assert_eq!(config.cluster_id.as_deref(), Some("kraft-cluster-single-12345"));
        assert_eq!(config.listeners, [plaintext("0.0.0.0", 9092)]);
        assert_eq!(config.advertised_listeners, [plaintext("localhost", 9092)]);
        assert_eq!(config.log_dirs, [PathBuf::from("/var/lib/kafka/data")]);
    }
}

#[test]
fn a_broker_of_the_zookeeper_days_starts_without_zookeeper() {
    let (config, warnings) = load(
        None,
        &[
            ("KAFKA_BROKER_ID", "7"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"),
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(config.node_id, 7);
    assert_eq!(
        keys(&warnings),
        [
            "offsets.topic.replication.factor",
            "transaction.state.log.min.isr",
            "transaction.state.log.replication.factor",
            "zookeeper.connect",
        ]
    );
    assert_eq!(warnings[3].origin, Some(Origin::Environment("KAFKA_ZOOKEEPER_CONNECT".to_owned())));
}

#[test]
fn the_file_that_comes_with_apache_kafka_starts() {
    let (config, warnings) = load_file(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
         num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n\
         socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs\n\
         num.partitions=1\nnum.recovery.threads.per.data.dir=2\nlog.retention.hours=168\n\
         log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n",
    )
    .unwrap();
    // Ignored keys that have their defaults promise nothing, so nothing is said of them.
    assert_eq!(keys(&warnings), ["controller.listener.names"]);
    assert_eq!(config.listeners, [plaintext("", 9092)]);
    assert_eq!(config.advertised_listeners, [plaintext("localhost", 9092)]);
}

#[test]
fn a_file_without_listeners_and_directories_has_the_defaults_of_apache_kafka() {
    let (config, _) = load_file("node.id=3").unwrap();
    assert_eq!(config.listeners, [plaintext("", 9092)]);
    assert_eq!(config.advertised_listeners, [plaintext("box", 9092)]);
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
}

#[test]
fn the_environment_counts_over_the_file_and_overrides_over_both() {
    let file = Some("node.id=1\nnum.partitions=2\ndefault.replication.factor=2\nlogmill.shards=2\n");
    let (config, _) = load(
        file,
        &[("KAFKA_NUM_PARTITIONS", "3"), ("KAFKA_DEFAULT_REPLICATION_FACTOR", "3")],
        &[("num.partitions", "4"), ("num.partitions", "5")],
    )
    .unwrap();
    assert_eq!((config.num_partitions, config.default_replication_factor, config.shards), (5, 3, 2));
}

#[test]
fn the_kafka_variable_of_the_cluster_id_counts_over_the_plain_one() {
    let both = [("KAFKA_CLUSTER_ID", "a"), ("CLUSTER_ID", "b")];
    assert_eq!(load(None, &both, &[]).unwrap().0.cluster_id.as_deref(), Some("a"));
    assert_eq!(load(None, &both[1..], &[]).unwrap().0.cluster_id.as_deref(), Some("b"));
}

#[test]
fn our_own_settings_are_read() {
    let (config, _) = load_file(
        "node.id=1\nlogmill.ack=page-cache\nlogmill.io=syscalls\nlogmill.shards.pin=TRUE\nlogmill.shards=3\n\
         logmill.mailbox.messages=1\nmetadata.log.dir=/m\nlog.dirs=/a, /b,/a\ndelete.topic.enable=false\n",
    )
    .unwrap();
    assert_eq!((config.ack, config.io, config.shards), (Ack::PageCache, Io::Syscalls, 3));
    assert!(config.pin_shards && !config.delete_topics);
    assert_eq!(config.mailbox_messages_max, 1);
    assert_eq!(config.log_dirs, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.metadata_log_dir, PathBuf::from("/m"));
}

#[test]
fn topics_get_their_defaults_from_the_settings() {
    let (config, _) =
        load_file("node.id=1\nlog.retention.hours=1\ncompression.type=lz4\nlog.roll.hours=2").unwrap();
    let topic = TopicConfig::new(&TopicOverrides::default(), &config.layers).unwrap();
    assert_eq!((topic.retention_ms, topic.segment_ms), (Some(3_600_000), 7_200_000));
    assert_eq!(topic.compression, Compression::Lz4(9));
}

#[test]
fn the_last_line_of_a_key_counts_and_the_others_are_named() {
    let (config, warnings) = load_file("node.id=1\nnum.partitions=2\nnum.partitions 3").unwrap();
    assert_eq!(config.num_partitions, 3);
    assert_eq!(
        warnings[0].to_string(),
        "num.partitions: set again; line 2 no longer counts (line 3 of the file)"
    );
}

#[test]
fn an_unknown_key_is_a_warning_that_names_the_nearest() {
    let (_, warnings) = load_file("node.id=1\nlog.retension.hours=3\nxyzzy").unwrap();
    assert_eq!(
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "log.retension.hours: unknown; did you mean log.retention.hours? (line 2 of the file)",
            "xyzzy: unknown (line 3 of the file)",
        ]
    );
}

#[test]
fn every_error_is_reported_with_its_place() {
    let errors = errors(
        "# several\nnode.id=-1\nnum.partitions=0\nlog.segment.bytes=99999999999999999999\nlog.dirs=\n\
         listeners=PLAINTEXT://h:-5,TLS://h:1\nauthorizer.class.name=org.example.A\nlogmill.ack=maybe\n\
         log.cleanup.policy=delete,\nbad=\\u12\nremote.log.storage.system.enable=true\nlog.retention.ms=0\n",
    );
    for expected in [
        "\\u without four hexadecimal digits behind it (line 10 of the file)",
        "Invalid value -1 for configuration node.id: Value must be at least 0; allowed: at least 0 (line 2 of the file)",
        "Invalid value 0 for configuration num.partitions: Value must be at least 1; allowed: at least 1 (line 3 of the file)",
        "Invalid value 99999999999999999999 for configuration log.segment.bytes: Not a number of type INT; \
         allowed: at least 1048576 (line 4 of the file)",
        "Configuration 'log.dirs' must not be empty. Valid values include: any non-empty value; allowed: not empty \
         (line 5 of the file)",
        "listeners: PLAINTEXT://h:-5: the port must be 0 to 65535 (line 6 of the file)",
        "listeners: TLS://h:1 has no protocol; add TLS:PLAINTEXT to listener.security.protocol.map (line 6 of the file)",
        "Invalid value org.example.A for configuration authorizer.class.name: requests are not authorized \
         (line 7 of the file)",
        "Invalid value maybe for configuration logmill.ack: String must be one of: durable, page-cache; \
         allowed: one of durable, page-cache (line 8 of the file)",
        "Configuration 'log.cleanup.policy' values must not be empty.; allowed: any of compact, delete \
         (line 9 of the file)",
        "Invalid value true for configuration remote.log.storage.system.enable: there is no tiered storage \
         (line 11 of the file)",
        "Invalid value 0 for configuration log.retention.ms: allowed: at least 1, or -1 for no limit (line 12 of the file)",
    ] {
        assert!(errors.iter().any(|error| error == expected), "no {expected:?} in {errors:#?}");
    }
    assert!(!errors.iter().any(|error| error.contains("node.id is")), "{errors:#?}");
}

#[test]
fn values_that_conflict_are_refused() {
    for (file, reason) in [
        ("num.partitions=1", "Missing required configuration node.id"),
        ("node.id=1\nbroker.id=2", "configuration broker.id: node.id is 1"),
        ("broker.id=-1", "Invalid value -1 for configuration broker.id"),
        ("node.id=1\nprocess.roles=broker", "configuration process.roles"),
        ("node.id=1\nprocess.roles=broker,storage", "String must be one of: broker, controller"),
        (
            "node.id=1\ncontroller.quorum.voters=1@a:1,2@b:1,3@c:1",
            "the only voter can be this node, 1@host:port",
        ),
        ("node.id=1\ncontroller.quorum.voters=2@b:1", "the only voter can be this node, 1@host:port"),
        ("node.id=1\ncontroller.quorum.bootstrap.servers=a:1,b:1", "the only one"),
        (
            "node.id=1\nlog.roll.ms=0",
            "Invalid value 0 for configuration log.roll.ms: Value must be at least 1",
        ),
        ("node.id=1\nlog.retention.hours=0", "configuration log.retention.hours"),
        (
            "node.id=1\nlog.flush.interval.ms=-1",
            "configuration log.flush.interval.ms: Value must be at least 0",
        ),
        (
            "node.id=1\nlog.cleaner.min.compaction.lag.ms=2\nlog.cleaner.max.compaction.lag.ms=1",
            "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
        ),
        ("node.id=1\nlisteners=PLAINTEXT://0.0.0.0:9092", "nobody can connect to 0.0.0.0"),
        ("node.id=1\nlisteners=", "listeners: there must be one that clients connect to"),
        ("node.id=1\nsecurity.inter.broker.protocol=SSL", "neither TLS nor SASL is served"),
        ("node.id=1\nlogmill.mailbox.messages=0", "configuration logmill.mailbox.messages"),
        ("node.id=1\nlogmill.shards=0", "configuration logmill.shards"),
        ("node.id=1\ncluster.id=", "configuration cluster.id: String must be non-empty"),
        (
            "node.id=1\ninter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT",
            "not both",
        ),
    ] {
        let errors = errors(file);
        assert_eq!(errors.len(), 1, "{file}: {errors:#?}");
        assert!(errors[0].contains(reason), "{file}: {errors:#?}");
    }
}

#[test]
fn a_topic_default_without_effect_is_a_warning() {
    let (_, warnings) =
        load_file("node.id=1\nlog.preallocate=true\nunclean.leader.election.enable=false").unwrap();
    assert_eq!(keys(&warnings), ["log.preallocate"]);
}

#[test]
fn secrets_are_never_shown() {
    let (_, warnings) =
        load_file("node.id=1\nssl.keystore.password=hunter2\nsasl.jaas.config=hunter2").unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(!warnings.iter().any(|warning| warning.to_string().contains("hunter2")));
}

#[test]
fn damaged_files_never_make_it_panic() {
    let text = SINGLE_BROKER_FILE.as_bytes();
    let machine = Machine { host_name: "box".to_owned(), cores: 1 };
    let load = |bytes: &[u8]| drop(Config::load(Some(bytes), [], &[], &machine));
    for position in 0..text.len() {
        load(&text[..position]);
        for replacement in [b'\n', b'=', b'\\', b',', b':', b'-', 0, 0xff] {
            let mut damaged = text.to_vec();
            damaged[position] = replacement;
            load(&damaged);
        }
    }
}
