//! docs/PROTOCOL.md and the table of APIs say the same: its table is made from it.

use crate::tests::doc_table;
use crate::wire::APIS;

fn table() -> String {
    let mut table = "| Key | API | Versions |\n|--:|---|---|\n".to_owned();
    for row in &APIS {
        table += &format!("| {} | {} | {} |\n", row.key(), row.name, row.advertised);
    }
    table
}

#[test]
fn protocol_md_lists_the_apis_of_the_table() {
    doc_table::check("PROTOCOL.md", "<!-- apis -->", "<!-- end of apis -->", &table());
}
