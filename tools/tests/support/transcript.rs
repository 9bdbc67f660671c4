//! What a broker made the tools say, step by step, beside what another did.

use std::{
    fmt::Write,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use logmill_bench::rig::{Broker, Jars, ToolOutput};

use super::steps::Step;

/// How many tools run at a time against one broker.
const SIDE_BY_SIDE_MAX: usize = 3;

/// Commands and what each said.
pub(crate) struct Transcript {
    said: Vec<(String, ToolOutput)>,
}

impl Transcript {
    /// Runs stage after stage against the broker, which ends with that; the steps of a stage side by side,
    /// as most of their time is a JVM's start.
    pub(crate) fn of(jars: &Jars, broker: Broker, stages: &[Vec<Step>]) -> Transcript {
        let bootstrap = broker.bootstrap();
        let mut said = Vec::new();
        for stage in stages {
            let outputs: Vec<OnceLock<ToolOutput>> = stage.iter().map(|_| OnceLock::new()).collect();
            let next = AtomicUsize::new(0);
            let work = || {
                while let Some(index) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < stage.len())
                {
                    outputs[index].set(stage[index].run(jars, &bootstrap)).expect("each step is taken once");
                }
            };
            thread::scope(|scope| {
                for _ in 0..SIDE_BY_SIDE_MAX.min(stage.len()) {
                    scope.spawn(work);
                }
            });
            let outputs = outputs.into_iter().map(|output| output.into_inner().expect("each step was run"));
            said.extend(stage.iter().map(Step::command).zip(outputs));
        }
        Transcript { said }
    }

    /// Fails with every step that differs.
    pub(crate) fn assert_same_as(&self, apache: &Transcript) {
        let mut difference = String::new();
        assert_eq!(self.said.len(), apache.said.len());
        for ((command, ours), (_, theirs)) in self.said.iter().zip(&apache.said) {
            if ours != theirs {
                tell(&mut difference, command, theirs, ours);
            }
        }
        assert!(difference.is_empty(), "Logmill (+) differs from Apache Kafka (-):\n{difference}");
    }
}

fn tell(out: &mut String, command: &str, theirs: &ToolOutput, ours: &ToolOutput) {
    let mut line = |text: &str| writeln!(out, "{text}").expect("writing to a string");
    line(&format!("\n$ {command}"));
    if theirs.code != ours.code {
        line(&format!("- exit code {}\n+ exit code {}", theirs.code, ours.code));
    }
    for (stream, theirs, ours) in
        [("standard output", &theirs.stdout, &ours.stdout), ("standard error", &theirs.stderr, &ours.stderr)]
    {
        if theirs != ours {
            line(&format!("  {stream}:"));
            for marked in diff(theirs, ours) {
                line(&marked);
            }
        }
    }
}

/// Lines of both, marked: ` ` in both, `-` theirs only, `+` ours only. By the longest common subsequence.
fn diff(theirs: &str, ours: &str) -> Vec<String> {
    let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
    // common[i][j]: how many lines the rests from i and from j have in common, in order.
    let mut common = vec![vec![0; ours.len() + 1]; theirs.len() + 1];
    for i in (0..theirs.len()).rev() {
        for j in (0..ours.len()).rev() {
            common[i][j] = if theirs[i] == ours[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marked = Vec::new();
    while i < theirs.len() || j < ours.len() {
        if i < theirs.len() && j < ours.len() && theirs[i] == ours[j] {
            marked.push(format!("  {}", theirs[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == ours.len() || (i < theirs.len() && common[i + 1][j] >= common[i][j + 1]) {
            marked.push(format!("- {}", theirs[i]));
            i += 1;
        } else {
            marked.push(format!("+ {}", ours[j]));
            j += 1;
        }
    }
    marked
}
