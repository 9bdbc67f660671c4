//! Tables of docs/ that are made from tables in the code, and say the same.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// Documents are written one after the other: some have several tables.
static WRITING: Mutex<()> = Mutex::new(());

/// Asserts that the lines between two marks of a document are this table. Where the environment has
/// `LOGMILL_WRITE_DOCS` it writes them instead.
#[track_caller]
pub(crate) fn check(document: &str, begin: &str, end: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let _writing = WRITING.lock().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{document} has no mark {begin}"));
    let (_, tail) = rest.split_once(end).unwrap_or_else(|| panic!("{document} has no {end} behind {begin}"));
    let expected = format!("{head}{begin}\n{table}{end}{tail}");
    if std::env::var_os("LOGMILL_WRITE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    let differs = text.lines().zip(expected.lines()).find(|(written, made)| written != made);
    assert!(
        text == expected,
        "docs/{document} differs from the code behind {begin}, first at {differs:?}; \
         write it with LOGMILL_WRITE_DOCS=1 cargo test --workspace --lib md_lists"
    );
}
