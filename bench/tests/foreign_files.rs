//! Apache Kafka beside files of Logmill's own: it leaves them as they are, and they do not disturb it.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::fs;
use std::time::{Duration, Instant};

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile, Tool};

fn run(jars: &Jars, class: &str, arguments: &[&str], input: &str) -> String {
    let tool = Tool::new(jars, class).arguments(arguments.iter().copied()).input(input);
    let output = tool.run().unwrap();
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    output.stdout
}

fn produce(broker: &Broker, jars: &Jars, input: &str) {
    let arguments = ["--bootstrap-server", &broker.bootstrap(), "--topic", "t"];
    run(jars, "org.apache.kafka.tools.ConsoleProducer", &arguments, input);
}

fn consume(broker: &Broker, jars: &Jars, records: usize) -> String {
    let bootstrap = broker.bootstrap();
    let records = records.to_string();
    let arguments =
        ["--bootstrap-server", &bootstrap, "--topic", "t", "--from-beginning", "--max-messages", &records];
    run(jars, "org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, "")
}

#[test]
fn apache_kafka_neither_reads_nor_removes_the_batches_of_producers_beside_its_segments() {
    let root = tempfile::tempdir().unwrap();
    let jars = Jars::fetched().unwrap();
    let options = ApacheOptions {
        profile: JvmProfile::QuickStart,
        heap: "256m".into(),
        root: root.path().to_owned(),
        properties: vec![("log.segment.delete.delay.ms".into(), "100".into())],
        ..ApacheOptions::new(jars.clone())
    };
    let mut broker = Broker::apache(options).unwrap();
    let bootstrap = broker.bootstrap();
    let topic = ["--bootstrap-server", &bootstrap, "--topic", "t"];
    run(&jars, "org.apache.kafka.tools.TopicCommand", &[&topic[..], &["--create"]].concat(), "");
    produce(&broker, &jars, "a\nb\nc\n");
    broker.stop().unwrap();

    // Beside a snapshot, beside a segment, and beside nothing.
    let dir = broker.log_dir().join("t-0");
    let names = [0, 1, 3, 77].map(|offset| dir.join(format!("{offset:020}.batches")));
    names.iter().for_each(|name| fs::write(name, "not Apache Kafka's").unwrap());
    let assert_there = || {
        for name in &names {
            assert_eq!(fs::read_to_string(name).unwrap(), "not Apache Kafka's", "{}", name.display());
        }
    };

    broker.restart().unwrap();
    produce(&broker, &jars, "d\n");
    assert_eq!(consume(&broker, &jars, 4), "a\nb\nc\nd\n");
    assert_there();
    broker.kill();
    broker.restart().unwrap();
    produce(&broker, &jars, "e\n");
    assert_eq!(consume(&broker, &jars, 5), "a\nb\nc\nd\ne\n");
    assert_there();

    run(&jars, "org.apache.kafka.tools.TopicCommand", &[&topic[..], &["--delete"]].concat(), "");
    let deadline = Instant::now() + Duration::from_secs(30);
    while dir.exists() {
        assert!(Instant::now() < deadline, "the partition's directory is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = fs::read_to_string(broker.log_file()).unwrap();
    // Its controller may fail at a request that comes while it becomes active: that is none of the files' doing.
    let is_of_logs =
        |line: &&str| ["kafka.log.", "kafka.storage.", "t-0"].iter().any(|part| line.contains(part));
    let mut errors = log.lines().filter(|line| line.contains("ERROR") && is_of_logs(line));
    assert!(!log.contains(".batches") && errors.next().is_none(), "{log}");
}
