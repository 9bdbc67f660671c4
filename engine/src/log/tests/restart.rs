//! What an opening reads, keeps, cuts and refuses.

use super::*;

#[test]
fn after_a_clean_stop_only_the_last_segments_end_is_read() {
    let disk = Bench::with_batches(100).stop();
    let opening = Opening { recovery_point: 200, visit_from: 200, ..CLEAN };
    let (mut bench, opened) =
        Bench::visiting(&disk, LIMITS, opening, |_| panic!("nothing to visit")).unwrap();
    assert!(opened.bytes_read <= 2 * batch_len(), "{}", opened.bytes_read);
    assert_eq!((bench.log.end().offset, bench.log.recovery_point()), (200, 200));
    assert_eq!(bench.append(2), 200);
}

#[test]
fn a_stop_changes_nothing_that_the_next_start_would_read_differently() {
    let disk = Bench::with_batches(5).stop();
    let before: Vec<_> = names(&disk).iter().map(|name| content(&disk, name)).collect();
    let again = Bench::open(&disk, LIMITS, CLEAN).unwrap().stop();
    let after: Vec<_> = names(&again).iter().map(|name| content(&again, name)).collect();
    assert_eq!(before, after);
}

#[test]
fn batches_are_visited_in_order_from_the_one_that_is_asked_for() {
    let disk = Bench::with_batches(20).stop();
    for (opening, name) in [(CLEAN, "clean"), (FROM_THE_START, "from the start")] {
        for recovery_point in [0, 12, 40] {
            for visit_from in 0..=40 {
                let mut seen = Vec::new();
                let opening = Opening { visit_from, recovery_point, ..opening };
                let visit = |visit: Visit<'_>| {
                    assert!(visit.records.is_none(), "no control batch");
                    seen.push(visit.header.base_offset());
                };
                Bench::visiting(&disk, LIMITS, opening, visit).unwrap();
                let first = visit_from - visit_from % 2;
                let expected: Vec<i64> = (first..40).step_by(2).collect();
                assert_eq!(seen, expected, "{name}, from {visit_from}, recovery point {recovery_point}");
            }
        }
    }
}

#[test]
fn recovery_reads_no_segment_in_front_of_the_recovery_point() {
    let bench = Bench::with_batches(100);
    let opening = Opening { recovery_point: 196, visit_from: 196, ..FROM_THE_START };
    let (_, opened) = Bench::visiting(&bench.disk, LIMITS, opening, |_| ()).unwrap();
    assert_eq!(opened.bytes_read, 4 * batch_len(), "the segments from offsets 192 and 198 on");
}

#[test]
fn recovery_leaves_indexes_as_a_clean_stop_would() {
    let bench = Bench::with_batches(10);
    let disk = bench.disk.after_kill();
    for name in names(&disk).iter().filter(|name| name.ends_with("index")) {
        disk.remove_file(&path(name)).unwrap();
    }
    let recovered = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap().stop();
    let stopped = bench.stop();
    assert_eq!(names(&recovered), names(&stopped));
    for name in names(&stopped) {
        assert_eq!(content(&recovered, &name), content(&stopped, &name), "{name}");
    }
}

#[test]
fn a_tail_cut_anywhere_ends_the_log_at_the_last_whole_batch() {
    let log = "00000000000000000006.log";
    for cut in 1..2 * batch_len() {
        let disk = Bench::with_batches(5).disk;
        disk.open(&path(log), OpenMode::Existing).unwrap().set_len(2 * batch_len() - cut).unwrap();
        let (mut bench, opened) = Bench::visiting(&disk, LIMITS, FROM_THE_START, |_| ()).unwrap();
        let whole = (2 * batch_len() - cut) / batch_len();
        assert_eq!(bench.log.end().offset, 6 + 2 * whole as i64);
        assert_eq!(opened.cut.is_some(), cut % batch_len() != 0, "cut by {cut}");
        bench.append(2);
        let end = bench.log.end().offset;
        assert_eq!(bench.offsets(), every_second(end));
    }
}

#[test]
fn a_tail_of_zeros_is_no_record() {
    for zeros in [1, 12, 61, 500, 5_000] {
        let disk = Bench::with_batches(2).disk;
        let file = disk.open(&path("00000000000000000000.log"), OpenMode::Existing).unwrap();
        file.set_len(2 * batch_len() + zeros).unwrap();
        let (bench, opened) = Bench::visiting(&disk, LIMITS, FROM_THE_START, |_| ()).unwrap();
        let cut = opened.cut.unwrap();
        assert_eq!(
            (cut.segment, cut.position, cut.len_before),
            (0, 2 * batch_len(), 2 * batch_len() + zeros)
        );
        assert_eq!(bench.log.end().offset, 4);
        assert_eq!(file.len().unwrap(), 2 * batch_len());
    }
}

#[test]
fn the_first_invalid_batch_takes_everything_behind_it_with_it() {
    let disk = Bench::with_batches(10).disk;
    flip(&disk, "00000000000000000006.log", 70 + 30);
    let mut bench = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap();
    assert_eq!(bench.log.end().offset, 8);
    assert_eq!(bench.bases(), [0, 6]);
    assert!(!names(&disk).iter().any(|name| name.starts_with("00000000000000000012")));
    assert_eq!(bench.append(2), 8);
    assert_eq!(bench.offsets(), every_second(10));
}

#[test]
fn a_hole_between_two_segments_ends_the_log_in_front_of_it() {
    let disk = Bench::with_batches(10).disk;
    let file = disk.open(&path("00000000000000000006.log"), OpenMode::Existing).unwrap();
    file.set_len(2 * batch_len()).unwrap();
    let mut bench = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap();
    assert_eq!((bench.log.end().offset, bench.bases()), (10, vec![0, 6]));
    bench.append(2);
    assert_eq!(bench.offsets(), every_second(12));
    let again = Bench::open(&bench.stop(), LIMITS, CLEAN).unwrap();
    assert_eq!(again.log.end().offset, 12);
}

#[test]
fn a_compacted_log_keeps_its_holes() {
    let disk = Bench::with_batches(10).disk;
    disk.remove_file(&path("00000000000000000006.log")).unwrap();
    let mut bench = Bench::open(&disk, LIMITS, Opening { has_gaps: true, ..FROM_THE_START }).unwrap();
    assert_eq!(bench.offsets(), [0, 2, 4, 12, 14, 16, 18]);
    assert!(!names(&disk).iter().any(|name| name.starts_with("00000000000000000006")), "orphaned indexes");
}

#[test]
fn an_end_in_front_of_the_recovery_point_is_refused_with_both_offsets() {
    let disk = Bench::with_batches(2).stop();
    for opening in [CLEAN, FROM_THE_START] {
        let error = Bench::open(&disk, LIMITS, Opening { recovery_point: 5, ..opening }).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("ends at offset 4, expected at least 5") && text.contains(DIR), "{text}");
    }
}

#[test]
fn a_log_that_lost_all_it_may_show_begins_anew_at_its_start() {
    let bench = Bench::with_batches(5);
    let opening = Opening { start_offset: 50, ..FROM_THE_START };
    let mut bench = Bench::open(&bench.disk, LIMITS, opening).unwrap();
    assert_eq!((bench.log.start_offset(), bench.append(2), bench.bases()), (50, 50, vec![50]));
    assert_eq!(names(&bench.disk), ["00000000000000000050.log"]);
}

#[test]
fn an_empty_directory_becomes_a_log_at_its_start() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let mut bench = Bench::open(&disk, LIMITS, Opening { start_offset: 7, ..CLEAN }).unwrap();
    assert_eq!((bench.log.start_offset(), bench.append(2)), (7, 7));
}

#[test]
fn leftovers_are_taken_away_and_others_files_are_not() {
    let disk = Bench::with_batches(5).stop();
    let others = ["leader-epoch-checkpoint", "00000000000000000009.snapshot", "partition.metadata"];
    others.iter().for_each(|name| put(&disk, name, b"x"));
    let kept = names(&disk);
    for name in [
        "00000000000000000000.log.deleted",
        "00000000000000000003.snapshot.deleted",
        "00000000000000000000.log.cleaned",
        "00000000000000000000.index.cleaned",
        "00000000000000000099.index",
        "00000000000000000099.txnindex",
    ] {
        put(&disk, name, b"rest");
    }
    let mut bench = Bench::open(&disk, LIMITS, CLEAN).unwrap();
    assert_eq!(bench.offsets(), every_second(10));
    assert_eq!(names(&disk), kept);
}

#[test]
fn a_finished_compaction_takes_its_place_and_an_unfinished_one_does_not() {
    let disk = Bench::with_batches(10).stop();
    // Segments 0 and 6 became one, in which the batch at offset 4 is missing.
    let (first, second) =
        (content(&disk, "00000000000000000000.log"), content(&disk, "00000000000000000006.log"));
    let compacted = [&first[..2 * batch_len() as usize], &second].concat();
    put(&disk, "00000000000000000000.log.swap", &compacted);
    let unfinished = disk.after_kill();
    let mut bench = Bench::open(&disk, LIMITS, Opening { has_gaps: true, ..CLEAN }).unwrap();
    assert_eq!(bench.offsets(), [0, 2, 6, 8, 10, 12, 14, 16, 18]);
    assert!(!names(&disk).iter().any(|name| name.ends_with(".swap")));

    put(&unfinished, "00000000000000000000.log.cleaned", b"x");
    let mut bench = Bench::open(&unfinished, LIMITS, CLEAN).unwrap();
    assert_eq!(bench.offsets(), every_second(20));
}
