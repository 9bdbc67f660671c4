//! The matrix of faults: everything that a disk is asked for, failing in every way, once, the first time or a later
//! one, in the life of a broker. Whatever comes of that, nothing is acknowledged that a power cut takes.
//!
//! docs/DURABILITY.md has the table. After a change: `LOGMILL_WRITE_DOCS=1 cargo test --workspace --lib matrix`.

mod life;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::thread;

use rustix::io::Errno;

use self::life::{Outcome, live};
use crate::disk::sim::{Effect, Operation};
use crate::planted::{Bug, plant};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/DURABILITY.md");
const BEGIN: &str = "<!-- faults -->\n";
const END: &str = "<!-- end of faults -->";

/// How an operation goes wrong.
const EFFECTS: [(&str, Effect); 6] = [
    ("EIO", Effect::Fail(Errno::IO)),
    ("ENOSPC", Effect::Fail(Errno::NOSPC)),
    ("short", Effect::Short),
    ("EINTR", Effect::Fail(Errno::INTR)),
    ("EAGAIN", Effect::Fail(Errno::AGAIN)),
    ("late by 30 s", Effect::Late),
];
/// Later times at most, spread over the life.
const LATER_MAX: u64 = 48;

/// One operation that goes wrong in one way.
#[derive(Debug, Clone, Copy)]
struct Cell {
    operation: Operation,
    effect: Effect,
}

/// What came of it: the first time, and later.
type Found = [BTreeSet<Outcome>; 2];

fn walk(Cell { operation, effect }: Cell) -> Result<Found, String> {
    let asked = live(operation, effect, u64::MAX)?.asked;
    if asked == 0 {
        return Err("it is never asked for".to_owned());
    }
    let first = live(operation, effect, 0)?.outcomes;
    let mut later = BTreeSet::new();
    let numbers: BTreeSet<u64> = (1..=LATER_MAX).map(|part| (asked - 1) * part / LATER_MAX).collect();
    for number in numbers.into_iter().filter(|number| *number > 0) {
        let lived = live(operation, effect, number).map_err(|what| format!("time {number}: {what}"))?;
        later.extend(lived.outcomes);
    }
    Ok([first, later])
}

/// The row of an operation. A new one needs a name here, and a place among all.
fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Open => "open what is there",
        Operation::Read => "read",
        Operation::List => "list a directory",
        Operation::Len => "length of a file",
        Operation::Space => "room of a file system",
        Operation::Create => "make or empty a file",
        Operation::Write => "write, direct or not",
        Operation::SetLen => "set a length",
        Operation::Allocate => "allocate",
        Operation::Sync => "sync a file, waiting",
        Operation::SyncDir => "sync a directory, waiting",
        Operation::DropCached => "drop cached pages",
        Operation::CreateDir => "make a directory",
        Operation::Rename => "rename",
        Operation::RemoveFile => "remove a file",
        Operation::RemoveDir => "remove a directory",
        Operation::Lock => "lock",
        Operation::SubmitSync => "ring: submit a sync",
        Operation::SubmitWrite => "ring: submit a write",
        Operation::FinishSync => "ring: end of a sync",
        Operation::FinishWrite => "ring: end of a write",
        Operation::ReadIn => "ring: read into the cache",
    }
}

fn words(outcomes: &BTreeSet<Outcome>) -> String {
    let words: Vec<&str> = outcomes.iter().map(|outcome| outcome.word()).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(" ") }
}

#[test]
fn no_fault_of_the_disk_acknowledges_what_a_power_cut_takes() {
    let cells = Operation::ALL
        .into_iter()
        .flat_map(|operation| EFFECTS.into_iter().map(move |(_, effect)| Cell { operation, effect }));
    let cells: Vec<Cell> = cells.collect();
    let next = Mutex::new(cells.iter().enumerate());
    let found: Mutex<Vec<Option<Found>>> = Mutex::new(vec![None; cells.len()]);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, cell)) = { next.lock().unwrap().next() } {
                    match walk(*cell) {
                        Ok(outcomes) => found.lock().unwrap()[index] = Some(outcomes),
                        Err(what) => failures.lock().unwrap().push(format!("{cell:?}: {what}")),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    check_table(&found.into_inner().unwrap().into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn a_sync_that_is_tried_again_is_found_out() {
    plant(Some(Bug::SyncRetried));
    let (operation, effect) = (Operation::FinishSync, Effect::Fail(Errno::IO));
    let asked = live(operation, effect, u64::MAX).unwrap().asked;
    let caught = (0..asked).find_map(|number| live(operation, effect, number).err());
    plant(None);
    assert!(caught.is_some_and(|what| what.contains("acknowledged")), "the matrix lets it through");
}

fn check_table(found: &[Found]) {
    let mut table = "| |".to_owned();
    EFFECTS.iter().for_each(|(name, _)| _ = write!(table, " {name} |"));
    table += "\n|---|";
    EFFECTS.iter().for_each(|_| table += "---|");
    for (operation, cells) in Operation::ALL.iter().zip(found.chunks(EFFECTS.len())) {
        _ = write!(table, "\n| {} |", name(*operation));
        for [first, later] in cells {
            _ = write!(table, " {}; {} |", words(first), words(later));
        }
    }
    table += "\n";
    let text = std::fs::read_to_string(PATH).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the document has a mark");
    let (_, tail) = rest.split_once(END).expect("the document has a second mark");
    let expected = format!("{head}{BEGIN}{table}{END}{tail}");
    if std::env::var_os("LOGMILL_WRITE_DOCS").is_some() {
        std::fs::write(PATH, &expected).unwrap();
        return;
    }
    let differs = text.lines().zip(expected.lines()).find(|(written, made)| written != made);
    assert!(
        text == expected,
        "docs/DURABILITY.md differs, first at {differs:?}; \
         write it with LOGMILL_WRITE_DOCS=1 cargo test --workspace --lib matrix"
    );
}
