//! docs/OPERATIONS.md and the command line say the same: its section of tools is made from the definitions.
//!
//! After a change to a tool: `LOGMILL_WRITE_DOCS=1 cargo test --workspace --bin logmill tools_doc`.

use clap::{Arg, Command, CommandFactory};

use crate::command::Arguments;
use crate::outcome::EXIT_CODES;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");
const BEGIN: &str = "<!-- tools -->\n";
const END: &str = "<!-- end of tools -->";

/// Those that are not for people who run a broker, or have a section of their own.
const ELSEWHERE: [&str; 2] = ["server", "bench"];

fn section() -> String {
    let mut text = "\n| Exit code | Meaning |\n|---|---|\n".to_owned();
    for (code, meaning) in EXIT_CODES {
        text += &format!("| {code} | {meaning} |\n");
    }
    let command = Arguments::command();
    for tool in command.get_subcommands().filter(|tool| !ELSEWHERE.contains(&tool.get_name())) {
        tell(tool, "logmill", &mut text);
    }
    text + "\n"
}

fn tell(command: &Command, parent: &str, text: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    let mut tools = command.get_subcommands().peekable();
    if tools.peek().is_some() {
        tools.for_each(|tool| tell(tool, &name, text));
        return;
    }
    let about = command.get_long_about().or(command.get_about()).expect("a tool says what it does");
    *text += &format!("\n### {name}\n\n{}\n", sentence(&about.to_string()));
    let arguments: Vec<&Arg> =
        command.get_arguments().filter(|argument| argument.get_id() != "help").collect();
    if arguments.is_empty() {
        return;
    }
    *text += "\n| Argument | Meaning |\n|---|---|\n";
    for argument in arguments {
        let help = argument.get_long_help().or(argument.get_help()).expect("an argument says what it is");
        let help = sentence(&help.to_string()).replace('\n', " ").replace('|', "\\|");
        *text += &format!("| `{}` | {help} |\n", form(argument).replace('|', "\\|"));
    }
}

/// The command line's help has no full stops at its ends.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// How an argument is written.
fn form(argument: &Arg) -> String {
    let values: Vec<String> = match argument.get_value_names() {
        Some(names) if argument.get_action().takes_values() => {
            names.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let values = values.join(" ");
    let name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => return values + if is_many(argument) { "..." } else { "" },
    };
    if values.is_empty() { name } else { format!("{name} {values}") }
}

fn is_many(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|count| count.max_values() > 1)
        || matches!(argument.get_action(), clap::ArgAction::Append)
}

#[test]
fn operations_md_tells_of_every_tool() {
    let text = std::fs::read_to_string(PATH).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the mark where the tools begin");
    let (_, tail) = rest.split_once(END).expect("the mark where they end");
    let expected = format!("{head}{BEGIN}{}{END}{tail}", section());
    if std::env::var_os("LOGMILL_WRITE_DOCS").is_some() {
        std::fs::write(PATH, &expected).unwrap();
        return;
    }
    let differs = text.lines().zip(expected.lines()).find(|(written, made)| written != made);
    assert!(
        text == expected,
        "docs/OPERATIONS.md differs from the tools, first at {differs:?}; \
         write it with LOGMILL_WRITE_DOCS=1 cargo test --workspace --bin logmill tools_doc"
    );
}

#[test]
fn the_definitions_hold_together() {
    Arguments::command().debug_assert();
}
