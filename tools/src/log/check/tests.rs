//! Directories that must pass, and each kind of damage that must not.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::print::Sink;

/// Partition of the golden directories.
const PARTITION: &str = "t-0";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden/directories").join(name).join("log")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a check says of a directory: the findings without the directory's name, and how many are wrong.
fn check(dir: &Path) -> (Vec<String>, u64) {
    let sink = Sink::default();
    let mut report = Report::new(Out::to(sink.clone(), false, None), 0, true);
    log_dir::check(dir, &mut report).unwrap();
    let wrong = report.finish().unwrap();
    let prefix = format!("{}/", dir.display());
    let mut lines: Vec<String> = sink.text().lines().map(|line| line.replace(&prefix, "")).collect();
    lines.pop();
    // The golden directories lack it, for they belong to no broker.
    lines.retain(|line| !line.starts_with("note: meta.properties:"));
    (lines, wrong)
}

/// Finds nothing wrong, and notes what begins like this.
#[track_caller]
fn passes(dir: &Path, notes: &[&str]) {
    let (lines, wrong) = check(dir);
    assert_eq!(wrong, 0, "{lines:#?}");
    assert_eq!(lines.len(), notes.len(), "{lines:#?}");
    for (line, note) in lines.iter().zip(notes) {
        assert!(line.starts_with(note), "{line:?} does not begin with {note:?}");
    }
}

/// Plants damage in a copy of the directory that was stopped cleanly. It must be told in a line that has all of
/// the words, and be all that is wrong.
#[track_caller]
fn is_found(damage: impl Fn(&Path), words: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-clean"), root.path());
    damage(root.path());
    let (lines, wrong) = check(root.path());
    let is_it = |line: &&String| line.starts_with("wrong: ") && words.iter().all(|word| line.contains(word));
    assert_eq!(lines.iter().filter(is_it).count() as u64, wrong, "not {words:?}: {lines:#?}");
    assert!(wrong > 0, "not {words:?}: {lines:#?}");
}

fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(PARTITION).join(name)
}

/// Changes the content of a file.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

#[test]
fn what_was_stopped_cleanly_is_whole() {
    passes(&golden("1-clean"), &[]);
    // What was copied is the one partition.
    let beside = "note: recovery-point-offset-checkpoint: names __transaction_state-0, which is not there";
    passes(&golden("1-apache-clean"), &[beside]);
}

#[test]
fn a_partition_is_checked_by_itself_with_what_is_said_of_it_beside() {
    passes(&golden("1-clean").join(PARTITION), &[]);
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-clean"), root.path());
    edit(&file(root.path(), "00000000000000000034.log"), |log| log[100] ^= 1);
    assert_eq!(check(&root.path().join(PARTITION)).1, 1);
}

#[test]
fn after_a_kill_what_a_start_mends_is_a_note() {
    for name in ["1-killed", "1-apache-killed", "1-journal", "2-journal"] {
        let (lines, wrong) = check(&golden(name));
        assert_eq!(wrong, 0, "{name}: {lines:#?}");
    }
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-killed"), root.path());
    let log = file(root.path(), "00000000000000000067.log");
    let len = fs::metadata(&log).unwrap().len();
    edit(&log, |log| log.extend([0; 4_096]));
    let (lines, wrong) = check(root.path());
    assert_eq!(wrong, 0, "{lines:#?}");
    let torn =
        format!("note: t-0/00000000000000000067.log: position {len}: zeros to the end (4096 bytes are left)");
    assert!(lines.iter().any(|line| line.starts_with(&torn)), "{lines:#?}");
}

#[test]
fn a_flipped_bit_of_a_batch_is_found_in_its_place() {
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.log"), |log| log[100] ^= 1),
        &["t-0/00000000000000000034.log: position 0: crc 0x", ", expected 0x"],
    );
}

#[test]
fn a_log_that_lost_its_end_is_found() {
    is_found(
        |dir| edit(&file(dir, "00000000000000000000.log"), |log| log.truncate(log.len() - 1)),
        &["00000000000000000000.log: position ", "a batch of "],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000000.log"), |log| log.extend([0; 100])),
        &["00000000000000000000.log: position ", "zeros to the end (100 bytes are left)"],
    );
}

#[test]
fn offsets_that_are_missing_or_come_twice_are_found() {
    // Neither is under the checksum.
    is_found(
        |dir| {
            edit(&file(dir, "00000000000000000034.log"), |log| log[..8].copy_from_slice(&35i64.to_be_bytes()))
        },
        &["00000000000000000034.log: position ", "expected "],
    );
    is_found(
        |dir| fs::remove_file(file(dir, "00000000000000000034.log")).unwrap(),
        &["00000000000000000067.log: begins at offset 67, the segment in front of it ends at 34"],
    );
}

#[test]
fn entries_of_indexes_that_the_log_does_not_confirm_are_found() {
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.index"), |index| index[7] ^= 1),
        &["00000000000000000034.index: entry 0: position ", "where no batch begins"],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.index"), |index| index[3] ^= 0x40),
        &["00000000000000000034.index: entry ", "offset "],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.timeindex"), |index| index[7] ^= 1),
        &["00000000000000000034.timeindex: entry 0: timestamp "],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.timeindex"), |index| index.truncate(index.len() - 12)),
        &["00000000000000000034.timeindex: ends with timestamp ", "the segment's largest is "],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.index"), |index| index.extend([0; 16])),
        &["00000000000000000034.index: zeros in the place of the last 2 entries"],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000034.index"), |index| index.push(1)),
        &["00000000000000000034.index: 1 bytes behind the last whole entry"],
    );
}

#[test]
fn aborted_transactions_that_are_missing_or_made_up_are_found() {
    let index = "00000000000000000034.txnindex";
    is_found(
        |dir| fs::remove_file(file(dir, index)).unwrap(),
        &["00000000000000000034.txnindex: no entry for the transaction of producer "],
    );
    is_found(
        |dir| edit(&file(dir, index), |entries| entries[9] ^= 0x40),
        &["00000000000000000034.txnindex: entry 0: producer "],
    );
    is_found(
        |dir| edit(&file(dir, index), |entries| entries[17] ^= 1),
        &["00000000000000000034.txnindex: entry 0: first offset "],
    );
    is_found(
        |dir| {
            edit(&file(dir, index), |entries| {
                let mut made_up = entries[entries.len() - 34..].to_vec();
                made_up[25] ^= 0x01;
                entries.extend(made_up);
            });
        },
        &["00000000000000000034.txnindex: entry "],
    );
}

#[test]
fn damaged_snapshots_are_found_and_those_that_say_what_the_log_does_not() {
    is_found(
        |dir| edit(&file(dir, "00000000000000000067.snapshot"), |content| content[20] ^= 1),
        &["00000000000000000067.snapshot: crc 0x"],
    );
    is_found(
        |dir| edit(&file(dir, "00000000000000000067.batches"), |content| content[20] ^= 1),
        &["00000000000000000067.batches: crc 0x"],
    );
    is_found(
        |dir| {
            edit(&file(dir, "00000000000000000067.snapshot"), |content| {
                let mut producers = logmill_engine::format::producer_snapshot::read(content).unwrap();
                producers.iter_mut().find(|producer| producer.last_sequence >= 0).unwrap().last_sequence += 1;
                *content = logmill_engine::format::producer_snapshot::write(&producers);
            });
        },
        &["00000000000000000067.snapshot: producer ", ", the log has "],
    );
    is_found(
        |dir| {
            let from = file(dir, "00000000000000000086.snapshot");
            fs::rename(from, file(dir, "00000000000000000099.snapshot")).unwrap();
        },
        &["00000000000000000099.snapshot: a snapshot at offset 99, the log ends at 86"],
    );
}

#[test]
fn checkpoints_that_cannot_be_read_or_are_out_of_range_are_found() {
    let recovery = "recovery-point-offset-checkpoint";
    is_found(
        |dir| fs::write(dir.join(recovery), "0\n1\nt 0 87\n").unwrap(),
        &["recovery-point-offset-checkpoint: t-0: offset 87, the log ends at 86"],
    );
    is_found(
        |dir| fs::write(dir.join("log-start-offset-checkpoint"), "0\n1\nt 0 500\n").unwrap(),
        &["log-start-offset-checkpoint: t-0: offset 500, the log ends at 86"],
    );
    is_found(
        |dir| fs::write(dir.join("replication-offset-checkpoint"), "0\n2\nt 0 86\n").unwrap(),
        &["replication-offset-checkpoint: line 2: 2 lines declared, 1 found"],
    );
    is_found(
        |dir| fs::write(file(dir, "leader-epoch-checkpoint"), "0\n2\n3 0\n2 40\n").unwrap(),
        &["leader-epoch-checkpoint: epoch 2 from offset 40 on, behind epoch 3 from 0 on"],
    );
    is_found(
        |dir| fs::write(file(dir, "leader-epoch-checkpoint"), "0\n1\n0 x\n").unwrap(),
        &["leader-epoch-checkpoint: line 3: "],
    );
}

#[test]
fn files_that_say_whose_something_is_are_read() {
    is_found(
        |dir| fs::write(file(dir, "partition.metadata"), "version: 0\ntopic_id: ?").unwrap(),
        &["t-0/partition.metadata: "],
    );
    is_found(
        |dir| fs::write(dir.join("meta.properties"), "version=7\n").unwrap(),
        &["meta.properties: version"],
    );
    is_found(|dir| fs::write(dir.join(".kafka_cleanshutdown"), "yes").unwrap(), &[".kafka_cleanshutdown: "]);
}

#[test]
fn a_journal_that_lacks_a_frame_is_found() {
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-journal"), root.path());
    let journals = || {
        let names = (0..4).map(|slot| root.path().join(format!("logmill.journal.0.{slot}")));
        names.filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)).collect::<Vec<_>>()
    };
    // A frame in front of others: behind the first block stands a whole later one.
    let damaged = journals().into_iter().find(|path| {
        edit(path, |content| content[600] ^= 1);
        check(root.path()).1 > 0
    });
    let (lines, wrong) = check(root.path());
    assert!(damaged.is_some() && wrong > 0, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("wrong: ") && line.contains("journal ")), "{lines:#?}");
}

#[test]
fn what_interrupted_processes_left_is_a_note() {
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-clean"), root.path());
    fs::write(file(root.path(), "00000000000000000001.log.deleted"), "").unwrap();
    fs::write(file(root.path(), "00000000000000000001.index"), "").unwrap();
    fs::write(file(root.path(), "leader-epoch-checkpoint.tmp"), "").unwrap();
    fs::write(file(root.path(), "notes.txt"), "").unwrap();
    fs::create_dir(root.path().join("u-0.0123-delete")).unwrap();
    fs::create_dir(root.path().join("lost+found")).unwrap();
    passes(
        root.path(),
        &[
            "note: lost+found: no directory of a partition",
            "note: t-0/00000000000000000001.log.deleted: on its way out",
            "note: t-0/leader-epoch-checkpoint.tmp: .tmp: was under way",
            "note: t-0/notes.txt: a file of nobody's",
            "note: t-0/00000000000000000001.index: an index without its segment",
            "note: u-0.0123-delete: a deleted partition",
        ],
    );
}

#[test]
fn offsets_may_be_missing_where_the_log_was_compacted() {
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-clean"), root.path());
    for name in ["log", "index", "timeindex", "txnindex", "snapshot", "batches"] {
        fs::remove_file(file(root.path(), &format!("00000000000000000034.{name}"))).unwrap();
    }
    assert!(check(root.path()).1 > 0);
    fs::write(root.path().join("cleaner-offset-checkpoint"), "0\n1\nt 0 67\n").unwrap();
    passes(root.path(), &[]);
}

#[test]
fn of_a_file_with_very_many_faults_the_first_are_told_and_the_others_counted() {
    let root = tempfile::tempdir().unwrap();
    copy(&golden("1-clean"), root.path());
    let index = file(root.path(), "00000000000000000034.index");
    edit(&index, |content| content.extend((1..=50u8).flat_map(|n| [0, 0, 1, n, 0x7f, 0, 0, n])));
    let (lines, wrong) = check(root.path());
    assert_eq!((lines.len(), wrong), (21, 50), "{lines:#?}");
    assert_eq!(lines[20], "t-0/00000000000000000034.index: 30 more findings");
}
