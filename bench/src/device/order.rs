//! What the disk is told, as lines of text: `cut flush:3 some:42 silent`, `fail ENOSPC`, `heal`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One line to the disk. Each is answered by `ok` or `error ...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Power goes, at once or at a moment that is to come; then the disk says `cut ...`, unasked.
    Cut(Cut),
    /// Requests that wait in a silent disk are answered by an error, and so is every other from then on.
    Release,
    /// Power is back.
    PowerOn,
    /// Every write fails from then on; reads and flushes do not.
    Fail(Failure),
    /// Writes work again.
    Heal,
    /// Every request takes so much longer.
    Delay(Duration),
    /// No more than so many bytes a second are read and written.
    Rate(u64),
}

/// How the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// At which moment.
    pub(crate) when: When,
    /// What the cache loses.
    pub(crate) loss: Loss,
    /// What the disk does without power.
    pub(crate) afterwards: Afterwards,
}

/// A moment, counted from the order on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At once.
    Now,
    /// When this write is in the cache: 1 is the next one.
    AtWrite(u32),
    /// When this flush arrives, of those that find something to flush. A loss of nothing is a flush that was
    /// done and never answered.
    AtFlush(u32),
}

/// Which unflushed writes are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Every one.
    All,
    /// None.
    Nothing,
    /// Any that this seed chooses.
    Some(u64),
}

/// What a disk without power does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// Answers no request: to whoever waits, time stands still.
    Silent,
    /// Answers each with EIO, as one whose cable was pulled.
    Errors,
}

/// The error of writes that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Cut(cut) => write!(f, "cut {cut}"),
            Order::Release => f.write_str("release"),
            Order::PowerOn => f.write_str("power-on"),
            Order::Fail(Failure::Io) => f.write_str("fail EIO"),
            Order::Fail(Failure::NoSpace) => f.write_str("fail ENOSPC"),
            Order::Heal => f.write_str("heal"),
            Order::Delay(delay) => write!(f, "delay {}", delay.as_millis()),
            Order::Rate(bytes) => write!(f, "rate {bytes}"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Now => f.write_str("now"),
            When::AtWrite(nth) => write!(f, "write:{nth}"),
            When::AtFlush(nth) => write!(f, "flush:{nth}"),
        }?;
        match self.loss {
            Loss::All => f.write_str(" all"),
            Loss::Nothing => f.write_str(" nothing"),
            Loss::Some(seed) => write!(f, " some:{seed}"),
        }?;
        f.write_str(match self.afterwards {
            Afterwards::Silent => " silent",
            Afterwards::Errors => " errors",
        })
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Order, String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let order = match words[..] {
            ["cut", when, loss, afterwards] => cut(when, loss, afterwards).map(Order::Cut),
            ["release"] => Some(Order::Release),
            ["power-on"] => Some(Order::PowerOn),
            ["fail", "EIO"] => Some(Order::Fail(Failure::Io)),
            ["fail", "ENOSPC"] => Some(Order::Fail(Failure::NoSpace)),
            ["heal"] => Some(Order::Heal),
            ["delay", ms] => ms.parse().ok().map(|ms| Order::Delay(Duration::from_millis(ms))),
            ["rate", bytes] => bytes.parse().ok().filter(|bytes| *bytes > 0).map(Order::Rate),
            _ => None,
        };
        order.ok_or_else(|| format!("{line:?} is no order"))
    }
}

fn cut(when: &str, loss: &str, afterwards: &str) -> Option<Cut> {
    let when = match when.split_once(':') {
        None if when == "now" => When::Now,
        Some(("write", nth)) => When::AtWrite(nth.parse().ok()?),
        Some(("flush", nth)) => When::AtFlush(nth.parse().ok()?),
        _ => return None,
    };
    let loss = match loss.split_once(':') {
        None if loss == "all" => Loss::All,
        None if loss == "nothing" => Loss::Nothing,
        Some(("some", seed)) => Loss::Some(seed.parse().ok()?),
        _ => return None,
    };
    let afterwards = match afterwards {
        "silent" => Afterwards::Silent,
        "errors" => Afterwards::Errors,
        _ => return None,
    };
    Some(Cut { when, loss, afterwards })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_reads_as_it_is_written() {
        let cut = |when, loss, afterwards| Order::Cut(Cut { when, loss, afterwards });
        for order in [
            cut(When::Now, Loss::All, Afterwards::Silent),
            cut(When::AtWrite(3), Loss::Nothing, Afterwards::Errors),
            cut(When::AtFlush(9), Loss::Some(u64::MAX), Afterwards::Silent),
            Order::Release,
            Order::PowerOn,
            Order::Fail(Failure::Io),
            Order::Fail(Failure::NoSpace),
            Order::Heal,
            Order::Delay(Duration::from_millis(250)),
            Order::Rate(50_000_000),
        ] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for line in
            ["", "cut", "cut later all silent", "cut flush:x all silent", "fail EAGAIN", "heal now", "rate 0"]
        {
            assert!(line.parse::<Order>().is_err(), "{line}");
        }
    }
}
