//! Every family of Kafka clients, unmodified, makes topics, produces with every codec and every acks,
//! reads the same records back and shares them in groups: the programs of bench/clients. Each test sets its clients up itself, below
//! `target/clients`; `cargo ci clients` runs them.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logmill_bench::rig::{Broker, Jars, Kernel, LogmillOptions};

/// Combinations of five codecs and three acks.
const COMBINATIONS: u32 = 15;

/// A broker as it starts by itself, and one with plain system calls where the kernel refuses io_uring.
fn brokers() -> [Broker; 2] {
    let mut options = LogmillOptions::new(env!("CARGO_BIN_EXE_logmill"));
    options.properties.push(("group.initial.rebalance.delay.ms".to_owned(), "100".to_owned()));
    // Of topics that are made on the way; the programs that make their own ask for as many.
    options.properties.push(("num.partitions".to_owned(), "2".to_owned()));
    let mut without_ring = options.clone();
    without_ring.properties.push(("logmill.io".to_owned(), "syscalls".to_owned()));
    without_ring.kernel = Kernel::WithoutIoUring;
    [options, without_ring].map(|options| Broker::logmill(options).unwrap())
}

/// Where the programs are.
fn programs(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/clients").join(family)
}

/// Where a family is set up.
fn set_up_in(family: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../clients").join(family);
    fs::create_dir_all(&directory).unwrap();
    directory.canonicalize().unwrap()
}

/// Both Python families have one environment.
fn python_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end, which must be a good one; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{errors}", output.status);
    printed
}

/// Runs a program against each broker, by the arguments that it takes. Its last line says that everything held.
fn check(family: &str, command: impl Fn(&str) -> Command) {
    for broker in brokers() {
        let printed = run(&mut command(&broker.bootstrap()));
        assert_eq!(printed.lines().last(), Some(format!("{family}: {COMBINATIONS} combinations").as_str()));
    }
}

fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The Python of an environment with the packages that are pinned.
fn python() -> PathBuf {
    let _lock = python_lock();
    let environment = set_up_in("python");
    let python = environment.join("bin/python");
    let wanted = fs::read_to_string(programs("python").join("requirements.txt")).unwrap();
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).ok().as_deref() != Some(wanted.as_str()) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        let requirements = programs("python").join("requirements.txt");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
        fs::write(&installed, wanted).unwrap();
    }
    python
}

fn check_python(family: &str, program: &str) {
    let python = python();
    let program = programs("python").join(program);
    // Nothing is written beside the sources.
    check(family, |bootstrap| command(&python, &["-B", program.to_str().unwrap(), bootstrap]));
}

fn check_go(family: &str) {
    let program = set_up_in(family).join("program");
    run(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(programs(family)));
    check(family, |bootstrap| command(&program, &[bootstrap]));
}

#[test]
#[ignore = "needs Python and packages: cargo ci clients"]
fn librdkafka_reads_what_it_wrote() {
    check_python("librdkafka", "librdkafka.py");
}

#[test]
#[ignore = "needs Python and packages: cargo ci clients"]
fn kafka_python_reads_what_it_wrote() {
    check_python("kafka-python", "kafka_python.py");
}

#[test]
#[ignore = "needs Go and modules: cargo ci clients"]
fn franz_go_reads_what_it_wrote() {
    check_go("franz-go");
}

#[test]
#[ignore = "needs Go and modules: cargo ci clients"]
fn sarama_reads_what_it_wrote() {
    check_go("sarama");
}

#[test]
#[ignore = "needs Java and Maven: cargo ci clients"]
fn java_reads_what_it_wrote() {
    let jars = Jars::fetched().unwrap();
    let libs = jars.jar("kafka-clients").unwrap().parent().unwrap();
    let classes = set_up_in("java");
    let class_path = format!("{}/*:{}", libs.display(), classes.display());
    let source = programs("java").join("RoundTrip.java");
    run(Command::new("javac").args(["-cp", &class_path, "-d"]).arg(&classes).arg(source));
    check("Java", |bootstrap| command("java", &["-cp", &class_path, "RoundTrip", bootstrap]));
}

#[test]
#[ignore = "needs crates and a C compiler: cargo ci clients"]
fn rdkafka_reads_what_it_wrote() {
    let target = set_up_in("rdkafka");
    let manifest = programs("rdkafka").join("Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command(cargo, &["build", "--quiet", "--locked", "--manifest-path"]);
    run(build.arg(manifest).arg("--target-dir").arg(&target));
    let program = target.join("debug/round-trip");
    check("rdkafka", |bootstrap| command(&program, &[bootstrap]));
}

#[test]
#[ignore = "needs kcat: cargo test --workspace --test clients kcat -- --ignored"]
fn kcat_reads_what_it_wrote() {
    let program = programs("kcat").join("round-trip.sh");
    check("kcat", |bootstrap| command(&program, &[bootstrap]));
}
