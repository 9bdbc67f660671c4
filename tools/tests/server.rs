//! `logmill server` as a person meets it: what it prints, what it refuses, how it ends.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use logmill_bench::rig::{Broker, Kernel, LogmillOptions};
use rustix::process::{Pid, Signal, kill_process};

const ANY_PORT: &str = "listeners=PLAINTEXT://127.0.0.1:0";

/// A `logmill` in a directory of its own.
fn logmill(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmill"));
    command.args(arguments).current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A broker that serves, and what it said until then.
fn serving(dir: &Path, arguments: &[&str]) -> (Child, Vec<String>) {
    serving_as(&mut logmill(dir, arguments))
}

fn serving_as(command: &mut Command) -> (Child, Vec<String>) {
    let mut child = command.spawn().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        said.push(line.unwrap());
        if said.last().unwrap().contains("listening on") {
            return (child, said);
        }
    }
    panic!("it ended with {}: {said:#?}", child.wait().unwrap());
}

fn terminate(mut child: Child, signal: Signal) -> ExitStatus {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap()
}

/// Runs one that ends by itself; whether it ended well, and what it said.
fn ended(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let output = logmill(dir, arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn without_a_file_it_keeps_its_data_in_data_and_ends_well_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let (child, said) = serving(dir.path(), &["server", "--override", ANY_PORT]);
        assert!(dir.path().join("data/meta.properties").exists(), "{said:#?}");
        assert_eq!(terminate(child, signal).code(), Some(0));
    }
}

#[test]
fn one_that_logs_nothing_serves_until_a_signal_comes() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let mut command = logmill(dir.path(), &["server", "--override", &listeners]);
    let child = Killed(Some(command.env("LOGMILL_LOG", "off").spawn().unwrap()));
    let deadline = Instant::now() + Duration::from_secs(60);
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "nobody listens: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    ask_versions(&stream);
    assert_eq!(terminate(child.take(), Signal::TERM).code(), Some(0));
}

#[test]
fn a_clean_stop_is_marked_and_the_mark_is_gone_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("data/.kafka_cleanshutdown");
    for _ in 0..2 {
        let (child, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
        assert!(!mark.exists());
        terminate(child, Signal::TERM);
        assert!(mark.exists());
    }
    let (child, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    terminate(child, Signal::KILL);
    assert!(!mark.exists(), "a killed broker leaves no mark");
}

#[test]
fn a_restart_keeps_the_cluster_id() {
    let dir = tempfile::tempdir().unwrap();
    let read = || std::fs::read(dir.path().join("data/meta.properties")).unwrap();
    let (first, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    let before = read();
    terminate(first, Signal::TERM);
    let (second, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    assert_eq!(read(), before);
    terminate(second, Signal::TERM);
}

#[test]
fn where_direct_io_is_refused_each_start_says_so_in_one_line_for_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let dirs = ["a", "b"].map(|name| root.path().join(name).display().to_string());
    let options = LogmillOptions::new(env!("CARGO_BIN_EXE_logmill"));
    let mut broker = Broker::logmill(LogmillOptions {
        properties: [("log.dirs", dirs.join(",")), ("logmill.shards", "3".into())]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        root: root.path().to_owned(),
        kernel: Kernel::WithoutDirectIo,
        ..options
    })
    .unwrap();
    for starts in 1..3 {
        let log = std::fs::read_to_string(broker.log_file()).unwrap();
        for dir in &dirs {
            let line =
                format!("{dir}: no direct I/O on its file system: the journal and recovery go through");
            assert_eq!(log.matches(&line).count(), starts, "{log}");
        }
        broker.kill();
        broker.restart().unwrap();
    }
}

#[test]
fn a_port_that_somebody_listens_on_is_refused_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let listeners = format!("listeners=PLAINTEXT://{}", taken.local_addr().unwrap());
    let (is_well, said) = ended(dir.path(), &["server", "--override", &listeners]);
    assert!(!is_well && said.contains("cannot listen on PLAINTEXT://127.0.0.1:"), "{said}");
}

#[test]
fn a_second_broker_keeps_out_of_the_first_ones_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    let (is_well, said) = ended(dir.path(), &["server", "--override", ANY_PORT]);
    assert!(!is_well && said.contains("is in use: another broker holds the lock"), "{said}");
    terminate(first, Signal::TERM);
}

#[test]
fn beside_a_metadata_log_of_apache_kafkas_a_clean_stop_lets_it_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let metadata_log = data.join("__cluster_metadata-0");
    for known_to_apache in [true, false] {
        if known_to_apache {
            std::fs::create_dir_all(&metadata_log).unwrap();
        } else {
            std::fs::remove_dir_all(&metadata_log).unwrap();
        }
        let (broker, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
        assert!(data.join("logmill.unclean").exists() && data.join("logmill.journal.0.0").exists());
        terminate(broker, Signal::TERM);
        let is_in_the_way = data.join("logmill.unclean").exists();
        assert_eq!(
            (is_in_the_way, data.join("logmill.journal.0.0").exists()),
            (!known_to_apache, !known_to_apache)
        );
        assert!(data.join(".kafka_cleanshutdown").exists());
        if known_to_apache {
            assert_eq!(std::fs::read_dir(&metadata_log).unwrap().count(), 0, "nothing was written there");
        }
    }
}

#[test]
fn log_recover_makes_a_killed_brokers_directory_whole_without_serving() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("__cluster_metadata-0")).unwrap();
    let (broker, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    terminate(broker, Signal::KILL);
    assert!(data.join("logmill.unclean").exists() && !data.join(".kafka_cleanshutdown").exists());
    let (is_well, said) = ended(dir.path(), &["log", "recover", "--log-dirs", "data"]);
    assert!(is_well, "{said}");
    assert!(!data.join("logmill.unclean").exists() && data.join(".kafka_cleanshutdown").exists());
}

#[test]
fn what_is_wrong_with_the_settings_is_said_all_at_once_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = ["server", "--override", "num.partitions=0", "--override", "logmill.shards=many"];
    let (is_well, said) = ended(dir.path(), &wrong);
    assert!(!is_well && said.contains("num.partitions") && said.contains("logmill.shards"), "{said}");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let dir = tempfile::tempdir().unwrap();
    let (child, said) =
        serving(dir.path(), &["server", "--override", ANY_PORT, "--override", "num.partition=3"]);
    let warning = said.iter().find(|line| line.contains("WARN") && line.contains("num.partition"));
    assert!(warning.is_some_and(|line| line.contains("num.partitions")), "{said:#?}");
    terminate(child, Signal::TERM);
}

#[test]
fn a_second_signal_ends_it_as_well_as_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (child, _) = serving(dir.path(), &["server", "--override", ANY_PORT]);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(terminate(child, Signal::TERM).code(), Some(0));
    assert!(dir.path().join("data/.kafka_cleanshutdown").exists());
}

#[test]
fn with_no_descriptors_left_connections_wait_and_are_served_when_others_have_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100; exec \"$0\" server --override \"$1\" --override logmill.shards=2"]);
    command.args([env!("CARGO_BIN_EXE_logmill"), ANY_PORT]);
    let (child, said) = serving_as(command.current_dir(dir.path()).stderr(Stdio::piped()));
    let child = Killed(Some(child));
    let port: u16 = said.last().unwrap().rsplit(':').next().unwrap().trim().parse().unwrap();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    // More than the broker has descriptors for, and fewer than it takes and each shard's backlog of 50 hold
    // together, however the kernel deals them out: behind a full backlog a connect waits for minutes.
    let held: Vec<TcpStream> = (0..101).map(|_| connect()).collect();
    ask_versions(&held[0]);
    let late = connect();
    drop(held);
    ask_versions(&late);
    assert_eq!(terminate(child.take(), Signal::TERM).code(), Some(0));
}

/// A child that does not outlive a test that fails.
struct Killed(Option<Child>);

impl Killed {
    fn take(mut self) -> Child {
        self.0.take().unwrap()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// ApiVersions, version 0: header and nothing else.
fn ask_versions(mut stream: &TcpStream) {
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7]);
}
