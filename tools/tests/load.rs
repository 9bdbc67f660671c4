//! `logmill bench run` against running brokers: what it counts, what it notices, how it ends.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::MetadataRequest;
use logmill_bench::load::{Acks, Codec, Keys, LoadError, Outcome, Phase, Rate, Target, Workload, run};
use logmill_bench::rig::{ApacheOptions, Broker, Connection, Jars, JvmProfile, LogmillOptions};
use rustix::process::{Pid, Signal, kill_process};

const LOGMILL: &str = env!("CARGO_BIN_EXE_logmill");
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn logmill(root: &Path) -> Broker {
    Broker::logmill(LogmillOptions { root: root.to_owned(), ..LogmillOptions::new(LOGMILL) }).unwrap()
}

fn target(broker: &Broker) -> Target {
    Target { bootstrap: vec![broker.bootstrap()], pid: broker.pid(), ..Target::default() }
}

/// A small one with a number of messages.
fn messages(messages: u64) -> Workload {
    Workload {
        messages: Some(messages),
        warm_up_s: 0.0,
        producers: 2,
        consumers: 2,
        partitions: 4,
        ..Workload::default()
    }
}

fn run_on(broker: &Broker, workload: &Workload) -> Outcome {
    run(workload, &target(broker), |_| {}).unwrap()
}

fn topics(broker: &Broker) -> Vec<String> {
    let mut connection = Connection::open(broker.address(), Duration::from_secs(30)).unwrap();
    let response = connection.ask(9, &MetadataRequest::default().with_topics(None)).unwrap();
    response.topics.iter().map(|topic| topic.name.as_ref().unwrap().to_string()).collect()
}

/// Runs every codec with every kind of acknowledgement, and says what is wrong with the figures.
fn every_codec_and_acks(broker: &Broker, count: u64) {
    for codec in CODECS {
        for acks in [Acks::Zero, Acks::One, Acks::All] {
            let mut workload = Workload { codec, acks, ..messages(count) };
            workload.fetch.check_crc = true;
            let outcome = run_on(broker, &workload);
            let what = format!("{codec:?} {acks:?}: {:?}, {:?}", outcome.totals, outcome.remarks);
            assert_eq!((outcome.published.messages, outcome.consumed.messages), (count, count), "{what}");
            assert_eq!(outcome.publish_latency.count(), count, "{what}");
            assert_eq!(outcome.end_to_end_latency.count(), count, "{what}");
            // What is half random and half zeros is smaller when it is compressed.
            let is_smaller = outcome.published.batch_bytes < outcome.published.bytes;
            assert_eq!(is_smaller, codec != Codec::None, "{what}");
            let seconds_max_ms = 60_000.0;
            assert!(outcome.end_to_end_latency.max_ms() < seconds_max_ms, "{what}");
        }
    }
    assert_eq!(topics(broker), [""; 0], "its topics are deleted");
}

#[test]
fn what_is_sent_is_read_with_every_codec_and_acks() {
    let root = tempfile::tempdir().unwrap();
    every_codec_and_acks(&logmill(root.path()), 1_000);
}

#[test]
fn apache_kafka_is_loaded_alike() {
    let root = tempfile::tempdir().unwrap();
    let broker = Broker::apache(ApacheOptions {
        profile: JvmProfile::QuickStart,
        heap: "256m".into(),
        root: root.path().to_owned(),
        ..ApacheOptions::new(Jars::fetched().unwrap())
    });
    let broker = broker.unwrap();
    every_codec_and_acks(&broker, 300);
    let rate = Workload { rate: Rate::MessagesPerS(2_000.0), keys: Keys::Random, ..messages(1_000) };
    assert_eq!(run_on(&broker, &rate).consumed.messages, 1_000);
}

#[test]
fn keys_fan_out_topics_and_small_values_all_arrive() {
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    let base = Workload { topics: 2, ..messages(3_000) };
    for (workload, read) in [
        (Workload { keys: Keys::Random, ..base.clone() }, 3_000),
        (Workload { keys: Keys::RoundRobin, codec: Codec::Zstd, ..base.clone() }, 3_000),
        (Workload { subscriptions: 3, rate: Rate::BytesPerS(3e6), ..base.clone() }, 9_000),
        // Too small for a timestamp of its own.
        (Workload { message_bytes: 5, batch_bytes: 1_000, linger_ms: 0.0, ..base.clone() }, 3_000),
        (Workload { message_bytes: 100_000, ..base.clone() }, 3_000),
    ] {
        let outcome = run_on(&broker, &workload);
        assert_eq!((outcome.published.messages, outcome.consumed.messages), (3_000, read), "{workload:?}");
        assert_eq!(outcome.end_to_end_latency.count(), read, "{workload:?}");
        let json = serde_json::to_string(&outcome).unwrap();
        let back: Outcome = serde_json::from_str(&json).unwrap();
        assert_eq!((&back.workload, &back.totals), (&outcome.workload, &outcome.totals));
        assert_eq!(back.publish_latency, outcome.publish_latency);
        assert_eq!(back.end_to_end_latency, outcome.end_to_end_latency);
    }
}

#[test]
fn a_backlog_is_read_alone_beside_producers_and_where_it_lies() {
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    // 1,000 messages a topic.
    let backlog =
        Workload { topics: 2, backlog_bytes: 1_024_000, topic: Some("backlog".into()), ..messages(500) };
    let beside = run_on(&broker, &backlog);
    assert_eq!((beside.published.messages, beside.consumed.messages), (500, 2_500));
    // What lay there has waited for its readers, not for the broker.
    assert_eq!(beside.end_to_end_latency.count(), 500);
    let alone = Workload { producers: 0, messages: None, subscriptions: 2, keep: true, ..backlog };
    let kept = run_on(&broker, &alone);
    assert_eq!((kept.published.messages, kept.consumed.messages), (0, 4_000));
    assert!(kept.backlog_drained_s.is_some(), "{kept:?}");
    let existing = Workload { existing: true, backlog_bytes: 0, subscriptions: 1, ..alone };
    assert_eq!(run_on(&broker, &existing).consumed.messages, 2_000);
    assert_eq!(topics(&broker).len(), 2, "they are kept");
}

#[test]
fn a_stall_is_in_the_latency_of_every_message_that_it_held_up() {
    const RATE: f64 = 2_000.0;
    const STALL_S: f64 = 0.6;
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    let pid = Pid::from_raw(broker.pid().unwrap() as i32).unwrap();
    let workload =
        Workload { rate: Rate::MessagesPerS(RATE), messages: None, duration_s: 2.0, ..messages(1) };
    let mut stalled = false;
    let outcome = run(&workload, &target(&broker), |progress| {
        // After the first second. The load goes on in threads of its own.
        if progress.phase == Phase::Measured && !stalled {
            stalled = true;
            kill_process(pid, Signal::STOP).unwrap();
            thread::sleep(Duration::from_secs_f64(STALL_S));
            kill_process(pid, Signal::CONT).unwrap();
        }
    });
    let outcome = outcome.unwrap();
    // Two producers with five requests in flight each would have noticed it ten times, had they waited for answers.
    let half_s = STALL_S / 2.0;
    for latency in [&outcome.publish_latency, &outcome.end_to_end_latency] {
        let held_up = latency.count_above_ms(half_s * 1000.0) as f64;
        assert!(held_up >= 0.95 * RATE * half_s, "{held_up} of {latency:?}");
    }
    assert!(outcome.publish_latency.max_ms() >= STALL_S * 1000.0 * 0.95, "{:?}", outcome.publish_latency);
    assert_eq!(outcome.totals.acknowledged, outcome.publish_latency.count(), "{:?}", outcome.totals);
}

#[test]
fn what_is_used_is_accounted_to_client_and_broker() {
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    let workload =
        Workload { messages: Some(100_000), message_bytes: 4_096, batch_bytes: 65_536, ..messages(1) };
    let outcome = run_on(&broker, &workload);
    let process = outcome.process.unwrap();
    assert!(process.cpu_s() > 0.0 && process.resident_max_bytes > 1 << 20, "{process:?}");
    assert!(process.voluntary_switches.unwrap() > 0 && process.write_calls.unwrap() > 0, "{process:?}");
    assert!(outcome.client.cpu_s > 0.0 && outcome.client.cpu_s_per_gb > 0.0, "{:?}", outcome.client);
}

fn bench_run(bootstrap: &str, arguments: &[&str]) -> Output {
    Command::new(LOGMILL)
        .args(["bench", "run", "--bootstrap", bootstrap, "--quiet"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn what_cannot_be_run_says_why_and_ends_with_a_code_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    let bootstrap = broker.bootstrap();
    let few = ["--messages", "10"];
    let kept = bench_run(&bootstrap, &[&few[..], &["--topic", "taken", "--keep"]].concat());
    assert!(kept.status.success(), "{kept:?}");
    for (bootstrap, arguments, code, said) in [
        // Nobody listens on the port of echo in a test machine.
        ("127.0.0.1:7", &few[..], 3, "no broker answers at 127.0.0.1:7"),
        (&bootstrap, &["--topic", "taken"], 4, "TopicAlreadyExists"),
        (&bootstrap, &["--topic", "absent", "--existing"], 4, "UnknownTopicOrPartition"),
        (&bootstrap, &["--replication-factor", "7"], 4, "InvalidReplicationFactor"),
        (
            &bootstrap,
            &["--messages", "10", "--message-bytes", "5000", "--topic-config", "max.message.bytes=1000"],
            4,
            "MessageTooLarge",
        ),
        (&bootstrap, &["--acks", "1", "--idempotence", "true"], 2, "idempotence needs acks=all"),
        (&bootstrap, &["--workload", "no-such-file.yaml"], 1, "no-such-file.yaml"),
    ] {
        let output = bench_run(bootstrap, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{said} is not in: {text}");
    }
    assert_eq!(topics(&broker), ["taken"], "those of failed runs are deleted");
    let error =
        run(&Workload { partitions: 0, ..Workload::default() }, &target(&broker), |_| {}).unwrap_err();
    assert!(matches!(error, LoadError::Workload(_)), "{error:?}");
}

#[test]
fn ctrl_c_ends_it_with_the_figures_so_far_and_deletes_its_topic() {
    let root = tempfile::tempdir().unwrap();
    let broker = logmill(root.path());
    let json = root.path().join("figures.json");
    let mut child = Command::new(LOGMILL)
        .args(["bench", "run", "--bootstrap", &broker.bootstrap(), "--rate", "1000", "--warm-up", "0"])
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The introduction, the head of the columns, and the first second.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    for _ in 0..3 {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
    }
    let interrupted = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    // Not the 30 seconds that it would have run.
    assert!(interrupted.elapsed() < Duration::from_secs(20));
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("interrupted") && text.contains("end to end"), "{text}");
    let outcome: Outcome = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert!(outcome.interrupted && outcome.published.messages >= 500, "{:?}", outcome.published);
    assert_eq!(topics(&broker), [""; 0]);
}
