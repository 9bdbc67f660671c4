//! The rig's error.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// How far back from its end a log is searched for an error.
const SEARCHED_BYTES_MAX: u64 = 1 << 20;

/// How much of it is told: enough for a Java stack trace with its causes.
const TOLD_BYTES_MAX: usize = 8192;

/// Why the rig could not do what it was asked to.
pub enum Error {
    /// A program that the rig needs is not installed.
    Missing {
        /// The program's name.
        program: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A process ended, or answered, other than it should.
    Failed {
        /// Which process, and what it did.
        what: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The system refused something.
    Io {
        /// What was tried, and on what.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// A failure told with the end of a log file.
    pub(crate) fn with_log(what: impl Into<String>, log: &Path) -> Error {
        let output = tail(log).unwrap_or_else(|error| format!("({}: {error})", log.display()));
        Error::Failed { what: what.into(), output }
    }
}

/// The end of a log, or what follows its first error: a broker that gives up logs its whole shutdown after
/// the reason for it.
fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(SEARCHED_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let is_error = |line: &str| line.contains(" ERROR ") || line.contains(" FATAL ");
    let bytes_of = |lines: &[&str]| lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| is_error(line)) {
        Some(first) => {
            lines.drain(..first);
            while bytes_of(&lines) > TOLD_BYTES_MAX {
                lines.pop();
            }
        }
        None => {
            while bytes_of(&lines) > TOLD_BYTES_MAX {
                lines.remove(0);
            }
        }
    }
    Ok(lines.join("\n"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { program, purpose } => {
                write!(f, "`{program}` is not installed (or not in PATH); it is needed to {purpose}")
            }
            Error::Failed { what, output } => {
                write!(f, "{what}")?;
                for line in output.lines() {
                    write!(f, "\n  | {line}")?;
                }
                Ok(())
            }
            Error::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

/// As `Display`: tests unwrap, and a log's tail must stay readable there.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Missing { .. } | Error::Failed { .. } => None,
        }
    }
}
