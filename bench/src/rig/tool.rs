//! One run of a Java tool of Kafka's.

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use super::{
    Error, Jars, JvmProfile,
    jvm::{Jvm, Log, os_strings},
    process::{Output, Process},
};

/// How long a tool may run unless it says otherwise. Most take seconds; on a busy machine the first start of
/// a class, which archives what it loaded, has taken a minute.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(300);

/// A tool about to be run, named by its main class.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    jars: &'a Jars,
    class: &'a str,
    arguments: Vec<String>,
    input: Vec<u8>,
    deadline: Duration,
}

/// What a tool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// Its exit code, or 128 and the number of the signal that ended it, as a shell tells it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error: what the tool prints there, and log messages of level WARN and above.
    pub stderr: String,
}

impl<'a> Tool<'a> {
    /// The tool with this main class, such as `org.apache.kafka.tools.TopicCommand`.
    pub fn new(jars: &'a Jars, class: &'a str) -> Tool<'a> {
        Tool { jars, class, arguments: Vec::new(), input: Vec::new(), deadline: DEADLINE_DEFAULT }
    }

    /// Appends arguments.
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What it reads on standard input, after which that ends.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may run before it is killed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end. A tool that fails is no error here; one that misses its deadline is.
    pub fn run(self) -> Result<ToolOutput, Error> {
        let flags = [Log::Tool.flag(self.jars)];
        let arguments = os_strings(&self.arguments);
        let jvm = Jvm::new(self.jars, JvmProfile::QuickStart, flags, self.class, arguments)?;
        let mut process = Process::spawn(&jvm.launch, Output::Pipes)?;
        let (stdin, stdout, stderr) = process.pipes();
        let (status, stdout, stderr) = thread::scope(|scope| {
            let input = &self.input;
            scope.spawn(move || {
                // A tool may end before it has read everything; then its exit code tells.
                let _ = stdin.map(|mut pipe| pipe.write_all(input));
            });
            let stdout = scope.spawn(move || read_all(stdout));
            let stderr = scope.spawn(move || read_all(stderr));
            let status = process.wait(Instant::now() + self.deadline);
            // Ends the readers too.
            process.kill();
            let text = "reading a pipe does not panic";
            (status, stdout.join().expect(text), stderr.join().expect(text))
        });
        let Some(status) = status else {
            let what = format!("{} did not end within {:?} and was killed", self.class, self.deadline);
            return Err(Error::Failed { what, output: format!("{stdout}{stderr}") });
        };
        if let Some(archive) = jvm.archive {
            archive.publish()?;
        }
        Ok(ToolOutput { code: shell_code(status), stdout, stderr })
    }
}

fn read_all(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What came before a failure is the best there is.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it exited or was killed")
}
