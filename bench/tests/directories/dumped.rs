//! `Dump`: what `DumpLogSegments` says of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use logmill_bench::rig::{Jars, Tool};

/// Lines that the tool printed of each file, in the order in which the files were named.
pub(crate) struct Dump {
    pub(crate) files: Vec<Vec<String>>,
}

/// Runs the tool over files of a directory. It succeeds, and has nothing to complain of but what it complains
/// of in every log.
pub(crate) fn dump(jars: &Jars, dir: &Path, names: &[String], options: &[&str]) -> Dump {
    let paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
    let files: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let output = Tool::new(jars, "org.apache.kafka.tools.DumpLogSegments")
        .arguments(options.iter().copied())
        .arguments(["--files", &files.join(",")])
        .run()
        .unwrap();
    let is_deep = options.contains(&"--deep-iteration");
    assert_eq!((output.code, complaints(&output.stderr)), (0, usual_complaints(&files, is_deep)));
    // It reports what does not fit behind the last file, and goes on.
    for complaint in
        ["Mismatches", "Non-consecutive", "Found timestamp mismatch", "out of order", "isvalid: false"]
    {
        assert!(!output.stdout.contains(complaint), "{options:?}: {}", output.stdout);
    }
    let mut dumped: Vec<Vec<String>> = Vec::new();
    for line in output.stdout.lines() {
        if let Some(path) = line.strip_prefix("Dumping ") {
            assert_eq!(path, files[dumped.len()]);
            dumped.push(Vec::new());
        } else if !line.starts_with("Log starting offset: ") {
            dumped.last_mut().unwrap().push(line.to_owned());
        }
    }
    assert_eq!(dumped.len(), names.len(), "{}", output.stdout);
    Dump { files: dumped }
}

/// The tool takes every segment for one that begins at offset 0, Apache Kafka's own too.
fn usual_complaints(files: &[&str], is_deep: bool) -> BTreeSet<String> {
    let complaint = |file: &&str| {
        let name = file.rsplit('/').next().unwrap();
        let base: i64 = name.strip_suffix(".log").unwrap().parse().unwrap();
        (base > 0).then(|| format!("Non-consecutive offsets in {file}: -1 is followed by {base}"))
    };
    if is_deep { files.iter().filter_map(complaint).collect() } else { BTreeSet::new() }
}

/// One for each file, with the offsets behind it.
fn complaints(errors: &str) -> BTreeSet<String> {
    let mut complaints: Vec<String> = Vec::new();
    for line in errors.lines() {
        match (line.strip_prefix("  "), complaints.last_mut()) {
            (Some(offsets), Some(complaint)) => *complaint += &format!(": {offsets}"),
            _ => complaints.push(line.to_owned()),
        }
    }
    complaints.into_iter().collect()
}

/// What stands behind `name: ` in a line, up to the next blank.
pub(crate) fn value<'l>(line: &'l str, name: &str) -> &'l str {
    let label = format!("{name}: ");
    let at = match line.starts_with(&label) {
        true => 0,
        false => line.find(&format!(" {label}")).unwrap_or_else(|| panic!("no {name} in {line}")) + 1,
    };
    line[at + label.len()..].split(' ').next().unwrap()
}
