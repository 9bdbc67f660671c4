//! The rig itself: brokers start, fail to start, and leave nothing behind.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use logmill_bench::rig::{ApacheOptions, Broker, Error, Jars, JvmProfile, Tool, api_versions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Set for the copy of this program that is interrupted while it holds a broker: where to make it.
const HOLD_IN: &str = "RIG_TEST_HOLD_IN";

/// Set for the copies of this program that set up the rig at once.
const SET_UP: &str = "RIG_TEST_SET_UP";

fn quick(root: &Path) -> ApacheOptions {
    ApacheOptions {
        profile: JvmProfile::QuickStart,
        heap: "256m".into(),
        root: root.to_owned(),
        ..ApacheOptions::new(Jars::fetched().unwrap())
    }
}

/// What a broker occupies, noted while it runs.
struct Trace {
    pid: u32,
    address: SocketAddr,
    root: PathBuf,
}

impl Trace {
    fn of(broker: &Broker, root: &TempDir) -> Trace {
        Trace { pid: broker.pid().unwrap(), address: broker.address(), root: root.path().to_owned() }
    }

    fn assert_there(&self) {
        assert!(Path::new("/proc").join(self.pid.to_string()).exists());
        assert!(TcpListener::bind(self.address).is_err());
        assert_eq!(fs::read_dir(&self.root).unwrap().count(), 1);
    }

    fn assert_gone(&self) {
        assert!(!Path::new("/proc").join(self.pid.to_string()).exists(), "process {} is left", self.pid);
        self.assert_port_and_directory_gone();
    }

    fn assert_port_and_directory_gone(&self) {
        TcpListener::bind(self.address).expect("its port is free again");
        let left: Vec<_> = fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?} is left");
    }
}

#[test]
fn a_broker_serves_stops_and_keeps_its_data_until_dropped() {
    let root = tempfile::tempdir().unwrap();
    let jars = Jars::fetched().unwrap();
    let mut broker = Broker::apache(quick(root.path())).unwrap();
    let trace = Trace::of(&broker, &root);
    trace.assert_there();
    assert!(api_versions(broker.address()).unwrap().contains_key(&18));
    assert!(!broker.usage().unwrap().cpu().is_zero());
    let bootstrap = broker.bootstrap();
    let topics = |arguments: &[&str]| {
        let tool = Tool::new(&jars, "org.apache.kafka.tools.TopicCommand");
        tool.arguments(["--bootstrap-server", &bootstrap]).arguments(arguments.iter().copied()).run().unwrap()
    };
    assert_eq!(topics(&["--create", "--topic", "kept"]).stdout, "Created topic kept.\n");

    let status = broker.stop().unwrap().unwrap();
    assert_eq!(status.code(), Some(143), "a JVM that ends on SIGTERM");
    assert!(broker.stop().unwrap().is_none() && broker.usage().is_err());
    TcpListener::bind(trace.address).unwrap();
    assert!(broker.log_dir().join("kept-0").is_dir());
    broker.restart().unwrap();
    let listed = topics(&["--list"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "kept\n"));

    broker.kill();
    assert_eq!(broker.pid(), None);
    TcpListener::bind(trace.address).unwrap();
    drop(broker);
    trace.assert_gone();
}

#[test]
fn a_broker_that_fails_to_start_is_reported_with_the_end_of_its_log() {
    let root = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = format!("PLAINTEXT://{},CONTROLLER://127.0.0.1:1", taken.local_addr().unwrap());
    let properties = vec![("listeners".to_owned(), listeners)];
    let Err(error) = Broker::apache(ApacheOptions { properties, ..quick(root.path()) }) else {
        panic!("started on a port that is taken");
    };
    assert!(matches!(error, Error::Failed { .. }));
    let text = error.to_string();
    assert!(text.starts_with("Apache Kafka ended at its start"), "{text}");
    assert!(text.contains("java.net.BindException"), "{text}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_property_that_kafka_refuses_is_reported_with_its_message() {
    let root = tempfile::tempdir().unwrap();
    let properties = vec![("num.partitions".to_owned(), "many".to_owned())];
    let Err(error) = Broker::apache(ApacheOptions { properties, ..quick(root.path()) }) else {
        panic!("started with a number of partitions that is none");
    };
    assert!(error.to_string().contains("num.partitions"), "{error}");
}

#[test]
fn a_broker_goes_with_a_holder_that_panics() {
    let root = tempfile::tempdir().unwrap();
    let broker = Broker::apache(quick(root.path())).unwrap();
    let trace = Trace::of(&broker, &root);
    trace.assert_there();
    let unwound = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _held = broker;
        panic!("as a failing test does");
    }));
    assert!(unwound.is_err());
    trace.assert_gone();
}

#[test]
fn a_tool_that_does_not_end_is_killed_at_its_deadline() {
    let jars = Jars::fetched().unwrap();
    // It waits for a broker that is not there.
    let error = Tool::new(&jars, "org.apache.kafka.tools.consumer.ConsoleConsumer")
        .arguments(["--bootstrap-server", "127.0.0.1:1", "--topic", "t", "--partition", "0"])
        .deadline(Duration::from_secs(2))
        .run()
        .unwrap_err();
    assert!(error.to_string().contains("did not end within 2s"), "{error}");
}

/// The part of the next test that runs in several processes.
#[test]
fn set_up_in_several_threads() {
    if env::var_os(SET_UP).is_none() {
        return;
    }
    const THREADS: usize = 4;
    let barrier = Barrier::new(THREADS);
    let set_up = || {
        barrier.wait();
        let jars = Jars::fetched().unwrap();
        barrier.wait();
        // Fails at once, but not before Java has been asked for it.
        assert_eq!(Tool::new(&jars, "no.such.Tool").run().unwrap().code, 1);
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| _ = scope.spawn(set_up)));
}

#[test]
fn processes_that_start_beside_an_empty_target_directory_share_one_set_up() {
    let target = tempfile::tempdir().unwrap();
    let copy = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "set_up_in_several_threads", "--nocapture"]);
        command.env(SET_UP, "").env("CARGO_TARGET_DIR", target.path()).spawn().unwrap()
    };
    let copies = [copy(), copy(), copy()];
    assert!(copies.map(|mut copy| copy.wait().unwrap().success()).iter().all(|&is_well| is_well));
}

/// The part of the next two tests that runs in a process of its own.
#[test]
fn hold_a_broker_until_interrupted() {
    let Some(root) = env::var_os(HOLD_IN) else { return };
    let broker = Broker::apache(quick(Path::new(&root))).unwrap();
    println!("\nholding {} {}", broker.pid().unwrap(), broker.address());
    loop {
        thread::park();
    }
}

/// Runs `hold_a_broker_until_interrupted` in its own process, ends that with `signal`, and returns its exit
/// code and what its broker occupied.
fn interrupt_a_holder(root: &TempDir, signal: Signal) -> (Option<i32>, Trace) {
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_a_broker_until_interrupted", "--nocapture"])
        .env(HOLD_IN, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let holding = lines.map(Result::unwrap).find(|line| line.starts_with("holding ")).unwrap();
    let words: Vec<&str> = holding.split(' ').collect();
    let trace = Trace {
        pid: words[1].parse().unwrap(),
        address: words[2].parse().unwrap(),
        root: root.path().to_owned(),
    };
    trace.assert_there();
    kill_process(Pid::from_child(&holder), signal).unwrap();
    (holder.wait().unwrap().code(), trace)
}

#[test]
fn a_broker_goes_when_its_holder_is_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let (code, trace) = interrupt_a_holder(&root, Signal::INT);
    assert_eq!(code, Some(130));
    trace.assert_gone();
}

#[test]
fn a_broker_goes_when_its_holder_is_killed_and_the_next_run_removes_its_directory() {
    let root = tempfile::tempdir().unwrap();
    let (code, trace) = interrupt_a_holder(&root, Signal::KILL);
    assert_eq!(code, None);
    await_end(trace.pid);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    // Refused before anything is started: making its directory is what sweeps.
    let properties = vec![("num.partitions".to_owned(), "many".to_owned())];
    Broker::apache(ApacheOptions { properties, ..quick(root.path()) }).err().unwrap();
    trace.assert_port_and_directory_gone();
}

/// An orphan is reaped by init, or never: ended is enough.
fn await_end(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "process {pid} outlives its holder");
        thread::sleep(Duration::from_millis(5));
    }
}
