//! What Apache Kafka wrote, read here.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use logmill_bench::rig::{ApacheOptions, Broker, Jars, JvmProfile};
use logmill_engine::partition::directory;

use crate::dumped::dump;
use crate::support::open::{TOPIC, config, known, open, producers_at};
use crate::support::tell::{MAX_TIMESTAMP, Told, tell};
use crate::{disk, names, temporary};

/// `Partition.java`, compiled.
struct Program {
    classes: tempfile::TempDir,
    class_path: String,
}

impl Program {
    fn compiled(jars: &Jars) -> Program {
        let classes = temporary();
        let libs = jars.jar("kafka-clients").unwrap().parent().unwrap();
        let class_path = format!("{}/*:{}", libs.display(), classes.path().display());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/directories/Partition.java");
        let mut javac = Command::new("javac");
        run(javac.args(["-cp", &class_path, "-d"]).arg(classes.path()).arg(source));
        Program { classes, class_path }
    }

    /// What it prints.
    fn run(&self, what: &str, broker: &Broker, begin_ms: i64) -> String {
        assert!(self.classes.path().exists());
        let mut java = Command::new("java");
        let flags =
            ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path, "Partition", what];
        run(java.args(flags).arg(broker.bootstrap()).arg(begin_ms.to_string()))
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Apache Kafka on one partition of each internal topic.
fn apache(jars: &Jars, root: &Path) -> Broker {
    let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let options = ApacheOptions {
        profile: JvmProfile::QuickStart,
        heap: "256m".into(),
        root: root.to_owned(),
        properties: vec![
            setting("transaction.state.log.num.partitions", "1"),
            setting("offsets.topic.num.partitions", "1"),
            setting("log.flush.offset.checkpoint.interval.ms", "1000"),
        ],
        ..ApacheOptions::new(jars.clone())
    };
    Broker::apache(options).unwrap()
}

/// What of a log directory's own files a start looks at.
const LOG_DIR_FILES: [&str; 3] =
    [".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"];

/// Copies what a log directory has of the partition, as a process that starts finds it.
fn copy(log_dir: &Path, to: &Path) {
    let partition = directory::name(TOPIC, 0);
    fs::create_dir_all(to.join(&partition)).unwrap();
    for name in LOG_DIR_FILES.iter().filter(|name| log_dir.join(name).exists()) {
        fs::copy(log_dir.join(name), to.join(name)).unwrap();
    }
    for entry in fs::read_dir(log_dir.join(&partition)).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(&partition).join(entry.file_name())).unwrap();
    }
}

/// Opens a copy of what a broker left, and says what readers are told, producers included.
fn told_here(log_dir: &Path, was_clean: bool, times: &[i64], now_ms: i64) -> Told {
    let copied = temporary();
    copy(log_dir, copied.path());
    let (disk, dir) = (disk(), copied.path().join(directory::name(TOPIC, 0)));
    let known = known(&*disk, copied.path()).unwrap();
    assert_eq!(known.was_clean, was_clean);
    if was_clean {
        // What is known of producers is read from the log here, and compared with what the snapshot said.
        let snapshots = names(&dir, ".snapshot");
        fs::remove_file(dir.join(snapshots.last().unwrap())).unwrap();
    }
    let mut partition = open(&disk, copied.path(), &known, config(1 << 30), now_ms).unwrap();
    let mut told = tell(&mut partition, times).unwrap();
    let (mut partition, mut cache) = partition;
    partition.stop(&mut cache).unwrap();
    told.producers = producers_at(&*disk, &dir, told.end);
    told
}

/// The times that the program asked for.
fn times(told: &str) -> Vec<i64> {
    let asked = told.lines().filter_map(|line| line.strip_prefix("time ")?.split(' ').next());
    asked.map(|time| time.parse().unwrap()).collect()
}

fn begin_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 - 10_000
}

#[test]
fn what_apache_kafka_wrote_is_told_alike_after_a_clean_stop_and_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let jars = Jars::fetched().unwrap();
    let program = Program::compiled(&jars);
    let begin_ms = begin_ms();
    let mut broker = apache(&jars, root.path());
    program.run("write", &broker, begin_ms);
    let told = program.run("tell", &broker, begin_ms);
    let times = times(&told);
    let lines = |what: &str| told.lines().filter(|line| line.starts_with(what)).count();
    assert!(lines("all ") > 100 && lines("producer ") > 10 && times.contains(&MAX_TIMESTAMP), "{told}");
    assert!(lines("committed ") > 20 && lines("committed ") < lines("all "), "{told}");

    broker.kill();
    let log_dir = broker.log_dir();
    let dir = log_dir.join(directory::name(TOPIC, 0));
    assert!(names(&dir, ".log").len() > 5);
    let killed = told_here(&log_dir, false, &times, begin_ms);
    assert_eq!(killed.to_string(), told, "after a kill");

    broker.restart().unwrap();
    assert_eq!(program.run("tell", &broker, begin_ms), told, "Apache Kafka itself after a kill");
    broker.stop().unwrap();
    // Its tool has nothing else to say of its own segments than of ours.
    dump(&jars, &dir, &names(&dir, ".log"), &["--deep-iteration"]);
    let stopped = told_here(&log_dir, true, &times, begin_ms);
    assert_eq!(stopped.to_string(), told, "after a clean stop");
    assert_eq!(producers_at(&*disk(), &dir, stopped.end), stopped.producers, "Apache Kafka's snapshot");
}

#[test]
#[ignore = "adds directories to the repository: docs/FORMAT.md"]
fn write_golden_directories_of_apache_kafka() {
    let name = std::env::var("LOGMILL_GOLDEN").expect("LOGMILL_GOLDEN is the new directories' name");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden/directories");
    let root = tempfile::tempdir().unwrap();
    let jars = Jars::fetched().unwrap();
    let program = Program::compiled(&jars);
    let begin_ms = begin_ms();
    let mut broker = apache(&jars, root.path());
    program.run("write", &broker, begin_ms);
    let told = format!("now {begin_ms}\n{}", program.run("tell", &broker, begin_ms));
    let add = |broker: &Broker, kind: &str| {
        let set = golden.join(format!("{name}-apache-{kind}"));
        fs::create_dir(&set).unwrap_or_else(|error| panic!("{}: {error}", set.display()));
        copy(&broker.log_dir(), &set.join("log"));
        fs::write(set.join("told.txt"), &told).unwrap();
    };
    broker.kill();
    add(&broker, "killed");
    broker.restart().unwrap();
    broker.stop().unwrap();
    add(&broker, "clean");
}
