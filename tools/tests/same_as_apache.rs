//! Apache Kafka's own tools say the same against Logmill as against Apache Kafka: the same steps, one after
//! the other, against a fresh broker of each; output, errors and exit codes are equal but for what cannot be
//! (ids, times, rates, ports).
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod support;

use std::{sync::OnceLock, thread, time::Duration};

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile, Kernel, LogmillOptions};
use support::{
    steps::{Mask, Step},
    transcript::Transcript,
};

/// What people do with a broker's topics and records, in stages: each finds what those before it made, and
/// the steps of one do not disturb each other.
fn stages() -> Vec<Vec<Step>> {
    let mut stages = vec![create_topics(), mistaken_creations(), describe_topics()];
    stages.extend([produce_records(), consume_records(), find_offsets()]);
    stages.extend(consume_in_groups());
    stages.extend(measure());
    stages.extend(delete_topics());
    stages
}

fn topics(arguments: &'static str) -> Step {
    Step::new("org.apache.kafka.tools.TopicCommand", arguments)
}

fn produce(arguments: &'static str, lines: impl Into<String>) -> Step {
    Step::new("org.apache.kafka.tools.ConsoleProducer", arguments).input(lines.into())
}

fn consume(arguments: &'static str) -> Step {
    Step::new("org.apache.kafka.tools.consumer.ConsoleConsumer", arguments)
}

fn offsets(arguments: &'static str) -> Step {
    Step::new("org.apache.kafka.tools.GetOffsetShell", arguments)
}

fn create_topics() -> Vec<Step> {
    vec![
        Step::new("org.apache.kafka.tools.FeatureCommand", "describe"),
        topics("--create --replication-factor 1 --partitions 1 --topic test_topic_01"),
        topics("--create --topic test-topic"),
        topics("--create --topic multipart-topic --partitions 3"),
        topics(
            "--create --topic configured --partitions 2 \
             --config max.message.bytes=2088000 --config retention.ms=3600000",
        ),
        topics("--create --topic measured --partitions 1"),
        topics("--create --topic latency --partitions 1"),
    ]
}

fn mistaken_creations() -> Vec<Step> {
    vec![
        topics("--create --topic test-topic"),
        topics("--create --topic test-topic --if-not-exists"),
        topics("--create --topic test.topic_01"),
        topics("--create --topic bad!name"),
        topics("--create --topic replicated --replication-factor 2"),
        topics("--create --topic misconfigured --config retention.ms=soon"),
    ]
}

fn describe_topics() -> Vec<Step> {
    vec![
        topics("--list"),
        topics("--describe --topic test_topic_01"),
        topics("--describe --topic configured"),
        topics("--describe"),
        topics("--describe --topics-with-overrides"),
        topics("--describe --topic unknown"),
    ]
}

fn produce_records() -> Vec<Step> {
    let keyed: String = (0..200).map(|n| format!("{n}:test key message sent {n}\n")).collect();
    vec![
        produce("--topic test_topic_01", "first\nsecond\nthird\n\nfifth\n"),
        produce(
            "--topic multipart-topic --reader-property key.separator=: --reader-property parse.key=true",
            keyed,
        ),
        produce("--topic test-topic --compression-codec zstd", "alone\n"),
    ]
}

fn consume_records() -> Vec<Step> {
    vec![
        consume("--topic test_topic_01 --partition 0 --offset earliest --max-messages 5"),
        consume("--topic test_topic_01 --partition 0 --offset 2 --max-messages 2"),
        consume("--topic test_topic_01 --partition 0 --offset latest --timeout-ms 1000"),
        consume("--topic test_topic_01 --partition 0 --offset earliest --timeout-ms 3000"),
        consume("--topic test-topic --partition 0 --offset earliest --max-messages 1"),
        // Partition by partition: the producer puts equal keys on the same ones, whichever broker it is.
        consume(
            "--topic multipart-topic --partition 0 --offset earliest --max-messages 50 \
             --formatter-property print.key=true --formatter-property print.offset=true",
        ),
        consume(
            "--topic multipart-topic --partition 1 --offset earliest --max-messages 50 \
             --formatter-property print.key=true --formatter-property print.partition=true",
        ),
        consume(
            "--topic multipart-topic --partition 2 --offset 20 --max-messages 30 \
             --formatter-property print.key=true --formatter-property print.offset=true",
        ),
    ]
}

fn groups(arguments: &'static str) -> Step {
    Step::new("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", arguments)
}

fn consume_in_groups() -> [Vec<Step>; 5] {
    [
        vec![
            consume("--topic test_topic_01 --group my_test_1 --from-beginning --max-messages 5"),
            consume(
                "--topic test-topic --group my_test_2 --from-beginning --max-messages 1 \
                 --consumer-property partition.assignment.strategy=\
                 org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            ),
            groups("--describe --group unknown"),
        ],
        vec![
            groups("--list"),
            groups("--list --state"),
            groups("--describe --group my_test_1"),
            groups("--describe --group my_test_1 --state"),
            groups("--describe --group my_test_1 --members --verbose"),
            groups("--describe --group my_test_2"),
        ],
        vec![
            groups("--reset-offsets --to-earliest --topic test_topic_01 --group my_test_1 --dry-run"),
            groups("--reset-offsets --shift-by -2 --topic test_topic_01 --group my_test_1 --execute"),
            groups("--delete-offsets --topic test-topic --group my_test_2"),
        ],
        vec![
            groups("--describe --group my_test_1"),
            groups("--describe --group my_test_2"),
            groups("--delete --group unknown"),
        ],
        vec![
            consume("--topic test_topic_01 --group my_test_1 --max-messages 2"),
            groups("--delete --group my_test_2"),
        ],
    ]
}

fn find_offsets() -> Vec<Step> {
    vec![
        offsets("--topic multipart-topic"),
        offsets("--topic multipart-topic --time latest"),
        offsets("--topic multipart-topic --time earliest"),
        offsets("--topic multipart-topic --time 0"),
        offsets("--topic-partitions multipart-topic:1,test_topic_01:0 --time latest"),
        // One record: which of several has the greatest timestamp depends on the clock.
        offsets("--topic test-topic --time max-timestamp"),
        offsets("--topic test-topic --time 4102444800000"),
        offsets("--topic unknown --time latest"),
    ]
}

fn measure() -> [Vec<Step>; 2] {
    let performance = Step::new(
        "org.apache.kafka.tools.ProducerPerformance",
        "--topic measured --num-records 1000000 --record-size 100 --throughput -1",
    );
    let latency = Step::new(
        "org.apache.kafka.tools.EndToEndLatency",
        "--topic latency --num-records 500 --producer-acks all --record-size 100",
    );
    [
        vec![performance.deadline(Duration::from_secs(1200)).mask(Mask::Rates), latency.mask(Mask::Rates)],
        vec![offsets("--topic measured --time latest"), offsets("--topic latency --time latest")],
    ]
}

fn delete_topics() -> [Vec<Step>; 4] {
    [
        vec![
            topics("--delete --topic test_topic_01"),
            topics("--delete --topic unknown"),
            topics("--delete --topic unknown --if-exists"),
        ],
        vec![
            topics("--describe --topic test_topic_01"),
            // The steps above may have brought internal topics into being.
            topics("--list --exclude-internal"),
        ],
        vec![topics("--create --topic test_topic_01 --partitions 2")],
        vec![offsets("--topic test_topic_01 --time latest")],
    ]
}

#[test]
fn same_answers_as_apache_kafka() {
    compare(Kernel::Whole);
}

#[test]
fn same_answers_without_io_uring() {
    compare(Kernel::WithoutIoUring);
}

fn compare(kernel: Kernel) {
    let jars = Jars::fetched().unwrap();
    let options = LogmillOptions::new(env!("CARGO_BIN_EXE_logmill"));
    let logmill = Broker::logmill(LogmillOptions { kernel, ..options }).unwrap();
    let ours = thread::scope(|scope| {
        scope.spawn(|| apache(&jars));
        Transcript::of(&jars, logmill, &stages())
    });
    ours.assert_same_as(apache(&jars));
}

/// What Apache Kafka says, asked once for both tests.
fn apache(jars: &Jars) -> &'static Transcript {
    static APACHE: OnceLock<Transcript> = OnceLock::new();
    APACHE.get_or_init(|| {
        let options = ApacheOptions::new(jars.clone());
        let options = ApacheOptions { profile: JvmProfile::QuickStart, heap: "512m".into(), ..options };
        Transcript::of(jars, Broker::apache(options).unwrap(), &stages())
    })
}
