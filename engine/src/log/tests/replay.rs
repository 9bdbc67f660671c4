//! What a journal's frames do to segments.

use super::*;

fn cache(disk: &SimDisk) -> Cache {
    Cache::new(Arc::new(disk.clone()), CacheLimits { files: 3, pages: 4 })
}

#[test]
fn a_log_says_which_bytes_lie_behind_its_recovery_point() {
    let mut bench = Bench::with_batches(4);
    let end = bench.log.end();
    for _ in 0..4 {
        bench.append(2);
    }
    bench.log.durable_to(end);
    let ranges: Vec<_> = bench.log.unsynced_ranges().collect();
    let range = |segment, bytes| SegmentRange { segment, bytes };
    assert_eq!(ranges, [range(6, batch_len()..3 * batch_len()), range(12, 0..2 * batch_len())]);
    assert_eq!(bench.log.segment_file(&mut bench.cache, 6).unwrap().len().unwrap(), 3 * batch_len());
}

#[test]
fn missing_bytes_come_back_wherever_the_segment_ends() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let from = batch_len() as usize;
    for len in from..=log.len() {
        for rest in [&[][..], &[0; 40]] {
            put(&disk, "00000000000000000000.log", &[&log[..len], rest].concat());
            let replayed =
                Log::replay(&mut cache(&disk), Path::new(DIR), 0, from as u64, &log[from..]).unwrap();
            let is_there = len == log.len();
            assert_eq!(replayed == Replayed::WasThere, is_there, "{len} bytes were there");
            assert_eq!(content(&disk, "00000000000000000000.log")[..log.len()], log);
        }
    }
}

#[test]
fn a_segment_whose_name_was_lost_is_made_again() {
    let disk = Bench::with_batches(4).disk;
    let log = content(&disk, "00000000000000000006.log");
    disk.remove_file(&path("00000000000000000006.log")).unwrap();
    let replayed = Log::replay(&mut cache(&disk), Path::new(DIR), 6, 0, &log).unwrap();
    assert_eq!(replayed, Replayed::Written);
    assert_eq!(content(&disk, "00000000000000000006.log"), log);
}

#[test]
fn other_whole_batches_in_the_same_place_are_refused_with_both() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let mut other = Bench::with_batches(1);
    other.append_at(2, 77);
    let theirs = content(&other.disk, "00000000000000000000.log");
    let from = batch_len() as usize;
    let error = Log::replay(&mut cache(&disk), Path::new(DIR), 0, from as u64, &theirs[from..]).unwrap_err();
    let text = error.to_string();
    for part in
        ["00000000000000000000.log", "position 68", "offsets 2 to 3", "expected the journal's bytes 0 to 68"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(content(&disk, "00000000000000000000.log"), log);
}
