//! `Outcome`: how a tool ends, and the exit code that says so.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// What a tool has to say beside its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did what it was asked to do.
    Done,
    /// It found something wrong, or a broker refused a part of what it was asked; it has said what.
    Found,
}

/// How a tool ends.
pub(crate) type Outcome = Result<Verdict, Box<dyn Error>>;

/// Arguments that each make sense, but not together or not here.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// Exit codes, and when a tool ends with each.
pub(crate) const EXIT_CODES: [(u8, &str); 3] = [
    (0, "done"),
    (1, "refused, failed, or something wrong was found; standard error or the output says what"),
    (2, "the arguments make no sense"),
];

/// The same for the command line's help.
pub(crate) fn exit_codes() -> String {
    let lines = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// Says on standard error what went wrong, and gives the process its exit code.
pub(crate) fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::Found) => ExitCode::from(1),
        Err(error) if is_reader_gone(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logmill: {error}");
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// `logmill ... | head`: whoever read the output has read enough.
fn is_reader_gone(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_code() {
        let code = |outcome: Outcome| format!("{:?}", exit_code(&outcome));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(Verdict::Done)), expected(0));
        assert_eq!(code(Ok(Verdict::Found)), expected(1));
        assert_eq!(code(Err("it failed".into())), expected(1));
        assert_eq!(code(Err(Usage("both".to_owned()).into())), expected(2));
        assert_eq!(code(Err(io::Error::from(io::ErrorKind::BrokenPipe).into())), expected(0));
        assert_eq!(code(Err(io::Error::from(io::ErrorKind::NotFound).into())), expected(1));
    }
}
