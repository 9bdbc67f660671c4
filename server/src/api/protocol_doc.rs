//! docs/PROTOCOL.md and the table of APIs say the same: its table is made from it.
//!
//! After a change to the table: `LOGMILL_WRITE_DOCS=1 cargo test -p logmill-server protocol`.

use crate::wire::APIS;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PROTOCOL.md");
const BEGIN: &str = "<!-- apis -->\n";
const END: &str = "<!-- end of apis -->";

fn table() -> String {
    let mut table = "| Key | API | Versions |\n|--:|---|---|\n".to_owned();
    for row in &APIS {
        table += &format!("| {} | {} | {} |\n", row.key(), row.name, row.advertised);
    }
    table
}

#[test]
fn protocol_md_lists_the_apis_of_the_table() {
    let text = std::fs::read_to_string(PATH).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{PATH} has no mark {BEGIN}"));
    let (_, tail) = rest.split_once(END).unwrap_or_else(|| panic!("{PATH} has no mark {END}"));
    let expected = format!("{head}{BEGIN}{}{END}{tail}", table());
    if std::env::var_os("LOGMILL_WRITE_DOCS").is_some() {
        std::fs::write(PATH, &expected).unwrap();
        return;
    }
    let differs = text.lines().zip(expected.lines()).find(|(written, made)| written != made);
    assert!(
        text == expected,
        "docs/PROTOCOL.md differs from the table of APIs, first at {differs:?}; \
         write it with LOGMILL_WRITE_DOCS=1 cargo test -p logmill-server protocol"
    );
}
