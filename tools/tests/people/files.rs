//! What `logmill log` says of the files that a broker left, beside what Apache Kafka's own tool says of them.

use std::fs;
use std::path::{Path, PathBuf};

use logmill_bench::rig::{Jars, Tool};
use serde_json::Value;

use super::logmill;

/// Checks a log directory that was stopped cleanly, and shows what is in it. `metadata`: it holds Apache Kafka's
/// metadata log.
pub(crate) fn check(log_dir: &Path, jars: &Jars, has_metadata: bool) {
    let path = log_dir.to_str().unwrap();
    let checked = logmill(&["log", "check", "--records", path], "");
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
    assert!(checked.out.lines().last().unwrap().contains("nothing is wrong"), "{}", checked.out);
    let logs = logs(log_dir);
    assert!(logs.len() > 5, "{logs:?}");
    let (ours, theirs) = (ours(&logs), theirs(&logs, jars));
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "line {index}");
    }
    assert_eq!(ours.len(), theirs.len());
    if has_metadata {
        let metadata = log_dir.join("__cluster_metadata-0");
        let shown = logmill(&["log", "dump", "--records", "--json", metadata.to_str().unwrap()], "");
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        assert!(shown.out.contains("\"type\":\"TopicRecord\",\"version\":0,\"value\":{\"Name\":\"people\","));
        assert!(!shown.out.contains("undecoded"), "{}", shown.out);
    }
}

/// The segments of topics that people made.
fn logs(log_dir: &Path) -> Vec<PathBuf> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(log_dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() || path.file_name().unwrap().to_str().unwrap().starts_with("__") {
            continue;
        }
        let files = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        logs.extend(files.filter(|file| {
            file.extension().is_some_and(|kind| kind == "log") && fs::metadata(file).unwrap().len() > 0
        }));
    }
    logs.sort();
    logs
}

/// What both tools say: of each file its path, of each batch and each record a line.
fn ours(logs: &[PathBuf]) -> Vec<String> {
    let mut arguments = vec!["log", "dump", "--records", "--json"];
    arguments.extend(logs.iter().map(|log| log.to_str().unwrap()));
    let shown = logmill(&arguments, "");
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let mut said = Vec::new();
    for line in shown.out.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| object[name].as_i64().unwrap_or(-1);
        let flag = |name: &str| object[name].as_bool().unwrap();
        match object["kind"].as_str().unwrap() {
            "file" => said.push(object["file"].as_str().unwrap().to_owned()),
            "batch" => {
                let names = [
                    "position",
                    "size",
                    "base_offset",
                    "last_offset",
                    "count",
                    "timestamp",
                    "leader_epoch",
                    "producer_id",
                    "producer_epoch",
                    "base_sequence",
                    "last_sequence",
                    "crc",
                ];
                let numbers = names.map(|name| format!("{name}={}", number(name)));
                let codec = object["codec"].as_str().unwrap();
                let flags = (flag("transactional"), flag("control"));
                said.push(format!("{} codec={codec} {flags:?}", numbers.join(" ")));
                said.extend(object["records"].as_array().unwrap().iter().map(our_record));
            }
            other => panic!("{other}: {line}"),
        }
    }
    said
}

fn our_record(record: &Value) -> String {
    let (offset, timestamp) = (record["offset"].as_i64().unwrap(), record["timestamp"].as_i64().unwrap());
    if let Some(end) = record["end"].as_str() {
        let epoch = record["coordinator_epoch"].as_i64().unwrap();
        return format!("record {offset} {timestamp} {end} {epoch}");
    }
    let headers = record.get("headers").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: Vec<&str> = headers.iter().map(|header| header["name"].as_str().unwrap()).collect();
    let (key, value) = (&record["key"], &record["value"]);
    format!(
        "record {offset} {timestamp} {} {} [{}]{}{}",
        size(key),
        size(value),
        names.join(","),
        plain(key.as_str()),
        plain(value.as_str())
    )
}

/// Bytes of a text, or of what is none.
fn size(value: &Value) -> i64 {
    match value {
        Value::Null => -1,
        Value::String(text) => text.len() as i64,
        bytes => {
            let text = bytes["base64"].as_str().unwrap();
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            (text.len() / 4 * 3 - padding) as i64
        }
    }
}

/// A text that both tools show alike.
fn plain(text: Option<&str>) -> String {
    let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.filter(|text| !text.is_empty()).filter(is_plain).map_or(String::new(), |text| format!(" {text}"))
}

fn theirs(logs: &[PathBuf], jars: &Jars) -> Vec<String> {
    let files: Vec<&str> = logs.iter().map(|log| log.to_str().unwrap()).collect();
    let output = Tool::new(jars, "org.apache.kafka.tools.DumpLogSegments")
        .arguments(["--deep-iteration", "--print-data-log", "--files", &files.join(",")])
        .run()
        .unwrap();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let mut said = Vec::new();
    for line in output.stdout.lines() {
        if let Some(path) = line.strip_prefix("Dumping ") {
            said.push(path.to_owned());
        } else if line.starts_with("baseOffset: ") {
            said.push(their_batch(line));
        } else if let Some(record) = line.strip_prefix("| ") {
            said.push(their_record(record));
        }
    }
    said
}

/// What stands behind `name: `, up to the next blank.
fn value<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let label = format!("{name}: ");
    let at = if line.starts_with(&label) { 0 } else { line.find(&format!(" {label}"))? + 1 };
    line[at + label.len()..].split(' ').next()
}

fn their_batch(line: &str) -> String {
    let names = [
        ("position", "position"),
        ("size", "size"),
        ("base_offset", "baseOffset"),
        ("last_offset", "lastOffset"),
        ("count", "count"),
        ("timestamp", "CreateTime"),
        ("leader_epoch", "partitionLeaderEpoch"),
        ("producer_id", "producerId"),
        ("producer_epoch", "producerEpoch"),
        ("base_sequence", "baseSequence"),
        ("last_sequence", "lastSequence"),
        ("crc", "crc"),
    ];
    let number = |(ours, theirs): (&str, &str)| {
        let time = (theirs == "CreateTime").then(|| value(line, "LogAppendTime")).flatten();
        let number = value(line, theirs).or(time).unwrap_or_else(|| panic!("no {theirs} in {line}"));
        format!("{ours}={number}")
    };
    let flag = |name: &str| value(line, name) == Some("true");
    let codec = value(line, "compresscodec").unwrap();
    let flags = (flag("isTransactional"), flag("isControl"));
    format!("{} codec={codec} {flags:?}", names.map(number).join(" "))
}

fn their_record(line: &str) -> String {
    let time = value(line, "CreateTime").or(value(line, "LogAppendTime")).unwrap();
    let offset = value(line, "offset").unwrap();
    if let Some(end) = value(line, "endTxnMarker") {
        let epoch = value(line, "coordinatorEpoch").unwrap();
        return format!("record {offset} {time} {} {epoch}", end.to_lowercase());
    }
    let (key, content) = (value(line, "key"), line.split_once(" payload: ").map(|(_, content)| content));
    let of = |name: &str| value(line, name).unwrap();
    let headers = line.split_once("headerKeys: [").and_then(|(_, behind)| behind.split_once(']')).unwrap().0;
    format!(
        "record {offset} {time} {} {} [{headers}]{}{}",
        of("keySize"),
        of("valueSize"),
        plain(key),
        plain(content)
    )
}
