//! `Out`: standard output, in the form that was asked for.

use std::io::{self, BufWriter, IsTerminal, Write};

use super::Fields;

/// Where a tool prints to.
pub(crate) struct Out {
    to: Box<dyn Write>,
    is_json: bool,
    /// Columns of the terminal; `None` where the output goes elsewhere, and nothing is cut.
    width: Option<usize>,
}

impl Out {
    /// Standard output: for people, or a JSON object a line.
    pub(crate) fn stdout(is_json: bool) -> Out {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| width_of_terminal(&stdout)).flatten();
        Out { to: Box::new(BufWriter::with_capacity(64 << 10, stdout)), is_json, width }
    }

    #[cfg(test)]
    pub(crate) fn to(to: impl Write + 'static, is_json: bool, width: Option<usize>) -> Out {
        Out { to: Box::new(to), is_json, width }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// Values on a line of their own: `kind`, which JSON has as a field, then each by its name.
    pub(crate) fn fields(&mut self, kind: &'static str, fields: &Fields) -> io::Result<()> {
        if !self.is_json {
            return self.line(&format!("{kind} {}", fields.text()));
        }
        let mut all = Fields::default().with("kind", kind);
        all.0.extend(fields.0.iter().cloned());
        self.line(&all.json())
    }

    /// Lets go of what was printed so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What was printed, for tests.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Sink(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

#[cfg(test)]
impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn width_of_terminal(stdout: &io::Stdout) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
