//! The two commands of README.md, and what `.ci/run` runs.

#[test]
fn the_readme_names_two_commands_and_no_third() {
    let readme = include_str!("../../README.md");
    // Between fences: every second part.
    let fenced = readme.split("```").skip(1).step_by(2);
    let commands: Vec<&str> = fenced.flat_map(str::lines).filter(|line| !line.is_empty()).collect();
    assert_eq!(commands, ["cargo run --release", "cargo ci"]);
}

#[test]
fn ci_run_is_cargo_ci() {
    let script = include_str!("../../.ci/run");
    assert_eq!(script.lines().last(), Some("exec cargo ci \"$@\""));
}
