//! docs/OPERATIONS.md and the tables of settings say the same: its tables are made from them.

use super::Layers;
use super::keys::{Effect, Key};
use super::topic::{TopicEffect, TopicKey};
use super::value::{Range, ValueType};
use crate::tests::doc_table;

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn allowed(value_type: ValueType, range: Range) -> String {
    let (value_type, range) = (value_type.name().to_lowercase(), range.to_string());
    if range.is_empty() { value_type } else { format!("{value_type}, {range}") }
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn own_keys() -> String {
    let mut table = "| Key | Value | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for key in Key::all().filter(|key| key.name.starts_with("logmill.")) {
        let Effect::Honoured(meaning) = key.effect else { panic!("{} is ours and not honoured", key.name) };
        let allowed = allowed(key.rule.value_type, key.rule.range);
        table += &row(&[&code(key.name), &allowed, &code(key.default.unwrap_or_default()), meaning]);
    }
    table
}

fn broker_keys() -> String {
    let mut table = "| Key | Value | Default | What it does here |\n|---|---|---|---|\n".to_owned();
    for key in Key::all().filter(|key| !key.name.starts_with("logmill.")) {
        let effect = match key.effect {
            Effect::Honoured(meaning) => meaning.to_owned(),
            Effect::TopicDefault(topic) => format!("The default of the topic setting `{topic}`."),
            Effect::Ignored(reason) => format!("No effect: {reason}."),
            Effect::Refused(reason) => format!("Refused unless it is the default: {reason}."),
        };
        let allowed = allowed(key.rule.value_type, key.rule.range);
        table += &row(&[&code(key.name), &allowed, &code(key.default.unwrap_or_default()), &effect]);
    }
    table
}

fn topic_keys() -> String {
    let mut table =
        "| Key | Value | Default | Default set by | Meaning |\n|---|---|---|---|---|\n".to_owned();
    for key in TopicKey::all() {
        let default =
            key.broker_value(&Layers::default()).unwrap().map_or(String::new(), |value| value.to_string());
        let synonyms: Vec<_> = key.synonyms.iter().map(|synonym| code(synonym.key)).collect();
        let meaning = match key.effect {
            TopicEffect::Honoured => key.meaning.to_owned(),
            TopicEffect::Ignored(reason) => format!("{} No effect: {reason}.", key.meaning),
            TopicEffect::Refused(reason) => {
                format!("{} Refused unless it is the default: {reason}.", key.meaning)
            }
        };
        let allowed = allowed(key.rule.value_type, key.rule.range);
        table += &row(&[&code(key.name), &allowed, &code(&default), &synonyms.join(", "), &meaning]);
    }
    table
}

#[test]
fn operations_md_lists_the_settings_of_the_tables() {
    for (part, table) in [("own", own_keys()), ("broker", broker_keys()), ("topic", topic_keys())] {
        doc_table::check(
            "OPERATIONS.md",
            &format!("<!-- settings: {part} -->"),
            "<!-- end of settings -->",
            &table,
        );
    }
}
