//! `Progress`: one line on the terminal that says how far long work has come.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_millis(200);

/// Bytes done of bytes to do. Where standard error is no terminal, nothing is shown.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    what: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    shown_at: Option<Instant>,
}

impl Progress {
    /// At the beginning.
    pub(crate) fn new(what: &'static str, total: u64) -> Progress {
        let is_shown = std::io::stderr().is_terminal();
        Progress { is_shown, what, total, done: 0, began: Instant::now(), shown_at: None }
    }

    /// So many more.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let now = Instant::now();
        if !self.is_shown || self.shown_at.unwrap_or(self.began) + EVERY > now {
            return;
        }
        self.shown_at = Some(now);
        let line = line(self.what, self.done, self.total, now - self.began);
        // Nobody is told less where the terminal has gone.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the line away, so that others can be printed.
    pub(crate) fn clear(&mut self) {
        if self.shown_at.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    pub(crate) fn done(&self) -> u64 {
        self.done
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(what: &str, done: u64, total: u64, took: Duration) -> String {
    let percent = if total == 0 { 100 } else { (done.min(total) * 100).div_euclid(total) };
    let rate = (done as f64 / took.as_secs_f64().max(0.001)) as u64;
    format!("{what}: {} of {}, {percent}%, {}/s", bytes_text(done), bytes_text(total), bytes_text(rate))
}

/// `1.5 GiB`
pub(crate) fn bytes_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return if unit == "bytes" { format!("{bytes} {unit}") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}

/// `1 record`, `2 records`
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_536, "1.5 KiB"),
            (3 << 30, "3.0 GiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }

    #[test]
    fn the_line_says_how_much_and_how_fast() {
        let line = line("checking", 1 << 30, 4 << 30, Duration::from_secs(2));
        assert_eq!(line, "checking: 1.0 GiB of 4.0 GiB, 25%, 512.0 MiB/s");
    }
}
