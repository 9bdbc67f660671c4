//! The steps that the hot path and a start are made of, each alone: for criterion, and for a count of the instructions
//! that it takes.
//!
//! ```text
//! cargo bench --workspace --bench steps               times, by criterion
//! ... --bench steps -- --once NAME --times N          runs a step so often and nothing else: under callgrind
//! ... --bench steps -- --names                        the steps that can be counted, a line each
//! ```

mod codec;
mod engine;
#[path = "../partition/mod.rs"]
mod partition;
mod waves;

use std::env;
use std::process::ExitCode;

use criterion::Criterion;

/// Something that is done over and over.
type Work = Box<dyn FnMut()>;

/// One step. It touches no clock and no other thread, so that two runs take the same instructions.
struct Step {
    name: &'static str,
    /// Makes what it needs, once.
    make: fn() -> Work,
}

fn steps() -> Vec<Step> {
    engine::steps().into_iter().chain(codec::steps()).collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if arguments.iter().any(|argument| argument == "--names") {
        steps().iter().for_each(|step| println!("{}", step.name));
        return ExitCode::SUCCESS;
    }
    if let Some(name) = value("--once") {
        let Some(step) = steps().into_iter().find(|step| step.name == name) else {
            eprintln!("no step is called {name}");
            return ExitCode::FAILURE;
        };
        let Some(times) = value("--times").and_then(|times| times.parse::<u32>().ok()) else {
            eprintln!("--once takes --times and a number");
            return ExitCode::FAILURE;
        };
        let mut work = (step.make)();
        (0..times).for_each(|_| work());
        return ExitCode::SUCCESS;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for step in steps() {
        criterion.bench_function(step.name, |bencher| {
            let mut work = (step.make)();
            bencher.iter(&mut work);
        });
    }
    waves::bench(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}
