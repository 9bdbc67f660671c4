//! What is written here, read by Apache Kafka's `DumpLogSegments`.

use std::collections::BTreeMap;
use std::path::Path;

use logmill_bench::rig::Jars;
use logmill_engine::format::{BatchView, Codec};
use logmill_engine::partition::directory;

use crate::dumped::{Dump, dump, value};
use crate::support::open::{ID, NEW, TOPIC, append, config, open};
use crate::support::recipe::{COORDINATOR_EPOCH, Recipe, Step, TIME};
use crate::support::{model, tell};
use crate::{disk, names, temporary};

const ROUNDS: usize = 12;
const SEGMENT_BYTES: u64 = 2_000;

/// A batch where it lies.
struct Placed<'s> {
    step: &'s Step,
    base_offset: i64,
    position: u64,
    size: u64,
    max_timestamp: i64,
}

impl Placed<'_> {
    fn last_offset(&self) -> i64 {
        self.base_offset + self.step.offsets() - 1
    }
}

/// Writes the partition and stops cleanly.
fn write(log_dir: &Path, steps: &[Step]) {
    let disk = disk();
    directory::create(&*disk, log_dir, TOPIC, ID).unwrap();
    let mut partition = open(&disk, log_dir, &NEW, config(SEGMENT_BYTES), TIME).unwrap();
    append(&mut partition, steps);
    let (mut partition, mut cache) = partition;
    partition.stop(&mut cache).unwrap();
}

/// Which batches lie in which segment, by its base offset.
fn placed<'s>(dir: &Path, steps: &'s [Step]) -> BTreeMap<i64, Vec<Placed<'s>>> {
    let bases: Vec<i64> =
        names(dir, ".log").iter().map(|name| name.trim_end_matches(".log").parse().unwrap()).collect();
    let mut segments: BTreeMap<i64, Vec<Placed<'s>>> = bases.iter().map(|base| (*base, Vec::new())).collect();
    let mut base_offset = 0;
    for step in steps {
        let bytes = step.bytes();
        let (batch, _) = BatchView::split_first(&bytes).unwrap();
        let (_, segment) = segments.range_mut(..=base_offset).next_back().unwrap();
        let position = segment.last().map_or(0, |last| last.position + last.size);
        let (size, max_timestamp) = (bytes.len() as u64, batch.header.max_timestamp());
        segment.push(Placed { step, base_offset, position, size, max_timestamp });
        base_offset += step.offsets();
    }
    segments
}

/// The entries of both indexes, as Apache Kafka makes them and its tool prints them.
fn index_lines(segment: &[Placed<'_>]) -> (Vec<String>, Vec<String>) {
    let interval = config(SEGMENT_BYTES).log.index_interval_bytes;
    let (mut offsets, mut times) = (Vec::new(), Vec::new());
    let (mut since_entry, mut largest, mut noted) = (0, (-1, -1), -1);
    let mut note = |largest: (i64, i64)| {
        if largest.0 > noted {
            times.push(format!("timestamp: {} offset: {}", largest.0, largest.1));
            noted = largest.0;
        }
    };
    for batch in segment {
        if batch.max_timestamp > largest.0 {
            largest = (batch.max_timestamp, batch.last_offset());
        }
        if since_entry > interval {
            offsets.push(format!("offset: {} position: {}", batch.last_offset(), batch.position));
            note(largest);
            since_entry = 0;
        }
        since_entry += batch.size;
    }
    note(largest);
    (offsets, times)
}

/// As the tool names it.
fn codec_name(codec: Codec) -> &'static str {
    let index = Codec::ALL.iter().position(|one| *one == codec).unwrap();
    ["none", "gzip", "snappy", "lz4", "zstd"][index]
}

fn check_log(segment: &[Placed<'_>], lines: &[String]) {
    let mut lines = lines.iter();
    for placed in segment {
        let line = lines.next().unwrap();
        let (count, last) = (placed.step.offsets(), placed.last_offset());
        let (producer, is_transactional, codec) = match placed.step {
            Step::Records(batch) => {
                (batch.producer, batch.is_transactional, codec_name(batch.compression.codec()))
            }
            Step::End { producer, epoch, .. } => (Some((*producer, *epoch, -1)), true, "none"),
        };
        let (id, epoch, first) = producer.unwrap_or((-1, -1, -1));
        let is_control = matches!(placed.step, Step::End { .. });
        for (name, expected) in [
            ("baseOffset", placed.base_offset.to_string()),
            ("lastOffset", last.to_string()),
            ("count", count.to_string()),
            ("baseSequence", first.to_string()),
            ("lastSequence", if first < 0 { -1 } else { i64::from(first) + count - 1 }.to_string()),
            ("producerId", id.to_string()),
            ("producerEpoch", epoch.to_string()),
            ("partitionLeaderEpoch", "0".to_owned()),
            ("isTransactional", is_transactional.to_string()),
            ("isControl", is_control.to_string()),
            ("position", placed.position.to_string()),
            ("CreateTime", placed.max_timestamp.to_string()),
            ("size", placed.size.to_string()),
            ("magic", "2".to_owned()),
            ("compresscodec", codec.to_owned()),
            ("isvalid", "true".to_owned()),
        ] {
            assert_eq!(value(line, name), expected, "{name} of {line}");
        }
        check_records(placed, first, &mut lines);
    }
    assert_eq!(lines.next(), None);
}

fn check_records<'l>(placed: &Placed<'_>, first: i32, lines: &mut impl Iterator<Item = &'l String>) {
    let batch = match placed.step {
        Step::Records(batch) => batch,
        Step::End { is_commit, timestamp, .. } => {
            let end = if *is_commit { "COMMIT" } else { "ABORT" };
            let line = lines.next().unwrap();
            let offset = placed.base_offset;
            assert!(line.starts_with(&format!("| offset: {offset} CreateTime: {timestamp} ")), "{line}");
            let marker = format!("endTxnMarker: {end} coordinatorEpoch: {COORDINATOR_EPOCH}");
            assert!(line.ends_with(&marker), "{line}");
            return;
        }
    };
    for (index, record) in batch.records.iter().enumerate() {
        let len = |text: &Option<String>| text.as_ref().map_or(-1, |text| text.len() as i64);
        let sequence = if first < 0 { -1 } else { first + index as i32 };
        let headers: Vec<&str> = record.headers.iter().map(|(name, _)| *name).collect();
        let mut expected = format!(
            "| offset: {} CreateTime: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
            placed.base_offset + index as i64,
            record.timestamp,
            len(&record.key),
            len(&record.value),
            headers.join(",")
        );
        record.key.iter().for_each(|key| expected += &format!(" key: {key}"));
        record.value.iter().for_each(|value| expected += &format!(" payload: {value}"));
        assert_eq!(*lines.next().unwrap(), expected);
    }
}

/// Producer, first offset, marker and last stable offset of the aborted transactions that end in a segment.
fn aborted_lines(steps: &[Step], segment: &[Placed<'_>]) -> Vec<String> {
    let range = segment[0].base_offset..=segment[segment.len() - 1].last_offset();
    let ends_here = |(_, _, marker): &&(i64, i64, i64)| range.contains(marker);
    let aborted = model::aborted_transactions(steps);
    let lines = aborted.iter().filter(ends_here).map(|(producer, first, marker)| {
        let before: i64 = *marker + 1;
        let mut offsets = 0;
        let until = steps.iter().take_while(|step| {
            offsets += step.offsets();
            offsets <= before
        });
        let until: Vec<Step> = until.cloned().collect();
        let stable = model::told(&until, &[]).stable;
        format!(
            "version: 0 producerId: {producer} firstOffset: {first} lastOffset: {marker} lastStableOffset: {stable}"
        )
    });
    lines.collect()
}

fn check_snapshots(dir: &Path, steps: &[Step], snapshots: &[String], dumped: &Dump) {
    for (name, lines) in snapshots.iter().zip(&dumped.files) {
        let offset: i64 = name.trim_end_matches(".snapshot").parse().unwrap();
        let mut offsets = 0;
        let before = steps.iter().take_while(|step| {
            offsets += step.offsets();
            offsets <= offset
        });
        let before: Vec<Step> = before.cloned().collect();
        let expected = model::told(&before, &[]).producers;
        assert_eq!(lines.len(), expected.len(), "{}: {lines:?}", dir.join(name).display());
        for tell::ToldProducer {
            id,
            epoch,
            last_sequence,
            last_timestamp,
            coordinator_epoch,
            transaction_start,
        } in expected
        {
            let line = lines.iter().find(|line| value(line, "producerId") == id.to_string()).unwrap();
            let start = transaction_start
                .map_or("OptionalLong.empty".to_owned(), |start| format!("OptionalLong[{start}]"));
            for (label, expected) in [
                ("producerEpoch", epoch.to_string()),
                ("coordinatorEpoch", coordinator_epoch.to_string()),
                ("currentTxnFirstOffset", start),
                ("lastTimestamp", last_timestamp.to_string()),
            ] {
                assert_eq!(value(line, label), expected, "{label} in {name}: {line}");
            }
            // Of a producer that has no batch in its epoch the tool says nothing more.
            match last_sequence {
                -1 => assert!(!line.contains("lastSequence"), "{name}: {line}"),
                _ => assert_eq!(value(line, "lastSequence"), last_sequence.to_string(), "{name}: {line}"),
            }
        }
    }
}

#[test]
fn apache_kafkas_tool_finds_in_every_file_what_was_written() {
    let root = temporary();
    let steps = Recipe::of_rounds(ROUNDS, 12);
    write(root.path(), &steps);
    let dir = root.path().join(directory::name(TOPIC, 0));
    let segments = placed(&dir, &steps);
    assert!(segments.len() > 5, "{:?}", segments.keys());
    let jars = Jars::fetched().unwrap();
    let [logs, offsets, times, aborted, snapshots] =
        [".log", ".index", ".timeindex", ".txnindex", ".snapshot"].map(|suffix| names(&dir, suffix));
    let indexes = [&offsets[..], &times].concat();

    let dumped = dump(&jars, &dir, &logs, &["--deep-iteration", "--print-data-log"]);
    for (segment, lines) in segments.values().zip(&dumped.files) {
        check_log(segment, lines);
    }
    dump(&jars, &dir, &indexes, &["--verify-index-only"]);
    for lines in dump(&jars, &dir, &indexes, &["--index-sanity-check"]).files {
        assert!(lines.len() == 1 && lines[0].ends_with("passed sanity check."), "{lines:?}");
    }
    let (expected_offsets, expected_times): (Vec<_>, Vec<_>) =
        segments.values().map(|segment| index_lines(segment)).unzip();
    assert!(expected_offsets.iter().map(Vec::len).sum::<usize>() > 20);
    assert_eq!(dump(&jars, &dir, &offsets, &[]).files, expected_offsets);
    assert_eq!(dump(&jars, &dir, &times, &[]).files, expected_times);
    let expected: Vec<Vec<String>> = segments
        .values()
        .map(|segment| aborted_lines(&steps, segment))
        .filter(|lines| !lines.is_empty())
        .collect();
    assert!(expected.len() > 2);
    assert_eq!(dump(&jars, &dir, &aborted, &[]).files, expected);
    assert_eq!(snapshots.len(), segments.len(), "one at each roll, and one at the end");
    let dumped = dump(&jars, &dir, &snapshots, &[]);
    check_snapshots(&dir, &steps, &snapshots, &dumped);
}
