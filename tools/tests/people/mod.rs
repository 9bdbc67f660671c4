//! What people get of the tools of `logmill` against a broker, whichever it is.

pub(crate) mod files;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use logmill_bench::rig::Broker;

const TOPIC: &str = "people";
/// Of the first record that is sent.
const TIME: i64 = 1_700_000_000_000;

/// One run of `logmill`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `logmill` with arguments and a standard input.
pub(crate) fn logmill<S: AsRef<str>>(arguments: &[S], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmill"));
    command.args(arguments.iter().map(AsRef::as_ref));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A person at a broker, and what was said so far.
struct Person {
    bootstrap: String,
    said: Vec<String>,
}

impl Person {
    /// Runs a command, its words separated by blanks, and keeps what was said. What it printed.
    fn run(&mut self, command: &str, input: &str, code: i32) -> String {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--bootstrap", &self.bootstrap]);
        let Ran { code: ended, out, err } = logmill(&arguments, input);
        assert_eq!(ended, Some(code), "{command}: {out}{err}");
        let masked = masked(&out);
        self.said.push(format!("$ logmill {command}\n{masked}{err}"));
        out
    }
}

impl Person {
    /// Waits until every broker knows of a partition, which takes Apache Kafka a while.
    fn await_partition(&self, partition: i32) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let describe = ["topic", "describe", TOPIC, "--json", "--bootstrap", &self.bootstrap];
        loop {
            let told = logmill(&describe, "");
            let is_served = told.out.contains(&format!("{{\"partition\":{partition},"));
            if told.code == Some(0) && is_served && !told.out.contains("\"end_offset\":null") {
                return;
            }
            assert!(Instant::now() < deadline, "{told:?}");
        }
    }
}

/// Without ids of topics, which are random.
fn masked(text: &str) -> String {
    let mut parts = text.split("\"topic_id\":\"");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, behind) = part.split_once('"').unwrap();
        masked += "\"topic_id\":\"ID\"";
        masked += behind;
    }
    masked
}

/// Records with all that a record can have, as `consume --json` prints them but for their places.
fn records() -> Vec<String> {
    let contents = [
        r#""key":"plain","value":"value","headers":[]"#,
        r#""key":"ключ","value":"größe\n\"two lines\"\t\u0007","headers":[{"name":"trace","value":"id"}]"#,
        r#""key":null,"value":"no key","headers":[]"#,
        r#""key":"deleted","value":null,"headers":[{"name":"h","value":null},{"name":"h","value":""}]"#,
        r#""key":"","value":"","headers":[]"#,
        r#""key":{"base64":"/wD+"},"value":{"base64":"gICAgA=="},"headers":[{"name":"raw","value":{"base64":"/w=="}}]"#,
    ];
    let record = |(number, content): (i64, &&str)| format!("\"timestamp\":{},{content}", TIME + number);
    (0..).zip(contents.iter()).map(record).collect()
}

/// What stands in a line of JSON behind the place of a record.
fn content(line: &str) -> &str {
    let (_, content) = line.split_once("\"timestamp\":").unwrap();
    &line[line.len() - content.len() - "\"timestamp\":".len()..line.len() - 1]
}

/// Makes topics, produces, consumes, changes and deletes; what was said, which is the same of every broker.
pub(crate) fn story(broker: &Broker) -> Vec<String> {
    let mut person = Person { bootstrap: broker.bootstrap(), said: Vec::new() };
    topics(&mut person);
    round_trip(&mut person);
    places(&mut person);
    settings(&mut person);
    deletion(&mut person);
    person.said
}

fn topics(person: &mut Person) {
    let create =
        format!("topic create {TOPIC} --partitions 3 --replication-factor 1 --config retention.ms=-1");
    let made = person.run(&format!("{create} --json"), "", 0);
    assert!(made.starts_with("{\"topic\":\"people\",\"partitions\":3,\"replication_factor\":1,"), "{made}");
    person.run(&create, "", 1);
    person.run(&format!("{create} --if-not-exists --json"), "", 0);
    person.run("topic create wrong!", "", 1);
    person.run("topic create misconfigured --config retention.ms=soon", "", 1);
    person.await_partition(2);
    let checked = person.run("topic create only-asked --partitions 2 --validate-only --json", "", 0);
    assert!(checked.contains("could be made"), "{checked}");
    let listed = logmill(&["topic", "list", "--json", "--bootstrap", &person.bootstrap], "").out;
    let line = listed.lines().find(|line| line.contains("\"topic\":\"people\"")).unwrap();
    assert!(line.contains("\"partitions\":3,\"replication_factor\":1,\"internal\":false,"), "{line}");
    assert!(!listed.contains("only-asked"), "{listed}");
}

fn round_trip(person: &mut Person) {
    let records = records();
    let input: String = records.iter().map(|record| format!("{{{record}}}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let sent = format!("produce {TOPIC} --json-input --compression {codec} --partition 0 --json");
        let acknowledged = person.run(&sent, &input, 0);
        assert!(acknowledged.starts_with("{\"topic\":\"people\",\"partition\":0,"), "{acknowledged}");
        // How many batches it were depends on how fast the lines came.
        person.said.pop();
        let last = format!("consume {TOPIC} --partition 0 --offset -{} --until-end --json", records.len());
        let read = person.run(&last, "", 0);
        assert_eq!(read.lines().map(content).collect::<Vec<_>>(), records, "{codec}");
    }
    // Each key to the partition that Apache Kafka's clients choose for it.
    let keyed = "a-little-bit-long-string:a\na-little-bit-longer-string:b\n";
    person.run(&format!("produce {TOPIC} --key-separator : --acks 1"), keyed, 0);
    let read = person.run(&format!("consume {TOPIC} --partition 2 --until-end --key-separator :"), "", 0);
    assert_eq!(read, keyed);
    person.run(
        &format!(
            "produce {TOPIC} --partition 1 --line-headers --key-separator \\t --null NULL --header from=test"
        ),
        "a:1,b:\tkey\tvalue\n\tNULL\tNULL\n",
        0,
    );
    let read = person.run(
        &format!(
            "consume {TOPIC} --partition 1 --offset -2 --until-end --null - --format %p/%k/%K/%s/%S/%h\\n"
        ),
        "",
        0,
    );
    assert_eq!(read, "1/key/3/value/5/a=1,b=,from=test\n1/-/-1/-/-1/from=test\n");
    let large = "x".repeat(700_000);
    person.run(&format!("produce {TOPIC} --partition 2"), &format!("{large}\n{large}\nlast"), 0);
    let read = person.run(&format!("consume {TOPIC} --partition 2 --offset -3 --until-end"), "", 0);
    assert_eq!(read, format!("{large}\n{large}\nlast\n"));
    person.said.pop();
    person.run(&format!("produce {TOPIC} --json-input"), "{\"value\":7}\n", 1);
    person.run(&format!("produce {TOPIC} --partition 2"), &"y".repeat(2 << 20), 1);
    // How much is taken one of the brokers says, the other does not.
    let refused = person.said.pop().unwrap();
    assert!(refused.contains("\nlogmill: people-2: MESSAGE_TOO_LARGE"), "{refused}");
}

fn places(person: &mut Person) {
    let read = |offset: &str| format!("consume {TOPIC} --partition 0 --format %o, {offset}");
    assert_eq!(person.run(&read("--max-messages 3"), "", 0), "0,1,2,");
    assert_eq!(person.run(&read("--offset 28 --until-end"), "", 0), "28,29,");
    assert_eq!(person.run(&read("--offset -2 --until-end"), "", 0), "28,29,");
    assert_eq!(person.run(&read("--offset @1700000000003 --max-messages 1"), "", 0), "3,");
    assert_eq!(person.run(&read("--offset @2023-11-14T22:13:20.004Z --max-messages 1"), "", 0), "4,");
    assert_eq!(person.run(&read("--offset latest --timeout-ms 100"), "", 0), "");
    assert_eq!(person.run(&read("--offset 29 --max-messages 2 --timeout-ms 300"), "", 1), "29,");
    assert_eq!(person.run(&read("--committed --offset 28 --until-end"), "", 0), "28,29,");
    person.run(&read("--offset 31"), "", 1);
    person.run(&read("--partition 3"), "", 2);
    person.run("consume nothing", "", 1);
    person.run("produce nothing", "value", 1);
}

fn settings(person: &mut Person) {
    let described = person.run(&format!("topic describe {TOPIC} --json"), "", 0);
    assert!(described.contains("\"configs\":[\"retention.ms=-1\"]"), "{described}");
    assert!(described.contains("\"start_offset\":0,\"end_offset\":30,\"records\":30}"), "{described}");
    person.run("topic describe nothing", "", 1);
    let topic = format!("config describe --topic {TOPIC} --json");
    let settings = person.run(&topic, "", 0);
    assert_eq!(
        settings.lines().find(|line| line.contains("retention.ms")),
        Some("{\"key\":\"retention.ms\",\"value\":\"-1\",\"source\":\"topic\",\"read_only\":false}")
    );
    person.run("config describe --topic nothing", "", 1);
    person.run(&format!("topic alter {TOPIC} --partitions 2"), "", 1);
    person.run(&format!("topic alter {TOPIC} --partitions 4"), "", 0);
    person.await_partition(3);
    person.run(&format!("config alter --topic {TOPIC}"), "", 2);
    change(person, &topic);
}

/// A broker that cannot change settings says so; one that can shows the new value at once.
fn change(person: &mut Person, describe: &str) {
    let bootstrap = person.bootstrap.clone();
    let run = |command: &str| {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--bootstrap", &bootstrap]);
        logmill(&arguments, "")
    };
    let changed =
        run(&format!("config alter --topic {TOPIC} --set retention.ms=7200000 --set segment.ms=60000"));
    if changed.code == Some(1) {
        let lacks = "logmill: the broker does not serve IncrementalAlterConfigs: a newer one may\n";
        assert_eq!(changed.err, lacks);
        return;
    }
    assert_eq!(changed.code, Some(0), "{}", changed.err);
    let has = |setting: &str| run(describe).out.contains(setting);
    assert!(has("\"retention.ms\",\"value\":\"7200000\"") && has("\"segment.ms\",\"value\":\"60000\""));
    assert_eq!(run(&format!("config alter --topic {TOPIC} --delete segment.ms")).code, Some(0));
    assert!(!has("segment.ms"));
    let refused = run(&format!("config alter --topic {TOPIC} --set retention.ms=soon"));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("INVALID_CONFIG"), "{}", refused.err);
}

fn deletion(person: &mut Person) {
    person.run("topic create to-delete --partitions 1 --json", "", 0);
    person.run("topic delete to-delete", "", 0);
    person.run("topic delete to-delete", "", 1);
    person.run("topic delete to-delete --if-exists", "", 0);
}
