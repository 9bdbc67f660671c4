//! A step: one run of a Java tool, and what of its output may differ between two brokers.

use std::time::Duration;

use logmill_bench::rig::{Jars, Tool, ToolOutput};

/// How long a step may take. Those that do not say take four seconds at most on an idle machine; what else
/// runs there must not fail them.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(300);

/// The exit code of a step that missed its deadline, as timeout(1) has it.
const KILLED: i32 = 124;

/// One run of a tool.
pub(crate) struct Step {
    class: &'static str,
    arguments: &'static str,
    input: String,
    deadline: Duration,
    mask: Mask,
}

/// What is masked beside ids and ports.
#[derive(Clone, Copy)]
pub(crate) enum Mask {
    /// Nothing.
    Ids,
    /// Figures of a measurement; and lines whose number depends on the time taken: reports of progress, and
    /// warnings of what is tried again.
    Rates,
}

impl Step {
    /// `class` with `arguments` (separated by blanks) after the broker's address.
    pub(crate) fn new(class: &'static str, arguments: &'static str) -> Step {
        Step { class, arguments, input: String::new(), deadline: DEADLINE_DEFAULT, mask: Mask::Ids }
    }

    pub(crate) fn input(self, input: String) -> Step {
        Step { input, ..self }
    }

    pub(crate) fn deadline(self, deadline: Duration) -> Step {
        Step { deadline, ..self }
    }

    pub(crate) fn mask(self, mask: Mask) -> Step {
        Step { mask, ..self }
    }

    /// As a person would type it.
    pub(crate) fn command(&self) -> String {
        let (_, tool) = self.class.rsplit_once('.').unwrap_or(("", self.class));
        format!("{tool} --bootstrap-server BROKER {}", self.arguments)
    }

    /// Runs it; what comes back is masked.
    pub(crate) fn run(&self, jars: &Jars, bootstrap: &str) -> ToolOutput {
        let ran = Tool::new(jars, self.class)
            .arguments(["--bootstrap-server", bootstrap])
            .arguments(self.arguments.split_whitespace())
            .input(self.input.as_str())
            .deadline(self.deadline)
            .run();
        // A tool that waits forever for one of the brokers is a difference like any.
        let output = ran.unwrap_or_else(|error| ToolOutput {
            code: KILLED,
            stdout: String::new(),
            stderr: error.to_string(),
        });
        let mask = |text: String| self.mask.apply(&text.replace(bootstrap, "BROKER"));
        ToolOutput { code: output.code, stdout: mask(output.stdout), stderr: mask(output.stderr) }
    }
}

impl Mask {
    fn apply(self, text: &str) -> String {
        // Its level says how the voters of a metadata log were chosen; here there is none.
        let lines = text.lines().filter(|line| !line.starts_with("Feature: kraft.version"));
        let lines = lines.filter(|line| match self {
            Mask::Ids => true,
            // Only the last line of ProducerPerformance has percentiles.
            Mask::Rates => {
                let progress = line.contains("records/sec") && !line.contains("50th");
                !progress && !line.starts_with("WARN ")
            }
        });
        lines.map(|line| self.line(line) + "\n").collect()
    }

    fn line(self, line: &str) -> String {
        let is_separator = [' ', '\t'];
        let words: Vec<&str> = line.split_inclusive(is_separator).collect();
        let bare = |index: usize| words.get(index).map_or("", |word| word.trim_end_matches(is_separator));
        let masked = words.iter().enumerate().map(|(index, word)| {
            let before = if index == 0 { "" } else { bare(index - 1) };
            let separator = &word[bare(index).len()..];
            match self {
                _ if before == "TopicId:" => format!("ID{separator}"),
                // Of the finalized features: a position in Apache Kafka's metadata log.
                _ if before == "Epoch:" => format!("N{separator}"),
                Mask::Rates if is_figure(before, bare(index), bare(index + 1)) => format!("N{separator}"),
                Mask::Ids | Mask::Rates => (*word).to_owned(),
            }
        });
        masked.collect()
    }
}

/// `2.55` or `(1.23`, and `7` in `= 7,` or `7 ms`.
fn is_figure(before: &str, word: &str, after: &str) -> bool {
    let number = word.trim_start_matches('(').trim_end_matches(',');
    let is_number = number.parse::<f64>().is_ok();
    is_number && (number.contains('.') || before == "=" || after == "ms")
}
