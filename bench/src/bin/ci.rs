//! `cargo ci`: everything that must hold before a change is taken, as groups of commands.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

/// One part of the whole, run by its name or with all the others.
struct Group {
    name: &'static str,
    /// What a failure means.
    claim: &'static str,
    /// From an empty cache on two cores; all groups together stay within [`MINUTES_MAX`].
    minutes: u32,
    needs: &'static [Program],
    steps: &'static [Step],
}

/// A cargo command.
struct Step {
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// Something that has to be installed.
struct Program {
    /// A command that succeeds when it is.
    probe: &'static [&'static str],
    /// How a Debian machine gets it.
    install: &'static str,
}

/// Somebody waits for the whole.
const MINUTES_MAX: u32 = 40;
const _: () = assert!(minutes() <= MINUTES_MAX);

const RUSTFMT: Program =
    Program { probe: &["cargo", "fmt", "--version"], install: "rustup component add rustfmt" };
const CLIPPY: Program =
    Program { probe: &["cargo", "clippy", "--version"], install: "rustup component add clippy" };
const JAVA: Program =
    Program { probe: &["java", "-version"], install: "apt-get install --yes openjdk-17-jdk-headless" };
const MAVEN: Program = Program { probe: &["mvn", "--version"], install: "apt-get install --yes maven" };

const E2FSPROGS: Program =
    Program { probe: &["mkfs.ext4", "-V"], install: "apt-get install --yes e2fsprogs" };
const GO: Program = Program { probe: &["go", "version"], install: "apt-get install --yes golang-go" };
/// The `rdkafka` crate builds librdkafka.
const MAKE: Program =
    Program { probe: &["make", "--version"], install: "apt-get install --yes build-essential zlib1g-dev" };
const PYTHON: Program =
    Program { probe: &["python3", "-m", "venv", "--help"], install: "apt-get install --yes python3-venv" };

const GROUPS: &[Group] = &[
    Group {
        name: "format",
        claim: "the sources are as rustfmt writes them",
        minutes: 1,
        needs: &[RUSTFMT],
        steps: &[cargo(&["fmt", "--all", "--check"])],
    },
    Group {
        name: "lint",
        claim: "clippy finds nothing",
        minutes: 4,
        needs: &[CLIPPY],
        steps: &[cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])],
    },
    Group {
        name: "doc",
        claim: "the documentation builds without a dead link",
        minutes: 2,
        needs: &[],
        steps: &[Step {
            arguments: &["doc", "--workspace", "--no-deps"],
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
        }],
    },
    Group {
        name: "test",
        claim: "every test passes, those beside Apache Kafka included",
        minutes: 13,
        needs: &[JAVA, MAVEN],
        steps: &[cargo(&["test", "--workspace"])],
    },
    Group {
        name: "clients",
        claim: "every family of Kafka clients reads what it wrote, with io_uring and without",
        minutes: 6,
        needs: &[JAVA, MAVEN, GO, PYTHON, MAKE],
        steps: &[cargo(&["test", "--workspace", "--test", "clients", "--", "--ignored", "--skip", "kcat"])],
    },
    Group {
        name: "build",
        claim: "the program builds as it is shipped",
        minutes: 4,
        needs: &[],
        steps: &[cargo(&["build", "--workspace", "--release"])],
    },
    Group {
        name: "benches",
        claim: "every case of the benchmarks runs",
        minutes: 3,
        needs: &[],
        steps: &[
            cargo(&["bench", "--workspace", "--bench", "engine", "--", "--test"]),
            cargo(&["bench", "--workspace", "--bench", "steps", "--", "--test"]),
            cargo(&["bench", "--workspace", "--bench", "commit", "--", "--quick"]),
        ],
    },
    Group {
        name: "power",
        claim: "what is acknowledged outlives a loss of power, and a broker that syncs nothing is found out",
        minutes: 2,
        needs: &[E2FSPROGS],
        steps: &[
            cargo(&["run", "--release", "--", "bench", "power"]),
            cargo(&["run", "--release", "--", "bench", "power", "--to-be-caught", "--without-proof"]),
        ],
    },
    Group {
        name: "kills",
        claim: "a broker that is killed or stopped loses, moves and doubles nothing, and serves again in a second",
        minutes: 2,
        needs: &[],
        steps: &[
            cargo(&["run", "--release", "--", "bench", "kills"]),
            cargo(&[
                "run",
                "--release",
                "--",
                "bench",
                "--without-io-uring",
                "kills",
                "--override",
                "logmill.io=syscalls",
            ]),
            cargo(&["run", "--release", "--", "bench", "kills", "--kills", "10", "--kernel", "linux-5.14"]),
            cargo(&[
                "run",
                "--release",
                "--",
                "bench",
                "kills",
                "--kills",
                "10",
                "--kernel",
                "without-direct-io",
            ]),
        ],
    },
    Group {
        name: "takeover",
        claim: "Apache Kafka takes over what a killed broker left, with every acknowledged record; a comparison reports",
        minutes: 2,
        needs: &[JAVA, MAVEN],
        steps: &[
            cargo(&["run", "--release", "--", "bench", "takeover"]),
            // Seconds, and both brokers are at hand: a comparison runs and reports.
            cargo(&[
                "run",
                "--release",
                "--",
                "bench",
                "compare",
                "--quick",
                "--fresh",
                "--cases",
                "start-empty",
                "--dir",
                "target/compare-quick",
            ]),
        ],
    },
    Group {
        name: "limits",
        claim: "10,000 connections cost little, and strangers harm nobody",
        minutes: 1,
        needs: &[],
        steps: &[
            cargo(&["run", "--release", "--", "bench", "connections", "--idle-seconds", "10"]),
            cargo(&["run", "--release", "--", "bench", "strangers"]),
        ],
    },
];

/// Runs that take too long to be part of the whole: command, minutes, what it tells.
const LONG_RUNS: &[(&str, u32, &str)] = &[
    ("cargo run --release -- bench compare", 120, "every case beside Apache Kafka and the floor"),
    (
        "cargo run --release -- bench compare --cases java-producer",
        15,
        "one load of Apache Kafka's producer, beside a floor whose client is as busy",
    ),
    (
        "cargo run --release -- bench instructions origin/main --fail-above 5",
        10,
        "which steps of the hot path take more instructions than they did",
    ),
    ("cargo bench --workspace --bench steps", 5, "how long those steps take"),
    (
        "cargo bench --workspace --bench commit -- --check",
        40,
        "what it costs to make many partitions durable at once",
    ),
    ("cargo run --release -- bench power --cuts 200", 3, "what outlives a loss of power"),
    ("cargo run --release -- bench kills --kills 500", 6, "what outlives SIGKILL and SIGTERM"),
    (
        "cargo run --release -- bench --without-io-uring kills --override logmill.io=syscalls --kills 500",
        6,
        "the same without io_uring",
    ),
    ("cargo run --release -- bench failing", 1, "what is served after a disk failed"),
    (
        "cargo run --release -- bench file-systems",
        5,
        "what outlives power cuts and kills on every file system, and where the kernel has less",
    ),
    ("cargo run --release -- bench start", 8, "time to serve, and bytes read, after a crash"),
    (
        "cargo run --release -- bench takeover --times 100",
        10,
        "what Apache Kafka has of a killed broker's records",
    ),
    (
        "LOGMILL_CRASH_POINTS=1000000 cargo test --workspace --lib wherever_the_power_goes -- --nocapture",
        15,
        "what a million crashes on the simulated disk leave",
    ),
    (
        "LOGMILL_MUTATIONS=1000000 cargo test --release --workspace --test directories damage",
        20,
        "what readers get of damaged directories",
    ),
    (
        "cargo test --workspace --test clients kcat -- --ignored",
        1,
        "whether kcat, which has to be installed, reads what it wrote",
    ),
    ("cargo run --release -- bench connections", 3, "what 10,000 connections cost, and none"),
    ("cargo run --release -- bench strangers --requests 1000000", 10, "what strangers can do to others"),
    ("cargo run --release -- bench cold", 3, "what cold reads do to others"),
    (
        "cargo run --release -- bench cold --throttled",
        1,
        "how soon metadata comes beside cold reads of a slow disk",
    ),
    ("cargo run --release -- bench warm", 1, "system calls of a fetch from the page cache"),
];

/// All groups together.
const fn minutes() -> u32 {
    let (mut total, mut at) = (0, 0);
    while at < GROUPS.len() {
        total += GROUPS[at].minutes;
        at += 1;
    }
    total
}

const fn cargo(arguments: &'static [&'static str]) -> Step {
    Step { arguments, environment: &[] }
}

/// Runs the groups that are named, or all, and stops at the first that fails.
#[derive(Parser)]
#[command(name = "cargo ci")]
struct Arguments {
    /// Groups, in the order of the list whatever the order here.
    #[arg(value_name = "GROUP", value_parser = GROUPS.iter().map(|group| group.name).collect::<Vec<_>>())]
    groups: Vec<String>,
    /// Goes on after a failure.
    #[arg(long)]
    keep_going: bool,
    /// Lists the groups, and the long runs that are not among them.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    let named =
        |group: &&Group| arguments.groups.is_empty() || arguments.groups.iter().any(|g| g == group.name);
    let groups: Vec<&Group> = GROUPS.iter().filter(named).collect();
    let missing = missing(&groups);
    if !missing.is_empty() {
        eprintln!("ci: not installed: {}", missing.join(", "));
        return ExitCode::FAILURE;
    }
    run(&groups, arguments.keep_going, Group::run)
}

/// Runs the groups in their order; the last line says how many held.
fn run(groups: &[&Group], keep_going: bool, run_group: impl Fn(&Group) -> bool) -> ExitCode {
    let mut failed = Vec::new();
    let mut times: Vec<(&str, Duration, bool)> = Vec::new();
    for group in groups {
        println!("== {}: {}", group.name, group.claim);
        let started = Instant::now();
        let passed = run_group(group);
        times.push((group.name, started.elapsed(), passed));
        if !passed {
            failed.push(group.name);
            if !keep_going {
                break;
            }
        }
    }
    for (name, time, passed) in &times {
        println!("{name:<10} {:>7.1} s  {}", time.as_secs_f64(), if *passed { "passed" } else { "FAILED" });
    }
    for group in &groups[times.len()..] {
        println!("{:<10} {:>9}  not run", group.name, "");
    }
    println!("{} passed, {} failed", times.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Group {
    /// Whether all steps succeed; the first that does not is the last that runs.
    fn run(&self) -> bool {
        self.steps.iter().all(|step| {
            println!("$ cargo {}", step.arguments.join(" "));
            let status = cargo_command()
                .args(step.arguments)
                .envs(step.environment.iter().copied())
                .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
                .status();
            match status {
                Ok(status) => status.success(),
                Err(error) => {
                    eprintln!("ci: starting cargo: {error}");
                    false
                }
            }
        })
    }
}

/// The cargo that started this program.
fn cargo_command() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What the groups need and the machine lacks, each with the command that installs it.
fn missing(groups: &[&Group]) -> Vec<String> {
    let probe = |program: &&Program| {
        let found = Command::new(program.probe[0])
            .args(&program.probe[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        !found.is_ok_and(|status| status.success())
    };
    let needed = groups.iter().flat_map(|group| group.needs);
    needed.filter(probe).map(|p| format!("`{}` ({})", p.probe.join(" "), p.install)).collect()
}

fn list() {
    for group in GROUPS {
        println!("{:<10} {:>3} min  {}", group.name, group.minutes, group.claim);
    }
    println!("{:<10} {:>3} min at most, from an empty cache\n\nnot among them:", "all", minutes());
    for (command, minutes, tells) in LONG_RUNS {
        println!("{command}: {minutes} min, {tells}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn every_cargo_command_covers_the_workspace() {
        for step in GROUPS.iter().flat_map(|group| group.steps) {
            // What runs the program builds the program.
            let is_run = step.arguments[0] == "run";
            let whole =
                is_run || step.arguments.iter().any(|argument| ["--workspace", "--all"].contains(argument));
            assert!(whole, "cargo {}", step.arguments.join(" "));
        }
        for (command, ..) in LONG_RUNS {
            assert!(command.contains("cargo run ") || command.contains(" --workspace "), "{command}");
        }
    }

    #[test]
    fn the_documentation_names_every_long_run() {
        let text = include_str!("../../../docs/BENCHMARKS.md");
        for (command, minutes, _) in LONG_RUNS {
            let row = format!("| `{command}` | {minutes} |");
            assert!(text.contains(&row), "docs/BENCHMARKS.md has no row {row:?}");
        }
    }

    #[test]
    fn the_first_failure_ends_the_run_unless_it_is_to_go_on() {
        let groups: Vec<&Group> = GROUPS.iter().collect();
        for (keep_going, expected) in [(false, 2), (true, GROUPS.len())] {
            let ran = RefCell::new(0);
            let code = run(&groups, keep_going, |_| {
                *ran.borrow_mut() += 1;
                *ran.borrow() != 2
            });
            assert_eq!(ran.into_inner(), expected);
            assert_eq!(code, ExitCode::FAILURE);
        }
        assert_eq!(run(&groups, false, |_| true), ExitCode::SUCCESS);
    }

    #[test]
    fn what_is_not_installed_is_named_with_its_remedy() {
        const ABSENT: Program = Program { probe: &["no-such-program"], install: "get it" };
        let group = Group { name: "x", claim: "", minutes: 0, needs: &[RUSTFMT, ABSENT], steps: &[] };
        assert_eq!(missing(&[&group]), ["`no-such-program` (get it)"]);
    }
}
